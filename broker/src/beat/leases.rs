//! Which shards of the schedules this beat plans: live beats share them, by leases. Two owners of one shard waste work
//! and do no harm, so nothing here has to be exact.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{LeaseRequest, LedgerError};
use upbeat_shared::member::{Pulse, Role};
use upbeat_shared::name::ScheduleId;

use super::context::Context;
use super::health::{Fault, Part};
use super::reap::Alive;

/// The shards that this beat holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) shards: BTreeSet<u32>,
    /// On the beat's monotonic clock: from then on they may be another's.
    until: Duration,
}

impl Held {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn all(shards: u32) -> Self {
        Self { shards: (0..shards).collect(), until: Duration::MAX }
    }

    #[cfg(test)]
    pub(super) fn without(mut self, shard: u32) -> Self {
        self.shards.remove(&shard);
        self
    }

    /// Those that are held at this instant.
    pub(super) fn at(&self, now: Duration) -> BTreeSet<u32> {
        if now < self.until { self.shards.clone() } else { BTreeSet::new() }
    }
}

/// The shard of a schedule, the same on every beat.
pub(super) fn shard_of(id: &ScheduleId, shards: u32) -> u32 {
    let digest = Sha256::digest(id.as_str());
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u32::try_from(first % u64::from(shards.max(1))).expect("a remainder is below its divisor")
}

/// Holds this beat's share of the shards until it is stopped.
pub(super) async fn hold(
    ctx: Arc<Context>,
    alive: watch::Receiver<Option<Alive>>,
    held: watch::Sender<Held>,
) {
    let mut alive = alive;
    let mut mine: Option<(OwnerId, BTreeSet<u32>)> = None;
    let mut failures = 0;
    while !ctx.stop.is_cancelled() {
        let Some(me) = *alive.borrow_and_update() else {
            tokio::select! {
                biased;
                () = ctx.stop.cancelled() => {}
                changed = alive.changed() => if changed.is_err() { return },
            }
            continue;
        };
        let shards = match mine.take() {
            Some((owner, shards)) if owner == me.owner => shards,
            // What an earlier incarnation held runs out by itself.
            Some(_) | None => BTreeSet::new(),
        };
        let sent = ctx.monotonic();
        let renewed = renew(&ctx, me, shards).await;
        if let Ok(shards) = &renewed {
            mine = Some((me.owner, shards.clone()));
            held.send_replace(Held { shards: shards.clone(), until: sent + ctx.options.shard_ttl });
        }
        let outcome = renewed.map(drop).map_err(Fault::Ledger);
        ctx.conclude(Part::Shards, outcome, &mut failures).await;
        ctx.pause(ctx.options.shard_ttl / 3).await;
    }
    give_back(&ctx, mine).await;
}

/// Leaves the shards to the others at once, instead of letting them run out.
async fn give_back(ctx: &Context, mine: Option<(OwnerId, BTreeSet<u32>)>) {
    let Some((owner, shards)) = mine else { return };
    let names = shards.into_iter().map(lease_name).collect();
    if let Err(error) = ctx.ledger("give_up", ctx.store.leases.give_up(owner, names)).await {
        tracing::debug!(%error, "shards were not given back and run out by themselves");
    }
}

/// Gives up what is too much, renews the rest, and takes what is free if there is too little.
async fn renew(ctx: &Context, me: Alive, mut mine: BTreeSet<u32>) -> Result<BTreeSet<u32>, LedgerError> {
    let share = share(ctx.options.shards, me.beats);
    let excess = beyond(&mut mine, share);
    let wanted: Vec<u32> = if mine.len() < share {
        (0..ctx.options.shards).filter(|shard| !excess.contains(shard)).collect()
    } else {
        mine.into_iter().collect()
    };
    let request = |shard: &u32| LeaseRequest { name: lease_name(*shard), ttl: ctx.options.shard_ttl };
    let requests = wanted.iter().map(request).collect();
    let answers = ctx.ledger("acquire", ctx.store.leases.acquire(me.owner, requests)).await?;
    let mut got: BTreeSet<u32> =
        wanted.into_iter().zip(answers).filter_map(|(shard, mine)| mine.then_some(shard)).collect();
    let mut too_many = excess;
    too_many.extend(beyond(&mut got, share));
    if !too_many.is_empty() {
        let names = too_many.into_iter().map(lease_name).collect();
        ctx.ledger("give_up", ctx.store.leases.give_up(me.owner, names)).await?;
    }
    Ok(got)
}

fn lease_name(shard: u32) -> String {
    format!("beat.shard.{shard}")
}

/// How many shards each of so many beats holds at most.
fn share(shards: u32, beats: usize) -> usize {
    let shards = usize::try_from(shards).unwrap_or(usize::MAX);
    shards.div_ceil(beats.max(1))
}

/// Takes out of `mine` what is more than `share`, the highest first.
fn beyond(mine: &mut BTreeSet<u32>, share: usize) -> Vec<u32> {
    let mut excess = Vec::new();
    while mine.len() > share {
        excess.extend(mine.pop_last());
    }
    excess
}

/// The other beats, counted as live from when their heartbeat is seen to move until it stands still. Quicker to give one up
/// than the judge is: a shard whose beat was only slow costs double work, one that nobody plans costs occurrences that are
/// late. A beat that comes where others have died must not leave them their shares until the judge has spoken.
#[derive(Debug)]
pub(super) struct Peers {
    silence: Duration,
    seen: HashMap<OwnerId, Seen>,
}

/// Where another beat's counter stands, and when it was last seen to move.
#[derive(Clone, Copy, Debug)]
struct Seen {
    counter: u64,
    moved: Option<Duration>,
}

impl Peers {
    /// One that stood still for longer than `silence` does not count.
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, seen: HashMap::new() }
    }

    /// How many beats are live, `me` included, by these pulses seen at this instant.
    pub(super) fn count(&mut self, now: Duration, me: OwnerId, pulses: &[Pulse]) -> usize {
        let mut seen = HashMap::new();
        for pulse in pulses.iter().filter(|pulse| pulse.role == Role::Beat && pulse.owner != me) {
            let moved = match self.seen.get(&pulse.owner) {
                Some(before) if before.counter == pulse.counter => before.moved,
                Some(_) => Some(now),
                None => None,
            };
            seen.insert(pulse.owner, Seen { counter: pulse.counter, moved });
        }
        self.seen = seen;
        let live = |seen: &&Seen| seen.moved.is_some_and(|at| now.saturating_sub(at) <= self.silence);
        1 + self.seen.values().filter(live).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(number: u128, counter: u64) -> Pulse {
        let owner = OwnerId(uuid::Uuid::from_u128(number));
        Pulse { owner, role: Role::Beat, counter, lease: Duration::from_secs(15) }
    }

    #[test]
    fn the_shard_of_a_schedule_is_the_same_for_ever() {
        // Pinned: beats of different versions share the shards while both run.
        let shard = |id: &str| shard_of(&ScheduleId::new(id).unwrap(), 16);
        assert_eq!(["nightly", "hourly", "report"].map(shard), [6, 5, 12]);
    }

    #[test]
    fn schedules_spread_over_all_shards() {
        let mut counts = [0_u32; 16];
        for number in 0..1600 {
            let id = ScheduleId::new(format!("schedule-{number}")).unwrap();
            counts[shard_of(&id, 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_shares_of_all_beats_cover_every_shard() {
        assert_eq!([1, 2, 3, 5, 16, 20].map(|beats| share(16, beats)), [16, 8, 6, 4, 1, 1]);
        assert_eq!(share(16, 0), 16);
    }

    #[test]
    fn what_is_more_than_the_share_is_given_up() {
        let mut mine = BTreeSet::from([1, 4, 6, 9]);
        assert_eq!(beyond(&mut mine, 2), [9, 6]);
        assert_eq!(mine, BTreeSet::from([1, 4]));
        assert_eq!(beyond(&mut mine, 2), [] as [u32; 0]);
    }

    #[test]
    fn shards_count_as_held_only_until_their_lease_ends() {
        let held = Held { shards: BTreeSet::from([1]), until: Duration::from_secs(3) };
        assert_eq!(held.at(Duration::from_millis(2999)), BTreeSet::from([1]));
        assert_eq!(held.at(Duration::from_secs(3)), BTreeSet::new());
    }

    #[test]
    fn a_beat_counts_while_it_is_seen_to_move_and_a_worker_never_does() {
        let mut peers = Peers::new(Duration::from_secs(3));
        let me = beat(1, 0).owner;
        let worker = Pulse { role: Role::Worker, ..beat(3, 0) };
        let mut count = |second: u64, other: u64| {
            peers.count(Duration::from_secs(second), me, &[beat(1, second), beat(2, other), worker])
        };
        assert_eq!(count(0, 5), 1, "it may have been dead for long");
        assert_eq!(count(1, 6), 2);
        assert_eq!(count(4, 6), 2);
        assert_eq!(count(5, 6), 1);
        assert_eq!(count(6, 7), 2);
    }
}
