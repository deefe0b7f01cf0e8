//! What settles a delivery with the broker, kept apart from the message that it brought.

use std::sync::Arc;

use tokio::sync::mpsc;
use upbeat_shared::transport::{Acknowledge, DeliveryTag};

use super::in_time;

/// A delivery that is neither acknowledged nor given back yet.
pub(crate) struct Receipt {
    tag: DeliveryTag,
    acknowledge: Arc<dyn Acknowledge>,
}

impl Receipt {
    pub(crate) fn new(tag: DeliveryTag, acknowledge: Arc<dyn Acknowledge>) -> Self {
        Self { tag, acknowledge }
    }
}

/// Where deliveries go that are done with.
pub(crate) type Acks = mpsc::Sender<Vec<Receipt>>;

/// Batches acknowledged in one call of this function.
const BATCHES: usize = 64;

/// Acknowledges what comes until every sender is gone. A failure is harmless: the broker delivers again, and the ledger
/// knows the task.
pub(crate) async fn acknowledge_forever(mut done: mpsc::Receiver<Vec<Receipt>>) {
    let mut batches = Vec::new();
    while done.recv_many(&mut batches, BATCHES).await > 0 {
        acknowledge(batches.drain(..).flatten()).await;
    }
}

/// Acknowledges deliveries.
pub(crate) async fn acknowledge(receipts: impl Iterator<Item = Receipt>) {
    for (acknowledge, tags) in grouped(receipts) {
        let count = tags.len();
        if let Err(error) = in_time(acknowledge.acknowledge(tags)).await {
            tracing::debug!(count, %error, "could not acknowledge; what is delivered again is known by then");
        }
    }
    upbeat_shared::failpoint!("worker.acknowledged");
}

/// Gives deliveries back. A failure is harmless: the connection they came through is gone, and the broker has them.
pub(crate) async fn give_back(receipts: Vec<Receipt>) {
    for (acknowledge, tags) in grouped(receipts.into_iter()) {
        let count = tags.len();
        match in_time(acknowledge.give_back(tags)).await {
            Ok(()) => tracing::debug!(count, "gave deliveries back"),
            Err(error) => tracing::debug!(count, %error, "could not give deliveries back"),
        }
    }
}

/// By the consumer that they came through: few, so a search is quick.
fn grouped(receipts: impl Iterator<Item = Receipt>) -> Vec<(Arc<dyn Acknowledge>, Vec<DeliveryTag>)> {
    let mut groups: Vec<(Arc<dyn Acknowledge>, Vec<DeliveryTag>)> = Vec::new();
    for Receipt { tag, acknowledge } in receipts {
        match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &acknowledge)) {
            Some((_, tags)) => tags.push(tag),
            None => groups.push((acknowledge, vec![tag])),
        }
    }
    groups
}
