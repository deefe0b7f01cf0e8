//! Publishing: a pool of channels in confirm mode, each with a window of messages that wait for their confirmation.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::convert::{self, Bounds};
use super::link::Live;
use super::post::{self, Letter, Post};
use super::topology::Topology;
use super::{PATIENCE, Shared, explain, in_time, late, returns};
use crate::name::QueueName;
use crate::transport::{Outgoing, PublishAnswer, TransportError};

/// Channels of one process. Callers beyond that wait for one another.
const CHANNELS: usize = 8;
/// Messages of one channel that are sent and not confirmed.
const WINDOW: usize = 1000;
/// A connection that may be gone is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Publisher {
    pool: Pool<Channels>,
    tasks: TaskTracker,
    /// Small batches that wait for a channel.
    post: Post,
}

/// Makes channels, and throws those away that something happened to.
struct Channels(Arc<Shared>);

/// A channel in confirm mode.
pub(super) struct PublishChannel {
    channel: Channel,
    live: Arc<Live>,
    /// Nothing is on its way, and nothing went wrong. A caller that was dropped in between leaves it false.
    clean: bool,
}

impl managed::Manager for Channels {
    type Type = PublishChannel;
    type Error = TransportError;

    async fn create(&self) -> Result<PublishChannel, TransportError> {
        let live = self.0.publishing().await?;
        let channel = live.channel().await?;
        in_time("opening a channel", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(PublishChannel { channel, live, clean: true })
    }

    async fn recycle(&self, channel: &mut PublishChannel, _: &Metrics) -> RecycleResult<TransportError> {
        if channel.clean && channel.live.is_up() && channel.channel.status().connected() {
            Ok(())
        } else {
            Err(RecycleError::message("something happened to it"))
        }
    }
}

impl PublishChannel {
    fn bounds(&self) -> Bounds {
        Bounds {
            max_message_bytes: self.live.greeting.max_message_bytes(),
            max_frame_bytes: self.live.max_frame_bytes(),
        }
    }
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let tasks = shared.afterlife.tasks.clone();
        let pool = Pool::builder(Channels(shared)).max_size(CHANNELS).build();
        let pool = pool.expect("a pool without timeouts of its own needs no runtime");
        Self { pool, tasks, post: Post::default() }
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    pub(super) async fn publish(
        &self,
        topology: &Topology,
        batch: Vec<Outgoing>,
    ) -> Result<Vec<PublishAnswer>, TransportError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let exchange = ShortString::from(topology.exchange());
        let (letter, answered) = Letter::new(batch);
        if letter.is_large() {
            let channel = self.channel().await?;
            self.send(channel, exchange, vec![letter]);
            return answer(answered.await);
        }
        self.post.put(letter);
        // Whoever gets a channel takes along what waits with him.
        let mut answered = answered;
        loop {
            let channel = tokio::select! {
                biased;
                answered = &mut answered => return answer(answered),
                channel = self.channel() => channel?,
            };
            let letters = self.post.take();
            if letters.is_empty() {
                // Somebody has taken ours.
                drop(channel);
                return answer(answered.await);
            }
            self.send(channel, exchange.clone(), letters);
        }
    }

    /// In a task of its own: a caller that goes away leaves messages on their way, and a channel that is closed before they
    /// are written takes its whole connection with it.
    fn send(&self, channel: Object<Channels>, exchange: ShortString, letters: Vec<Letter>) {
        self.tasks.spawn(work(channel, exchange, letters));
    }

    async fn channel(&self) -> Result<Object<Channels>, TransportError> {
        let waiting = tokio::time::timeout(PATIENCE, self.pool.get());
        let got = waiting.await.map_err(|_| late("waiting for a channel to publish on"))?;
        got.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => TransportError::Closed,
            other => TransportError::Unavailable(other.to_string()),
        })
    }
}

/// A message on its way, from the connection's queue to its confirmation.
type Sending<'a> = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send + 'a>>;

fn send<'a>(
    channel: &'a Channel,
    exchange: &ShortString,
    outgoing: &'a Outgoing,
    properties: BasicProperties,
) -> Sending<'a> {
    let exchange = exchange.clone();
    Box::pin(async move {
        let key = outgoing.queue.as_str().into();
        // Only a mandatory message that no queue took is reported: it is confirmed like any other.
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        channel.basic_publish(exchange, key, options, &outgoing.message.body, properties).await?.await
    })
}

/// Some letters on one channel, which is back in the pool afterwards, or thrown away if something went wrong.
async fn work(mut channel: Object<Channels>, exchange: ShortString, letters: Vec<Letter>) {
    if let Err(error) = channel.live.unblocked().await {
        return post::together(letters).1.answer(Err(error));
    }
    channel.clean = false;
    let (batch, callers) = post::together(letters);
    let mut sent = Sent::new(&channel.live, &batch);
    match sent.publish(&channel, &exchange).await {
        Ok(()) => {
            let answers = sent.into_answers();
            channel.clean = answers.is_ok();
            callers.answer(answers);
        }
        Err(error) => {
            callers.answer(sent.answers_without_exchange().ok_or(error));
            sent.abandon().await;
        }
    }
}

fn answer(
    answered: Result<Result<Vec<PublishAnswer>, TransportError>, oneshot::error::RecvError>,
) -> Result<Vec<PublishAnswer>, TransportError> {
    answered.unwrap_or_else(|_| Err(TransportError::Unavailable("the program is ending".to_owned())))
}

fn ids(batch: &[Outgoing]) -> impl Iterator<Item = Option<&str>> + Clone {
    batch.iter().map(|outgoing| outgoing.message.message_id.as_deref())
}

/// A batch on its way.
struct Sent<'a> {
    live: &'a Live,
    batch: &'a [Outgoing],
    window: VecDeque<(usize, Sending<'a>)>,
    answers: Vec<PublishAnswer>,
    /// Ids of messages that came back, with whichever confirmation.
    returned: Vec<Option<String>>,
    /// There is no exchange: nobody has declared a queue yet.
    no_exchange: bool,
}

impl<'a> Sent<'a> {
    fn new(live: &'a Live, batch: &'a [Outgoing]) -> Self {
        Self {
            live,
            batch,
            window: VecDeque::with_capacity(WINDOW.min(batch.len())),
            answers: vec![PublishAnswer::Confirmed; batch.len()],
            returned: Vec::new(),
            no_exchange: false,
        }
    }

    /// Sends everything in its order, and returns when everything is confirmed.
    async fn publish(
        &mut self,
        channel: &'a PublishChannel,
        exchange: &ShortString,
    ) -> Result<(), TransportError> {
        let alone = returns::unrecognisable(ids(self.batch));
        let bounds = channel.bounds();
        for (place, outgoing) in self.batch.iter().enumerate() {
            let properties = match convert::properties(&outgoing.message, bounds) {
                Ok(properties) => properties,
                Err(reason) => {
                    self.answers[place] = PublishAnswer::Refused(reason);
                    continue;
                }
            };
            let sending = send(&channel.channel, exchange, outgoing, properties);
            if alone[place] {
                self.push_alone(place, sending).await?;
            } else {
                self.confirm_down_to(WINDOW - 1).await?;
                self.push(place, sending)?;
            }
        }
        self.confirm_down_to(0).await
    }

    /// Waits until nothing is on its way any more. Nobody waits for the answers.
    async fn abandon(mut self) {
        while let Some((_, sending)) = self.window.front_mut() {
            if tokio::time::timeout(LOOK, sending).await.is_ok() || !self.live.is_up() {
                self.window.pop_front();
            }
        }
    }

    /// Puts a message in the connection's queue.
    fn push(&mut self, place: usize, mut sending: Sending<'a>) -> Result<(), TransportError> {
        // The first poll does it. It waits for nothing, so that the batch keeps its order without a wait for each.
        match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(confirmation) => self.confirmed(place, confirmation)?,
            Poll::Pending => self.window.push_back((place, sending)),
        }
        Ok(())
    }

    /// Sends what could not be recognised while nothing else is on its way: if something comes back, it is this.
    async fn push_alone(&mut self, place: usize, sending: Sending<'a>) -> Result<(), TransportError> {
        self.confirm_down_to(0).await?;
        let before = self.returned.len();
        self.push(place, sending)?;
        self.confirm_down_to(0).await?;
        if self.returned.len() > before {
            self.returned.truncate(before);
            self.answers[place] = PublishAnswer::Unroutable;
        }
        Ok(())
    }

    /// Waits until at most so many wait for their confirmation.
    async fn confirm_down_to(&mut self, limit: usize) -> Result<(), TransportError> {
        while self.window.len() > limit {
            let Some((place, sending)) = self.window.front_mut() else { break };
            let place = *place;
            match tokio::time::timeout(PATIENCE, sending).await {
                Ok(confirmation) => {
                    self.window.pop_front();
                    self.confirmed(place, confirmation)?;
                }
                Err(_) => return Err(self.live.blocked().unwrap_or_else(|| late("publishing"))),
            }
        }
        Ok(())
    }

    fn confirmed(
        &mut self,
        place: usize,
        confirmation: lapin::Result<Confirmation>,
    ) -> Result<(), TransportError> {
        let confirmation = confirmation.map_err(|error| {
            self.no_exchange |= explain::is_missing(&error);
            explain::call(&error, "publishing")
        })?;
        let returned = match confirmation {
            Confirmation::Ack(returned) => returned,
            Confirmation::Nack(returned) => {
                self.answers[place] = PublishAnswer::Refused(full(&self.batch[place].queue));
                returned
            }
            Confirmation::NotRequested => {
                return Err(TransportError::Refused(
                    "the broker does not confirm what is published".to_owned(),
                ));
            }
        };
        self.returned.extend(returned.map(|message| id(&message)));
        Ok(())
    }

    /// Without an exchange there is no queue either, and that is the answer. Some may have been confirmed before it was
    /// deleted: then there are two of them, which is allowed.
    fn answers_without_exchange(&self) -> Option<Vec<PublishAnswer>> {
        let answer = |answer: &PublishAnswer| match answer {
            PublishAnswer::Confirmed | PublishAnswer::Unroutable => PublishAnswer::Unroutable,
            PublishAnswer::Refused(reason) => PublishAnswer::Refused(reason.clone()),
        };
        self.no_exchange.then(|| self.answers.iter().map(answer).collect())
    }

    fn into_answers(mut self) -> Result<Vec<PublishAnswer>, TransportError> {
        let places = returns::places(ids(self.batch), &self.returned).map_err(|stranger| {
            TransportError::Unavailable(format!("the broker returned what was not published: {stranger}"))
        })?;
        for place in places {
            self.answers[place] = PublishAnswer::Unroutable;
        }
        Ok(self.answers)
    }
}

fn id(message: &BasicReturnMessage) -> Option<String> {
    message.delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned())
}

/// A broker that refuses does not say why; a quorum queue does so at its limit, and while it has no majority.
fn full(queue: &QueueName) -> String {
    format!("the queue {queue} is full: the broker refused it, as it does at a queue's length limit")
}
