//! The network between members and what they share: every call of a port is a letter that the simulator carries, when it
//! likes, or does not carry. Decides nothing.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::history::{About, Entry, History};
use super::weather::Wind;

/// What all members and the simulator share.
#[derive(Debug, Default)]
pub(super) struct Net {
    state: Mutex<State>,
    pub(super) history: History,
}

#[derive(Debug, Default)]
struct State {
    /// Milliseconds of the simulation.
    now: u64,
    wind: Wind,
    posted: Vec<Letter>,
    overtaken: u64,
}

/// A call on its way.
pub(super) struct Letter {
    pub(super) member: usize,
    /// Which of the member's processes sent it.
    pub(super) life: u64,
    pub(super) label: &'static str,
    pub(super) about: About,
    pub(super) body: Box<dyn Body>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("label", &self.label).finish_non_exhaustive()
    }
}

/// What was seen of a call's effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its answer, in a word.
    pub(super) word: &'static str,
    /// Whether it changed anything, so that a crash before it and one after it are different.
    pub(super) notable: bool,
}

impl Seen {
    pub(super) fn quiet() -> Self {
        Self { word: "", notable: false }
    }

    pub(super) fn notable(word: &'static str) -> Self {
        Self { word, notable: true }
    }
}

/// What the simulator can do with a call.
pub(super) trait Body: Send {
    /// It takes effect; `twice` where that makes sense.
    fn act(&mut self, twice: bool) -> Seen;
    /// Its caller gets the answer.
    fn answer(self: Box<Self>);
    /// Its caller gets an error instead.
    fn fail(self: Box<Self>, why: &str);
}

struct Request<T, E, F> {
    act: Option<F>,
    see: fn(&T) -> Seen,
    done: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    away: fn(String) -> E,
}

impl<T, E, F> Body for Request<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(bool) -> Result<T, E> + Send,
{
    fn act(&mut self, twice: bool) -> Seen {
        let act = self.act.take().expect("a call takes effect once");
        let done = act(twice);
        let seen = done.as_ref().map_or(Seen { word: "refused", notable: true }, self.see);
        self.done = Some(done);
        seen
    }

    fn answer(self: Box<Self>) {
        let done = self.done.expect("only what took effect has an answer");
        // Nobody waits any more if its caller is gone or out of patience.
        drop(self.reply.send(done));
    }

    fn fail(self: Box<Self>, why: &str) {
        drop(self.reply.send(Err((self.away)(why.to_owned()))));
    }
}

/// One process's end of the network.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) net: Arc<Net>,
    pub(super) member: usize,
    pub(super) life: u64,
}

/// What distinguishes one kind of call from another.
pub(super) struct Kind<T, E> {
    pub(super) label: &'static str,
    pub(super) see: fn(&T) -> Seen,
    pub(super) away: fn(String) -> E,
}

impl Line {
    /// Sends a call and waits for its answer.
    pub(super) async fn ask<T, E, F>(&self, kind: Kind<T, E>, about: About, act: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(bool) -> Result<T, E> + Send + 'static,
    {
        let Kind { label, see, away } = kind;
        let (reply, answer) = oneshot::channel();
        let body = Box::new(Request { act: Some(act), see, done: None, reply, away });
        let (member, life) = (self.member, self.life);
        self.net.state().posted.push(Letter { member, life, label, about, body });
        answer.await.unwrap_or_else(|_| Err(away("the connection is gone".to_owned())))
    }

    /// Writes a line of the history.
    pub(super) fn note(&self, what: &'static str, label: &'static str, about: About) {
        self.net.note(self.member, what, label, about);
    }
}

impl Net {
    pub(super) fn now(&self) -> u64 {
        self.state().now
    }

    pub(super) fn set_now(&self, now: u64) {
        self.state().now = now;
    }

    pub(super) fn wind(&self) -> Wind {
        self.state().wind
    }

    pub(super) fn set_wind(&self, wind: Wind) {
        self.state().wind = wind;
    }

    /// A delivery is held up.
    pub(super) fn holds_up(&self) {
        self.state().overtaken += 1;
    }

    /// How many deliveries were.
    pub(super) fn held_up(&self) -> u64 {
        self.state().overtaken
    }

    /// What was sent since it was asked last.
    pub(super) fn posted(&self) -> Vec<Letter> {
        std::mem::take(&mut self.state().posted)
    }

    pub(super) fn note(&self, who: usize, what: &'static str, label: &'static str, about: About) {
        let at = self.now();
        self.history.note(Entry { at, who, what, label, about });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the state panics")
    }
}
