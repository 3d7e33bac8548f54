//! What it costs to decide in the component, against the same code called natively.

use std::time::{Duration, Instant};

use bundle_core::diff::{Sides, diff};
use bundle_core::digest::Digest;
use bundle_core::file::{ByPath, File, synced};
use bundle_core::name::path::BundlePath;
use bundle_core::plan::drops::DropGuard;
use bundle_core::plan::layout::Rewrite;
use bundle_core::plan::pull::{DeletedHere, PullMode, PullOptions, plan_pull};
use bundle_core::plan::push::{Builds, PushFacts, plan_push};

use super::Core;
use super::answers::FactsError;

/// How often each decision is made; the middle one of the times counts.
const RUNS: usize = 5;

/// One decision, and what it took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The function of the contract.
    pub function: &'static str,
    /// In the component, crossing included.
    pub component: Duration,
    /// The same code in this program.
    pub native: Duration,
}

/// Makes each decision over trees of so many files, of which one in a hundred differs.
pub fn measure(core: &Core, files: usize) -> Result<Vec<Cost>, FactsError> {
    let (local, remote) = (tree(files, 1), tree(files, 2));
    let base = synced(&remote);
    let tracked = local.iter().map(|file| file.path.clone()).collect();
    let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
    let (nothing, none) = (ByPath::default(), ByPath::default());
    let push = PushFacts { builds: Builds::On, rewrite: Rewrite::No, untracked: &none, settled: 0 };
    let pull = PullOptions {
        mode: PullMode::Overwrite,
        deleted: DeletedHere::Leave,
        mine: &nothing,
        theirs: &nothing,
        obstacles: &nothing,
        drops: DropGuard::Accept,
        settled: 0,
    };
    Ok(vec![
        Cost {
            function: "diff",
            component: time(|| core.diff(sides).map(drop))?,
            native: time(|| {
                drop(diff(sides));
                Ok(())
            })?,
        },
        Cost {
            function: "plan-push",
            component: time(|| core.plan_push(sides, push, &none).map(drop))?,
            native: time(|| {
                drop(plan_push(sides, push));
                Ok(())
            })?,
        },
        Cost {
            function: "plan-pull",
            component: time(|| core.plan_pull(sides, pull).map(drop))?,
            native: time(|| {
                drop(plan_pull(sides, pull));
                Ok(())
            })?,
        },
    ])
}

fn time(mut work: impl FnMut() -> Result<(), FactsError>) -> Result<Duration, FactsError> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(RUNS / 2).copied().unwrap_or_default())
}

/// A tree of equally full folders; every hundredth file has the content `version`.
fn tree(files: usize, version: usize) -> ByPath<File> {
    let file = |number: usize| {
        let path: BundlePath = format!("series-{:03}/part-{number:07}.bin", number % 1000).parse().ok()?;
        let content =
            if number.is_multiple_of(100) { format!("{number} {version}") } else { number.to_string() };
        Some(File { path, digest: Digest::of(content.as_bytes()), size: 4096, executable: Some(false) })
    };
    ByPath::keeping_first((0..files).filter_map(file).collect())
}
