//! Every file that the program keeps, in a project, a layout or the user's own folders, as somebody else could have left it
//! there: a link, a pipe, a device, a folder, one without an end, a sparse one, half of one, and one that lies. Whatever the
//! command, it ends soon, in words, with little memory, and touches nothing outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bundle_core::digest::Digest;
use modelops_bundle_tests::{BundleCommand, CommandOutput, PASSWORD, Registry, Tree, USER, bundle_binary};

/// Where a file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Project,
    Layout,
    User,
}

impl Home {
    /// What every file in it is tried with.
    fn commands(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Project => PROJECT_COMMANDS,
            Self::Layout => LAYOUT_COMMANDS,
            Self::User => USER_COMMANDS,
        }
    }
}

/// Something that the program keeps.
#[derive(Clone, Copy, Debug)]
struct Kept {
    home: Home,
    /// Below that; an asterisk stands for the name of whatever lies there.
    path: &'static str,
    /// The commands that read or write it, beside those that every file of its home is tried with.
    also: &'static [&'static [&'static str]],
}

const fn kept(home: Home, path: &'static str) -> Kept {
    Kept { home, path, also: &[] }
}

/// All of them: what is not in this table is not kept, see `nothing_is_kept_that_the_table_does_not_name`.
const TABLE: &[Kept] = &[
    Kept { home: Home::Project, path: ".modelops-bundle", also: &[&["init"]] },
    Kept { home: Home::Project, path: ".modelops-bundle/newborn", also: &[&["init"]] },
    Kept { home: Home::Project, path: ".modelops-bundle/config.yaml", also: &[&["config", "list"]] },
    Kept { home: Home::Project, path: ".modelops-bundle/tracked.txt", also: &[&["remove", "b.txt"]] },
    kept(Home::Project, ".modelops-bundle/tracked"),
    Kept { home: Home::Project, path: ".modelops-bundle/state.json", also: &[&["diff"]] },
    Kept { home: Home::Project, path: ".modelops-bundle/synced.json", also: UNDO_COMMANDS },
    kept(Home::Project, ".modelops-bundle/cache/interrupted"),
    Kept { home: Home::Project, path: ".modelops-bundle/env", also: &[&["env", "list"]] },
    Kept {
        home: Home::Project,
        path: ".modelops-bundle/lock",
        also: &[&["config", "set", "default_tag", "v"]],
    },
    kept(Home::Project, ".modelops-bundle/lock.json"),
    kept(Home::Project, ".modelops-bundle/journal.json"),
    kept(Home::Project, ".modelops-bundle/staging"),
    kept(Home::Project, ".modelops-bundle/rescued"),
    Kept { home: Home::Project, path: ".modelops-bundle/undo", also: UNDO_COMMANDS },
    Kept { home: Home::Project, path: ".modelops-bundle/undo/*", also: UNDO_COMMANDS },
    Kept { home: Home::Project, path: ".modelops-bundle/undo/1/operation.json", also: UNDO_COMMANDS },
    Kept { home: Home::Project, path: ".modelops-bundle/undo/1/changes.json", also: UNDO_COMMANDS },
    kept(Home::Project, ".modelops-bundle/cache"),
    kept(Home::Project, ".modelops-bundle/cache/digests"),
    Kept { home: Home::Project, path: ".modelops-bundle/cache/index", also: &[&["diff"]] },
    kept(Home::Project, ".modelops-bundle/cache/state"),
    kept(Home::Project, ".modelops-bundle/cache/uploads.json"),
    kept(Home::Project, ".modelops-bundle/cache/tables"),
    kept(Home::Project, ".modelops-bundle/cache/tables/*"),
    kept(Home::Project, ".modelopsignore"),
    Kept { home: Home::Project, path: ".gitignore", also: &[&["init"]] },
    Kept { home: Home::Layout, path: "index.json", also: &[&["export", "../out.tar"]] },
    kept(Home::Layout, "oci-layout"),
    kept(Home::Layout, ".modelops-bundle-lock"),
    kept(Home::Layout, "blobs"),
    kept(Home::Layout, "blobs/sha256"),
    Kept {
        home: Home::User,
        path: ".docker/config.json",
        also: &[&["login", "-u", "me", "--password-stdin", "localhost:1"]],
    },
    Kept { home: Home::User, path: ".config/modelops-bundle/config.yaml", also: &[&["env", "list"]] },
    Kept { home: Home::User, path: ".cache/modelops-bundle/cache-key", also: &[&["diff"]] },
];

/// What reads what is kept of operations.
const UNDO_COMMANDS: &[&[&str]] = &[&["undo", "--list"], &["undo"], &["remove", "--rm", "--force", "b.txt"]];

/// What else lies in these folders: content, and what holds the files of the table.
const CONTENT: &[(Home, &str)] =
    &[(Home::Layout, "blobs/sha256/*"), (Home::Project, ".modelops-bundle/undo/*/*")];

/// What is tried with every file of a project, and of a layout.
const PROJECT_COMMANDS: &[&[&str]] =
    &[&["status"], &["add", "new.txt"], &["push", "--force"], &["pull", "--overwrite"]];
const LAYOUT_COMMANDS: &[&[&str]] = &[
    &["manifest"],
    &["push", "--tag", "other", "--force"],
    &["tag", "--force", "REF", "third"],
    &["pull", "--overwrite"],
    &["verify"],
];
const USER_COMMANDS: &[&[&str]] = &[&["status"], &["manifest", "localhost:1/a/b"]];

/// In what form a file is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Link,
    LinkToFolder,
    Dangling,
    Pipe,
    Endless,
    Folder,
    Sparse,
    Truncated,
    Lying,
}

const FORMS: [Form; 9] = [
    Form::Link,
    Form::LinkToFolder,
    Form::Dangling,
    Form::Pipe,
    Form::Endless,
    Form::Folder,
    Form::Sparse,
    Form::Truncated,
    Form::Lying,
];

/// How many files are tried at a time.
const AT_ONCE: usize = 4;

const LONGEST: Duration = Duration::from_secs(30);
const MOST_MEMORY: u64 = 300 << 20;

/// A folder with everything in it: the project, its layout, the user's folder, and what must not change.
struct World {
    top: PathBuf,
}

impl World {
    fn home(&self, home: Home) -> PathBuf {
        match home {
            Home::Project => self.top.join("project"),
            Home::Layout => self.top.join("layout"),
            Home::User => self.top.join("home"),
        }
    }

    fn command(&self, arguments: &[&str]) -> BundleCommand {
        let reference = format!("oci:{}:latest", self.home(Home::Layout).display());
        let arguments =
            arguments.iter().map(|argument| if *argument == "REF" { reference.as_str() } else { argument });
        BundleCommand::new(&self.home(Home::User))
            .args(arguments)
            .current_dir(self.home(Home::Project))
            .input("secret")
            .time_limit(2 * LONGEST)
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.command(arguments).run()
    }

    /// Makes the one that all others are copies of.
    fn new(top: PathBuf) -> Self {
        let world = Self { top };
        for home in [Home::Project, Home::Layout, Home::User] {
            fs::create_dir_all(world.home(home)).unwrap();
        }
        world.write("outside/file", "mine");
        world.write("outside/folder/staged", "mine");
        world.write("project/a.txt", "first");
        world.write("project/b.txt", "other");
        world.write("project/new.txt", "new");
        world.write("project/.modelopsignore", "*.log\n");
        world.write("home/.docker/config.json", r#"{"auths":{}}"#);
        world.write(
            "home/.config/modelops-bundle/config.yaml",
            "environments:\n  local:\n    registry: localhost:1\n",
        );
        // Enough chunks that tables are worth keeping.
        for at in 0..40 {
            world.write(&format!("project/many/{at}"), &format!("{at}").repeat(200));
        }
        let reference = format!("oci:{}", world.home(Home::Layout).display());
        let _ = world.run(&["init", "--ref", &reference, "--layout", "packed"]).success();
        let _ = world.run(&["add", "a.txt", "b.txt", "many"]).success();
        let _ = world.run(&["push"]).success();
        world
    }

    fn write(&self, path: &str, content: &str) {
        let file = self.top.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// A copy with the times of every file; its settings name the copy's own layout.
    fn copy(&self, to: PathBuf) -> Self {
        let copied = Command::new("cp").arg("-a").arg(&self.top).arg(&to).status().unwrap();
        assert!(copied.success());
        let copy = Self { top: to };
        let config = copy.home(Home::Project).join(".modelops-bundle/config.yaml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(self.top.to_str().unwrap(), copy.top.to_str().unwrap())).unwrap();
        copy
    }

    /// The file of a row, an asterisk resolved.
    fn file(&self, row: &Kept) -> PathBuf {
        let file = self.home(row.home).join(row.path);
        if !row.path.ends_with('*') {
            return file;
        }
        let folder = file.parent().unwrap().to_owned();
        let first = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).min();
        first.unwrap_or_else(|| folder.join("0".repeat(64)))
    }

    /// Replaces a file, which was once `before`, by one of that form.
    fn plant(&self, file: &Path, form: Form, before: Option<Vec<u8>>) {
        if file.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            fs::remove_dir_all(file).unwrap();
        } else {
            let _ = fs::remove_file(file);
        }
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let outside = self.top.join("outside");
        match form {
            Form::Link => symlink(outside.join("file"), file).unwrap(),
            Form::LinkToFolder => symlink(outside.join("folder"), file).unwrap(),
            Form::Dangling => symlink(outside.join("not-there"), file).unwrap(),
            Form::Endless => symlink("/dev/zero", file).unwrap(),
            Form::Pipe => assert!(Command::new("mkfifo").arg(file).status().unwrap().success()),
            Form::Folder => fs::create_dir(file).unwrap(),
            Form::Sparse => fs::File::create(file).unwrap().set_len(1 << 40).unwrap(),
            Form::Truncated => {
                let content = before.unwrap_or_else(|| b"{\"".to_vec());
                fs::write(file, &content[..content.len() / 2]).unwrap();
            }
            Form::Lying => fs::write(file, lie(file, before)).unwrap(),
        }
    }

    /// What lies outside, and must stay as it is.
    fn outside(&self) -> Tree {
        Tree::read(&self.top.join("outside"))
    }
}

/// Something of a valid form that is not so: the digests of two files change places, under a checksum that is right.
fn lie(file: &Path, before: Option<Vec<u8>>) -> Vec<u8> {
    let name = file.file_name().unwrap().to_str().unwrap();
    let Some(mut content) = before else {
        return match name {
            "journal.json" => concat!(
                r#"{"version":2,"deletes":[],"own_files":[["staged","state.json"]],"writes":[{"path":"stolen","staged":"#,
                r#""staged","before":"absent","after":{"size":4,"modified_ns":0,"changed_ns":0,"inode":1}}]}"#
            )
            .into(),
            "lock.json" => r#"{"pid":1,"command":"push"}"#.into(),
            "uploads.json" => r#"{"format":1,"pushes":[]}"#.into(),
            "tracked" => "a.txt\n".into(),
            _ => b"other".to_vec(),
        };
    };
    let (one, two) = (Digest::of(b"first"), Digest::of(b"other"));
    swap(&mut content, one.to_string().as_bytes(), two.to_string().as_bytes());
    swap(&mut content, one.as_bytes(), two.as_bytes());
    if content.starts_with(b"mob") {
        let checksum = crc32(&content[12..]).to_le_bytes();
        content[8..12].copy_from_slice(&checksum);
    }
    content
}

fn swap(content: &mut [u8], one: &[u8], two: &[u8]) {
    for at in 0..content.len().saturating_sub(one.len() - 1) {
        let here = &mut content[at..at + one.len()];
        if here == one {
            here.copy_from_slice(two);
        } else if here == two {
            here.copy_from_slice(one);
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// Runs a command with an eye on its time and its memory, and looks at how it ended; its exit code, or what is wrong.
fn try_cell(world: &World, arguments: &[&str]) -> Result<i32, String> {
    let mut running = world.command(arguments).spawn();
    let started = Instant::now();
    while !running.has_ended() {
        let peak = peak_memory(running.id());
        if peak > MOST_MEMORY || started.elapsed() > LONGEST {
            running.kill();
            return Err(format!("{peak} bytes of memory after {:?}", started.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = running.wait();
    let words = output.stderr();
    let Some(code @ 0..=8) = output.exit_code() else {
        return Err(format!("it was killed, or panicked\n{output}"));
    };
    if words.len() > 10_000 {
        return Err(format!("it says {} bytes", words.len()));
    }
    if let Some(form) = UNSPEAKABLE.iter().find(|form| words.contains(**form)) {
        return Err(format!("it says {form:?}\n{output}"));
    }
    if (code == 0) == words.contains("error: ") {
        return Err(format!("the exit code and the words differ\n{output}"));
    }
    Ok(code)
}

/// What no message has: forms of values as only a programmer reads them.
const UNSPEAKABLE: [&str; 7] = ["panicked", "Os {", "Error(", "kind:", "Custom {", "unwrap()", "\0"];

/// The most memory that a process has held so far, in bytes.
fn peak_memory(process: u32) -> u64 {
    // Until it has become the program, a new process is a copy of this one, with its memory.
    if !fs::read_link(format!("/proc/{process}/exe"))
        .is_ok_and(|exe| exe.file_name() == bundle_binary().file_name())
    {
        return 0;
    }
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// Every blob is what its name says, and every file of the project that a pull wrote is one that was pushed.
fn check_bytes(world: &World, row: &Kept) -> Result<(), String> {
    let blobs = world.home(Home::Layout).join("blobs/sha256");
    if row.home == Home::Project && blobs.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        for entry in fs::read_dir(blobs).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with(Digest::of(&fs::read(&path).unwrap()).hex()) {
                return Err(format!("{} is another blob", path.display()));
            }
        }
    }
    for (path, content) in [("a.txt", "first"), ("b.txt", "other")] {
        match fs::read_to_string(world.home(Home::Project).join(path)) {
            Ok(found) if found != content => return Err(format!("{path} is {found:?}")),
            _ => {}
        }
    }
    match world.home(Home::Project).join("stolen").symlink_metadata() {
        Ok(_) => Err("a journal moved a file into the project".to_owned()),
        Err(_) => Ok(()),
    }
}

/// What went wrong with a file in one form, and how often each exit code came.
#[derive(Debug, Default)]
struct Outcome {
    faults: Vec<String>,
    codes: BTreeMap<i32, u32>,
}

impl Outcome {
    /// Tries one file in one form with every command that it is tried with, in a world of its own.
    fn try_row(&mut self, base: &World, top: PathBuf, row: &Kept, form: Form) {
        let world = base.copy(top);
        // Its own: settings of the base would send what commands write to the base's layout.
        let (outside, original) = (world.outside(), fs::read(world.file(row)).ok());
        for arguments in row.also.iter().chain(row.home.commands()) {
            world.plant(&world.file(row), form, original.clone());
            let tried = try_cell(&world, arguments);
            tried.iter().for_each(|code| *self.codes.entry(*code).or_default() += 1);
            let changed = world.outside().differing_paths(&outside);
            let untouched =
                if changed.is_empty() { Ok(()) } else { Err(format!("{changed:?} changed outside")) };
            for fault in
                [tried.map(drop), untouched, check_bytes(&world, row)].into_iter().filter_map(Result::err)
            {
                self.faults.push(format!("{} as {form:?}, {arguments:?}: {fault}", row.path));
            }
        }
        fs::remove_dir_all(&world.top).unwrap();
    }
}

#[test]
fn whatever_lies_at_a_name_of_ours_a_command_ends_in_words_and_touches_nothing_outside() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().canonicalize().unwrap();
    let base = World::new(top.join("base"));
    let rows: Vec<(usize, Form)> =
        (0..TABLE.len()).flat_map(|row| FORMS.into_iter().map(move |form| (row, form))).collect();
    let (todo, outcome) = (Mutex::new(rows), Mutex::new(Outcome::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((at, form)) = todo.lock().unwrap().pop() else { break };
                    let mut own = Outcome::default();
                    own.try_row(&base, top.join(format!("{at}-{form:?}")), &TABLE[at], form);
                    let mut all = outcome.lock().unwrap();
                    all.faults.append(&mut own.faults);
                    own.codes.iter().for_each(|(code, count)| *all.codes.entry(*code).or_default() += count);
                }
            });
        }
    });
    let Outcome { faults, codes } = outcome.into_inner().unwrap();
    let cells = codes.values().sum::<u32>();
    println!("{} files in {} forms, {cells} cells, by exit code: {codes:?}", TABLE.len(), FORMS.len());
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n\n"));
}

#[test]
fn a_made_up_digest_cache_publishes_no_bytes_under_another_digest() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path().canonicalize().unwrap().join("base"));
    let digests = world.home(Home::Project).join(".modelops-bundle/cache/digests");
    let _ = world.run(&["status"]).success();
    let was = fs::read(&digests).unwrap();
    world.plant(&digests, Form::Lying, Some(was.clone()));
    assert_ne!(fs::read(&digests).unwrap(), was, "the lie is one");
    for layout in ["packed", "files"] {
        let _ = world.run(&["config", "set", "layout", layout]).success();
        world.plant(&digests, Form::Lying, Some(was.clone()));
        let fresh = format!("oci:{}:fresh", world.top.join(layout).display());
        let _ = world.run(&["config", "set", "registry_ref", &fresh]).success();
        let pushed = world.run(&["push", "--force"]).code_among(&[0, 1, 3, 8]);
        if pushed.exit_code() == Some(0) {
            let _ = world.run(&["verify", &fresh]).success();
        }
    }
}

/// The paths below `folder`, with those of the table and of content taken out.
fn unnamed(folder: &Path, home: Home) -> Vec<String> {
    let named = TABLE.iter().map(|row| (row.home, row.path)).chain(CONTENT.iter().copied());
    let named: Vec<&str> = named.filter(|(at, _)| *at == home).map(|(_, path)| path).collect();
    let is_named = |path: &str| {
        named.iter().any(|name| {
            let parts = name.split('/').zip(path.split('/'));
            name.split('/').count() == path.split('/').count()
                && parts.into_iter().all(|(part, found)| part == "*" || part == found)
        })
    };
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(prefix) = folders.pop() {
        for entry in fs::read_dir(folder.join(&prefix)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(format!("{path}/"));
            } else if !is_named(&path) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn nothing_is_kept_that_the_table_does_not_name() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path().canonicalize().unwrap().join("base"));
    let layout = format!("oci:{}", world.home(Home::Layout).display());
    let archive = world.top.join("archive.tar");
    let archive = archive.to_str().unwrap();
    for arguments in [
        &["status"][..],
        &["add", "new.txt"],
        &["push", "--tag", "second"],
        &["remove", "b.txt"],
        &["pull", "--overwrite"],
        &["diff"],
        &["manifest"],
        &["verify"],
        &["config", "set", "default_tag", "latest"],
        &["env", "switch", "local"],
        &["config", "set", "registry_ref", &layout],
        &["tag", "REF", "third"],
        &["copy", "REF", &format!("{layout}:copied")],
        &["export", archive],
        &["import", archive, "--to", &format!("{layout}:imported")],
        &["push", "--bump", "patch"],
    ] {
        let _ = world.run(arguments).success();
    }
    if let Some(registry) = Registry::get_with_password() {
        let login = ["login", "-u", USER, "--password-stdin", registry.host()];
        let _ = world.command(&login).input(PASSWORD).run().success();
    }
    let own = world.home(Home::Project).join(".modelops-bundle");
    let prefixed: Vec<String> = unnamed(&world.home(Home::Project), Home::Project)
        .into_iter()
        .filter(|path| path.starts_with(".modelops-bundle/"))
        .collect();
    assert!(own.is_dir());
    assert_eq!(prefixed, Vec::<String>::new());
    assert_eq!(unnamed(&world.home(Home::Layout), Home::Layout), Vec::<String>::new());
    assert_eq!(unnamed(&world.home(Home::User), Home::User), Vec::<String>::new());
}

#[test]
fn a_list_of_a_layout_that_is_none_is_not_blamed_on_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { top: folder.path().canonicalize().unwrap() };
    world.write("project/nothing", "");
    world.write("layout/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let entry = r#"{"digest":"sha256:0","annotations":{"org.opencontainers.image.ref.name":"latest"}}"#;
    let many = vec!["{}"; 200_001].join(",");
    for list in [
        "[]",
        r#"{"manifests":"#,
        &format!(r#"{{"manifests":[{entry}]}}"#),
        &format!(r#"{{"manifests":[{many}]}}"#),
    ] {
        world.write("layout/index.json", list);
        let output = world.run(&["manifest", "REF"]).code(8);
        let words = output.stderr();
        assert!(words.contains("index.json: ") && words.contains("hint: the layout is damaged"), "{output}");
        assert!(!words.contains("requests") && !words.contains("registry"), "{output}");
    }
}
