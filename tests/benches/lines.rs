//! What a long line costs: tasks that wait for the one slot of a limit.
//!
//! `cargo bench --bench lines`; `-- --tasks 10000` for a shorter line, `-- redis` for one ledger. Postgres and Redis are those
//! that `UPBEAT_TEST_POSTGRES_URL` and `UPBEAT_TEST_REDIS_URL` name. Prints a table; asserts nothing about time.

#![allow(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::{Duration, Instant};

use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, OwnedClaim, Settlement};
use upbeat_shared::limit::{LimitKind, LimitPolicy, LimitUse};
use upbeat_shared::message::{Message, Priority};
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::ledger::Probe;
use upbeat_tests::conformance::{LedgerWorld, embedded, memory, postgres, redis};
use upbeat_tests::message::message;

/// Claims in one call, as a busy worker sends them.
const BATCH: usize = 500;

/// How often what is short is done.
const ROUNDS: u32 = 200;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tasks = args.iter().skip_while(|arg| *arg != "--tasks").nth(1).and_then(|n| n.parse().ok());
    let tasks = tasks.unwrap_or(100_000_usize).min(1_000_000);
    let only = args.iter().find(|arg| ["memory", "embedded", "postgres", "redis"].contains(&arg.as_str()));
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    println!("{tasks} tasks in one line: to park all; an idle look; a slot's way; a listing");
    if wanted("memory") {
        measure::<memory::Ledger>("memory", tasks).await;
    }
    if wanted("embedded") {
        measure::<embedded::Ledger>("embedded", tasks).await;
    }
    if wanted("postgres") {
        measure::<postgres::Ledger>("postgres", tasks).await;
    }
    if wanted("redis") {
        measure::<redis::Redis8>("redis", tasks).await;
    }
}

async fn measure<W: LedgerWorld>(name: &str, tasks: usize) {
    let world = W::create().await;
    let ledger = Probe::of(&world);
    let limits = vec![LimitUse::new(LimitKind::Task, "line", LimitPolicy::default().running(1))];
    let owner = OwnerId::random();
    let mut running = claim(&ledger, owner, vec![message()], &limits).await.expect("the slot is free");

    let begun = Instant::now();
    for from in (0..tasks).step_by(BATCH) {
        // Of every priority.
        let of = |number: usize| Message { priority: priority(number), ..message() };
        let batch = (from..tasks.min(from + BATCH)).map(of).collect();
        assert!(claim(&ledger, owner, batch, &limits).await.is_none(), "everybody waits");
    }
    let parked = begun.elapsed();

    let begun = Instant::now();
    for _ in 0..ROUNDS {
        assert!(ledger.due(100).await.entries.is_empty(), "nobody is on the agenda");
    }
    let look = begun.elapsed() / ROUNDS;

    let rounds = ROUNDS.min(u32::try_from(tasks).unwrap_or(ROUNDS));
    let begun = Instant::now();
    for _ in 0..rounds {
        let verdict = Verdict::Succeeded { result: None };
        ledger.settle_all(vec![Settlement { owner, claim: running, verdict, then: Vec::new() }]).await;
        let next = ledger.only_due().await.message;
        running = claim(&ledger, owner, vec![next], &limits).await.expect("it has the slot");
    }
    let way = begun.elapsed() / rounds.max(1);

    let begun = Instant::now();
    let listed = ledger.store.inspect.limits(20).await.expect("the store lists");
    let listing = begun.elapsed();
    assert_eq!(listed[0].waiting, (tasks as u64).saturating_sub(rounds.into()));
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    println!(
        "{name:>9}: {:.1} s; {}; {}; {}",
        parked.as_secs_f64(),
        millis(look),
        millis(way),
        millis(listing)
    );
}

fn priority(number: usize) -> Priority {
    let levels = usize::from(Priority::MAX) + 1;
    u8::try_from(number % levels).ok().and_then(Priority::new).expect("it is less than ten")
}

/// Claims; the claim of the one that runs, if one does.
async fn claim(
    ledger: &Probe,
    owner: OwnerId,
    messages: Vec<Message>,
    limits: &[LimitUse],
) -> Option<OwnedClaim> {
    let asked: Vec<(Message, Token)> =
        messages.into_iter().map(|message| (message, Token::random())).collect();
    let request = |(message, token): &(Message, Token)| {
        ClaimRequest::new(message.clone(), *token).under(limits.to_vec())
    };
    let answers = ledger.claim_batch(owner, asked.iter().map(request).collect()).await;
    asked.iter().zip(answers).find_map(|((message, token), answer)| match answer {
        ClaimAnswer::Acquired(granted) => {
            Some(OwnedClaim { id: message.id, fence: granted.fence, token: *token })
        }
        _ => None,
    })
}
