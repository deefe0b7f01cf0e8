//! One process: a runtime of its own, on the simulator's thread, with a paused clock. It does nothing and ages by nothing but
//! in its turns. Dropping it is a kill: no future of it is polled again.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// A process that lives.
#[derive(Debug)]
pub(super) struct Process {
    runtime: Runtime,
    idle: Arc<Idle>,
    origin: Instant,
    /// When it began and how far it has come, in milliseconds of the simulation.
    born: u64,
    at: u64,
}

impl Process {
    #[expect(clippy::disallowed_methods, reason = "a paused clock, which the simulator alone moves")]
    pub(super) fn new(born: u64) -> Self {
        let idle = Arc::new(Idle::default());
        let parked = idle.clone();
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || parked.reached())
            .build()
            .expect("a runtime without I/O needs nothing that could be missing");
        let entered = runtime.enter();
        let origin = Instant::now();
        drop(entered);
        Self { runtime, idle, origin, born, at: born }
    }

    pub(super) fn origin(&self) -> Instant {
        self.origin
    }

    /// How far it has come.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// Its turn: it lives on until this instant, timer by timer, is handed what came for it, and goes on until nothing is
    /// left to do.
    pub(super) fn turn(&mut self, to: u64, deliver: impl FnOnce()) {
        self.at = self.at.max(to);
        let until = self.origin + Duration::from_millis(self.at - self.born);
        let idle = self.idle.clone();
        self.runtime.block_on(async move {
            tokio::time::sleep_until(until).await;
            deliver();
            idle.wait().await;
        });
    }

    /// It was stopped until this instant and did not notice: its clock jumps.
    pub(super) fn resume(&mut self, to: u64) {
        let gap = Duration::from_millis(to.saturating_sub(self.at));
        self.at = self.at.max(to);
        let idle = self.idle.clone();
        self.runtime.block_on(async move {
            tokio::time::advance(gap).await;
            idle.wait().await;
        });
    }
}

/// Tells when a runtime has nothing to do: it is about to park its thread.
#[derive(Debug, Default)]
struct Idle(Mutex<Wish>);

#[derive(Debug, Default)]
enum Wish {
    #[default]
    None,
    Waiting(Waker),
    Reached,
}

impl Idle {
    fn reached(&self) {
        let mut wish = self.0.lock().expect("no holder of the wish panics");
        if let Wish::Waiting(waker) = &*wish {
            let waker = waker.clone();
            *wish = Wish::Reached;
            drop(wish);
            // Waking keeps the runtime from moving its clock to the next timer.
            waker.wake();
        }
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut wish = self.0.lock().expect("no holder of the wish panics");
            if matches!(*wish, Wish::Reached) {
                *wish = Wish::None;
                return Poll::Ready(());
            }
            *wish = Wish::Waiting(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
