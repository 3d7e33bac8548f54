use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn project() -> (TempDir, Project) {
    let folder = TempDir::new().unwrap();
    let project = Project::create(&folder.path().join("p")).unwrap();
    for path in [
        "README.md",
        "data/[1].csv",
        "data/a.csv",
        "data/deep/b.csv",
        "data/deep/b.txt",
        "node_modules/x/y.js",
        "src/model.py",
        "src/model.pyc",
    ] {
        let disk = project.root().join(path);
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        std::fs::write(disk, path).unwrap();
    }
    (folder, project)
}

fn on_disk(project: &Project, cwd: &str, arguments: &[&str], force: Force) -> Result<Selection, SelectError> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    select_on_disk(project, &project.root().join(cwd), &arguments, force, SymlinkPolicy::Inside)
}

fn texts(selection: &Selection) -> Vec<&str> {
    selection.paths.iter().map(BundlePath::as_str).collect()
}

#[test]
fn paths_folders_and_globs_find_files() {
    let (_folder, project) = project();
    for (cwd, arguments, expected, ignored) in [
        ("", vec!["README.md"], vec!["README.md"], 0),
        ("src", vec!["../README.md", "model.py", "./model.py"], vec!["README.md", "src/model.py"], 0),
        ("", vec!["data"], vec!["data/[1].csv", "data/a.csv", "data/deep/b.csv", "data/deep/b.txt"], 0),
        ("data", vec!["."], vec!["data/[1].csv", "data/a.csv", "data/deep/b.csv", "data/deep/b.txt"], 0),
        ("", vec!["data/[1].csv"], vec!["data/[1].csv"], 0),
        ("", vec!["data/*.csv"], vec!["data/[1].csv", "data/a.csv"], 0),
        ("", vec!["**/*.csv"], vec!["data/[1].csv", "data/a.csv", "data/deep/b.csv"], 0),
        ("src", vec!["../data/deep/*.{csv,txt}"], vec!["data/deep/b.csv", "data/deep/b.txt"], 0),
        ("", vec!["src/*", "README.md"], vec!["README.md", "src/model.py"], 1),
        ("", vec!["src/model.pyc"], vec![], 1),
        ("", vec!["node_modules"], vec![], 1),
        (
            "",
            vec!["."],
            vec![
                "README.md",
                "data/[1].csv",
                "data/a.csv",
                "data/deep/b.csv",
                "data/deep/b.txt",
                "src/model.py",
            ],
            2,
        ),
    ] {
        let selection = on_disk(&project, cwd, &arguments, Force::No).unwrap();
        assert_eq!((texts(&selection), selection.ignored), (expected, ignored), "{cwd} {arguments:?}");
        assert!(selection.unmatched.is_empty(), "{selection:?}");
    }
}

#[test]
fn force_takes_ignored_files_too() {
    let (_folder, project) = project();
    let selection = on_disk(&project, "", &["src", "node_modules/x/y.js"], Force::EvenIgnored).unwrap();
    assert_eq!(texts(&selection), ["node_modules/x/y.js", "src/model.py", "src/model.pyc"]);
    assert_eq!(selection.ignored, 0);
}

#[test]
fn what_means_nothing_is_told() {
    let (_folder, project) = project();
    let selection = on_disk(&project, "", &["gone.txt", "*.parquet", "README.md"], Force::No).unwrap();
    assert_eq!(selection.unmatched, ["gone.txt", "*.parquet"]);
    assert_eq!(texts(&selection), ["README.md"]);
    assert!(matches!(on_disk(&project, "", &["../x"], Force::No), Err(SelectError::Path { .. })));
    assert!(matches!(on_disk(&project, "", &["../*.x"], Force::No), Err(SelectError::Path { .. })));
    assert!(matches!(on_disk(&project, "", &["a{b"], Force::No), Err(SelectError::Glob { .. })));
    symlink("/etc/passwd", project.root().join("out")).unwrap();
    assert!(matches!(on_disk(&project, "", &["out"], Force::No), Err(SelectError::Refused { .. })));
    let selection = on_disk(&project, "", &["."], Force::No).unwrap();
    assert_eq!(selection.refused[0].path, "out");
}

#[test]
fn tracked_paths_are_found_though_their_files_are_gone() {
    let (_folder, project) = project();
    let tracked = ["gone/a.csv", "gone/b.txt", "src/model.py"].map(|path| path.parse().unwrap());
    let tracked = ByPath::new(tracked.to_vec()).unwrap();
    let find = |arguments: &[&str]| {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        select_tracked(&project, project.root(), &arguments, &tracked).unwrap()
    };
    assert_eq!(texts(&find(&["gone"])), ["gone/a.csv", "gone/b.txt"]);
    assert_eq!(texts(&find(&["gone/*.csv", "src/model.py"])), ["gone/a.csv", "src/model.py"]);
    assert_eq!(find(&["README.md"]).unmatched, ["README.md"]);
}
