//! Two versions of a project, the second pushed over the first and pulled over it: what goes over the wire
//! for the second.
//!
//! Counted and not timed ([`crate::wire`]), and counted once: it is the same each time but for a few bytes.

use crate::arena::{Arena, Layout};
use crate::clients::{Artifact, Found, ORAS};
use crate::wire::Wire;
use std::fs;
use std::path::Path;
use std::process::Command;
use xtask::command::quietly;
use xtask::failure::{Context, Result};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that both sides have.
    First,
    /// The one that is counted.
    Second,
}

/// What is pushed and pulled.
pub(crate) struct Versions<'a> {
    pub(crate) arena: &'a Arena,
    /// Between the client and the registry.
    pub(crate) wire: &'a Wire,
    /// What the repositories are called.
    pub(crate) name: &'a str,
    /// Makes a version of what is in a folder.
    pub(crate) put: &'a dyn Fn(&Path, Version) -> Result,
}

/// What the second version cost, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    /// Sent by the push.
    pub(crate) sent: u64,
    /// Received by the pull.
    pub(crate) received: u64,
}

impl Versions<'_> {
    /// With our program: from one project to another that has the first version.
    pub(crate) fn ours(&self, layout: Layout) -> Result<Moved> {
        let (arena, wire) = (self.arena, self.wire);
        let reference = format!("{}/{}-ours-{}", wire.host(), self.name, layout.name());
        let (here, there) = (arena.fresh("versions-here")?, arena.fresh("versions-there")?);
        arena.init_with(&here, &reference, layout)?;
        arena.init_with(&there, &reference, layout)?;
        let run = |folder: &Path, arguments: &[&str]| quietly(&mut arena.ours(folder, arguments));

        (self.put)(&here, Version::First)?;
        run(&here, &["add", "."])?;
        run(&here, &["push"])?;
        run(&there, &["pull"])?;
        (self.put)(&here, Version::Second)?;
        run(&here, &["add", "."])?;
        let push = wire.during(|| run(&here, &["push"]))?;
        // A safe pull would stop where the second version lacks a file of the first.
        let pull = wire.during(|| run(&there, &["pull", "--overwrite"]))?;
        Ok(Moved { sent: push.sent, received: pull.received })
    }

    /// With `oras`, of which `file` is one version; the size of that where the client is not on this machine,
    /// for it has no way to move less. Returned with what to call it.
    pub(crate) fn of_one_file(
        &self,
        client: Option<&Found>,
        name: &str,
        file: &Path,
    ) -> Result<(&'static str, Moved)> {
        if let Some(client) = client {
            return Ok((ORAS, self.theirs(client, &[name.to_owned()])?));
        }
        let size = fs::metadata(file).context(|| format!("cannot read {}", file.display()))?.len();
        Ok(("the file's bytes", Moved { sent: size, received: size }))
    }

    /// With another client, which has no project and is told the files.
    fn theirs(&self, client: &Found, files: &[String]) -> Result<Moved> {
        let repository = format!("{}-theirs", self.name);
        let (here, there) = (self.arena.fresh("versions-here")?, self.arena.fresh("versions-there")?);
        let host = self.wire.host();
        let push = || {
            let artifact = Artifact { host, repository: &repository, files, folder: &here };
            run_all(client.push(self.arena, &artifact)?)
        };
        let pull = || {
            let artifact = Artifact { host, repository: &repository, files, folder: &there };
            run_all(client.pull(self.arena, &artifact)?)
        };

        (self.put)(&here, Version::First)?;
        push()?;
        pull()?;
        (self.put)(&here, Version::Second)?;
        let (push, pull) = (self.wire.during(push)?, self.wire.during(pull)?);
        Ok(Moved { sent: push.sent, received: pull.received })
    }
}

fn run_all(commands: Vec<Command>) -> Result {
    commands.into_iter().try_for_each(|mut command| quietly(&mut command))
}
