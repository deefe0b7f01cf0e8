use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::*;
use crate::Task;

/// The task as the first program has it.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing/invoice")]
struct First {
    customer: u64,
    note: Option<String>,
}

fn first() -> First {
    First { customer: 7, note: Some("soon".into()) }
}

/// A folder in which the payload of the first program is committed.
fn committed_first() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(examine(folder.path(), &first(), true), [""; 0]);
    folder
}

fn faults<T: Task>(folder: &TempDir, sample: &T) -> String {
    let faults = examine(folder.path(), sample, false).join("\n");
    faults.replace(folder.path().to_str().unwrap(), "tests/golden")
}

#[test]
fn what_is_missing_is_asked_for_and_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let missing = "tests/golden/billing%2Finvoice.v1.json is missing: run this test once with UPBEAT_GOLDEN=write in the \
                   environment, and commit what it writes";
    assert_eq!(faults(&folder, &first()), missing);
    assert_eq!(examine(folder.path(), &first(), true), [""; 0]);
    let path = folder.path().join("billing%2Finvoice.v1.json");
    let written = std::fs::read_to_string(&path).unwrap();
    let value: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(value["args"], serde_json::json!({ "customer": 7, "note": "soon" }));
    assert!(value["msgpack"].as_str().unwrap().starts_with("82a8637573746f6d657207"), "{written}");
    // Whatever the sample is later, what is committed stays.
    assert_eq!(examine(folder.path(), &First { customer: 8, note: None }, true), [""; 0]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
}

#[test]
fn a_change_that_both_programs_can_read_passes() {
    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "billing/invoice")]
    struct Wider {
        customer: u64,
        note: Option<String>,
        #[serde(default)]
        copies: u32,
    }
    let folder = committed_first();
    assert_eq!(faults(&folder, &Wider { customer: 7, note: None, copies: 2 }), "");
}

#[test]
fn a_field_that_old_payloads_lack_breaks_them_and_asks_for_a_version() {
    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "billing/invoice")]
    struct Stricter {
        customer: u64,
        note: Option<String>,
        copies: u32,
    }
    let folder = committed_first();
    let told = faults(&folder, &Stricter { customer: 7, note: None, copies: 2 });
    assert!(
        told.starts_with(
            "tests/golden/billing%2Finvoice.v1.json (application/json) is not readable any more"
        ),
        "{told}"
    );
    assert!(told.contains("missing field `copies`"), "{told}");
    assert!(told.contains("say `version = 2, from(1 = Old)` in `#[task(…)]`"), "{told}");
}

#[test]
fn a_field_that_is_no_longer_written_breaks_the_last_program_and_asks_for_a_version() {
    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "billing/invoice")]
    struct Narrower {
        customer: u64,
    }
    let folder = committed_first();
    let told = faults(&folder, &Narrower { customer: 7 });
    assert!(told.contains("args.note is no longer written as it is there"), "{told}");
    assert!(told.contains("version = 2, from(1 = Old)"), "{told}");
}

#[test]
fn a_type_that_is_alike_in_json_alone_is_told() {
    /// A text where JSON is written, bytes elsewhere: as ids of many libraries.
    struct Id(u8);
    impl Serialize for Id {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let human = serializer.is_human_readable();
            if human {
                serializer.serialize_str(&self.0.to_string())
            } else {
                serializer.serialize_bytes(&[self.0])
            }
        }
    }
    impl<'de> Deserialize<'de> for Id {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let human = deserializer.is_human_readable();
            if human {
                String::deserialize(deserializer).map(|_| Self(0))
            } else {
                Vec::deserialize(deserializer).map(|bytes: Vec<u8>| Self(bytes[0]))
            }
        }
    }
    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "a")]
    struct Before {
        id: Id,
    }
    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "a")]
    struct After {
        id: String,
    }
    let folder = tempfile::tempdir().unwrap();
    examine(folder.path(), &Before { id: Id(255) }, true);
    let told = faults(&folder, &After { id: "7".into() });
    assert!(told.contains("a.v1.json (application/msgpack) is not readable any more"), "{told}");
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing/invoice", version = 2, from(1 = First))]
struct Second {
    client: String,
}

impl From<First> for Second {
    fn from(first: First) -> Self {
        Self { client: first.customer.to_string() }
    }
}

#[test]
fn a_new_version_that_reads_the_old_one_passes_once_it_is_committed_too() {
    let folder = committed_first();
    let sample = Second { client: "7".into() };
    assert!(faults(&folder, &sample).contains("v2.json is missing"));
    assert_eq!(examine(folder.path(), &sample, true), [""; 0]);
    assert_eq!(faults(&folder, &sample), "");
}

#[test]
fn a_version_that_is_read_no_more_and_one_that_is_not_known_yet_are_told_with_what_to_do() {
    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "billing/invoice", version = 2)]
    struct Forgetful {
        client: String,
    }
    let folder = committed_first();
    assert_eq!(examine(folder.path(), &Second { client: "7".into() }, true), [""; 0]);
    let told = faults(&folder, &Forgetful { client: "7".into() });
    assert!(told.contains("v1.json (application/json) is not readable any more"), "{told}");
    assert!(
        told.contains(
            "say `from(1 = …)` in `#[task(…)]`, with a type of that shape; remove the file only when"
        ),
        "{told}"
    );
    let told = faults(&folder, &first());
    assert!(told.contains("v2.json (application/json) is not readable any more"), "{told}");
    assert!(told.contains("say `version = 2` in `#[task(…)]`"), "{told}");
}

#[test]
fn a_file_that_is_none_of_ours_is_told_and_those_of_other_tasks_are_let_alone() {
    let folder = committed_first();
    for (name, text) in [("billing.v1.json", "?"), ("billing%2Finvoice.vx.json", "?"), ("notes.txt", "?")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    assert_eq!(faults(&folder, &first()), "");
    let written_by_hand = r#"{ "args": { "customer": 7 } }"#;
    std::fs::write(folder.path().join("billing%2Finvoice.v1.json"), written_by_hand).unwrap();
    assert_eq!(faults(&folder, &first()), "");
    for (text, told) in [
        ("{}", "holds no arguments"),
        ("[1]", "is not what this helper writes"),
        (r#"{ "msgpack": "8" }"#, "has a `msgpack` that is no hexadecimal"),
        (r#"{ "msgpack": "zz" }"#, "has a `msgpack` that is no hexadecimal"),
    ] {
        std::fs::write(folder.path().join("billing%2Finvoice.v1.json"), text).unwrap();
        let said = faults(&folder, &first());
        assert!(said.contains(told), "{text}: {said}");
    }
}

#[test]
fn the_helper_panics_with_everything_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| check_in(folder.path(), &first()))).unwrap_err();
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("the arguments of the task billing/invoice:\n- "), "{said}");
}
