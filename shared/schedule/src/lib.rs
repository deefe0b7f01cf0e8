//! Being built.
#![allow(missing_docs)]
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimingSpec {
    pub cron: Option<String>,
    pub every: Option<String>,
    pub at: Option<String>,
    pub timezone: Option<String>,
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUpPolicy {}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRange {
    pub from: Timestamp,
    pub until: Timestamp,
    pub count: u64,
    pub reason: SkipReason,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    Misfire,
    Paused,
    Overlap,
    Calendar,
    Dependency,
}
pub type Grace = SignedDuration;
