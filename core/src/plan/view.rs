//! The part of a bundle that a project takes part in: what lies outside is on no side of a comparison.

use serde::{Deserialize, Serialize};

use crate::diff::{Change, PathChange, Sides};
use crate::file::{ByPath, File, HasPath, SyncedFile};
use crate::name::path::BundlePath;

/// Which paths of a bundle a project takes part in. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Globs of the paths that are in it; where there are none, all paths are.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of those that are not, whatever the others say.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Paths outside of it that the project tracks itself and has synced: of no other path outside is it known what was here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<BundlePath>,
}

impl View {
    /// Whether it is all of the bundle.
    pub fn is_whole(&self) -> bool {
        self.exclude.is_empty() && (self.include.is_empty() || self.include.iter().any(|glob| glob == "**"))
    }

    /// Whether both hold the same paths.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.include, &self.exclude) == (&other.include, &other.exclude)
    }

    /// Whether a path is in it. A glob means a path, or a folder with all that is in it.
    pub fn holds(&self, path: &BundlePath) -> bool {
        let is_meant = |globs: &[String]| globs.iter().any(|glob| matches(glob, path));
        (self.include.is_empty() || is_meant(&self.include)) && !is_meant(&self.exclude)
    }
}

fn matches(glob: &str, path: &BundlePath) -> bool {
    let glob = glob.strip_suffix('/').unwrap_or(glob);
    let is_match = |text: &str| fast_glob::glob_match(glob, text);
    is_match(path.as_str()) || path.folders().any(is_match)
}

/// The view of a project before an operation and after it.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// What the project took part in.
    pub before: &'a View,
    /// What it takes part in from now on.
    pub after: &'a View,
}

impl<'a> Views<'a> {
    /// A view that stays.
    pub fn same(view: &'a View) -> Self {
        Self { before: view, after: view }
    }

    /// Whether there is anything outside of it.
    pub fn is_whole(self) -> bool {
        self.before.is_whole() && self.after.is_whole()
    }
}

/// The sides of a comparison without what is outside the view.
#[derive(Clone, Debug, Default)]
pub struct Viewed {
    compared: Option<Compared>,
    carried: ByPath<File>,
}

/// The two sides that a view narrows.
#[derive(Clone, Debug)]
struct Compared {
    remote: ByPath<File>,
    base: ByPath<SyncedFile>,
}

impl Viewed {
    /// Leaves out of `sides` what is outside the view. A path outside it that the project tracks itself is compared all the
    /// same. One that comes to lie outside is compared as if the remote had dropped it: unedited it goes, edited it stops the
    /// operation.
    pub fn of(sides: Sides<'_>, views: Views<'_>) -> Self {
        // A project without a view pays for none.
        if views.is_whole() {
            return Self::default();
        }
        let is_tracked = |path: &BundlePath| sides.tracked.at(path).is_some();
        let leaves = |path: &BundlePath| {
            views.before.holds(path) && !views.after.holds(path) && sides.base.at(path).is_some()
        };
        let is_seen = |path: &BundlePath| views.after.holds(path) || is_tracked(path);
        let is_compared = |path: &BundlePath| is_seen(path) && !leaves(path);
        // What comes into the view was never here: that it is not is no deletion.
        let is_own = |path: &BundlePath| is_tracked(path) && views.before.own.contains(path);
        let is_based = |path: &BundlePath| {
            views.before.holds(path) && (is_tracked(path) || views.after.holds(path)) || is_own(path)
        };
        let (remote, carried) = sides.remote.iter().cloned().partition(|file: &File| is_compared(&file.path));
        let remote = ByPath::keeping_first(remote);
        Self {
            compared: Some(Compared { remote, base: sides.base.only(is_based) }),
            // What is about to leave is still the bundle's.
            carried: ByPath::keeping_first(carried),
        }
    }

    /// The sides that are compared.
    pub fn sides<'a>(&'a self, sides: Sides<'a>) -> Sides<'a> {
        match &self.compared {
            Some(Compared { remote, base }) => Sides { remote, base, ..sides },
            None => sides,
        }
    }

    /// The paths outside the view that the project tracks itself, where the remote's bundle has another file, which was never
    /// here: whatever the project is built on, it is not built on that.
    pub fn never_here(sides: Sides<'_>, view: &View) -> Vec<PathChange> {
        let outside = sides.tracked.iter().filter(|path| !view.holds(path) && !view.own.contains(path));
        let differs = |path: &&BundlePath| match (sides.local.at(path), sides.remote.at(path)) {
            (Some(local), Some(remote)) => !local.is_same_as(remote),
            _ => false,
        };
        outside
            .filter(differs)
            .map(|path| PathChange { path: path.clone(), change: Change::Conflict })
            .collect()
    }

    /// The files of the remote's bundle outside the view: the next bundle has them as they are.
    pub fn carried(&self) -> &ByPath<File> {
        &self.carried
    }
}

impl<T: HasPath + Clone> ByPath<T> {
    /// Those whose path is meant.
    #[must_use]
    pub fn only(&self, is_meant: impl Fn(&BundlePath) -> bool) -> Self {
        // They stay in their order.
        Self::keeping_first(self.iter().filter(|fact| is_meant(fact.path())).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::file::synced;
    use crate::plan::drops::DropGuard;
    use crate::plan::pull::{DeletedHere, PullMode, PullOptions, plan_pull};

    fn view(include: &[&str], exclude: &[&str]) -> View {
        let texts = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        View { include: texts(include), exclude: texts(exclude), own: Vec::new() }
    }

    fn tree(files: &[(&str, &str)]) -> ByPath<File> {
        let file = |(path, content): &(&str, &str)| File {
            path: path.parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            executable: Some(false),
        };
        ByPath::new(files.iter().map(file).collect()).unwrap()
    }

    fn paths(files: &ByPath<File>) -> ByPath<BundlePath> {
        files.iter().map(|file| file.path.clone()).collect()
    }

    #[test]
    fn a_glob_means_a_path_or_a_folder_with_all_in_it() {
        for (include, exclude, path, is_in) in [
            (&[][..], &[][..], "a/b", true),
            (&["a"][..], &[], "a/b", true),
            (&["a/"], &[], "a/b", true),
            (&["a/*.csv"], &[], "a/b.csv", true),
            (&["a/*.csv"], &[], "a/b.py", false),
            (&["**/*.csv"], &[], "a/x/b.csv", true),
            (&["**"], &["a/x"], "a/x/b.csv", false),
            (&["a"], &["**/*.csv"], "a/b.csv", false),
            (&["ab"], &[], "a", false),
        ] {
            assert_eq!(view(include, exclude).holds(&path.parse().unwrap()), is_in, "{include:?} {path}");
        }
        assert!(view(&["**"], &[]).is_whole() && !view(&["**"], &["a"]).is_whole());
    }

    #[test]
    fn what_is_outside_is_on_no_side_unless_the_project_tracks_it_itself() {
        let remote = tree(&[("data/a", "1"), ("data/own", "2"), ("src/m", "3")]);
        let local = tree(&[("data/own", "mine"), ("src/m", "3")]);
        let (base, tracked) = (synced(&remote), paths(&local));
        let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
        let src = view(&["src"], &[]);
        let viewed = Viewed::of(sides, Views::same(&src));
        assert_eq!(paths(viewed.sides(sides).remote), paths(&local));
        assert_eq!(viewed.carried(), &tree(&[("data/a", "1")]));
        // What was there before the project tracked the path was never here, unless it has synced the path since.
        let change = |view: &View| {
            let viewed = Viewed::of(sides, Views::same(view));
            let changes = crate::diff::diff(viewed.sides(sides));
            changes.into_iter().find(|each| each.path.as_str() == "data/own").map(|each| each.change)
        };
        assert_eq!(change(&src), Some(Change::Conflict));
        assert_eq!(Viewed::never_here(sides, &src).len(), 1);
        let synced = View { own: vec!["data/own".parse().unwrap()], ..src };
        assert_eq!(change(&synced), Some(Change::ModifiedLocal));
        assert_eq!(Viewed::never_here(sides, &synced), []);
    }

    #[test]
    fn a_narrower_view_takes_away_what_nobody_edited() {
        let remote = tree(&[("data/a", "1"), ("data/b", "2"), ("src/m", "3")]);
        let edited = tree(&[("data/a", "1"), ("data/b", "edited"), ("src/m", "3"), ("src/own", "4")]);
        let (base, whole, src) = (synced(&remote), View::default(), view(&["src"], &[]));
        let nothing = ByPath::default();
        let options = PullOptions {
            mode: PullMode::Merge,
            deleted: DeletedHere::Leave,
            mine: &nothing,
            theirs: &nothing,
            obstacles: &nothing,
            drops: DropGuard::Accept,
            settled: 0,
        };
        for (local, deleted, blocked) in [(&remote, 2, 0), (&edited, 0, 1)] {
            let tracked = paths(local);
            let sides = Sides { local, remote: &remote, base: &base, tracked: &tracked };
            let viewed = Viewed::of(sides, Views { before: &whole, after: &src });
            let plan = plan_pull(viewed.sides(sides), options);
            assert_eq!((plan.delete.len(), plan.blocked.len()), (deleted, blocked));
            assert_eq!(viewed.carried().len(), 2);
        }
        // And the wider view brings it back.
        let local = tree(&[("src/m", "3")]);
        let tracked = paths(&local);
        let sides = Sides { local: &local, remote: &remote, base: &base, tracked: &tracked };
        let narrow = Viewed::of(sides, Views::same(&src));
        assert!(plan_pull(narrow.sides(sides), options).write.is_empty());
        let wide = Viewed::of(sides, Views { before: &src, after: &whole });
        assert_eq!(plan_pull(wide.sides(sides), options).write.len(), 2);
    }
}
