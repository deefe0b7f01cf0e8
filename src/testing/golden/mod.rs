//! Arguments that were committed once and must be readable for ever after, or until nobody can hold them any more.
//!
//! A task may lie in a queue, on the agenda or in a schedule while the program is replaced. The next program must read what
//! the last one wrote; while a deployment rolls, the last one must also read what the next one writes. A payload of each
//! version, committed beside the tests, tells of a change that breaks this before it is deployed.
//!
//! ```no_run
//! # use serde::{Deserialize, Serialize};
//! # use upbeat::prelude::*;
//! # #[derive(Serialize, Deserialize, Task)]
//! # #[task(name = "billing.invoice")]
//! # struct Invoice { customer: u64 }
//! # /*
//! #[test]
//! # */
//! fn arguments_stay_readable() {
//!     upbeat::testing::golden::check(&Invoice { customer: 7 });
//! }
//! ```
//!
//! `UPBEAT_GOLDEN=write cargo test` writes the payload of the present version to `tests/golden/billing.invoice.v1.json`, where
//! it is missing. Commit it. When the test fails, it says what broke and what to do.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use upbeat_shared::message::{ContentType, Payload};
use upbeat_shared::typed::{ArgsError, Task};

/// Set to `write`, it has missing payloads written.
const WRITE: &str = "UPBEAT_GOLDEN";

/// Checks the committed payloads of a task's type in `tests/golden` of the package under test.
///
/// - Every version that is committed is read by [`Task::read`], in both forms in which arguments travel: `MessagePack`, as
///   Rust publishes them, and JSON, as schedules and the command line do.
/// - What was read is written again with everything that it had: a worker of the last program reads the present version, too.
/// - The present version is committed. With `UPBEAT_GOLDEN=write` in the environment it is written where it is missing, from
///   `sample`; what is there is never overwritten.
///
/// # Panics
///
/// If one of these does not hold, with everything that does not.
#[track_caller]
pub fn check<T: Task>(sample: &T) {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    check_in(package.join("tests").join("golden"), sample);
}

/// As [`check`], with the payloads in this folder.
///
/// # Panics
///
/// As [`check`].
#[track_caller]
pub fn check_in<T: Task>(folder: impl AsRef<Path>, sample: &T) {
    let write = std::env::var_os(WRITE).is_some_and(|value| value == "write");
    let faults = examine(folder.as_ref(), sample, write);
    assert!(faults.is_empty(), "the arguments of the task {}:\n- {}", T::NAME, faults.join("\n- "));
}

/// Everything that is wrong with the payloads of a type.
fn examine<T: Task>(folder: &Path, sample: &T, write: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found = match committed(folder, T::NAME) {
        Ok(found) => found,
        Err(fault) => return vec![fault],
    };
    if !found.iter().any(|(version, _)| *version == T::VERSION) {
        match add(folder, sample, write) {
            Ok(path) => found.push((T::VERSION, path)),
            Err(fault) => faults.push(fault),
        }
    }
    found.sort();
    faults.extend(found.iter().filter_map(|(version, path)| read::<T>(*version, path).err()));
    faults
}

/// The payloads of a task that lie in a folder, with their versions.
fn committed(folder: &Path, name: &str) -> Result<Vec<(u32, PathBuf)>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{} cannot be listed: {error}", folder.display())),
    };
    let beginning = format!("{}.v", stem(name));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = file.strip_prefix(&beginning).and_then(|rest| rest.strip_suffix(".json"));
        if let Some(version) = version.and_then(|version| version.parse().ok()) {
            found.push((version, path));
        }
    }
    Ok(found)
}

/// A task's name as a file's: two of its characters are no part of one.
fn stem(name: &str) -> String {
    name.replace('/', "%2F").replace(':', "%3A")
}

/// Commits the payload of the present version, or says that it is missing.
fn add<T: Task>(folder: &Path, sample: &T, write: bool) -> Result<PathBuf, String> {
    let path = folder.join(format!("{}.v{}.json", stem(T::NAME), T::VERSION));
    if !write {
        return Err(format!(
            "{} is missing: run this test once with {WRITE}=write in the environment, and commit what it writes",
            path.display()
        ));
    }
    let text = format!("{:#}\n", golden(sample)?);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}

/// What a file holds: the arguments in both forms in which they travel.
fn golden<T: Task>(sample: &T) -> Result<Value, String> {
    let encoded = Payload::msgpack(sample)
        .map_err(|error| format!("the sample cannot be encoded, so it could not be published: {error}"))?;
    let mut object = Map::new();
    // Some values have no JSON form: then nobody can publish them as JSON either.
    if let Ok(args) = serde_json::to_value(sample) {
        object.insert("args".to_owned(), args);
    }
    object.insert("msgpack".to_owned(), hex(&encoded.bytes).into());
    Ok(object.into())
}

/// Reads a committed payload in each of its forms.
fn read<T: Task>(version: u32, path: &Path) -> Result<(), String> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{place} cannot be read: {error}"))?;
    let unfit = |what: &str| {
        format!("{place} {what}; it is an object with `args` (JSON), `msgpack` (hexadecimal) or both")
    };
    let object: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| unfit(&format!("is not what this helper writes: {error}")))?;
    let mut payloads = Vec::new();
    if let Some(args) = object.get("args") {
        payloads.push(Payload::json(args).map_err(|error| unfit(&error.to_string()))?);
    }
    if let Some(digits) = object.get("msgpack") {
        let bytes =
            digits.as_str().and_then(unhex).ok_or_else(|| unfit("has a `msgpack` that is no hexadecimal"))?;
        payloads.push(Payload { content_type: ContentType::Msgpack, bytes: bytes.into() });
    }
    if payloads.is_empty() {
        return Err(unfit("holds no arguments"));
    }
    for payload in &payloads {
        let read = T::read(version, payload).map_err(|error| {
            let form = payload.content_type.as_str();
            format!("{place} ({form}) is not readable any more: {error}\n  {}", advice::<T>(version, &error))
        })?;
        if version == T::VERSION
            && let Some(fault) = unlike(payload, &read)
        {
            return Err(format!("{place}: {fault}\n  {}", bump::<T>()));
        }
    }
    Ok(())
}

/// What to do about a payload that cannot be read.
fn advice<T: Task>(version: u32, error: &ArgsError) -> String {
    match error {
        ArgsError::Newer { .. } => format!(
            "say `version = {version}` in `#[task(…)]`, or remove the file if that version was never deployed"
        ),
        ArgsError::Invalid(_) if version == T::VERSION => bump::<T>(),
        _ => format!(
            "say `from({version} = …)` in `#[task(…)]`, with a type of that shape; remove the file only when no such task \
             can be in a queue, on the agenda or in a schedule"
        ),
    }
}

/// What to do about a version whose shape has changed.
fn bump<T: Task>() -> String {
    let (version, next) = (T::VERSION, T::VERSION.saturating_add(1));
    format!(
        "keep the old shape as a type and say `version = {next}, from({version} = Old)` in `#[task(…)]`, with \
         `impl From<Old>`; or make the change one that both programs can read (a new field with `#[serde(default)]`)"
    )
}

/// Whether something of a payload is missing in what this program writes: the last program would miss it, too.
fn unlike<T: Task>(payload: &Payload, read: &T) -> Option<String> {
    let again = match payload.content_type {
        ContentType::Json => Payload::json(read),
        ContentType::Msgpack => Payload::msgpack(read),
    };
    let (old, new): (Value, Value) = match again.map(|again| (payload.decode(), again.decode())) {
        Ok((Ok(old), Ok(new))) => (old, new),
        Ok((Err(_), _)) => return None, // It has no JSON form in which it could be looked at.
        Ok((_, Err(error))) | Err(error) => {
            return Some(format!("it is read, but cannot be written again: {error}"));
        }
    };
    let lost = lost(&old, &new, "args")?;
    Some(format!(
        "{lost} is no longer written as it is there: a worker of the last program cannot read what this one publishes, \
         and does not know that it is of another shape"
    ))
}

/// The first place that is not there any more, or of another kind. What is null may come and go.
fn lost(old: &Value, new: &Value, path: &str) -> Option<String> {
    match (old, new) {
        (Value::Null, _)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => None,
        (Value::Array(old), Value::Array(new)) => {
            let mut pairs = old.iter().zip(new).enumerate();
            pairs.find_map(|(index, (old, new))| lost(old, new, &format!("{path}[{index}]")))
        }
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(key, old)| {
            let path = format!("{path}.{key}");
            match new.get(key) {
                Some(new) => lost(old, new, &path),
                None => (!old.is_null()).then_some(path),
            }
        }),
        _ => Some(path.to_owned()),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("four bits are one digit");
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2))
        .collect()
}

#[cfg(test)]
mod tests;
