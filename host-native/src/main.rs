//! The program `modelops-bundle`. All of it is in the library, under `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    modelops_bundle::cli::main()
}
