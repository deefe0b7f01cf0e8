//! What is known of members by their heartbeats, and what must hold of those who are declared lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::Lost;

/// How much shorter than a lease a silence may look from here: members lag behind the store's time.
const TOLERANCE: Duration = Duration::from_millis(500);

/// The heartbeats that took effect.
#[derive(Debug, Default)]
pub(super) struct Hearts {
    last: BTreeMap<OwnerId, Beat>,
    retired: BTreeSet<OwnerId>,
    /// When nobody could reach the ledger.
    away: Vec<(Timestamp, Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    counter: u64,
    at: Timestamp,
    lease: Duration,
}

impl Hearts {
    pub(super) fn beats(&mut self, owner: OwnerId, counter: u64, lease: Duration, now: Timestamp) {
        self.last.insert(owner, Beat { counter, at: now, lease });
    }

    pub(super) fn away(&mut self, from: Timestamp, to: Timestamp) {
        self.away.push((from, to));
    }

    pub(super) fn is_retired(&self, owner: OwnerId) -> bool {
        self.retired.contains(&owner)
    }

    /// What is wrong with declaring these lost: one whose counter has moved, and one that was not silent for a lease in which
    /// it could have spoken.
    pub(super) fn retires(&mut self, judged: &[Lost], retired: &[OwnerId], now: Timestamp) -> Vec<String> {
        let mut wrong = Vec::new();
        for owner in retired {
            self.retired.insert(*owner);
            let counter = judged.iter().find(|lost| lost.owner == *owner).map(|lost| lost.counter);
            let (Some(beat), Some(counter)) = (self.last.get(owner).copied(), counter) else { continue };
            if beat.counter != counter {
                wrong.push(format!(
                    "member {owner} was declared lost though its heart had moved since it was judged"
                ));
            }
            let silent = clock::until(beat.at, now).saturating_sub(self.outages(beat, now));
            if silent + TOLERANCE < beat.lease {
                wrong.push(format!(
                    "member {owner} was declared lost after a silence of its own of {silent:?}"
                ));
            }
        }
        wrong
    }

    /// How much of a silence is the ledger's: its absences that are long enough to break a beat's series.
    fn outages(&self, since: Beat, now: Timestamp) -> Duration {
        let within = self.away.iter().map(|(from, to)| clock::until((*from).max(since.at), (*to).min(now)));
        within.filter(|away| *away > since.lease / 3 + TOLERANCE).sum()
    }
}
