//! States of tasks as values of a flag.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use upbeat_shared::task::TaskState;

/// Shows every state in the help, and in completions.
pub(crate) fn parser() -> impl TypedValueParser<Value = TaskState> {
    PossibleValuesParser::new(TaskState::ALL.map(TaskState::as_str))
        .map(|text| text.parse::<TaskState>().expect("it is one of the possible values"))
}
