//! Histories with many faults: one seed, one history.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use upbeat::Schedule;
use upbeat::client::{Client, Record};
use upbeat::limit::LimitPolicy;
use upbeat::name::QueueName;
use upbeat::schedule::CatchUp;
use upbeat::testing::{Fault, Publisher, SimulateOptions, Simulated, try_simulate};

use super::judge;
use super::program::{Does, Effects, RETRY, Work, app};
use crate::dice::Dice;

/// The schedule of every storm: its first instant and its step.
const FIRST: &str = "2026-01-01T00:00:02Z";
const STEP: SignedDuration = SignedDuration::from_secs(7);

/// How this seed's history goes: two beats, three workers, two publishers, and every kind of fault.
pub fn options(seed: u64) -> SimulateOptions {
    let mut options =
        SimulateOptions { seed, publishers: 2, faults: Fault::ALL.to_vec(), ..SimulateOptions::default() };
    options.storm = Duration::from_secs(20);
    options.config.worker.concurrency = 3;
    options.config.worker.retry = RETRY;
    if seed % 4 == 1 {
        let queue = options.config.queues.entry(QueueName::default_queue()).or_default();
        queue.limit = LimitPolicy::default().running(2);
    }
    // A purged message of a task without a row is lost, as whoever purges wants it.
    if seed.is_multiple_of(3) {
        options.faults.retain(|fault| *fault != Fault::Purge);
        options.config.queues.entry(QueueName::default_queue()).or_default().record = Some(Record::Claim);
    }
    options
}

/// Runs it; answers what is wrong with it, if something is.
pub fn run(seed: u64) -> Result<Simulated, String> {
    run_with(options(seed))
}

/// As [`run`], otherwise than the seed says.
pub fn run_with(options: SimulateOptions) -> Result<Simulated, String> {
    let (seed, start, storm) = (options.seed, options.start, options.storm);
    let effects = Effects::default();
    let tick = Schedule::every("tick", "7s", Work { number: 0, does: Does::Work });
    let app = app(&effects).schedule(tick.starts(FIRST).catch_up(CatchUp::All));
    let simulated = try_simulate(app, options, move |publisher| publish(publisher, seed))
        .map_err(|unsound| unsound.to_string())?;
    let mut wrong = judge::effects(&simulated, &effects);
    let until = start + SignedDuration::try_from(storm).expect("a storm is short");
    let first: Timestamp = FIRST.parse().expect("an instant");
    wrong.extend(judge::occurrences(&simulated, "tick", first, STEP, until));
    if wrong.is_empty() {
        return Ok(simulated);
    }
    Err(format!("{}\n{}\n{}", wrong.join("\n"), simulated.replay(), simulated.history()))
}

/// What one publisher does: tasks of every kind, now and later, some of them twice.
async fn publish(publisher: Publisher, seed: u64) {
    let Publisher { client, number } = publisher;
    let mut dice = Dice::new(seed.wrapping_mul(2).wrapping_add(number as u64 + 1).max(1) | 1 << 40);
    for turn in 0..6_u64 {
        tokio::time::sleep(Duration::from_millis(dice.below(3000) as u64)).await;
        let task = turn + 100 * number as u64;
        publish_one(&client, &mut dice, task).await;
    }
}

async fn publish_one(client: &Client, dice: &mut Dice, number: u64) {
    let kinds = [
        Does::Work,
        Does::Sleep(300),
        Does::Sleep(4000),
        Does::Fail(2),
        Does::Snooze,
        Does::Doom,
        Does::Child,
    ];
    let does = kinds[dice.below(kinds.len())];
    let when = dice.below(6);
    let delay = Duration::from_millis(dice.below(8000) as u64);
    let twice = dice.below(3) == 0;
    let publish = || {
        let publish = client.publish(Work { number, does });
        let publish = if twice { publish.dedup_id(format!("once {number}")) } else { publish };
        match when {
            0 => publish.delay(delay),
            1 => publish.delay(Duration::from_secs(2)).expires_in(Duration::from_secs(4)),
            _ => publish,
        }
    };
    // An error says that it may have been accepted, and the journal knows.
    if publish().await.is_err() && twice {
        drop(publish().await);
    }
}
