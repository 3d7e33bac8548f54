//! Pulls a bundle into a folder: `pull-bundle REFERENCE FOLDER`.

use std::env::args;

use modelops_bundle::client::Client;
use modelops_bundle::ops::pull::{self, PullOptions, Target};
use modelops_bundle::threads::runtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reference = args().nth(1).ok_or("no reference is named")?.parse()?;
    let folder = args().nth(2).ok_or("no folder is named")?;
    let client = Client::default();
    let target = Target::at(&client, folder.as_ref())?;
    runtime()?.block_on(async {
        let planned = pull::plan(&client, &reference, target, PullOptions::default()).await?;
        let done = planned.apply().await?;
        println!("{} files came", done.pulled.downloaded.files);
        Ok(())
    })
}
