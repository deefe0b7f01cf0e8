//! The story of a task's past runs, as scripts keep it.

use super::error::Fault;
use super::packed::Unpacked;
use crate::run::{PastRun, PastRuns};

/// Of how many there were, and the newest of them, each behind its length.
pub(super) fn read(story: Option<Vec<u8>>) -> Result<PastRuns, Fault> {
    let Some(story) = story else { return Ok(PastRuns::default()) };
    let mut from = Unpacked(&story);
    let count = from.int()?;
    let mut kept = Vec::new();
    while !from.0.is_empty() {
        let length = from.int()?;
        let run = from.take(length as usize)?;
        let run = serde_json::from_slice::<PastRun>(run);
        kept.push(run.map_err(|error| Fault::Invalid(format!("a past run cannot be read: {error}")))?);
    }
    Ok(PastRuns { count, kept })
}
