//! Layers: what is done around every run, whatever its task is: timing, reporting, opening sealed arguments, setting up
//! what handlers find. Never decides what becomes of a run: that is the worker's, by the answer of the outermost layer.
//!
//! The first layer that was added is the outermost: it sees a run first and its answer last.
//!
//! ```
//! use upbeat_worker::layer::{RunLayer, RunLayers, RunNext, run_fn};
//! use upbeat_worker::{RunContext, RunResult};
//!
//! struct Announce;
//!
//! impl RunLayer for Announce {
//!     async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
//!         let (id, name) = (run.id(), run.message.name.clone());
//!         let result = next.run(run).await;
//!         if let Err(error) = &result {
//!             println!("{name} {id}: {error}");
//!         }
//!         result
//!     }
//! }
//!
//! let layers = RunLayers::new()
//!     .with(Announce)
//!     .with(run_fn(|run, next| async move { next.run(run).await }));
//! assert_eq!(layers.len(), 2);
//! ```
//!
//! A panic of the handler goes through the layers as a panic, and is caught outside of them. When a run is dropped,
//! because it is out of time, cancelled, or its worker stops, the layers' futures are dropped with it: what must be
//! undone then belongs into a value's `Drop`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use upbeat_shared::message::Payload;

use crate::executor::{Executor, RunContext, RunResult};

/// Something that is done around every run. An `async fn` implements it, and so does every function or closure from
/// [`RunContext`] and [`RunNext`] to a future of [`RunResult`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer around runs",
    note = "implement `RunLayer` with `async fn run(&self, run: RunContext, next: RunNext) -> RunResult`, or give a closure: \
            `run_fn(|run, next| async move {{ next.run(run).await }})`"
)]
pub trait RunLayer: Send + Sync + 'static {
    /// Runs `next` with `run`, or with another than it was given, or not at all; answers how the run ended.
    fn run(&self, run: RunContext, next: RunNext) -> impl Future<Output = RunResult> + Send;
}

impl<F, Fut> RunLayer for F
where
    F: Fn(RunContext, RunNext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = RunResult> + Send,
{
    fn run(&self, run: RunContext, next: RunNext) -> impl Future<Output = RunResult> + Send {
        self(run, next)
    }
}

/// A closure as a layer: it is what it is given, and here the compiler learns the types of its parameters.
pub fn run_fn<F, Fut>(layer: F) -> F
where
    F: Fn(RunContext, RunNext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = RunResult> + Send,
{
    layer
}

/// Layers around every run of a worker, the first one outermost. Cheap to clone.
#[derive(Clone, Default)]
pub struct RunLayers {
    /// `None` where there is none: a run without layers pays nothing for them.
    layers: Option<Arc<[Arc<dyn Erased>]>>,
}

impl RunLayers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer, inside of those that are there.
    pub fn with(self, layer: impl RunLayer) -> Self {
        let layer: Arc<dyn Erased> = Arc::new(layer);
        let layers = self.layers.iter().flat_map(|layers| layers.iter().cloned()).chain([layer]);
        Self { layers: Some(layers.collect()) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.layers.as_ref().map_or(0, |layers| layers.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The layers, and within them what runs the task: for running an executor as a worker with these layers does.
    pub fn around(&self, executor: Arc<dyn Executor>) -> RunNext {
        RunNext { layers: self.layers.clone(), passed: 0, executor }
    }
}

impl fmt::Debug for RunLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLayers").field("layers", &self.len()).finish()
    }
}

/// What is inside of a layer: the next one, or what runs the task.
#[must_use = "the task does not run unless this is run"]
pub struct RunNext {
    layers: Option<Arc<[Arc<dyn Erased>]>>,
    passed: usize,
    executor: Arc<dyn Executor>,
}

impl RunNext {
    /// Goes on with this run.
    pub async fn run(mut self, run: RunContext) -> RunResult {
        let next = self.layers.as_ref().and_then(|layers| layers.get(self.passed)).cloned();
        match next {
            Some(layer) => {
                self.passed += 1;
                layer.erased(run, self).await
            }
            None => self.executor.run(&run).await,
        }
    }
}

impl fmt::Debug for RunNext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunNext").field("executor", &self.executor.describe()).finish_non_exhaustive()
    }
}

impl RunContext {
    /// The same run with other arguments, such as those that were sealed and are opened now.
    pub fn with_args(mut self, args: Payload) -> Self {
        Arc::make_mut(&mut self.message).args = args;
        self
    }
}

/// A layer of any type.
trait Erased: Send + Sync {
    fn erased(&self, run: RunContext, next: RunNext) -> BoxFuture<'_, RunResult>;
}

impl<L: RunLayer> Erased for L {
    fn erased(&self, run: RunContext, next: RunNext) -> BoxFuture<'_, RunResult> {
        self.run(run, next).boxed()
    }
}

#[cfg(test)]
mod tests;
