//! `cargo run -p modelops-bundle-web-build`: builds the page and says where it is.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let target_folder = std::env::var_os("CARGO_TARGET_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    let page = modelops_bundle_web_build::build_page(&target_folder)?;
    writeln!(std::io::stdout(), "{}", page.display())?;
    Ok(())
}
