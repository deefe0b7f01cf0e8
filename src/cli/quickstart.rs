//! The configuration that is in force where nobody wrote one.

use std::io;
use std::path::Path;

/// What stands in the place of a path in messages about it.
pub(crate) const PATH: &str = "(built-in quickstart)";

/// The file itself.
pub(crate) const TEXT: &str = include_str!("../../examples/quickstart.toml");

/// Reads files, and the quickstart under its name.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    if path == Path::new(PATH) { Ok(TEXT.to_owned()) } else { std::fs::read_to_string(path) }
}

/// How the user started this program, to be typed again: `cargo run --release --`, `./upbeat`, `upbeat`.
pub(crate) fn invocation() -> String {
    let typed = std::env::args().next().unwrap_or_default();
    invocation_of(&typed, std::env::var_os("CARGO").is_some())
}

/// Cargo tells the programs that it runs where it is itself.
fn invocation_of(typed: &str, under_cargo: bool) -> String {
    let path = Path::new(typed);
    let in_target = |profile| path.parent().is_some_and(|dir| dir.ends_with(profile));
    if under_cargo && in_target("release") {
        return "cargo run --release --".to_owned();
    }
    if under_cargo && in_target("debug") {
        return "cargo run --".to_owned();
    }
    if typed.is_empty() { "upbeat".to_owned() } else { typed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_next_is_what_was_typed_before() {
        assert_eq!(invocation_of("target/release/upbeat", true), "cargo run --release --");
        assert_eq!(invocation_of("/w/target/debug/upbeat", true), "cargo run --");
        assert_eq!(invocation_of("./target/release/upbeat", false), "./target/release/upbeat");
        assert_eq!(invocation_of("upbeat", false), "upbeat");
    }
}
