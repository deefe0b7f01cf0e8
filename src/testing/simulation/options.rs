//! What a simulation is made of.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::config::Config;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A process is killed, before or after one of its calls takes effect, and started again.
    Crash,
    /// A call never arrives.
    LostRequest,
    /// A call takes effect, and its answer gets lost.
    LostReply,
    /// A call or its answer takes up to 20 s.
    Slow,
    /// The broker has a message twice, or a driver repeats a claim or a settle by itself.
    Duplicate,
    /// Deliveries are held up, and overtake each other.
    Overtaking,
    /// A process loses its connection to the broker: what it holds is delivered again, to anyone.
    Returned,
    /// The ledger cannot be reached for a while, by nobody.
    LedgerAway,
    /// The broker cannot be reached for a while, by nobody.
    BrokerAway,
    /// A process stands still, for up to three leases, and does not notice.
    Pause,
    /// A process is told to stop, as a deployment does, and started again.
    Stop,
    /// Wall clocks of members are wrong, by minutes to years.
    WrongClock,
    /// Somebody empties a queue by mistake.
    Purge,
    /// Somebody cancels a task.
    Cancel,
    /// Somebody changes the schedules.
    Edit,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Crash,
        Self::LostRequest,
        Self::LostReply,
        Self::Slow,
        Self::Duplicate,
        Self::Overtaking,
        Self::Returned,
        Self::LedgerAway,
        Self::BrokerAway,
        Self::Pause,
        Self::Stop,
        Self::WrongClock,
        Self::Purge,
        Self::Cancel,
        Self::Edit,
    ];

    /// Those that nobody but machines and networks are to blame for: all but purged queues, cancelled tasks and edits.
    pub fn of_nature() -> Vec<Self> {
        let by_people = |fault: &Self| matches!(fault, Self::Purge | Self::Cancel | Self::Edit);
        Self::ALL.into_iter().filter(|fault| !by_people(fault)).collect()
    }
}

/// One crash at one call, for those who place crashes exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The number of the call, as [`SeenCall`](super::SeenCall) tells it. Its caller dies.
    pub call: u64,
    /// Whether the call takes effect before that.
    pub after: bool,
}

/// How a simulation goes. The same options give the same history, to the letter.
#[derive(Clone, Debug)]
pub struct SimulateOptions {
    /// Everything that is left to chance comes from it.
    pub seed: u64,
    /// As every member has it. The leases in it are short: two processes that wait for each other wait for as long.
    pub config: Config,
    /// What the store's clock shows at the beginning.
    pub start: Timestamp,
    /// How many beats.
    pub beats: usize,
    /// How many workers.
    pub workers: usize,
    /// How many programs that publish: each runs the scenario once. One that crashes is not started again.
    pub publishers: usize,
    /// Which faults there may be. Every seed has a part of them, so that none hides another.
    pub faults: Vec<Fault>,
    /// For how long there are faults. Then everything is well again, and whatever was accepted must end.
    pub storm: Duration,
    /// How long tasks may take to end when everything is well again.
    pub patience: Duration,
    /// Crashes at certain calls, beside the faults of chance.
    pub crashes: Vec<Crash>,
}

impl Default for SimulateOptions {
    /// Two beats, three workers, one publisher; 30 s of every fault that nature has; 10 minutes to recover.
    fn default() -> Self {
        let mut config = Config::default();
        config.ledger.lease = Duration::from_secs(5);
        config.worker.grace = Duration::from_secs(3);
        Self {
            seed: 0,
            config,
            // 2026-01-01T00:00:00Z
            start: Timestamp::constant(1_767_225_600, 0),
            beats: 2,
            workers: 3,
            publishers: 1,
            faults: Fault::of_nature(),
            storm: Duration::from_secs(30),
            patience: Duration::from_secs(600),
            crashes: Vec::new(),
        }
    }
}
