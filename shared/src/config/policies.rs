//! Limits and fair queues, as they are written.

use std::collections::BTreeMap;

use super::keys;
use super::section::Section;
use super::tables::misnamed;
use super::tree::Value;
use super::value::{Fault, Found};
use crate::limit::{FairPolicy, LimitPolicy, Rate, RateError};
use crate::name::TaskKey;

/// `running`, `rate` and `burst` of whatever has them.
pub(super) fn policy(section: &mut Section<'_, '_>) -> LimitPolicy {
    let running = section.find("running", |found| found.small(1..=LimitPolicy::MAX_RUNNING));
    let rate = section.find("rate", |found| {
        let no_rate = |error: RateError| Fault::new("this is no rate").help(error.reason);
        found.text()?.parse::<Rate>().map_err(no_rate)
    });
    let burst = section.find("burst", |found| found.small(1..=Rate::MAX_COUNT));
    if burst.is_some() && !section.took("rate") {
        let help = "set `rate` too, or remove this key";
        section.fault("burst", Fault::new("this is a burst of no rate").help(help));
    }
    let rate = rate.map(|rate| burst.map_or(rate, |burst| rate.with_burst(burst)));
    LimitPolicy { running, rate }
}

/// `fair` of a queue.
pub(super) fn fair(section: &mut Section<'_, '_>) -> Option<FairPolicy> {
    if !section.has("fair") {
        return None;
    }
    let mut section = section.child("fair", &keys::FAIR);
    let default = FairPolicy::default();
    let slots = section.get("slots", default.slots, |found| found.small(1..=LimitPolicy::MAX_RUNNING));
    let weights = section.find("weights", tenants).unwrap_or_default();
    section.finish();
    Some(FairPolicy { slots, weights })
}

/// `{ acme = 5 }`.
fn tenants(found: &Found) -> Result<BTreeMap<TaskKey, u32>, Fault> {
    let help = "write { acme = 5 }: five of its tasks go for one of another";
    let Value::Table(fields) = &found.value else {
        return Err(found.unlike("a table of weights").help(help));
    };
    let mut weights = BTreeMap::new();
    for field in fields {
        let within = |fault| Found::within(field.at.clone(), fault);
        let tenant = TaskKey::new(&field.name).map_err(|error| within(misnamed(&error)))?;
        let value = found.inside(&field.node);
        let weight = value.small(1..=FairPolicy::MAX_WEIGHT).map_err(|fault| value.placed(fault))?;
        weights.insert(tenant, weight);
    }
    Ok(weights)
}
