//! The rules of the house that a machine can check.

use std::path::Path;

use super::source::{self, Source};
use super::{files, none};

/// A file that is longer holds more than one idea.
const MAX_LINES_OF_CODE: usize = 450;

/// Places on somebody's machine. Written in halves, or this file would break its own rule.
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Registries are named by the tools that use them. What we write must hold with a mirror too.
const REGISTRY_HOSTS: [&str; 4] = [
    concat!("crates", ".io"),
    concat!("registry.npm", "js.org"),
    concat!("py", "pi.org"),
    concat!("proxy.go", "lang.org"),
];

/// Lines that are neither empty nor a comment alone.
fn lines_of_code(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// An example in the docs that is marked to be skipped.
fn ignores_an_example(text: &str) -> bool {
    let docs = text
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("///").or_else(|| line.strip_prefix("//!")));
    docs.filter_map(|line| line.trim().strip_prefix("```"))
        .any(|info| info.split(',').any(|word| word.starts_with("ignore")))
}

fn machine_paths(file: &str, text: &str) -> Vec<String> {
    let starts_there = |(at, _): &(usize, &str)| {
        // `teamwork/` and `docs/work/` are no such place.
        !text[..*at].ends_with(|before: char| before.is_alphanumeric() || "._-}".contains(before))
    };
    let places =
        MACHINE_PATHS.iter().filter(|place| text.match_indices(**place).any(|found| starts_there(&found)));
    places.map(|place| format!("{file} mentions {place}, a place on somebody's machine")).collect()
}

fn registry_hosts(file: &str, text: &str) -> Vec<String> {
    let hosts = REGISTRY_HOSTS.iter().filter(|host| text.contains(**host));
    hosts.map(|host| format!("{file} mentions {host}, a package registry's host")).collect()
}

/// The targets of the links in a Markdown text that are files: no addresses, no places on the same page.
fn relative_links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            // What stands between backticks is shown, not followed.
            let prose: String = line.split('`').step_by(2).collect();
            links.extend(targets(&prose));
        }
    }
    links.retain(|link| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:"));
    links
}

fn targets(prose: &str) -> Vec<String> {
    let inline = ["](", "src=\"", "href=\""].into_iter().flat_map(|opening| prose.split(opening).skip(1));
    let definition =
        prose.strip_prefix('[').and_then(|line| line.split_once("]: ")).map(|(_, target)| target);
    let targets = inline.chain(definition).map(|rest| {
        let target = rest.split([')', '"', ' ']).next().unwrap_or_default();
        target.trim_matches(['<', '>']).split('#').next().unwrap_or_default().to_owned()
    });
    targets.collect()
}

fn broken_links(file: &str, text: &str) -> Vec<String> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let broken = relative_links(text).into_iter().filter(|link| {
        let target = link
            .strip_prefix('/')
            .map_or_else(|| folder.join(link), |from_root| Path::new(from_root).to_owned());
        !files::root().join(target).exists()
    });
    broken.map(|link| format!("{file} links to {link}, which does not exist")).collect()
}

fn parse(file: &str) -> Source {
    Source::parse(&source::module(file), &files::read(file))
}

#[test]
fn no_file_of_the_program_is_too_long() {
    let long: Vec<String> = files::program()
        .iter()
        .map(|file| (file, lines_of_code(&files::read(file))))
        .filter(|(_, lines)| *lines > MAX_LINES_OF_CODE)
        .map(|(file, lines)| {
            format!("{file} has {lines} lines of code, more than {MAX_LINES_OF_CODE}: split it by noun")
        })
        .collect();

    none(&long);
}

#[test]
fn empty_lines_and_comments_are_no_code() {
    assert_eq!(lines_of_code("//! Docs.\n\nfn f() {\n    // Why.\n    g(); // How.\n}\n"), 3);
}

#[test]
fn nothing_is_left_to_do() {
    let unfinished: Vec<String> = files::rust()
        .iter()
        .filter(|file| {
            parse(file).macros.iter().any(|name| ["todo", "unimplemented"].contains(&name.as_str()))
        })
        .map(|file| format!("{file} is unfinished"))
        .collect();

    none(&unfinished);
}

#[test]
fn no_test_is_ignored() {
    let skipped: Vec<String> = files::rust()
        .iter()
        .filter(|file| parse(file).ignores_a_test || ignores_an_example(&files::read(file)))
        .map(|file| format!("{file} has a test that is never run: mend it or remove it"))
        .collect();

    none(&skipped);
}

#[test]
fn what_is_unfinished_or_ignored_is_found() {
    let macros = |text| Source::parse("crate", text).macros;
    let ignored = |text| Source::parse("crate", text).ignores_a_test;

    assert!(macros("fn f() { todo!() }").contains("todo"));
    assert!(macros("fn f() { std::unimplemented!(\"later\") }").contains("unimplemented"));
    assert!(!macros("fn f() { todo != 1; \"todo!()\"; }").contains("todo"));
    assert!(ignored("#[test] #[ignore = \"slow\"] fn f() {}"));
    assert!(ignored("#[cfg_attr(miri, ignore)] fn f() {}"));
    assert!(ignored("mod tests { #[ignore] fn f() {} }"));
    assert!(!ignored("/// ignore\n#[test] fn ignore() {}"));
    assert!(ignores_an_example("/// ```rust,ignore\n/// f();\n/// ```"));
    assert!(!ignores_an_example("/// ```no_run\n/// f();\n/// ```"));
}

#[test]
fn no_file_mentions_a_place_on_a_machine_or_a_registry() {
    let mut found = Vec::new();
    for file in files::all() {
        let text = files::read(&file);
        found.extend(machine_paths(&file, &text));
        // Cargo writes the registry into its lock files itself.
        if !file.ends_with("Cargo.lock") {
            found.extend(registry_hosts(&file, &text));
        }
    }

    none(&found);
}

#[test]
fn a_place_on_a_machine_and_a_registry_are_found() {
    for place in MACHINE_PATHS {
        assert_eq!(machine_paths("planted", &format!("cd {place}src")).len(), 1);
        assert_eq!(machine_paths("planted", &format!("docs{place}src")).len(), 0);
    }
    for host in REGISTRY_HOSTS {
        assert_eq!(registry_hosts("planted", &format!("https://index.{host}/x")).len(), 1);
    }
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let broken: Vec<String> =
        files::markdown().iter().flat_map(|file| broken_links(file, &files::read(file))).collect();

    none(&broken);
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "[a](../src/main.rs#x), [b](gone.md) and ![c](/gone.svg \"A title\").\n\n[d]: gone.txt\n<img src=\"gone.png\">";

    assert_eq!(broken_links("docs/page.md", text).len(), 4);
    none(&broken_links(
        "page.md",
        "[a](#here) [b](https://example.org/gone) `[c](gone)`\n```\n[d](gone)\n```",
    ));
}

#[test]
fn the_readme_names_the_command_that_tests_everything() {
    assert!(files::read("README.md").contains("tests/run"));
}
