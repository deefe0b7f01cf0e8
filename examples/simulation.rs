//! A handler that must not run twice, and does: a simulated cluster finds the seed that shows it.
//!
//! ```sh
//! cargo run --example simulation --features testing
//! ```
//!
//! In a package of your own this is a test: `#[test]` stands over the function, and `Cargo.toml` has
//! `upbeat = { version = "…", features = ["testing"] }` under `[dev-dependencies]`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::id::TaskId;
use upbeat::prelude::*;
use upbeat::testing::{SimulateOptions, Simulated, seeds, simulate};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing.charge")]
struct Charge {
    customer: u64,
}

/// The bank: what it was asked to take, and under which key.
#[derive(Clone, Default)]
struct Bank(Arc<Mutex<Vec<Charged>>>);

/// A customer, and the key.
type Charged = (u64, Option<TaskId>);

impl Bank {
    /// Takes the money, unless it was asked under this key before.
    async fn charge(&self, customer: u64, key: Option<TaskId>) {
        // A bank takes its time, in which a worker can die.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.take(customer, key);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    fn take(&self, customer: u64, key: Option<TaskId>) {
        let mut charges = self.0.lock().expect("no holder panics");
        if key.is_none() || !charges.iter().any(|(_, other)| *other == key) {
            charges.push((customer, key));
        }
    }

    /// Who was charged more than once.
    fn charged_twice(&self) -> Vec<u64> {
        let mut times = BTreeMap::new();
        for (customer, _) in self.0.lock().expect("no holder panics").iter() {
            *times.entry(*customer).or_insert(0) += 1;
        }
        times.into_iter().filter(|(_, times)| *times > 1).map(|(customer, _)| customer).collect()
    }
}

/// The planted bug: a worker that dies between the charge and the settle leaves a task that is run again.
async fn charge(task: Charge, ctx: Context<Bank>) -> Result<(), Error> {
    ctx.state().charge(task.customer, None).await;
    Ok(())
}

/// The same with the task's id as the key: the bank knows when it is asked again.
async fn charge_once(task: Charge, ctx: Context<Bank>) -> Result<(), Error> {
    ctx.state().charge(task.customer, Some(ctx.id())).await;
    Ok(())
}

/// One history: five customers are charged while all kinds of things go wrong.
fn history(app: impl FnOnce(App<Bank>) -> App<Bank>, seed: u64) -> (Bank, Simulated) {
    let bank = Bank::default();
    let options = SimulateOptions { seed, ..SimulateOptions::default() };
    let simulated = simulate(app(App::new().state(bank.clone())), options, |publisher| async move {
        for customer in 0..5 {
            // Whoever is not sure publishes again, under the same dedup id: that is no second task.
            let publish =
                || publisher.client.publish(Charge { customer }).dedup_id(format!("bill {customer}"));
            while publish().await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    (bank, simulated)
}

fn main() {
    let found = seeds(200).find_map(|seed| {
        let (bank, simulated) = history(|app| app.task(charge), seed);
        (!bank.charged_twice().is_empty()).then_some((seed, bank, simulated))
    });
    let (seed, bank, simulated) = found.expect("one of 200 seeds charges somebody twice");
    println!("seed {seed} charges the customers {:?} twice; {}", bank.charged_twice(), simulated.replay());
    let task = simulated.runs().iter().find(|run| simulated.lost(run.id) > 0).map(|run| run.id);
    println!("{}", simulated.history_of(task.expect("a task ran twice because its claim was lost")));

    for seed in seeds(200) {
        let (bank, simulated) = history(|app| app.task(charge_once), seed);
        assert!(bank.charged_twice().is_empty(), "charged twice: {}", simulated.replay());
    }
    println!("with the task's id as a key, nobody is charged twice in any history");
}
