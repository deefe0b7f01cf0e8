//! The threads on which handlers may block, and who sits on which. Never runs anything that waits for a thread of its own.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::executor::{RunResult, TaskError};

type Work = Box<dyn FnOnce() + Send>;

/// Threads for handlers that block. They end when the pool and every seat are gone and what runs has returned.
pub(crate) struct Pool {
    /// One permit a thread. Whoever holds one finds a thread that waits for work.
    seats: Arc<Semaphore>,
    work: SyncSender<Work>,
}

/// A thread for one run.
pub(crate) struct Seat {
    /// Until the handler takes it onto its thread.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    work: SyncSender<Work>,
    /// Set when the handler begins, cancelled when it has returned.
    vacated: OnceLock<CancellationToken>,
}

impl Pool {
    /// Starts so many threads.
    pub(crate) fn start(threads: u32) -> io::Result<Self> {
        let size = threads as usize;
        let (work, next) = sync_channel(size);
        let next = Arc::new(Mutex::new(next));
        for number in 1..=threads {
            let next = next.clone();
            thread::Builder::new().name(format!("upbeat-task-{number}")).spawn(move || serve(&next))?;
        }
        Ok(Self { seats: Arc::new(Semaphore::new(size)), work })
    }

    /// Waits for a thread, behind those who came before.
    pub(crate) async fn seat(&self) -> Arc<Seat> {
        let permit = self.seats.clone().acquire_owned().await.expect("the semaphore is never closed");
        Arc::new(Seat { permit: Mutex::new(Some(permit)), work: self.work.clone(), vacated: OnceLock::new() })
    }
}

impl Seat {
    /// Gives the thread back if no handler has begun on it.
    pub(crate) fn leave(&self) {
        self.take();
    }

    /// Whether a handler is on the thread.
    pub(crate) fn is_taken(&self) -> bool {
        self.vacated.get().is_some_and(|vacated| !vacated.is_cancelled())
    }

    /// Waits until no handler is on the thread.
    pub(crate) async fn vacated(&self) {
        if let Some(vacated) = self.vacated.get() {
            vacated.cancelled().await;
        }
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.permit.lock().expect("no holder of the permit panics").take()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("taken", &self.is_taken()).finish_non_exhaustive()
    }
}

/// Runs a handler on the thread that is kept for it; on one of its own where none is, outside of a worker.
pub(super) async fn run_on(
    seat: Option<&Seat>,
    handler: impl FnOnce() -> RunResult + Send + 'static,
) -> RunResult {
    let (answer, answered) = oneshot::channel();
    let (runtime, span) = (Handle::current(), tracing::Span::current());
    let handler = move || {
        // Handlers may hand work to the runtime, and wait for it.
        let _runtime = runtime.enter();
        let ended = span.in_scope(|| catch_unwind(AssertUnwindSafe(handler)));
        // Nobody listens where the run was given up.
        let _: Result<(), Ended> = answer.send(ended);
    };
    let begun = match seat.and_then(|seat| Some((seat, seat.take()?))) {
        Some((seat, permit)) => begin(seat, permit, handler),
        None => thread::Builder::new().name("upbeat-task".to_owned()).spawn(handler).is_ok(),
    };
    if !begun {
        return Err(TaskError::Retry("no thread could be had for it".to_owned()));
    }
    match answered.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(TaskError::Retry("its thread ended without an answer".to_owned())),
    }
}

/// What a handler returned, or what it panicked with.
type Ended = Result<RunResult, Box<dyn Any + Send>>;

/// Hands the handler to a thread of the pool, which is free: this seat is kept on it.
fn begin(seat: &Seat, permit: OwnedSemaphorePermit, handler: impl FnOnce() + Send + 'static) -> bool {
    let vacated = seat.vacated.get_or_init(CancellationToken::new).clone().drop_guard();
    let work: Work = Box::new(move || {
        handler();
        // In this order: whoever hears that the thread is free finds it so.
        drop(permit);
        drop(vacated);
    });
    // It never waits: there are no more permits than there is room.
    seat.work.send(work).is_ok()
}

fn serve(next: &Mutex<Receiver<Work>>) {
    loop {
        let work = next.lock().expect("nothing panics while it waits for work").recv();
        let Ok(work) = work else { return };
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_handlers_run_than_there_are_threads() {
        let pool = Pool::start(1).unwrap();
        let first = pool.seat().await;
        let (let_go, held) = sync_channel::<()>(1);
        let running = tokio::spawn({
            let first = first.clone();
            async move {
                let handler = move || {
                    held.recv().unwrap();
                    Ok(None)
                };
                run_on(Some(&first), handler).await
            }
        });
        let mut second = Box::pin(pool.seat());
        assert!(futures_util::poll!(&mut second).is_pending());
        let_go.send(()).unwrap();
        running.await.unwrap().unwrap();
        let second = second.await;
        first.vacated().await;
        assert!(!first.is_taken() && !second.is_taken());
    }

    #[tokio::test]
    async fn a_thread_outlives_a_panic_and_a_seat_that_nobody_used_is_free_again() {
        let pool = Pool::start(1).unwrap();
        let seat = pool.seat().await;
        let panicked = tokio::spawn(async move { run_on(Some(&seat), || panic!("boom")).await }).await;
        assert!(panicked.unwrap_err().is_panic());
        let unused = pool.seat().await;
        unused.leave();
        let seat = pool.seat().await;
        assert_eq!(run_on(Some(&seat), || Ok(None)).await, Ok(None));
    }
}
