//! Ids of tasks and of claims, and how an id is derived from what must happen once.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Clock;
use crate::name::{Namespace, ScheduleId, TaskName};

/// The id of a task: a UUID, version 7 when made for an ad hoc task, version 8 when derived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Uuid);

impl TaskId {
    /// A new id, version 7. `now` only orders ids in listings; a wrong clock does no harm.
    pub fn new(now: Timestamp) -> Self {
        Self::of_bits(now, Uuid::new_v4().as_u128())
    }

    /// A new id, version 7, of this clock's dice.
    pub fn drawn(now: Timestamp, clock: &dyn Clock) -> Self {
        Self::of_bits(now, clock.unique())
    }

    /// Milliseconds first, as version 7 has them; behind them the bits that are random in version 4, too.
    fn of_bits(now: Timestamp, random: u128) -> Self {
        const MILLIS_AT: u32 = 80;
        let millis = u128::try_from(now.as_millisecond()).unwrap_or(0);
        let bits = millis << MILLIS_AT | random & ((1 << MILLIS_AT) - 1);
        let mut id = uuid::Builder::from_u128(bits);
        id.set_variant(uuid::Variant::RFC4122).set_version(uuid::Version::SortRand);
        Self(id.into_uuid())
    }

    /// The id of every task published with this dedup id under this name.
    pub fn from_dedup(namespace: &Namespace, name: &TaskName, dedup_id: &str) -> Self {
        derive(&[b"dedup", namespace.as_str().as_bytes(), name.as_str().as_bytes(), dedup_id.as_bytes()])
    }

    /// The id of one planned instant of one schedule. Any number of beats derive the same.
    ///
    /// `incarnation` tells a schedule from an earlier one of the same id that was deleted; `run` is 0 but for reruns.
    pub fn from_occurrence(
        namespace: &Namespace,
        schedule: &ScheduleId,
        incarnation: u64,
        planned_at: Timestamp,
        run: u32,
    ) -> Self {
        derive(&[
            b"occurrence",
            namespace.as_str().as_bytes(),
            schedule.as_str().as_bytes(),
            &incarnation.to_be_bytes(),
            &planned_at.as_microsecond().to_be_bytes(),
            &run.to_be_bytes(),
        ])
    }

    /// The id of a message whose `message_id` is a UUID, or derived from it when it is any other text.
    pub fn from_foreign(namespace: &Namespace, message_id: &str) -> Self {
        match Uuid::try_parse(message_id) {
            Ok(uuid) => Self(uuid),
            Err(_) => derive(&[b"foreign", namespace.as_str().as_bytes(), message_id.as_bytes()]),
        }
    }
}

/// What a unique key is to a ledger: of one size, whatever the key is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Uuid);

impl KeyId {
    /// The key of the tasks of this name.
    pub fn of(name: &TaskName, key: &str) -> Self {
        Self(derive(&[b"unique", name.as_str().as_bytes(), key.as_bytes()]).0)
    }
}

/// The first 16 bytes of SHA-256 over the fields, each preceded by its length (u32, big endian), as UUID version 8.
///
/// Lengths keep `("ab", "c")` apart from `("a", "bc")`. Vectors stand in `docs/wire.md`.
fn derive(fields: &[&[u8]]) -> TaskId {
    let mut hash = Sha256::new();
    for field in fields {
        let length = u32::try_from(field.len()).expect("fields are names and ids of bounded length");
        hash.update(length.to_be_bytes());
        hash.update(field);
    }
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    TaskId(Uuid::new_v8(bytes))
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// A worker's or beat's incarnation: new at every start, and again after it was declared lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(pub Uuid);

impl OwnerId {
    /// A new random incarnation.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// A new incarnation, of this clock's dice.
    pub fn drawn(clock: &dyn Clock) -> Self {
        Self(uuid::Builder::from_random_bytes(clock.unique().to_be_bytes()).into_uuid())
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a delivery claims with: random, made before the claim is sent, so that a repeated claim gets the same answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub i64);

impl Token {
    /// A new random token.
    pub fn random() -> Self {
        Self(fastrand::i64(..))
    }

    /// A new token, of this clock's dice.
    pub fn drawn(clock: &dyn Clock) -> Self {
        Self(clock.random().cast_signed())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Grows with each claim of a task; a settle with an older fence is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub i64);

impl Fence {
    /// The fence of the next claim: above the last one, and at least the store's microseconds, so that a store that
    /// forgot the last one still gives a newer.
    pub fn after(last: Option<Fence>, now: Timestamp) -> Self {
        let next = last.map_or(0, |fence| fence.0.saturating_add(1));
        Self(next.max(now.as_microsecond()))
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a row's schedule: grows whenever an entry moves; a message carries the seq it was promoted from.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Seqs stay below 2^53, so that every client's numbers can hold them.
    pub const LIMIT: i64 = 1 << 53;

    /// The seq after a move.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        Namespace::default()
    }

    #[test]
    fn derived_ids_match_the_vectors_of_the_wire_document() {
        let vectors = include_str!("../../docs/wire.md");
        let dedup = TaskId::from_dedup(&namespace(), &TaskName::new("billing.invoice").unwrap(), "order-17");
        let planned = "2026-03-08T07:00:00Z".parse().unwrap();
        let nightly = ScheduleId::new("nightly").unwrap();
        let occurrence = TaskId::from_occurrence(&namespace(), &nightly, 1, planned, 0);
        let foreign = TaskId::from_foreign(&namespace(), "not-a-uuid");
        for id in [dedup, occurrence, foreign] {
            assert!(vectors.contains(&id.to_string()), "docs/wire.md lacks the vector {id}");
            assert_eq!(id.0.get_version_num(), 8);
        }
    }

    #[test]
    fn fields_are_kept_apart_by_their_lengths() {
        let id =
            |name: &str, dedup: &str| TaskId::from_dedup(&namespace(), &TaskName::new(name).unwrap(), dedup);
        assert_ne!(id("ab", "c"), id("a", "bc"));
    }

    #[test]
    fn a_foreign_uuid_is_taken_as_it_is() {
        let text = "0198a2f0-0000-7000-8000-000000000001";
        assert_eq!(TaskId::from_foreign(&namespace(), text).to_string(), text);
    }

    #[test]
    fn a_fence_grows_even_when_the_stores_clock_was_set_back() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let first = Fence::after(None, now);
        let earlier = "2025-01-01T00:00:00Z".parse().unwrap();
        assert!(Fence::after(Some(first), earlier) > first);
    }
}
