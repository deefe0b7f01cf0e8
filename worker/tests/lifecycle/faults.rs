//! A ledger that fails on command, and a broker that remembers what was acknowledged.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::{
    ClaimAnswer, ClaimRequest, Ledger, LedgerError, OwnedClaim, SettleAnswer, Settlement,
};
use upbeat_shared::limit::Turn;
use upbeat_shared::member::{Heartbeat, HeartbeatAnswer};
use upbeat_shared::message::WireMessage;
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::{
    Acknowledge, Consumer, Delivery, DeliveryTag, Depth, Outgoing, PublishAnswer, Transport, TransportError,
};

/// What happened, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Claimed(TaskId),
    Settled(TaskId, SettleAnswer),
    Acknowledged(TaskId),
    GivenBack(TaskId),
}

/// What was seen of a worker from outside.
#[derive(Clone, Default, Debug)]
pub(crate) struct Log(Arc<Mutex<Vec<Event>>>);

impl Log {
    fn add(&self, events: impl Iterator<Item = Event>) {
        self.0.lock().unwrap().extend(events);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| which(event)).count()
    }
}

/// Fails when told to.
pub(crate) struct FaultyLedger {
    inner: Arc<dyn Ledger>,
    log: Log,
    /// Every call fails before it reaches the store.
    pub(crate) down: AtomicBool,
    /// The next calls of these names reach the store, and their answers get lost.
    pub(crate) lose: Mutex<VecDeque<&'static str>>,
    /// Results are refused as unreadable.
    pub(crate) refuse_results: AtomicBool,
    /// Verdicts are refused that something follows.
    pub(crate) refuse_then: AtomicBool,
}

impl FaultyLedger {
    pub(crate) fn new(inner: Arc<dyn Ledger>, log: Log) -> Self {
        let [down, refuse_results, refuse_then] = [(); 3].map(|()| AtomicBool::new(false));
        Self { inner, log, down, lose: Mutex::default(), refuse_results, refuse_then }
    }

    async fn pass<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let unavailable = |why: &str| Err(LedgerError::Unavailable(why.into()));
        if self.down.load(Ordering::SeqCst) {
            return unavailable("it is down");
        }
        let answer = answer.await?;
        let lost = self.lose.lock().unwrap().pop_front_if(|next| *next == call);
        if lost.is_some() { unavailable("the answer got lost") } else { Ok(answer) }
    }
}

impl fmt::Debug for FaultyLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyLedger")
    }
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn now(&self) -> Result<Timestamp, LedgerError> {
        self.pass("now", self.inner.now()).await
    }

    async fn claim(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Result<Vec<ClaimAnswer>, LedgerError> {
        let ids: Vec<_> = batch.iter().map(|request| request.message.id).collect();
        let answers = self.pass("claim", self.inner.claim(owner, batch)).await?;
        let acquired = ids.into_iter().zip(&answers);
        let acquired = acquired.filter(|(_, answer)| matches!(answer, ClaimAnswer::Acquired(_)));
        self.log.add(acquired.map(|(id, _)| Event::Claimed(id)));
        Ok(answers)
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<SettleAnswer>, LedgerError> {
        use upbeat_shared::verdict::Verdict::Succeeded;
        let has_result =
            |settlement: &Settlement| matches!(settlement.verdict, Succeeded { result: Some(_) });
        if self.refuse_results.load(Ordering::SeqCst) && batch.iter().any(has_result) {
            return Err(LedgerError::Invalid("it stores no results today".into()));
        }
        let is_followed = |settlement: &Settlement| !settlement.then.is_empty();
        if self.refuse_then.load(Ordering::SeqCst) && batch.iter().any(is_followed) {
            return Err(LedgerError::Invalid("nothing follows today".into()));
        }
        let ids: Vec<_> = batch.iter().map(|settlement| settlement.claim.id).collect();
        let answers = self.pass("settle", self.inner.settle(batch)).await?;
        self.log.add(ids.into_iter().zip(&answers).map(|(id, answer)| Event::Settled(id, *answer)));
        Ok(answers)
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, LedgerError> {
        self.pass("heartbeat", self.inner.heartbeat(heartbeat)).await
    }

    async fn line_up(&self, turns: Vec<Turn>) -> Result<Vec<bool>, LedgerError> {
        self.pass("line_up", self.inner.line_up(turns)).await
    }

    async fn mine(&self, owner: OwnerId) -> Result<Vec<OwnedClaim>, LedgerError> {
        self.pass("mine", self.inner.mine(owner)).await
    }

    async fn release(&self, owner: OwnerId, claims: Vec<OwnedClaim>) -> Result<u64, LedgerError> {
        self.pass("release", self.inner.release(owner, claims)).await
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), LedgerError> {
        self.pass("leave", self.inner.leave(owner)).await
    }
}

/// Remembers which task each delivery was.
#[derive(Debug)]
pub(crate) struct SeenTransport {
    pub(crate) inner: Arc<dyn Transport>,
    pub(crate) log: Log,
}

#[async_trait]
impl Transport for SeenTransport {
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError> {
        self.inner.declare(queues).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        self.inner.publish(batch).await
    }

    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Box<dyn Consumer>, TransportError> {
        let inner = self.inner.consume(queue, prefetch).await?;
        let acknowledge = Arc::new(SeenAcknowledge {
            inner: inner.acknowledger(),
            log: self.log.clone(),
            ids: Mutex::default(),
        });
        Ok(Box::new(SeenConsumer { inner, acknowledge }))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError> {
        self.inner.depth(queue).await
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, TransportError> {
        self.inner.purge(queue).await
    }

    async fn ping(&self) -> Result<(), TransportError> {
        self.inner.ping().await
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct SeenConsumer {
    inner: Box<dyn Consumer>,
    acknowledge: Arc<SeenAcknowledge>,
}

#[async_trait]
impl Consumer for SeenConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, TransportError> {
        let deliveries = self.inner.next(max).await?;
        let id = |message: &WireMessage| message.message_id.as_deref().and_then(|id| id.parse().ok());
        let ids = deliveries.iter().filter_map(|delivery| Some((delivery.tag, id(&delivery.message)?)));
        self.acknowledge.ids.lock().unwrap().extend(ids);
        Ok(deliveries)
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledge> {
        self.acknowledge.clone()
    }
}

struct SeenAcknowledge {
    inner: Arc<dyn Acknowledge>,
    log: Log,
    ids: Mutex<Vec<(DeliveryTag, TaskId)>>,
}

impl SeenAcknowledge {
    fn see(&self, tags: &[DeliveryTag], event: fn(TaskId) -> Event) {
        let ids = self.ids.lock().unwrap();
        self.log.add(ids.iter().filter(|(tag, _)| tags.contains(tag)).map(|(_, id)| event(*id)));
    }
}

#[async_trait]
impl Acknowledge for SeenAcknowledge {
    async fn acknowledge(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        self.see(&tags, Event::Acknowledged);
        self.inner.acknowledge(tags).await
    }

    async fn give_back(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        self.see(&tags, Event::GivenBack);
        self.inner.give_back(tags).await
    }
}
