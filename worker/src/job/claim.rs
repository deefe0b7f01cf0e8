//! The claim: many messages in one question to the ledger.

use std::collections::BTreeMap;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, LedgerError};
use upbeat_shared::limit::LimitKind;
use upbeat_shared::telemetry;

use super::read::Candidate;
use crate::runtime::Context;

/// Asks for the right to run each candidate; answers come in the same order. The tokens stay registered: whoever takes
/// the answers forgets those that he does not run.
pub(crate) async fn acquire(
    ctx: &Context,
    owner: OwnerId,
    candidates: &[Candidate],
) -> Result<Vec<ClaimAnswer>, LedgerError> {
    // Before the claim is sent: a sweep that finds its row meanwhile must not take it for a lost one.
    ctx.held.register(candidates.iter().map(|candidate| candidate.token));
    let answers = ctx.ledger("claim", ctx.store.ledger.claim(owner, requests(ctx, candidates))).await?;
    if answers.len() != candidates.len() {
        let text = format!("{} claims got {} answers", candidates.len(), answers.len());
        return Err(LedgerError::Invalid(text));
    }
    count(&answers);
    count_limited(ctx, candidates, &answers);
    Ok(answers)
}

fn requests(ctx: &Context, candidates: &[Candidate]) -> Vec<ClaimRequest> {
    let request = |candidate: &Candidate| {
        let limits = ctx.options.policies.uses(&candidate.message);
        ClaimRequest::new(candidate.message.clone(), candidate.token).under(limits)
    };
    candidates.iter().map(request).collect()
}

fn count(answers: &[ClaimAnswer]) {
    let mut counts = BTreeMap::<_, u64>::new();
    for answer in answers {
        *counts.entry(label(answer)).or_default() += 1;
    }
    for (label, count) in counts {
        metrics::counter!(telemetry::CLAIMS, "answer" => label).increment(count);
    }
}

/// Which kinds of limits hold tasks up, and how. Never which limit: keys are many.
fn count_limited(ctx: &Context, candidates: &[Candidate], answers: &[ClaimAnswer]) {
    for (candidate, answer) in candidates.iter().zip(answers) {
        let ClaimAnswer::Limited { by, until } = answer else { continue };
        let Some(limit) = ctx.options.policies.uses(&candidate.message).into_iter().nth(*by) else {
            continue;
        };
        limited(limit.kind(), if until.is_some() { INSTANT } else { SLOT }).increment(1);
    }
}

const SLOT: &str = "slot";
const INSTANT: &str = "instant";

fn limited(kind: LimitKind, waits_for: &'static str) -> metrics::Counter {
    metrics::counter!(telemetry::LIMITED, "limit" => kind.as_str(), "waits_for" => waits_for)
}

/// Shows what was not counted yet.
pub(super) fn show_limited() {
    for kind in LimitKind::ALL {
        limited(kind, SLOT).increment(0);
        limited(kind, INSTANT).increment(0);
    }
}

/// Every answer, so that each is shown before it was given.
pub(super) const LABELS: [&str; 7] = ["acquired", "done", "busy", "stale", "ended", "limited", "retired"];

fn label(answer: &ClaimAnswer) -> &'static str {
    match answer {
        ClaimAnswer::Acquired(_) => "acquired",
        ClaimAnswer::Done(_) => "done",
        ClaimAnswer::Busy => "busy",
        ClaimAnswer::Stale => "stale",
        ClaimAnswer::Ended(_) => "ended",
        ClaimAnswer::Limited { .. } => "limited",
        ClaimAnswer::Retired => "retired",
    }
}
