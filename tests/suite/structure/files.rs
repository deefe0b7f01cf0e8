//! The files of the project. Knows where they are, never what they should contain.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// The folders whose Rust files make up the program. Tests are not among them.
const PROGRAM: [&str; 6] =
    ["shared/src/", "shared/schedule/src/", "shared/derive/src/", "broker/src/", "worker/src/", "src/"];

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is committed or would be with `git add --all`, relative to the root, sorted.
///
/// A source archive has no repository, and a bare machine no git. There, every file is looked at that is no build product.
pub(super) fn all() -> Vec<String> {
    let mut files = known_to_git().unwrap_or_else(|| {
        let mut found = Vec::new();
        walk(root(), &mut found).expect("the project's folders can be read");
        found
    });
    files.sort();
    files
}

/// The files of the program, by path relative to the root.
pub(super) fn program() -> Vec<String> {
    all()
        .into_iter()
        .filter(|file| is_rust(file) && PROGRAM.iter().any(|folder| file.starts_with(folder)))
        .collect()
}

pub(super) fn rust() -> Vec<String> {
    all().into_iter().filter(|file| is_rust(file)).collect()
}

pub(super) fn markdown() -> Vec<String> {
    all().into_iter().filter(|file| has_extension(file, "md")).collect()
}

/// The text of a file. What is not UTF-8 is replaced: rules look for ASCII.
pub(super) fn read(file: &str) -> String {
    let bytes = fs::read(root().join(file)).unwrap_or_else(|error| panic!("cannot read {file}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_rust(file: &str) -> bool {
    has_extension(file, "rs")
}

fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|it| it == extension)
}

fn known_to_git() -> Option<Vec<String>> {
    let output = Command::new("git")
        // The checkout may belong to another user, as in a container that mounts it.
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()?;
    let files: Vec<String> = String::from_utf8(output.stdout)
        .ok()?
        .split_terminator('\0')
        .filter(|file| root().join(file).is_file())
        .map(str::to_owned)
        .collect();
    // Inside somebody else's repository, git may know nothing of us.
    files.iter().any(|file| file == "Cargo.toml").then_some(files)
}

fn walk(folder: &Path, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        let relative = path.strip_prefix(root()).expect("the walk stays below the root");
        let relative = relative.to_str().expect("the project's names are UTF-8").to_owned();
        if [".git", "target", ".upbeat"].contains(&relative.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(relative);
        }
    }
    Ok(())
}

#[test]
fn git_and_a_walk_find_this_file() {
    let this = "tests/suite/structure/files.rs".to_owned();
    let mut walked = Vec::new();
    walk(root(), &mut walked).unwrap();

    assert!(all().contains(&this));
    assert!(walked.contains(&this));
}

#[test]
fn the_program_is_found_and_tests_are_not_part_of_it() {
    let program = program();

    for file in [
        "src/main.rs",
        "shared/src/lib.rs",
        "shared/schedule/src/lib.rs",
        "broker/src/lib.rs",
        "worker/src/lib.rs",
    ] {
        assert!(program.iter().any(|it| it == file), "{file} is missing");
    }
    assert!(!program.iter().any(|file| file.starts_with("tests/")));
}
