//! Small batches of many callers travel together: a confirmation takes a round trip and a write to disk, for one message as
//! for five hundred. Never waits for more to come. Never talks to the broker.

use std::sync::Mutex;

use tokio::sync::oneshot;

use crate::transport::{Outgoing, PublishAnswer, TransportError};

/// Messages of a batch that goes by itself.
const LARGE: usize = 64;
/// Messages that travel together.
const TOGETHER: usize = 500;

type Answer = Result<Vec<PublishAnswer>, TransportError>;

/// A caller's batch, and where he waits for the answer.
pub(super) struct Letter {
    batch: Vec<Outgoing>,
    answer: oneshot::Sender<Answer>,
}

impl Letter {
    pub(super) fn new(batch: Vec<Outgoing>) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { batch, answer }, answered)
    }

    pub(super) fn is_large(&self) -> bool {
        self.batch.len() >= LARGE
    }
}

/// Letters that wait for a channel. Bounded by their callers, each of whom waits for his.
#[derive(Default)]
pub(super) struct Post(Mutex<Vec<Letter>>);

impl Post {
    pub(super) fn put(&self, letter: Letter) {
        self.0.lock().expect("no holder of the post panics").push(letter);
    }

    /// The longest waiting, as many as travel together. Those whose callers went away are left out: nothing of them was sent.
    pub(super) fn take(&self) -> Vec<Letter> {
        let mut waiting = self.0.lock().expect("no holder of the post panics");
        waiting.retain(|letter| !letter.answer.is_closed());
        let mut messages = 0;
        let count = waiting.iter().take_while(|letter| {
            messages += letter.batch.len();
            messages <= TOGETHER
        });
        let count = count.count();
        waiting.drain(..count).collect()
    }
}

/// Who waits for which part of the answers.
pub(super) struct Callers(Vec<(usize, oneshot::Sender<Answer>)>);

/// One batch of several.
pub(super) fn together(letters: Vec<Letter>) -> (Vec<Outgoing>, Callers) {
    let mut batch = Vec::with_capacity(letters.iter().map(|letter| letter.batch.len()).sum());
    let mut callers = Vec::with_capacity(letters.len());
    for letter in letters {
        callers.push((letter.batch.len(), letter.answer));
        batch.extend(letter.batch);
    }
    (batch, Callers(callers))
}

impl Callers {
    /// Gives each his part; an error is everybody's. A caller that went away does not want to know.
    pub(super) fn answer(self, answer: Answer) {
        let mut answers = answer.map(Vec::into_iter);
        for (count, caller) in self.0 {
            let part = match &mut answers {
                Ok(answers) => Ok(answers.take(count).collect()),
                Err(error) => Err(error.clone()),
            };
            let _ = caller.send(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::WireMessage;
    use crate::name::QueueName;

    fn batch(count: usize) -> Vec<Outgoing> {
        let outgoing = Outgoing { queue: QueueName::default_queue(), message: WireMessage::default() };
        vec![outgoing; count]
    }

    #[test]
    fn each_caller_gets_the_answers_to_his_messages() {
        let (first, mut one) = Letter::new(batch(1));
        let (second, mut two) = Letter::new(batch(2));
        let (batch, callers) = together(vec![first, second]);
        assert_eq!(batch.len(), 3);
        let [a, b, c] =
            [PublishAnswer::Unroutable, PublishAnswer::Confirmed, PublishAnswer::Refused("full".into())];
        callers.answer(Ok(vec![a.clone(), b.clone(), c.clone()]));
        assert_eq!(one.try_recv().unwrap().unwrap(), [a]);
        assert_eq!(two.try_recv().unwrap().unwrap(), [b, c]);
    }

    #[test]
    fn an_error_is_everybodys() {
        let (first, mut one) = Letter::new(batch(1));
        let (second, mut two) = Letter::new(batch(1));
        together(vec![first, second]).1.answer(Err(TransportError::Closed));
        assert!(matches!(one.try_recv(), Ok(Err(TransportError::Closed))));
        assert!(matches!(two.try_recv(), Ok(Err(TransportError::Closed))));
    }

    #[test]
    fn no_more_travel_together_than_fit_and_none_whose_caller_went_away() {
        let post = Post::default();
        let mut callers: Vec<_> = (0..12)
            .map(|_| {
                let (letter, answered) = Letter::new(batch(60));
                post.put(letter);
                answered
            })
            .collect();
        callers.remove(0);
        assert_eq!(post.take().len(), 8);
        assert_eq!(post.take().len(), 3);
        assert!(post.take().is_empty());
    }
}
