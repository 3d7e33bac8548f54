//! Every cell of the three-way rules, from the model in `three_way_model`: each is put to the component, and some of each row
//! go through the program as well.

use std::collections::{BTreeMap, BTreeSet};

use modelops_bundle::component::{CallError, Core};
use modelops_bundle_tests::TestProject;
use serde_json::{Value, json};

use crate::three_way_model::{
    Disk, Facts, IN_THE_WAY, LISTS, Outcome, Pull, PullMode, Pushed, Row, Settled, Side, pulled, pushed,
};

/// The path that a cell is about.
const PATH: &str = "p";

/// A file that is the same on all sides, so that no cell drops everything that there is.
const COMPANION: &str = "companion";

/// The contents of a cell: what was last synced, what the remote has in its place, and what neither has.
const BASE: &str = "last synced";
const REMOTE: &str = "the remote's";
const OTHER: &str = "something else";

/// What lies on disk, as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnDisk {
    Nothing,
    AsBase,
    AsRemote,
    Other,
    OtherKind,
}

/// What the remote has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtRemote {
    /// The tag names nothing.
    NoTag,
    Absent,
    AsBase,
    NotBase,
}

const DISKS: [OnDisk; 5] =
    [OnDisk::Nothing, OnDisk::AsBase, OnDisk::AsRemote, OnDisk::Other, OnDisk::OtherKind];
const REMOTES: [AtRemote; 4] = [AtRemote::NoTag, AtRemote::Absent, AtRemote::AsBase, AtRemote::NotBase];
/// A disk tells the mode of each file.
const DISK_MODES: [Option<bool>; 2] = [Some(false), Some(true)];
const MODES: [Option<bool>; 3] = [None, Some(false), Some(true)];

/// How pulls are asked for.
const PULLS: [(&str, Pull); 7] = [
    ("merge", Pull { mode: PullMode::Merge, restore_deleted: false }),
    ("merge, restore_deleted", Pull { mode: PullMode::Merge, restore_deleted: true }),
    ("safe", Pull { mode: PullMode::Safe, restore_deleted: false }),
    ("restore-deleted", Pull { mode: PullMode::Safe, restore_deleted: true }),
    ("exact", Pull { mode: PullMode::Exact, restore_deleted: false }),
    ("exact, restore_deleted", Pull { mode: PullMode::Exact, restore_deleted: true }),
    ("overwrite", Pull { mode: PullMode::Overwrite, restore_deleted: false }),
];

/// A cell: the facts of one path, and whether the tag names anything.
#[derive(Clone, Copy, Debug)]
struct Cell {
    facts: Facts<'static>,
    tag_is_absent: bool,
}

/// The cells, and how many combinations make none, by the reason.
fn cells() -> (Vec<Cell>, BTreeMap<&'static str, usize>) {
    let (mut cells, mut impossible) = (Vec::new(), BTreeMap::new());
    for tracked in [true, false] {
        for disk in DISKS {
            for remote in REMOTES {
                for has_base in [true, false] {
                    let remote_content = match remote {
                        AtRemote::NoTag | AtRemote::Absent => None,
                        AtRemote::AsBase => Some(BASE),
                        AtRemote::NotBase => Some(REMOTE),
                    };
                    let reason = match (disk, remote, has_base) {
                        (OnDisk::AsBase, _, false) => Some("= B on disk, and there is no B"),
                        (_, AtRemote::AsBase, false) => Some("R = B, and there is no B"),
                        (OnDisk::AsRemote, AtRemote::NoTag | AtRemote::Absent, _) => {
                            Some("= R on disk, and there is no R")
                        }
                        (OnDisk::AsRemote, AtRemote::AsBase, _) => Some("= R on disk, where that is = B"),
                        _ => None,
                    };
                    if let Some(reason) = reason {
                        *impossible.entry(reason).or_default() += 1;
                        continue;
                    }
                    let disk_content = match disk {
                        OnDisk::AsBase => Some(BASE),
                        OnDisk::AsRemote => remote_content,
                        OnDisk::Other => Some(OTHER),
                        OnDisk::Nothing | OnDisk::OtherKind => None,
                    };
                    let sides = |content: Option<&'static str>, modes: &[Option<bool>]| match content {
                        None => vec![None],
                        Some(content) => {
                            modes.iter().map(|&executable| Some(Side { content, executable })).collect()
                        }
                    };
                    for here in sides(disk_content, &DISK_MODES) {
                        for remote_side in sides(remote_content, &MODES) {
                            for base in sides(has_base.then_some(BASE), &MODES) {
                                let disk = match (disk, here) {
                                    (OnDisk::OtherKind, _) => Disk::OtherKind,
                                    (_, None) => Disk::Nothing,
                                    (_, Some(side)) => Disk::File(side),
                                };
                                let facts = Facts { tracked, disk, remote: remote_side, base };
                                cells.push(Cell { facts, tag_is_absent: remote == AtRemote::NoTag });
                            }
                        }
                    }
                }
            }
        }
    }
    (cells, impossible)
}

fn file(path: &str, side: Side<'_>) -> Value {
    let digest = bundle_core::digest::Digest::of(side.content.as_bytes());
    json!({"path": path, "digest": digest, "size": side.content.len(), "executable": side.executable})
}

fn synced(path: &str, side: Side<'_>) -> Value {
    let digest = bundle_core::digest::Digest::of(side.content.as_bytes());
    json!({"path": path, "digest": digest, "executable": side.executable})
}

/// Whether the files on disk that nobody tracks are among the facts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Untracked {
    Told,
    LeftOut,
}

/// The facts of cells as the component takes them: each at its own path, with the companion.
fn input(facts: &[(&str, Facts<'_>)], untracked: Untracked, tag_is_absent: bool) -> Value {
    let companion = Side { content: "the same everywhere", executable: Some(false) };
    let (mut local, mut remote) = (vec![file(COMPANION, companion)], vec![file(COMPANION, companion)]);
    let (mut base, mut tracked) = (vec![synced(COMPANION, companion)], vec![COMPANION.to_owned()]);
    if tag_is_absent {
        remote.clear();
    }
    for (path, facts) in facts {
        if let Disk::File(side) = facts.disk
            && (facts.tracked || untracked == Untracked::Told)
        {
            local.push(file(path, side));
        }
        remote.extend(facts.remote.map(|side| file(path, side)));
        base.extend(facts.base.map(|side| synced(path, side)));
        if facts.tracked {
            tracked.push((*path).to_owned());
        }
    }
    json!({"local": local, "remote": remote, "base": base, "tracked": tracked})
}

/// What a pull is asked, as the component takes it.
fn pull_input(facts: &[(&str, Facts<'_>)], pull: Pull, settled: Settled) -> Value {
    let mode = match pull.mode {
        PullMode::Merge => "merge",
        PullMode::Safe => "safe",
        PullMode::Exact => "exact",
        PullMode::Overwrite => "overwrite",
    };
    let paths = |wanted: Settled| -> Vec<&str> {
        if settled == wanted { facts.iter().map(|(path, _)| *path).collect() } else { Vec::new() }
    };
    let is_obstacle = |facts: &Facts<'_>| facts.disk == Disk::OtherKind && facts.remote.is_some();
    let obstacles: Vec<&str> =
        facts.iter().filter(|(_, facts)| is_obstacle(facts)).map(|(path, _)| *path).collect();
    json!({
        "sides": input(facts, Untracked::Told, false),
        "options": {"mode": mode, "restore_deleted": pull.restore_deleted, "accept_deletions": false},
        "mine": paths(Settled::Mine), "theirs": paths(Settled::Theirs), "untracked": [], "obstacles": obstacles,
    })
}

/// Calls a function that plans: the lists of the plan, and of the reasons for which it is refused.
fn decide(core: &Core, function: &str, asked: Value) -> Result<Value, CallError> {
    let answer = core.call_json(function, asked)?;
    let (plan, refused) = (&answer["result"]["plan"], &answer["result"]["refused"]);
    let mut lists = json!({});
    for part in [plan, refused, &refused["plan"], &refused["reasons"]] {
        for (name, list) in part.as_object().into_iter().flatten() {
            lists[name] = list.clone();
        }
    }
    Ok(lists)
}

/// The lists of a pull's plan that `path` is in, as the model has them: what is blocked with its kind.
fn outcome_at(answer: &Value, path: &str) -> Option<Outcome> {
    let has = |list: &str| answer[list].as_array().is_some_and(|paths| paths.contains(&json!(path)));
    let named = |list: &str| {
        let items = answer[list].as_array().into_iter().flatten();
        items.clone().find(|item| item["path"] == path).cloned()
    };
    let kinds = Row::ALL.iter().filter_map(|row| row.kind());
    let mut found = Vec::new();
    for (list, outcome) in [
        ("write", Outcome::Write),
        ("delete", Outcome::Delete),
        ("adopt", Outcome::Adopt),
        ("untrack", Outcome::Untrack),
    ] {
        if has(list) {
            found.push(outcome);
        }
    }
    if named("kept").is_some() {
        found.push(Outcome::Keep);
    }
    if let Some(item) = named("blocked") {
        let kind = item["kind"].as_str();
        found.push(Outcome::Stop(kind.map(|kind| {
            let mut kinds = kinds;
            kinds.find(|known| *known == kind).unwrap_or("a kind that nobody knows")
        })));
    }
    match *found {
        [] => Some(Outcome::Leave),
        [outcome] => Some(outcome),
        _ => None,
    }
}

/// What is named with a change, in `kept` or `blocked`, has that of its row.
fn names_the_change(answer: &Value, path: &str, row: Row) -> bool {
    let items =
        ["kept", "blocked"].into_iter().flat_map(|list| answer[list].as_array().into_iter().flatten());
    items.filter(|item| item["path"] == path).all(|item| item["change"].as_str() == row.change())
}

/// How many of the wrong cells are shown; all are counted.
const SHOWN: usize = 25;

fn assert_none_wrong(wrong: &[String], asked: usize) {
    let shown: String = wrong.iter().take(SHOWN).map(|line| format!("\n{line}")).collect();
    assert!(wrong.is_empty(), "{} of {asked} answers are wrong, among them:{shown}", wrong.len());
}

#[test]
fn every_cell_of_a_pull_is_as_the_table_has_it() {
    let core = Core::embedded().unwrap();
    let (cells, impossible) = cells();
    println!("impossible combinations: {impossible:#?}");
    let (mut wrong, mut asked, mut open) = (Vec::new(), 0, 0);
    let mut by_row: BTreeMap<Row, usize> = BTreeMap::new();
    let of_a_bundle: Vec<_> = cells.iter().filter(|cell| !cell.tag_is_absent).collect();
    for Cell { facts, .. } in &of_a_bundle {
        let row = Row::of(facts);
        for (name, pull) in PULLS {
            for settled in [Settled::No, Settled::Mine, Settled::Theirs] {
                if pull.mode == PullMode::Overwrite && settled == Settled::Mine {
                    continue;
                }
                let expected = pulled(facts, pull, settled);
                let answer = decide(&core, "plan-pull", pull_input(&[(PATH, *facts)], pull, settled));
                asked += 1;
                open += usize::from(expected.len() > 1);
                *by_row.entry(row).or_default() += 1;
                let is_right = answer.as_ref().is_ok_and(|answer| {
                    outcome_at(answer, PATH).is_some_and(|outcome| expected.contains(&outcome))
                        && outcome_at(answer, COMPANION) == Some(Outcome::Leave)
                        && names_the_change(answer, PATH, row)
                });
                if !is_right {
                    wrong.push(format!(
                        "{row:?}, {name}, settled: {settled:?}\n  {facts:?}\n  should be one of {expected:?}, and is {answer:?}"
                    ));
                }
            }
        }
    }
    println!(
        "{} cells, {} of them of a tag that names nothing, which no pull asks the component about; {asked} pulls asked, of \
         which the design leaves {open} open; by row: {by_row:#?}",
        cells.len(),
        cells.len() - of_a_bundle.len(),
    );
    assert_eq!(by_row.len(), Row::ALL.len(), "each row has cells");
    assert_none_wrong(&wrong, asked);
}

#[test]
fn every_cell_of_a_push_is_as_the_table_has_it() {
    let core = Core::embedded().unwrap();
    let (cells, _) = cells();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for Cell { facts, tag_is_absent } in &cells {
        let row = Row::of(facts);
        for free in [false, true] {
            // A push to a tag that names nothing is free.
            if *tag_is_absent && !free {
                continue;
            }
            let expected = pushed(row, *tag_is_absent);
            let sides = input(&[(PATH, *facts)], Untracked::LeftOut, *tag_is_absent);
            let facts_of_push = json!({"sides": sides, "rewrite": "no", "free": free, "untracked": []});
            let answer = decide(&core, "plan-push", facts_of_push);
            asked += 1;
            let is_right = answer.as_ref().is_ok_and(|answer| is_pushed(answer, facts, expected, free));
            if !is_right {
                wrong.push(format!(
                    "{row:?}, free: {free}\n  {facts:?}\n  should be {expected:?}, and is {answer:?}"
                ));
            }
        }
    }
    println!("{} cells, {asked} pushes asked", cells.len());
    assert_none_wrong(&wrong, asked);
}

/// Whether a plan of a push does `expected` with the cell's path.
fn is_pushed(answer: &Value, facts: &Facts<'_>, expected: Pushed, free: bool) -> bool {
    let has = |list: &str| answer[list].as_array().is_some_and(|paths| paths.contains(&json!(PATH)));
    let here = match facts.disk {
        Disk::File(side) if facts.tracked => Some(side),
        _ => None,
    };
    let is_new = here.is_some_and(|here| facts.remote.is_none_or(|remote| remote.content != here.content));
    let unseen: Vec<_> = answer["unseen"].as_array().into_iter().flatten().collect();
    let expected_unseen = match (expected, free) {
        (Pushed::Unseen, false) => vec![json!({"path": PATH, "change": Row::of(facts).change()})],
        _ => vec![],
    };
    // What is dropped together with others' work is named as unseen, or as dropped too.
    let is_dropped_rightly = match expected {
        Pushed::Unseen => true,
        expected => has("delete") == (expected == Pushed::Drop),
    };
    // What is dropped may leave the list at once: it would be neither here nor there.
    let is_untracked_rightly = match expected {
        Pushed::Drop | Pushed::Unseen => !has("untrack") || here.is_none() && facts.tracked,
        expected => has("untrack") == (expected == Pushed::Untrack),
    };
    answer["files"].is_array()
        && unseen.into_iter().eq(&expected_unseen)
        && has("files") == here.is_some()
        && has("missing") == is_new
        && is_dropped_rightly
        && is_untracked_rightly
}

#[test]
fn every_cell_has_the_change_that_the_table_names() {
    let core = Core::embedded().unwrap();
    let (cells, _) = cells();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for Cell { facts, tag_is_absent } in &cells {
        let row = Row::of(facts);
        // What lies on disk and is not tracked changes nothing.
        for untracked in [Untracked::LeftOut, Untracked::Told] {
            let answer = core.call_json("diff", input(&[(PATH, *facts)], untracked, *tag_is_absent));
            asked += 1;
            let is_right = answer.as_ref().is_ok_and(|answer| {
                let mut changes = answer["changes"].as_array().into_iter().flatten();
                changes.find(|change| change["path"] == PATH).map(|change| change["change"].as_str().unwrap())
                    == row.change()
            });
            if !is_right {
                wrong
                    .push(format!("{row:?}\n  {facts:?}\n  should be {:?}, and is {answer:?}", row.change()));
            }
        }
    }
    println!("{} cells, {asked} comparisons asked", cells.len());
    assert_none_wrong(&wrong, asked);
}

#[test]
fn a_path_is_decided_whatever_stands_beside_it() {
    let core = Core::embedded().unwrap();
    let (cells, _) = cells();
    for (name, pull) in PULLS {
        let is_stop = |outcome: &Outcome| matches!(outcome, Outcome::Stop(_));
        let (mut going, mut stopping) = (Vec::new(), Vec::new());
        for (at, Cell { facts, .. }) in cells.iter().enumerate().filter(|(_, cell)| !cell.tag_is_absent) {
            let expected = pulled(facts, pull, Settled::No);
            let place = (format!("p{at:04}"), *facts, expected.clone());
            match (expected.iter().any(is_stop), expected.iter().all(is_stop)) {
                (false, _) => going.push(place),
                (_, true) => stopping.push(place),
                (true, false) => {}
            }
        }
        for (places, stops) in [(&going, false), (&stopping, true)] {
            let facts: Vec<_> = places.iter().map(|(path, facts, _)| (path.as_str(), *facts)).collect();
            let mut asked = pull_input(&facts, pull, Settled::No);
            asked["options"]["accept_deletions"] = true.into();
            let answer = decide(&core, "plan-pull", asked).unwrap();
            for (path, facts, expected) in places {
                let outcome = outcome_at(&answer, path);
                assert!(
                    outcome.is_some_and(|outcome| expected.contains(&outcome)),
                    "{name}, {} paths: {facts:?} should be {expected:?}, and is {outcome:?}",
                    places.len(),
                );
            }
            assert_eq!(answer["blocked"].is_array(), stops && !places.is_empty(), "{name}");
        }
        println!("{name}: {} paths at once go on, {} stop", going.len(), stopping.len());
    }
}

// What is dropped at once.

/// A merging pull of `sides`, which may drop most files or not.
fn merging(sides: &Value, accept: bool) -> Value {
    json!({
        "sides": sides, "options": {"mode": "merge", "restore_deleted": false, "accept_deletions": accept},
        "mine": [], "theirs": [], "untracked": [], "obstacles": [],
    })
}

#[test]
fn a_pull_that_drops_most_of_the_files_stops_with_the_count() {
    let core = Core::embedded().unwrap();
    // How many of how many are gone from the bundle, and whether that is all, or more than half and more than ten.
    for (gone, of, stops) in [
        (1, 1, true),
        (2, 2, true),
        (1, 2, false),
        (9, 10, false),
        (10, 11, false),
        (11, 12, true),
        (11, 21, true),
        (11, 22, false),
        (50, 100, false),
        (51, 100, true),
    ] {
        let names: Vec<String> = (0..of).map(|at| format!("f{at:03}")).collect();
        let files: Vec<Value> =
            names.iter().map(|name| file(name, Side { content: name, executable: Some(false) })).collect();
        let base: Vec<Value> =
            names.iter().map(|name| synced(name, Side { content: name, executable: Some(false) })).collect();
        for accept in [false, true] {
            let sides = json!({"local": files, "remote": files[gone..], "base": base, "tracked": names});
            let answer = decide(&core, "plan-pull", merging(&sides, accept)).unwrap();
            let drop = &answer["mass_drop"];
            if stops && !accept {
                assert_eq!(drop, &json!({"dropped": gone, "of": of}), "{gone} of {of}: {answer}");
            } else {
                assert_eq!(drop, &Value::Null, "{gone} of {of}, accepted: {accept}: {answer}");
                assert_eq!(answer["delete"].as_array().unwrap().len(), gone, "{answer}");
            }
        }
        // Under other names they are all there: nothing is dropped.
        let renamed: Vec<Value> = names
            .iter()
            .map(|name| file(&format!("new-{name}"), Side { content: name, executable: Some(false) }))
            .collect();
        let sides = json!({"local": files, "remote": renamed, "base": base, "tracked": names});
        let answer = decide(&core, "plan-pull", merging(&sides, false)).unwrap();
        assert_eq!((&answer["mass_drop"], &answer["blocked"]), (&Value::Null, &Value::Null), "{answer}");
    }
}

// Through the program.

/// What a cell of the program is made of: labels, so that a failure can be read.
#[derive(Clone, Copy, Debug)]
struct Sample {
    name: &'static str,
    facts: Facts<'static>,
}

const fn plain(content: &'static str) -> Side<'static> {
    Side { content, executable: Some(false) }
}

const fn executable(content: &'static str) -> Side<'static> {
    Side { content, executable: Some(true) }
}

/// At least one cell of each row, and one of each kind.
fn samples() -> Vec<Sample> {
    let (base, remote, other) = (Some(plain(BASE)), Some(plain(REMOTE)), Disk::File(plain(OTHER)));
    let (as_base, as_remote) = (Disk::File(plain(BASE)), Disk::File(plain(REMOTE)));
    let sample =
        |name, tracked, disk, remote, base| Sample { name, facts: Facts { tracked, disk, remote, base } };
    let (here, away) = (true, false);
    vec![
        sample("nobody changed it", here, as_base, base, base),
        sample("both changed it to the same", here, as_remote, remote, base),
        sample("both added the same", here, as_remote, remote, None),
        sample("both added it, each another one", here, other, remote, None),
        sample("the remote edited it", here, as_base, remote, base),
        sample("the remote made it executable", here, as_base, Some(executable(BASE)), base),
        sample("edited here", here, other, base, base),
        sample("made executable here", here, Disk::File(executable(BASE)), base, base),
        sample("edited on both sides", here, other, remote, base),
        sample("edited here, its mode changed there", here, other, Some(executable(BASE)), base),
        sample("its mode changed here, edited there", here, Disk::File(executable(BASE)), remote, base),
        sample("added here", here, other, None, None),
        sample("dropped by the remote", here, as_base, None, base),
        sample("edited here, dropped by the remote", here, other, None, base),
        sample("tracked, gone and never synced", here, Disk::Nothing, remote, None),
        sample("deleted here", here, Disk::Nothing, base, base),
        sample("deleted here, edited there", here, Disk::Nothing, remote, base),
        sample("deleted on both sides", here, Disk::Nothing, None, base),
        sample("tracked, and on no side", here, Disk::Nothing, None, None),
        sample("a folder lies there, and the remote has not changed it", here, Disk::OtherKind, base, base),
        sample("a folder lies there, and the remote edited it", here, Disk::OtherKind, remote, base),
        sample("added by the remote", away, Disk::Nothing, remote, None),
        sample("added by the remote, and lying here already", away, as_remote, remote, None),
        sample("added by the remote, and another one lies here", away, other, remote, None),
        sample("added by the remote, and a folder lies here", away, Disk::OtherKind, remote, None),
        sample("removed here", away, as_base, base, base),
        sample("removed and deleted here", away, Disk::Nothing, base, base),
        sample("removed here, and edited since", away, other, base, base),
        sample("removed here, edited there", away, as_base, remote, base),
        sample("removed and deleted here, edited there", away, Disk::Nothing, remote, base),
        sample("removed here, dropped by the remote", away, as_base, None, base),
        sample("neither here nor there", away, other, None, None),
    ]
}

#[test]
fn the_samples_have_every_row() {
    let rows: BTreeSet<Row> = samples().iter().map(|sample| Row::of(&sample.facts)).collect();
    assert_eq!(rows, Row::ALL.into_iter().collect());
}

/// The project of a sample, as it stands before its command; and that of whoever pushed the rest.
fn arrange(sample: &Sample) -> (TestProject, TestProject) {
    let Facts { tracked, disk, remote, base } = sample.facts;
    let publisher = TestProject::new();
    let place = format!("oci:{}", publisher.home().join("remote").display());
    let put = |project: &TestProject, side: Side<'_>| {
        if project.exists(PATH) {
            project.remove(PATH);
        }
        match side.executable {
            Some(true) => project.write_executable(PATH, side.content),
            _ => project.write(PATH, side.content),
        };
    };
    let _ = publisher.run(&["init", "--ref", &place]).success();
    publisher.write(COMPANION, "the same everywhere").write("other", "also");
    let _ = publisher.run(&["add", COMPANION, "other"]).success();
    if let Some(base) = base {
        put(&publisher, base);
        let _ = publisher.run(&["add", PATH]).success();
    }
    let _ = publisher.run(&["push"]).success();

    let subject = TestProject::new();
    let _ = subject.run(&["init", "--ref", &place]).success();
    let _ = subject.run(&["pull"]).success();

    match remote {
        Some(remote) => {
            put(&publisher, remote);
            let _ = publisher.run(&["add", PATH]).success();
        }
        None if base.is_some() => {
            let _ = publisher.remove(PATH);
        }
        None => {}
    }
    let _ = publisher.run(&["push"]).success();

    if tracked && base.is_none() {
        put(&subject, plain(OTHER));
        let _ = subject.run(&["add", PATH]).success();
    }
    if !tracked && base.is_some() {
        let _ = subject.run(&["remove", PATH]).success();
    }
    match disk {
        Disk::File(side) => put(&subject, side),
        Disk::Nothing | Disk::OtherKind if subject.exists(PATH) => drop(subject.remove(PATH)),
        Disk::Nothing | Disk::OtherKind => {}
    }
    if disk == Disk::OtherKind {
        subject.write("p/inside", "precious");
    }
    (publisher, subject)
}

/// The change that `status` names for the cell's path.
fn status_of(project: &TestProject) -> Option<String> {
    let status = project.run(&["status", "--json"]).success().json();
    let mut changes = status["changes"].as_array().unwrap().iter();
    changes.find(|change| change["path"] == PATH).map(|change| change["change"].as_str().unwrap().to_owned())
}

/// The same, as the model has it: `status` lists no unchanged path among its changes.
fn shown(row: Row) -> Option<String> {
    row.change().filter(|change| *change != "unchanged").map(str::to_owned)
}

fn is_tracked(project: &TestProject) -> bool {
    project.read_text(".modelops-bundle/tracked.txt").lines().any(|line| line == PATH)
}

/// What lies at the cell's path.
fn on_disk(project: &TestProject) -> Disk<'static> {
    if !project.exists(PATH) {
        return Disk::Nothing;
    }
    if project.path().join(PATH).is_dir() {
        assert_eq!(project.read_text("p/inside"), "precious");
        return Disk::OtherKind;
    }
    let content = project.read_text(PATH);
    let content = [BASE, REMOTE, OTHER].into_iter().find(|known| *known == content).unwrap();
    Disk::File(Side { content, executable: Some(is_executable(project)) })
}

#[cfg(unix)]
fn is_executable(project: &TestProject) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    project.path().join(PATH).metadata().unwrap().permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &TestProject) -> bool {
    false
}

/// The paths of a list in a document, whether its items are paths or say more of them.
fn listed(document: &Value, list: &str) -> Vec<String> {
    let items = document[list].as_array().into_iter().flatten();
    items.map(|item| item["path"].as_str().or(item.as_str()).unwrap().to_owned()).collect()
}

#[test]
#[cfg(unix)]
fn samples_of_each_row_go_through_a_pull_of_the_program() {
    let merge = Pull { mode: PullMode::Merge, restore_deleted: false };
    let mut counted = 0;
    let mut wrong = Vec::new();
    for sample in samples() {
        let row = Row::of(&sample.facts);
        let is_settled_by_hand = row.kind().is_some();
        for settled in [Settled::No, Settled::Mine, Settled::Theirs] {
            if settled != Settled::No && !is_settled_by_hand {
                continue;
            }
            let expected = pulled(&sample.facts, merge, settled);
            // Where the design leaves it open, nothing is asked.
            let &[expected] = expected.as_slice() else { continue };
            counted += 1;
            if let Err(fault) = pull_sample(&sample, row, settled, expected) {
                wrong.push(format!("{} ({row:?}), settled: {settled:?}: {fault}", sample.name));
            }
        }
    }
    println!("{counted} pulls of the program");
    assert_none_wrong(&wrong, counted);
}

/// Pulls a sample and compares what comes of it; the fault in words where it is not as expected.
fn pull_sample(sample: &Sample, row: Row, settled: Settled, expected: Outcome) -> Result<(), String> {
    let check = |is_so: bool, what: &dyn Fn() -> String| if is_so { Ok(()) } else { Err(what()) };
    let facts = sample.facts;
    let (_publisher, subject) = arrange(sample);
    let before = status_of(&subject);
    check(before == shown(row), &|| format!("status says {before:?}, not {:?}", shown(row)))?;
    let arguments = match settled {
        Settled::No => vec!["pull", "--json"],
        Settled::Mine => vec!["pull", "--json", "--mine", PATH],
        Settled::Theirs => vec!["pull", "--json", "--theirs", PATH],
    };
    let output = subject.run(&arguments);
    let code = output.exit_code();
    let stops = matches!(expected, Outcome::Stop(_));
    check(code == Some(if stops { 3 } else { 0 }), &|| format!("should be {expected:?}\n{output}"))?;
    let document = output.json();
    let error = &document["error"];
    if let Outcome::Stop(kind) = expected {
        let blocked = json!([{"path": PATH, "change": row.change(), "kind": kind}]);
        let is_named = error["paths"] == json!([PATH]) && error["blocked"] == blocked;
        check(is_named, &|| format!("should name {blocked}\n{output}"))?;
    }
    for (list, outcome) in LISTS {
        let is_in = listed(&document, list).iter().any(|path| path == PATH);
        check(is_in == (outcome == expected), &|| format!("`{list}` is not as it should be\n{output}"))?;
    }
    if matches!(expected, Outcome::Write | Outcome::Delete) && matches!(facts.disk, Disk::File(_)) {
        // What is no more on disk is named.
        let replaced = listed(&document, if expected == Outcome::Write { "replaced" } else { "deleted" });
        check(replaced == [PATH], &|| format!("what lay there is not named\n{output}"))?;
    }

    let disk = match (expected, facts.remote) {
        (Outcome::Write, Some(remote)) => Disk::File(remote),
        (Outcome::Delete, _) => Disk::Nothing,
        _ => facts.disk,
    };
    check(on_disk(&subject) == disk, &|| {
        format!("on disk is {:?}, not {disk:?}\n{output}", on_disk(&subject))
    })?;
    let tracked = match expected {
        Outcome::Write | Outcome::Adopt => true,
        Outcome::Delete | Outcome::Untrack => false,
        Outcome::Leave | Outcome::Keep | Outcome::Stop(_) => facts.tracked,
    };
    check(is_tracked(&subject) == tracked, &|| format!("tracked is {}\n{output}", !tracked))?;
    // What the last synced bundle then is: the remote's, unless the pull stopped.
    let base = if stops { facts.base } else { facts.remote };
    let next = Row::of(&Facts { tracked, disk, remote: facts.remote, base });
    let after = status_of(&subject);
    check(after == shown(next), &|| format!("status then says {after:?}, not {:?}\n{output}", shown(next)))
}

#[test]
#[cfg(unix)]
fn samples_of_each_row_go_through_a_push_of_the_program() {
    let mut wrong = Vec::new();
    let samples = samples();
    for sample in &samples {
        let row = Row::of(&sample.facts);
        if let Err(fault) = push_sample(sample, row) {
            wrong.push(format!("{} ({row:?}): {fault}", sample.name));
        }
    }
    println!("{} pushes of the program", samples.len());
    assert_none_wrong(&wrong, samples.len());
}

/// Pushes a sample and compares what comes of it.
fn push_sample(sample: &Sample, row: Row) -> Result<(), String> {
    let check = |is_so: bool, what: &dyn Fn() -> String| if is_so { Ok(()) } else { Err(what()) };
    let facts = sample.facts;
    let (publisher, subject) = arrange(sample);
    let files = |project: &TestProject| {
        let listed = project.run(&["inspect", "--files", "--json"]).success().json();
        let paths = listed["files"].as_array().unwrap().iter();
        paths.map(|file| file["path"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let before = files(&publisher);
    let output = subject.run(&["push", "--json"]);
    let document = output.json();
    let expected = pushed(row, false);
    let is_error = facts.tracked && facts.disk == Disk::OtherKind;
    let stops = expected == Pushed::Unseen;
    if is_error {
        let is_named =
            document["error"]["paths"].as_array().is_some_and(|paths| paths.contains(&json!(PATH)))
                || document["error"]["message"].as_str().is_some_and(|message| message.contains(PATH));
        check(output.exit_code() != Some(0) && is_named, &|| format!("should fail by name\n{output}"))?;
    } else if stops {
        check(output.exit_code() == Some(3), &|| format!("should stop: {expected:?}\n{output}"))?;
        check(document["error"]["paths"] == json!([PATH]), &|| format!("should name the path\n{output}"))?;
    } else {
        check(output.exit_code() == Some(0), &|| format!("should be {expected:?}\n{output}"))?;
    }
    let after = files(&publisher);
    if is_error || stops {
        return check(after == before, &|| format!("nothing should have changed\n{output}"));
    }
    let is_there = facts.tracked && matches!(facts.disk, Disk::File(_));
    check(after.contains(PATH) == is_there, &|| format!("the bundle is {after:?}\n{output}"))?;
    let is_dropped = listed(&document, "deleted") == [PATH];
    check(is_dropped == (expected == Pushed::Drop), &|| format!("dropped is not as it should be\n{output}"))?;
    let status = status_of(&subject);
    check(status.is_none(), &|| format!("status then says {status:?}"))
}

#[test]
fn the_kinds_are_all_there() {
    let kinds: BTreeSet<&str> = Row::ALL.iter().filter_map(|row| row.kind()).collect();
    let expected = [
        "added_both",
        "deleted_here_edited_there",
        "edited_both",
        "edited_here_deleted_there",
        IN_THE_WAY,
        "mode",
        "removed_here_edited_there",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}
