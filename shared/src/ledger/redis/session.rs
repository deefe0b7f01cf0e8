//! Calls: a connection from the pool, a bound in time, one round trip.

use std::time::Duration;

use deadpool::managed::Object;
use redis::{Cmd, Value};

use super::connect::{Manager, Pool};
use super::error::Fault;
use super::script::{Args, Call, Patience, Scripts};
use crate::telemetry;

/// How often a script is sent to a server that does not know it: it may forget all scripts at any moment.
const SENDS: u32 = 3;

/// How often a call follows its keys to another node.
const MOVES: u32 = 3;

impl Patience {
    fn limit(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(5),
            Self::Long => Duration::from_secs(20),
        }
    }
}

/// One namespace on a server.
pub(super) struct Session {
    pub(super) pool: Pool,
    pub(super) scripts: Scripts,
    /// What every key begins with. What stands in braces decides the slot: one for all.
    pub(super) prefix: String,
}

impl Session {
    /// Begins a call.
    pub(super) fn begin(&self, call: Call) -> Args {
        self.scripts.begin(call, &self.prefix)
    }

    /// Runs its script.
    pub(super) async fn run(&self, args: &Args) -> Result<Value, Fault> {
        self.within(args.call.patience(), &args.command, Some(args.call)).await
    }

    /// Runs a script without arguments.
    pub(super) async fn ask(&self, call: Call) -> Result<Value, Fault> {
        self.run(&self.begin(call)).await
    }

    /// Sends a plain command.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, Fault> {
        self.within(Patience::Long, command, None).await
    }

    async fn within(&self, patience: Patience, command: &Cmd, script: Option<Call>) -> Result<Value, Fault> {
        let limited = tokio::time::timeout(patience.limit(), self.follow(command, script));
        limited.await.unwrap_or(Err(Fault::TimedOut))
    }

    /// Sends until it is answered by the node of a cluster that has our keys.
    async fn follow(&self, command: &Cmd, script: Option<Call>) -> Result<Value, Fault> {
        let mut moves = 0;
        loop {
            let outcome = self.send(command, script).await;
            match outcome.as_ref().err().and_then(Fault::moved_to) {
                Some(address) if moves < MOVES => {
                    moves += 1;
                    self.pool.manager().follow(address);
                }
                _ => return outcome,
            }
        }
    }

    async fn send(&self, command: &Cmd, script: Option<Call>) -> Result<Value, Fault> {
        let mut link = Borrowed::new(self.pool.get().await?);
        let mut sends = 0;
        loop {
            if let Some(call) = script {
                metrics::counter!(telemetry::LEDGER_ROUND_TRIPS, "call" => call.name()).increment(1);
            }
            let outcome = link.send(command).await;
            match (&outcome, script) {
                // Nothing of it has happened: the server has only seen a name that it does not know.
                (Err(Fault::Redis(error)), Some(call))
                    if error.code() == Some("NOSCRIPT") && sends < SENDS =>
                {
                    sends += 1;
                    link.send(&self.scripts.load(call)).await?;
                }
                _ => return outcome,
            }
        }
    }
}

/// A connection in use. One that failed, or whose answer nobody waited for, is not used again: the next call would wait behind
/// what this one asked.
struct Borrowed {
    link: Option<Object<Manager>>,
    is_sound: bool,
}

impl Borrowed {
    fn new(link: Object<Manager>) -> Self {
        Self { link: Some(link), is_sound: true }
    }

    async fn send(&mut self, command: &Cmd) -> Result<Value, Fault> {
        let link = self.link.as_mut().expect("it is taken only when this is dropped");
        self.is_sound = false;
        let outcome = link.connection.send_packed_command(command).await.map_err(Fault::from);
        self.is_sound = !matches!(outcome, Err(Fault::Connection(_)));
        match outcome? {
            Value::ServerError(error) => Err(Fault::Redis(error.into())),
            value => Ok(value),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let (Some(link), false) = (self.link.take(), self.is_sound) {
            drop(Object::take(link));
        }
    }
}
