//! A ledger under test, asked in few words. An error of the store fails the test.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::id::{OwnerId, TaskId, Token};
use upbeat_shared::ledger::{
    ActAnswer, Action, AddAnswer, Claim, ClaimAnswer, ClaimRequest, Due, DueBatch, DueEntry, Lost, Mark,
    NewEntry, OwnedClaim, Park, ParkAnswer, Postpone, ReapReport, SettleAnswer, Settlement, Store,
};
use upbeat_shared::member::HeartbeatAnswer;
use upbeat_shared::message::Message;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::Verdict;

use super::LedgerWorld;
use crate::message::{entry, failure, heartbeat, message};

/// How long a beat leases what is due, in tests.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Workers that a task may lose, in tests.
pub(super) const MAX_CRASHES: u32 = 3;

/// Asks one process' ports.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The ports, for what has no short word here.
    pub store: Store,
    /// Owners that had a heartbeat: without one, nobody may claim.
    introduced: Arc<Mutex<HashSet<OwnerId>>>,
}

/// A claim in a worker's hands.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Whose.
    pub owner: OwnerId,
    /// Which.
    pub claim: OwnedClaim,
    /// What it was granted.
    pub granted: Claim,
}

impl Running {
    /// Its verdict, to be settled.
    pub fn settlement(&self, verdict: Verdict) -> Settlement {
        Settlement { owner: self.owner, claim: self.claim, verdict, then: Vec::new() }
    }
}

impl Probe {
    /// Of the world's first process.
    pub fn of(world: &impl LedgerWorld) -> Self {
        Self::over(world.store())
    }

    /// Of these ports.
    pub fn over(store: Store) -> Self {
        Self { store, introduced: Arc::default() }
    }

    /// Of a further process.
    pub async fn another(world: &impl LedgerWorld) -> Self {
        Self::over(world.connect().await)
    }

    /// The store's time.
    pub async fn now(&self) -> Timestamp {
        self.store.ledger.now().await.expect("the store tells its time")
    }

    /// Puts entries on the agenda.
    pub async fn add_all(&self, entries: Vec<NewEntry>) -> Vec<AddAnswer> {
        self.store.agenda.add(entries).await.expect("the store adds")
    }

    /// Puts one on the agenda.
    pub async fn add(&self, message: &Message, due: Due) -> AddAnswer {
        self.add_all(vec![entry(message, due)]).await[0]
    }

    /// What is due now, up to `limit`.
    pub async fn due(&self, limit: usize) -> DueBatch {
        self.store.agenda.due(limit, LEASE).await.expect("the store leases")
    }

    /// The ids of what is due now.
    pub async fn due_ids(&self, limit: usize) -> Vec<TaskId> {
        self.due(limit).await.entries.iter().map(|entry| entry.message.id).collect()
    }

    /// The one entry that is due now.
    pub async fn only_due(&self) -> DueEntry {
        let mut batch = self.due(10).await;
        assert_eq!(batch.entries.len(), 1, "one entry should be due: {batch:?}");
        batch.entries.remove(0)
    }

    /// Marks as queued what was promoted from this message.
    pub async fn mark(&self, message: &Message) -> bool {
        let mark = Mark { id: message.id, seq: message.seq };
        self.store.agenda.mark(vec![mark]).await.expect("the store marks")[0]
    }

    /// Puts off the next look.
    pub async fn postpone(&self, message: &Message, by: Duration) {
        let postpone = Postpone { id: message.id, seq: message.seq, by };
        self.store.agenda.postpone(vec![postpone]).await.expect("the store postpones");
    }

    /// A new row, promoted and queued.
    pub async fn queued(&self, message: &Message) -> Message {
        self.add(message, Due::In(Duration::ZERO)).await;
        self.promoted(message.id).await
    }

    /// Promotes what is due; answers the message with this id.
    pub async fn promoted(&self, id: TaskId) -> Message {
        let batch = self.due(1000).await;
        let marks = batch.entries.iter().map(|entry| Mark { id: entry.message.id, seq: entry.message.seq });
        self.store.agenda.mark(marks.collect()).await.expect("the store marks");
        let entry = batch.entries.into_iter().find(|entry| entry.message.id == id);
        entry.unwrap_or_else(|| panic!("{id} should be due")).message
    }

    /// Claims with a token, in a batch of one.
    pub async fn claim_as(&self, owner: OwnerId, message: &Message, token: Token) -> ClaimAnswer {
        let request = ClaimRequest::new(message.clone(), token);
        self.claim_batch(owner, vec![request]).await.remove(0)
    }

    /// Claims a batch; the owner gets its first heartbeat before its first claim.
    pub async fn claim_batch(&self, owner: OwnerId, batch: Vec<ClaimRequest>) -> Vec<ClaimAnswer> {
        let known = self.introduced.lock().expect("no holder panics").contains(&owner);
        if !known {
            self.beat(owner, 1).await;
        }
        let asked = batch.len();
        let answers = self.store.ledger.claim(owner, batch).await.expect("the store answers");
        assert_eq!(answers.len(), asked, "one answer a request");
        answers
    }

    /// Claims with a token of its own.
    pub async fn claim(&self, owner: OwnerId, message: &Message) -> ClaimAnswer {
        self.claim_as(owner, message, Token::random()).await
    }

    /// Claims several in one batch, each with a token of its own.
    pub async fn claim_all(&self, owner: OwnerId, messages: &[Message]) -> Vec<ClaimAnswer> {
        let requests = messages.iter().map(|message| ClaimRequest::new(message.clone(), Token::random()));
        self.claim_batch(owner, requests.collect()).await
    }

    /// Claims what may be free.
    pub async fn try_acquire(&self, owner: OwnerId, message: &Message) -> Option<Running> {
        let token = Token::random();
        match self.claim_as(owner, message, token).await {
            ClaimAnswer::Acquired(granted) => {
                let claim = OwnedClaim { id: message.id, fence: granted.fence, token };
                Some(Running { owner, claim, granted })
            }
            _ => None,
        }
    }

    /// Claims what must be free.
    pub async fn acquire(&self, owner: OwnerId, message: &Message) -> Running {
        self.acquire_as(owner, message, Token::random()).await
    }

    /// Claims what must be free, with a token.
    pub async fn acquire_as(&self, owner: OwnerId, message: &Message, token: Token) -> Running {
        let granted = granted(&self.claim_as(owner, message, token).await);
        Running { owner, claim: OwnedClaim { id: message.id, fence: granted.fence, token }, granted }
    }

    /// Claims what must be free, for a worker that nobody else knows.
    pub async fn acquire_any(&self, message: &Message) -> Running {
        self.acquire(OwnerId::random(), message).await
    }

    /// Settles several in one batch.
    pub async fn settle_all(&self, batch: Vec<Settlement>) -> Vec<SettleAnswer> {
        self.store.ledger.settle(batch).await.expect("the store settles")
    }

    /// Settles one.
    pub async fn settle(&self, run: &Running, verdict: Verdict) -> SettleAnswer {
        self.settle_all(vec![run.settlement(verdict)]).await[0]
    }

    /// Settles as succeeded, without a result.
    pub async fn succeed(&self, run: &Running) -> SettleAnswer {
        self.settle(run, Verdict::Succeeded { result: None }).await
    }

    /// Settles as failed, to be run again after `delay`.
    pub async fn fail(&self, run: &Running, delay: Duration) -> SettleAnswer {
        self.settle(run, Verdict::Retry { delay, error: failure("it failed") }).await
    }

    /// The row, if there is one.
    pub async fn find(&self, id: TaskId) -> Option<TaskRecord> {
        self.store.inspect.get(vec![id]).await.expect("the store shows").remove(0)
    }

    /// The row that must be there.
    pub async fn record(&self, id: TaskId) -> TaskRecord {
        self.find(id).await.unwrap_or_else(|| panic!("there is no row of {id}"))
    }

    /// The state of the row that must be there.
    pub async fn state(&self, id: TaskId) -> TaskState {
        self.record(id).await.state
    }

    /// A task that has come to this end, by a way of its own.
    pub async fn ended(&self, state: TaskState) -> Message {
        let now = self.now().await;
        let mut message = message();
        match state {
            TaskState::Succeeded => {
                let run = self.acquire_any(&message).await;
                self.succeed(&run).await;
            }
            TaskState::Dead => {
                let run = self.acquire_any(&message).await;
                self.settle(&run, Verdict::Dead { error: failure("it failed") }).await;
            }
            TaskState::Cancelled => {
                self.add(&message, Due::In(Duration::from_secs(3600))).await;
                self.cancel(message.id).await;
            }
            TaskState::Expired => {
                message.expires_at = Some(upbeat_shared::clock::earlier(now, Duration::from_secs(1)));
                self.claim(OwnerId::random(), &message).await;
            }
            state => panic!("{state} is no end"),
        }
        assert_eq!(self.state(message.id).await, state);
        message
    }

    /// Acts on one task.
    pub async fn act(&self, id: TaskId, action: Action) -> ActAnswer {
        self.store.inspect.act(vec![id], action).await.expect("the store acts")[0]
    }

    /// Cancels one task.
    pub async fn cancel(&self, id: TaskId) -> ActAnswer {
        self.act(id, Action::Cancel { reason: "not needed".to_owned() }).await
    }

    /// Parks a delivery for a minute.
    pub async fn park(&self, message: &Message) -> ParkAnswer {
        let delay = Duration::from_secs(60);
        self.park_as(Park {
            message: message.clone(),
            note: "no worker knows it".to_owned(),
            delay,
            max_delay: delay * 60,
            dead_after: None,
        })
        .await
    }

    /// Parks a delivery.
    pub async fn park_as(&self, park: Park) -> ParkAnswer {
        self.store.agenda.park(vec![park]).await.expect("the store parks")[0]
    }

    /// A worker's heartbeat.
    pub async fn beat(&self, owner: OwnerId, counter: u64) -> HeartbeatAnswer {
        self.introduced.lock().expect("no holder panics").insert(owner);
        self.store.ledger.heartbeat(heartbeat(owner, counter)).await.expect("the store answers")
    }

    /// A beat's judgement: this owner stood still at this counter.
    pub async fn reap(&self, owner: OwnerId, counter: u64) -> ReapReport {
        self.reap_all(vec![Lost { owner, counter }]).await
    }

    /// A beat's judgement.
    pub async fn reap_all(&self, lost: Vec<Lost>) -> ReapReport {
        self.store.agenda.reap(lost, MAX_CRASHES).await.expect("the store reaps")
    }

    /// Loses a worker in the middle of this task: it comes, claims, and is judged lost.
    pub async fn crash(&self, message: &Message) -> Running {
        let owner = OwnerId::random();
        self.beat(owner, 1).await;
        let run = self.acquire(owner, message).await;
        let report = self.reap(owner, 1).await;
        assert_eq!(report.retired, [owner]);
        run
    }

    /// How many tasks the counters count, in this queue and state.
    pub async fn count(&self, queue: &QueueName, state: TaskState) -> u64 {
        let queues = self.store.inspect.queues().await.expect("the store counts");
        let queue = queues.iter().find(|record| record.name == *queue);
        let counts = queue.map(|queue| queue.counts.as_slice()).unwrap_or_default();
        counts.iter().find(|(counted, _)| *counted == state).map_or(0, |(_, count)| *count)
    }
}

/// The claim that must have been granted.
pub(super) fn granted(answer: &ClaimAnswer) -> Claim {
    match answer {
        ClaimAnswer::Acquired(claim) => *claim,
        other => panic!("it should be acquired, but the answer was {other:?}"),
    }
}

/// An instant that was counted from a now between two readings of the store's clock.
pub(super) fn assert_between(
    what: &str,
    at: Option<Timestamp>,
    before: Timestamp,
    after: Timestamp,
    delay: Duration,
) {
    let at = at.unwrap_or_else(|| panic!("{what} should be known"));
    let (first, last) =
        (upbeat_shared::clock::later(before, delay), upbeat_shared::clock::later(after, delay));
    assert!(first <= at && at <= last, "{what} is {at}; it should lie between {first} and {last}");
}
