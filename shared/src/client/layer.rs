//! Layers: what is done around every publish of a client. Checks nothing and gives no ids: that comes inside of the
//! innermost one.
//!
//! The first layer that was added is the outermost: it sees tasks first and their answers last. What a layer changes is
//! checked afterwards as if the publisher had written it: limits, dedup ids, queues.
//!
//! ```
//! use upbeat_shared::client::{NewTask, PublishError, PublishLayer, PublishLayers, PublishNext, Published};
//!
//! /// Every task says which release published it.
//! struct Release(&'static str);
//!
//! impl PublishLayer for Release {
//!     async fn publish(
//!         &self,
//!         mut tasks: Vec<NewTask>,
//!         next: PublishNext,
//!     ) -> Result<Vec<Published>, PublishError> {
//!         for task in &mut tasks {
//!             task.tags.push(format!("release:{}", self.0));
//!         }
//!         next.publish(tasks).await
//!     }
//! }
//!
//! let layers = PublishLayers::new().with(Release("2026.5"));
//! assert_eq!(layers.len(), 1);
//! ```
//!
//! Occurrences of schedules are not published by a client, and pass no layer. What is published in a transaction of the
//! user's own passes them before it is written: there, no answer says that a task is a duplicate.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

#[cfg(any(feature = "embedded", feature = "postgres"))]
use super::outbox::Outbox;
use super::{Client, NewTask, PublishError, Published};

type Answers = Result<Vec<Published>, PublishError>;

/// Something that is done around every publish. An `async fn` implements it, and so does every function or closure from
/// `Vec<NewTask>` and [`PublishNext`] to a future of the answers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer around publishes",
    note = "implement `PublishLayer` with `async fn publish(&self, tasks: Vec<NewTask>, next: PublishNext) -> \
            Result<Vec<Published>, PublishError>`, or give a closure: `publish_fn(|tasks, next| async move {{ \
            next.publish(tasks).await }})`"
)]
pub trait PublishLayer: Send + Sync + 'static {
    /// Publishes these tasks, or others in their place; answers for each that it was given, in their order. Refuses them
    /// all with an error; [`PublishError::Invalid`] says why.
    fn publish(&self, tasks: Vec<NewTask>, next: PublishNext) -> impl Future<Output = Answers> + Send;
}

impl<F, Fut> PublishLayer for F
where
    F: Fn(Vec<NewTask>, PublishNext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answers> + Send,
{
    fn publish(&self, tasks: Vec<NewTask>, next: PublishNext) -> impl Future<Output = Answers> + Send {
        self(tasks, next)
    }
}

/// A closure as a layer: it is what it is given, and here the compiler learns the types of its parameters.
pub fn publish_fn<F, Fut>(layer: F) -> F
where
    F: Fn(Vec<NewTask>, PublishNext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answers> + Send,
{
    layer
}

/// Layers around every publish of a client, the first one outermost. Cheap to clone.
#[derive(Clone, Default)]
pub struct PublishLayers {
    /// `None` where there is none: a publish without layers pays nothing for them.
    layers: Option<Arc<[Arc<dyn Erased>]>>,
}

impl PublishLayers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer, inside of those that are there.
    pub fn with(self, layer: impl PublishLayer) -> Self {
        let layer: Arc<dyn Erased> = Arc::new(layer);
        self.followed_by([layer])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_none()
    }

    fn all(&self) -> &[Arc<dyn Erased>] {
        self.layers.as_deref().unwrap_or_default()
    }

    fn followed_by(&self, inner: impl IntoIterator<Item = Arc<dyn Erased>>) -> Self {
        let layers: Arc<[_]> = self.all().iter().cloned().chain(inner).collect();
        Self { layers: (!layers.is_empty()).then_some(layers) }
    }
}

impl fmt::Debug for PublishLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishLayers").field("layers", &self.len()).finish()
    }
}

/// What is inside of a layer: the next one, or the publish itself.
#[must_use = "nothing is published unless this is used"]
#[derive(Debug)]
pub struct PublishNext {
    client: Client,
    passed: usize,
    /// Where the tasks go, if not to ledger and broker.
    #[cfg(any(feature = "embedded", feature = "postgres"))]
    outbox: Option<Outbox>,
}

impl PublishNext {
    /// Goes on with these tasks; answers for each, in their order.
    pub async fn publish(mut self, tasks: Vec<NewTask>) -> Answers {
        let next = self.client.layers.all().get(self.passed).cloned();
        let Some(layer) = next else { return self.innermost(tasks).await };
        self.passed += 1;
        let asked = tasks.len();
        let answers = layer.erased(tasks, self).await?;
        if answers.len() != asked {
            // Whoever is outside goes by the order of the answers.
            return Err(PublishError::Invalid(format!(
                "a publish layer gave {} answers for {asked} tasks, and must give one for each; some may be accepted",
                answers.len()
            )));
        }
        Ok(answers)
    }

    fn from_outside(client: &Client) -> Self {
        Self {
            client: client.clone(),
            passed: 0,
            #[cfg(any(feature = "embedded", feature = "postgres"))]
            outbox: None,
        }
    }

    /// Tasks end in this outbox.
    #[cfg(any(feature = "embedded", feature = "postgres"))]
    pub(super) fn into_outbox(client: &Client, outbox: &Outbox) -> Self {
        Self { outbox: Some(outbox.clone()), ..Self::from_outside(client) }
    }

    async fn innermost(self, tasks: Vec<NewTask>) -> Answers {
        #[cfg(any(feature = "embedded", feature = "postgres"))]
        if let Some(outbox) = &self.outbox {
            return self.client.collect(outbox, tasks).await;
        }
        self.client.publish_checked(tasks).await
    }
}

impl Client {
    /// The same client with these layers around every publish, inside of those that it has already.
    pub fn with_layers(&self, layers: &PublishLayers) -> Self {
        Self { layers: self.layers.followed_by(layers.all().iter().cloned()), ..self.clone() }
    }

    /// Publishes through the layers.
    pub(super) async fn publish_layered(&self, tasks: Vec<NewTask>) -> Answers {
        if self.layers.is_empty() {
            return self.publish_checked(tasks).await;
        }
        PublishNext::from_outside(self).publish(tasks).await
    }
}

/// A layer of any type.
trait Erased: Send + Sync {
    fn erased(&self, tasks: Vec<NewTask>, next: PublishNext) -> BoxFuture<'_, Answers>;
}

impl<L: PublishLayer> Erased for L {
    fn erased(&self, tasks: Vec<NewTask>, next: PublishNext) -> BoxFuture<'_, Answers> {
        self.publish(tasks, next).boxed()
    }
}

#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests {
    use super::*;
    use crate::client::{ClientOptions, TaskHandle};
    use crate::clock::{Clock, StoreClock, SystemClock};
    use crate::ledger::Store;
    use crate::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
    use crate::message::Payload;
    use crate::name::TaskName;
    use crate::sqlite::SqliteFile;
    use crate::transport::embedded::EmbeddedTransport;

    async fn client() -> (Client, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let file = SqliteFile::open(&folder.path().join("upbeat.db"), clock.clone()).unwrap();
        let ledger = EmbeddedLedger::open(file.clone(), EmbeddedOptions::default()).await.unwrap();
        let transport = EmbeddedTransport::open(file).await.unwrap();
        let clock = Arc::new(StoreClock::new(clock));
        (Client::new(transport, Store::from_adapter(ledger), clock, ClientOptions::default()), folder)
    }

    fn task() -> NewTask {
        NewTask::new(TaskName::new("a").unwrap(), Payload::json(&1).unwrap())
    }

    /// Adds a tag to every task.
    struct Tag(&'static str);

    impl PublishLayer for Tag {
        async fn publish(&self, mut tasks: Vec<NewTask>, next: PublishNext) -> Answers {
            for task in &mut tasks {
                task.tags.push(self.0.to_owned());
            }
            next.publish(tasks).await
        }
    }

    async fn tags(published: TaskHandle) -> Vec<String> {
        published.record().await.unwrap().expect("it was published").message.tags
    }

    #[tokio::test]
    async fn the_first_layer_is_the_outermost_and_later_ones_are_inside() {
        let (client, _folder) = client().await;
        let client = client.with_layers(&PublishLayers::new().with(Tag("first")).with(Tag("second")));
        let inner = client.with_layers(&PublishLayers::new().with(Tag("third")));
        let published = inner.publish(task()).await.unwrap();
        assert_eq!(tags(published).await, ["first", "second", "third"]);
        let published = client.continuing(None).publish(task()).await.unwrap();
        assert_eq!(tags(published).await, ["first", "second"], "as a handler's client has them");
    }

    #[tokio::test]
    async fn what_a_layer_makes_of_a_task_is_checked() {
        let (client, _folder) = client().await;
        let layers = PublishLayers::new().with(publish_fn(|tasks, next| {
            next.publish(tasks.into_iter().map(|task| task.dedup_id("")).collect())
        }));
        let error = client.with_layers(&layers).publish(task()).await.unwrap_err();
        assert!(error.to_string().contains("dedup id"), "{error}");
    }

    #[tokio::test]
    async fn a_layer_can_refuse_and_nothing_is_published() {
        let (client, _folder) = client().await;
        let layers = PublishLayers::new()
            .with(publish_fn(|_, _| async { Err(PublishError::Invalid("not on a Friday".into())) }));
        let error = client.with_layers(&layers).publish(task()).await.unwrap_err();
        assert_eq!(error.to_string(), "not on a Friday");
        assert_eq!(client.store().inspect.queues().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_layer_that_answers_for_too_few_is_an_error_and_no_panic() {
        let (client, _folder) = client().await;
        let layers = PublishLayers::new().with(publish_fn(|_, _| async { Ok(Vec::new()) }));
        let error = client.with_layers(&layers).publish(task()).await.unwrap_err();
        assert!(error.to_string().contains("0 answers for 1 tasks"), "{error}");
    }
}
