//! Arguments of a task, as they are given on the command line.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::value::RawValue;
use upbeat_shared::message::Payload;

use super::failure::Failure;

/// Where the arguments are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArgsSource {
    /// `-`: on standard input.
    Stdin,
    /// `@FILE`.
    File(PathBuf),
    /// On the command line itself.
    Text(String),
}

impl FromStr for ArgsSource {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Stdin,
            None => Self::Text(text.to_owned()),
        })
    }
}

impl ArgsSource {
    /// Reads at most `limit` bytes and checks that they are JSON. They travel as they were written, so that no number
    /// loses a digit on the way.
    pub(crate) fn read(&self, limit: usize) -> Result<Payload, Failure> {
        let (text, place) = match self {
            Self::Text(text) => (text.clone(), "--args".to_owned()),
            Self::File(path) => (read_file(path, limit)?, path.display().to_string()),
            Self::Stdin => {
                (read_all(std::io::stdin(), limit, "standard input")?, "standard input".to_owned())
            }
        };
        let raw: Box<RawValue> =
            serde_json::from_str(text.trim()).map_err(|error| no_json(text.trim(), &place, &error))?;
        Payload::json(&raw).map_err(|error| Failure::usage(format!("{place}: {error}")))
    }
}

fn read_file(path: &Path, limit: usize) -> Result<String, Failure> {
    let file = std::fs::File::open(path)
        .map_err(|error| unread(format!("cannot read the arguments from {}: {error}", path.display())))?;
    read_all(file, limit, &path.display().to_string())
}

fn read_all(from: impl Read, limit: usize, place: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most)
        .read_to_string(&mut text)
        .map_err(|error| unread(format!("cannot read the arguments from {place}: {error}")))?;
    if text.len() > limit {
        let message = format!("{place} holds more than the limit of {limit} bytes");
        return Err(unread(message).advice("store large data elsewhere and pass a reference"));
    }
    Ok(text)
}

fn unread(message: String) -> Failure {
    Failure::usage(message).page("arguments-not-json")
}

/// Longer lines are shown around the fault only.
const SHOWN: usize = 70;

fn no_json(text: &str, place: &str, error: &serde_json::Error) -> Failure {
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or_default();
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let line: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // serde_json counts bytes; what follows is only a picture.
    let fault = error.column().saturating_sub(1).min(line.len());
    let start = fault.saturating_sub(SHOWN / 2);
    let shown: String = line.iter().skip(start).take(SHOWN).collect();
    let message = format!(
        "{place} is not JSON: {why}\n  {}:{}: {shown}\n  {}^",
        error.line(),
        error.column(),
        " ".repeat(fault - start + format!("{}:{}: ", error.line(), error.column()).len()),
    );
    unread(message)
        .advice(r#"quote it for the shell: --args '{"name": "world"}'; @FILE reads a file, - standard input"#)
}

#[cfg(test)]
mod tests {
    use super::super::failure::Exit;
    use super::*;

    fn read(text: &str) -> Result<Payload, Failure> {
        text.parse::<ArgsSource>().unwrap().read(1000)
    }

    #[test]
    fn json_travels_as_it_was_written() {
        let payload = read(r#" {"n": 12345678901234567890123, "x": 1.10} "#).unwrap();
        assert_eq!(&payload.bytes[..], br#"{"n": 12345678901234567890123, "x": 1.10}"#);
    }

    #[test]
    fn what_is_no_json_is_shown_with_the_place_at_fault() {
        let failure = read("{name: 1}").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let expected = "--args is not JSON: key must be a string\n  1:2: {name: 1}\n        ^";
        assert_eq!(failure.message, expected);
        assert!(read("").is_err());
        assert!(read("1 2").is_err());
    }

    #[test]
    fn files_are_read_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("args.json");
        std::fs::write(&path, "[1]").unwrap();
        let source: ArgsSource = format!("@{}", path.display()).parse().unwrap();
        assert_eq!(&source.read(3).unwrap().bytes[..], b"[1]");
        assert!(source.read(2).unwrap_err().message.contains("limit of 2 bytes"));
        let missing: ArgsSource = "@/nowhere/args.json".parse().unwrap();
        assert!(missing.read(10).unwrap_err().message.contains("/nowhere/args.json"));
    }

    #[test]
    fn a_dash_is_standard_input() {
        assert_eq!("-".parse(), Ok(ArgsSource::Stdin));
    }
}
