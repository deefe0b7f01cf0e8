//! `on` of a task: what becomes of failures by their code.

use std::time::Duration;

use super::keys;
use super::section::Section;
use super::settings::ExecutorConfig;
use super::show::bare_or_quoted;
use super::tables::{self, MAX_TIMEOUT, misnamed};
use super::tree::Field;
use super::value::{At, Fault, brief, nearest, one_of};
use crate::reaction::{ErrorClass, PANIC, Reaction, Reactions, TIMEOUT};
use crate::retry::RetryPolicy;

const KEYS: [&str; 4] = ["give_up", "retry", "retry_after", "snooze"];

/// Reads all of `[tasks.NAME.on]`. `base` is what a `retry` there leaves unsaid.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    executor: Option<&ExecutorConfig>,
    base: RetryPolicy,
) -> Reactions {
    let mut reactions = Reactions::default();
    if section.has("on") && !section.is_table("on") {
        let help = "write on.timeout = { give_up = true }";
        section.find::<bool>("on", |found| Err(found.unlike("a table of tables").help(help)));
    }
    for Field { name, at, node } in section.named("on") {
        let class = class(&name, executor);
        let mut child = section.inner(&format!("on.{}.", bare_or_quoted(&name)), &keys::ON, node);
        let reaction = reaction(&mut child, base);
        child.finish();
        match (class, reaction) {
            (Ok(class), Some(reaction)) => reactions.set(class, reaction),
            (Ok(_), None) => {}
            (Err(fault), _) => section.cx.fault(Some(At::Text(at)), fault),
        }
    }
    reactions
}

/// What runs of these tasks can fail with, where all of it is known.
fn families(executor: Option<&ExecutorConfig>) -> Option<&'static [&'static str]> {
    match executor? {
        ExecutorConfig::Command { .. } => Some(&["exit", "signal", "not_started", TIMEOUT]),
        ExecutorConfig::Http(_) => Some(&["http", TIMEOUT]),
        ExecutorConfig::Native => None,
    }
}

fn class(name: &str, executor: Option<&ExecutorConfig>) -> Result<ErrorClass, Fault> {
    let families = families(executor);
    let family = name.split(':').next().unwrap_or_default();
    if let Some(families) = families.filter(|families| !families.contains(&family)) {
        let meant = nearest(family, families.iter().copied());
        let help = meant.map_or_else(
            || format!("known here: {}", one_of(families)),
            |meant| format!("did you mean `{meant}{}`?", &name[family.len()..]),
        );
        return Err(Fault::new(format!("no run of this task fails with `{}`", brief(name))).help(help));
    }
    ErrorClass::new(name).map_err(|error| {
        let known = families.unwrap_or(&["exit", "signal", "http", TIMEOUT, PANIC]);
        let meant = nearest(family, known.iter().copied()).filter(|meant| *meant != family);
        let fault = misnamed(&error);
        meant.map_or(fault.clone(), |meant| {
            fault.help(format!("did you mean `{meant}{}`?", &name[family.len()..]))
        })
    })
}

fn reaction(section: &mut Section<'_, '_>, base: RetryPolicy) -> Option<Reaction> {
    let said: Vec<&str> = KEYS.into_iter().filter(|key| section.has(key)).collect();
    let delay = |section: &mut Section<'_, '_>, key| {
        section.find(key, |found| found.duration(Duration::ZERO..=MAX_TIMEOUT))
    };
    let give_up = section.find("give_up", |found| {
        let fault = || Fault::new("`give_up` can only be `true`").help("leave it out where it does not hold");
        found.boolean()?.then_some(true).ok_or_else(fault)
    });
    let retry = section
        .has("retry")
        .then(|| tables::retry(section.child("retry", &keys::RETRY).inherits("tasks"), base));
    let (after, snooze) = (delay(section, "retry_after"), delay(section, "snooze"));
    if said.len() != 1 {
        let message = match said.as_slice() {
            [] => "this says not what becomes of the failure".to_owned(),
            [first, second, ..] => format!("both `{first}` and `{second}` are set"),
            [_] => unreachable!("there is not one of them"),
        };
        section.fault("", Fault::new(message).help(format!("set exactly one of {}", one_of(&KEYS))));
        return None;
    }
    let give_up = give_up.map(|_| Reaction::GiveUp);
    let after = after.map(Reaction::RetryAfter);
    give_up.or(retry.map(Reaction::Retry)).or(after).or(snooze.map(Reaction::Snooze))
}
