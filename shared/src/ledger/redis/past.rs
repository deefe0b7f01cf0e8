//! The story of a task's past runs, as scripts keep it.

use super::error::Fault;
use super::packed::{Packed, Unpacked};
use crate::run::{PastRun, PastRuns};

/// As scripts keep them; empty where there is none.
pub(super) fn packed(past: &PastRuns) -> Result<Packed, Fault> {
    if past.is_empty() {
        return Ok(Packed::default());
    }
    past.kept.iter().try_fold(Packed::default().int(past.count), |packed, run| {
        let run = serde_json::to_vec(run).map_err(|error| Fault::Invalid(error.to_string()))?;
        let length = u32::try_from(run.len()).map_err(|error| Fault::Invalid(error.to_string()))?;
        Ok(packed.int(length).bytes(&run))
    })
}

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
