//! Letting time pass.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock::{self, Clock};

use super::drained::Drained;
use super::{Inner, World};

/// The shortest step, where something that is due cannot be got rid of.
const SHORTEST: Duration = Duration::from_millis(1);

impl World {
    /// What the world's clock shows. Ledger, beat, worker and handlers go by it.
    pub fn now(&self) -> Timestamp {
        self.inner.now()
    }

    /// Lets so much time pass, from one event to the next: schedules fire, delays end and retries come at their very
    /// instants, and whatever becomes due by that runs.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "report")] struct Report;
    /// # async fn report(_: Report) -> Result<(), Error> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let nightly = Schedule::cron("report.nightly", "30 2 * * *", Report);
    /// let world = World::new(App::new().task(report).schedule(nightly));
    /// let week = world.advance(Duration::from_hours(7 * 24)).await.expect_runs(7);
    /// assert_eq!(week.runs[0].at.to_string(), "2026-01-01T02:30:00Z");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`World::drain`] does.
    pub async fn advance(&self, by: Duration) -> Drained {
        self.advance_to(clock::later(self.now(), by)).await
    }

    /// As [`World::advance`], up to an instant. One that has passed is no mistake: what is due now runs.
    ///
    /// # Panics
    ///
    /// As [`World::drain`] does.
    pub async fn advance_to(&self, until: Timestamp) -> Drained {
        let inner = &self.inner;
        let before = inner.runs().len();
        let _bound = inner.bound();
        loop {
            let next = inner.drain().await;
            let at = next.map_or(until, |next| next.max(clock::later(inner.now(), SHORTEST)).min(until));
            if at <= inner.now() {
                break;
            }
            inner.clock.forward_to(at);
        }
        inner.since(before)
    }

    /// Sets the clock forward at once, as if everything had stood still meanwhile: nothing runs on the way, and schedules find
    /// that they have missed their instants. [`World::drain`] shows what they make of it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let hourly = Schedule::every("hello.hourly", "1h", Hello { name: "you".to_owned() });
    /// let world = World::new(App::new().task(hello).schedule(hourly));
    /// world.set_time("2026-01-01T10:30:00Z".parse().unwrap());
    /// // Of what was missed, only the latest is caught up with, unless the schedule says otherwise.
    /// world.drain().await.expect_runs(1).expect_all_succeeded();
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the instant has passed: a ledger's time never goes back.
    #[track_caller]
    pub fn set_time(&self, at: Timestamp) {
        let now = self.now();
        assert!(at >= now, "it is {now}, later than {at}: a world's time never goes back");
        self.inner.clock.forward_to(at);
    }
}

impl Inner {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}
