//! Programs under faults: a whole cluster on one thread, in a time of its own, and everything that can go wrong.
//!
//! Beats, workers and publishers are the ones that run in production. Each lives in a process of its own, which is a runtime
//! that the simulator turns: it is killed by being dropped, paused by not being turned, and its clock is the simulator's.
//! Each call of a port is a message on a network that loses, delays and repeats. Whatever happens comes from a seed: the
//! same seed gives the same history, to the letter.

mod broker;
mod clock;
mod engine;
mod hearts;
mod history;
mod inspect;
mod journal;
mod law;
mod ledger;
mod member;
mod net;
mod options;
mod process;
mod rows;
mod simulated;
mod strike;
mod verdict;
mod weather;

use std::future::Future;
use std::sync::Arc;

use jiff::SignedDuration;
use upbeat_shared::clock::Clock;
use upbeat_shared::ledger::memory::{MemoryLedger, MemoryOptions};
use upbeat_shared::transport::memory::MemoryBroker;

use crate::app::{App, Program};
use crate::testing::chance::Dice;
use clock::StoreHost;
use engine::Engine;
use law::Law;
use member::{Ground, Member, Part, Scenario};
use net::Net;
use weather::{Weather, millis};

pub use journal::SimulatedRun;
pub use member::Publisher;
pub use options::{Crash, Fault, SimulateOptions};
pub use simulated::{SeenCall, Simulated, Unsound};

/// How often it is asked whether all is over, in milliseconds.
const LOOK: u64 = 250;
/// How long after the storm schedules go on, so that what they missed is seen to be caught up with.
const AFTERGLOW: u64 = 5_000;

/// Runs a program under faults, and panics if a promise was broken: a task that was accepted and lost, or never ended; one
/// that was claimed twice at a time, or before it was due; a verdict that was recorded by a worker that did not hold the claim.
///
/// What a program does outside of Upbeat only its author can judge. A handler writes into its program's state, which is not
/// touched by any fault, and the test compares that with [`Simulated::tasks`] and [`Simulated::lost`].
///
/// It makes runtimes of its own: call it from a plain `#[test]`. Handlers that block their thread cannot be simulated.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use serde::{Deserialize, Serialize};
/// use upbeat::prelude::*;
/// use upbeat::testing::{SimulateOptions, seeds, simulate};
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(name = "charge")]
/// struct Charge {
///     customer: u64,
/// }
///
/// type Charged = Arc<Mutex<Vec<u64>>>;
///
/// async fn charge(task: Charge, ctx: Context<Charged>) -> Result<(), Error> {
///     let mut charged = ctx.state().lock().unwrap();
///     // Without this line, some seeds charge customers twice.
///     if !charged.contains(&task.customer) {
///         charged.push(task.customer);
///     }
///     Ok(())
/// }
///
/// for seed in seeds(5) {
///     let charged = Charged::default();
///     let app = App::new().state(charged.clone()).task(charge);
///     let simulated = simulate(app, SimulateOptions { seed, ..SimulateOptions::default() }, async |publisher| {
///         for customer in 0..5 {
///             let _ = publisher.client.publish(Charge { customer }).await;
///         }
///     });
///     let mut charged = charged.lock().unwrap().clone();
///     charged.sort();
///     charged.windows(2).for_each(|two| assert_ne!(two[0], two[1], "charged twice: {}", simulated.replay()));
/// }
/// ```
///
/// # Panics
///
/// If a promise was broken, with the seed and the end of the history; if the program cannot run.
#[track_caller]
pub fn simulate<S, F, Fut>(app: App<S>, options: SimulateOptions, scenario: F) -> Simulated
where
    F: Fn(Publisher) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    try_simulate(app, options, scenario).unwrap_or_else(|unsound| panic!("{unsound}"))
}

/// As [`simulate`], for those who want to know what was broken.
///
/// # Panics
///
/// If the program cannot run.
#[track_caller]
pub fn try_simulate<S, F, Fut>(
    app: App<S>,
    options: SimulateOptions,
    scenario: F,
) -> Result<Simulated, Unsound>
where
    F: Fn(Publisher) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let scenario: Scenario = Arc::new(move |publisher| Box::pin(scenario(publisher)));
    match run(app.into_program(), options, scenario) {
        Ok((simulated, broken)) => simulated.sound(&broken),
        Err(error) => panic!("this program cannot run: {error}"),
    }
}

/// Seeds to simulate: so many, from 0; only the one in the environment variable `UPBEAT_SEED` if there is one.
///
/// # Panics
///
/// If that is no number.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let told = std::env::var("UPBEAT_SEED").ok();
    let only =
        told.map(|seed| seed.parse::<u64>().unwrap_or_else(|_| panic!("UPBEAT_SEED={seed} is no number")));
    only.map_or(0..count, |seed| seed..seed + 1)
}

fn run(
    program: Program,
    options: SimulateOptions,
    scenario: Scenario,
) -> Result<(Simulated, Vec<String>), crate::roles::RoleError> {
    let mut dice = Dice::new(options.seed);
    // Jitter that is drawn beside the clock comes from this thread's dice.
    fastrand::seed(dice.next());
    let weather = Weather::draw(&options, &mut dice);
    let members = members(&options, &weather, &mut dice);
    let ground = ground(program, &options, scenario)?;
    let (storm, patience, seed) = (millis(options.storm), millis(options.patience), options.seed);
    let mut engine = Engine::new(ground, members, dice, options);
    engine.schedules(|_| {});
    engine.ground.net.set_wind(weather.wind);
    engine.begin(weather.strikes);
    engine.run_until(storm);
    engine.heal();
    let in_time = calm_down(&mut engine, patience);
    let broken = verdict::broken(&engine, in_time);
    Ok((Simulated::new(seed, engine), broken))
}

/// Lets everything end that was begun; answers whether it did in time.
fn calm_down(engine: &mut Engine, patience: u64) -> bool {
    let healed = engine.now;
    if !engine.ground.program.schedules.is_empty() {
        engine.run_until(healed + AFTERGLOW);
        engine.pause_schedules();
    }
    while engine.now < healed + patience {
        if engine.ground.law.is_broken() || engine.is_over() {
            return true;
        }
        engine.run_until(engine.now + LOOK);
    }
    false
}

fn members(options: &SimulateOptions, weather: &Weather, dice: &mut Dice) -> Vec<Member> {
    let beats = (0..options.beats).map(|number| (format!("beat-{number}"), Part::Beat));
    let workers = (0..options.workers).map(|number| (format!("worker-{number}"), Part::Worker));
    let publishers =
        (0..options.publishers).map(|number| (format!("publisher-{number}"), Part::Publisher(number)));
    let all = beats.chain(workers).chain(publishers).enumerate();
    all.map(|(number, (name, part))| {
        let minutes = dice.below(10 * 365 * 24 * 60);
        let (wrong, ahead) = (weather.wrong_clocks && dice.permille(500), dice.permille(500));
        let by = SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(0) * if ahead { 1 } else { -1 });
        Member::new(number, name, part, if wrong { by } else { SignedDuration::ZERO })
    })
    .collect()
}

fn ground(
    program: Program,
    options: &SimulateOptions,
    scenario: Scenario,
) -> Result<Ground, crate::roles::RoleError> {
    let mut config = options.config.clone();
    config.worker.queues = program.queues(&config);
    let registry = program.registry(&config)?;
    // Refused now rather than when a beat begins.
    program.schedules()?;
    if let Some(task) = program.tasks.iter().find(|task| task.executor.is_blocking()) {
        panic!("the handler of {} blocks its thread, which no simulator can turn", task.name);
    }
    let net = Arc::new(Net::default());
    let store_host: Arc<dyn Clock> = Arc::new(StoreHost { net: net.clone(), start: options.start });
    let law: Arc<Law> = Arc::default();
    for (queue, settings) in &config.queues {
        if let Some(running) = settings.limit.running {
            law.limit(queue.clone(), running);
        }
    }
    let limits = MemoryOptions { stale_after: config.retention.stale_after() };
    Ok(Ground {
        program,
        registry,
        config,
        start: options.start,
        scenario,
        net,
        law,
        journal: Arc::default(),
        broker: MemoryBroker::new(),
        ledger: MemoryLedger::new(store_host.clone(), limits),
        store_host,
    })
}
