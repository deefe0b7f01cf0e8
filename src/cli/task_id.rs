//! Ids of tasks as values on the command line.

use upbeat_shared::id::TaskId;

/// Reads an id; what is none is told what one looks like.
pub(crate) fn parse_id(text: &str) -> Result<TaskId, String> {
    text.parse().map_err(|_| {
        "it is no task id: one looks like 0198a2f0-0000-7000-8000-000000000001, as `upbeat publish` and `upbeat tasks list` print it"
            .to_owned()
    })
}
