//! Many at once: batches that overlap, in any order, from many connections. No deadlock, no task claimed twice, and counters
//! that are exact in the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use upbeat_shared::id::{Fence, OwnerId, TaskId, Token};
use upbeat_shared::ledger::{
    Action, ClaimAnswer, ClaimRequest, Due, Lost, Mark, OwnedClaim, Park, Retention, SettleAnswer,
    Settlement, Store, TaskFilter,
};
use upbeat_shared::message::Message;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::postgres::{Space, connect, sweep};
use upbeat_tests::message::{entry, failure, heartbeat, message, message_for};

const CROWD: usize = 8;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below the bound")
    }

    /// So many of them, in an order of chance. One may come twice.
    fn some<T: Clone>(&mut self, among: &[T], count: usize) -> Vec<T> {
        if among.is_empty() {
            return Vec::new();
        }
        (0..count).map(|_| among[self.below(among.len())].clone()).collect()
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// A database of its own, for Postgres counts deadlocks by database.
struct Database {
    space: Space,
    name: String,
    shared: Space,
}

impl Database {
    async fn create() -> Self {
        let (shared, mut space) = (Space::random(), Space::random());
        let name = format!("upbeat_{}", space.namespace);
        let client = connect(&shared.url).await;
        client.batch_execute(&format!("create database {name}")).await.expect("a database can be made");
        let (server, _) = shared.url.expose().rsplit_once('/').expect("the URL names a database");
        space.url = format!("{server}/{name}").parse().expect("still a URL");
        Self { space, name, shared }
    }

    async fn deadlocks(&self) -> i64 {
        let sql = "select deadlocks from pg_stat_database where datname = $1";
        let row = connect(&self.shared.url).await.query_one(sql, &[&self.name]).await;
        row.expect("Postgres counts").get(0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        sweep(&self.shared.url, format!("drop database {} with (force)", self.name));
    }
}

type Counts = BTreeMap<(QueueName, TaskState), u64>;

async fn counted(store: &Store) -> Counts {
    let queues = store.inspect.queues().await.expect("it counts");
    let each = queues.into_iter().flat_map(|queue| {
        queue.counts.into_iter().map(move |(state, count)| ((queue.name.clone(), state), count))
    });
    each.collect()
}

async fn recounted(store: &Store) -> Counts {
    let (mut counts, mut after) = (Counts::new(), None);
    loop {
        let page = store.inspect.list(TaskFilter::default(), after, 1000).await.expect("it lists");
        for task in &page.tasks {
            *counts.entry((task.message.queue.clone(), task.state)).or_default() += 1;
        }
        let Some(next) = page.next else { return counts };
        after = Some(next);
    }
}

async fn a_worker(store: &Store) -> OwnerId {
    let owner = OwnerId::random();
    store.ledger.heartbeat(heartbeat(owner, 1)).await.expect("it is heard");
    owner
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_overlap_acquire_each_task_once() {
    let database = Database::create().await;
    let ledger = Store::from_adapter(database.space.open(u32::try_from(CROWD).expect("a few")).await);
    let messages: Arc<Vec<Message>> = Arc::new((0..1500).map(|_| message()).collect());
    let won: Arc<Mutex<HashMap<TaskId, Vec<Fence>>>> = Arc::default();

    let crowd: Vec<_> = (0..CROWD)
        .map(|member| {
            let (ledger, messages, won) = (ledger.clone(), messages.clone(), won.clone());
            tokio::spawn(async move {
                let mut dice = Dice(0x9e37_79b9 + member as u64);
                let owner = a_worker(&ledger).await;
                let mut order: Vec<Message> = messages.to_vec();
                dice.shuffle(&mut order);
                for batch in order.chunks(100) {
                    if dice.below(3) == 0 {
                        let entries = batch.iter().map(|message| entry(message, Due::In(Duration::ZERO)));
                        ledger.agenda.add(entries.collect()).await.expect("it adds");
                    }
                    let requests: Vec<ClaimRequest> = batch
                        .iter()
                        .map(|message| ClaimRequest::new(message.clone(), Token::random()))
                        .collect();
                    let answers = ledger.ledger.claim(owner, requests.clone()).await.expect("it answers");
                    let mut settlements = Vec::new();
                    for (request, answer) in requests.iter().zip(answers) {
                        let ClaimAnswer::Acquired(claim) = answer else { continue };
                        let id = request.message.id;
                        won.lock().expect("no holder panics").entry(id).or_default().push(claim.fence);
                        let claim = OwnedClaim { id, fence: claim.fence, token: request.token };
                        let verdict = Verdict::Succeeded { result: None };
                        settlements.push(Settlement { owner, claim, verdict, then: Vec::new() });
                    }
                    dice.shuffle(&mut settlements);
                    let answers = ledger.ledger.settle(settlements).await.expect("it settles");
                    assert!(answers.iter().all(|it| *it == SettleAnswer::Applied(TaskState::Succeeded)));
                }
            })
        })
        .collect();
    for member in crowd {
        member.await.expect("no member of the crowd fails");
    }

    let won = won.lock().expect("no holder panics").clone();
    assert_eq!(won.len(), messages.len(), "every task was acquired");
    assert!(won.values().all(|fences| fences.len() == 1), "and none of them twice");
    let expected = Counts::from([((QueueName::default_queue(), TaskState::Succeeded), 1500)]);
    assert_eq!(counted(&ledger).await, expected);
    assert_eq!(recounted(&ledger).await, expected);
    assert_eq!(database.deadlocks().await, 0);
}

/// What the members of a crowd do to the same few tasks.
struct Member {
    ledger: Store,
    dice: Dice,
    /// As they were promoted last.
    messages: Arc<Mutex<Vec<Message>>>,
    owner: OwnerId,
    claims: Vec<OwnedClaim>,
    acquired: Arc<Mutex<HashSet<(TaskId, Fence)>>>,
}

impl Member {
    async fn step(&mut self) {
        let messages = self.messages.lock().expect("no holder panics").clone();
        let batch = self.dice.some(&messages, 40);
        match self.dice.below(12) {
            0 => {
                let entries = batch.iter().map(|message| entry(message, Due::In(Duration::ZERO)));
                self.ledger.agenda.add(entries.collect()).await.map(drop).expect("it adds");
            }
            1 | 2 => self.promote().await,
            3..=5 => self.claim(batch).await,
            6 | 7 => self.settle().await,
            8 => {
                let ids = batch[..10].iter().map(|message| message.id).collect();
                let cancel = Action::Cancel { reason: "no".into() };
                let action = [cancel, Action::Retry, Action::Retry, Action::Drop][self.dice.below(4)].clone();
                self.ledger.inspect.act(ids, action).await.map(drop).expect("it acts");
            }
            9 => {
                let delay = Duration::from_millis(5);
                let parks = batch[..10].iter().map(|message| Park {
                    message: message.clone(),
                    note: "not here".into(),
                    delay,
                    max_delay: delay,
                    dead_after: None,
                });
                self.ledger.agenda.park(parks.collect()).await.map(drop).expect("it parks");
            }
            10 => self.get_lost().await,
            _ => {
                let claims = self.dice.some(&self.claims, 5);
                self.ledger.ledger.release(self.owner, claims).await.map(drop).expect("it releases");
                let keep = Retention {
                    dead: Some(Duration::ZERO),
                    details: Duration::ZERO,
                    ids: Duration::from_secs(1),
                    ..Retention::default()
                };
                self.ledger.inspect.purge(keep, 20).await.map(drop).expect("it purges");
            }
        }
    }

    async fn promote(&mut self) {
        let due = self.ledger.agenda.due(30, Duration::from_millis(20)).await.expect("it leases");
        let marks = due.entries.iter().map(|it| Mark { id: it.message.id, seq: it.message.seq }).collect();
        self.ledger.agenda.mark(marks).await.expect("it marks");
        let mut messages = self.messages.lock().expect("no holder panics");
        for entry in due.entries {
            if let Some(known) = messages.iter_mut().find(|message| message.id == entry.message.id) {
                *known = entry.message;
            }
        }
    }

    async fn claim(&mut self, batch: Vec<Message>) {
        let requests: Vec<ClaimRequest> =
            batch.into_iter().map(|message| ClaimRequest::new(message, Token::random())).collect();
        let answers = self.ledger.ledger.claim(self.owner, requests.clone()).await.expect("it answers");
        for (request, answer) in requests.into_iter().zip(answers) {
            if let ClaimAnswer::Acquired(claim) = answer {
                let (id, fence) = (request.message.id, claim.fence);
                let first = self.acquired.lock().expect("no holder panics").insert((id, fence));
                assert!(first, "{id} was acquired twice with the fence {fence:?}");
                self.claims.push(OwnedClaim { id, fence, token: request.token });
            }
        }
    }

    async fn settle(&mut self) {
        let mut settlements = Vec::new();
        for claim in std::mem::take(&mut self.claims) {
            let delay = Duration::from_millis(5);
            let verdicts = [
                Verdict::Succeeded { result: None },
                Verdict::Retry { delay, error: failure("again") },
                Verdict::Dead { error: failure("enough") },
                Verdict::Snooze { delay },
                Verdict::Retry { delay, error: failure("and again") },
                Verdict::Snooze { delay },
            ];
            let verdict = verdicts[self.dice.below(verdicts.len())].clone();
            let then = if self.dice.below(10) == 0 {
                vec![entry(&message_for("mail"), Due::In(Duration::from_secs(3600)))]
            } else {
                Vec::new()
            };
            settlements.push(Settlement { owner: self.owner, claim, verdict, then });
        }
        self.dice.shuffle(&mut settlements);
        self.ledger.ledger.settle(settlements).await.expect("it settles");
    }

    /// This incarnation is declared lost, and comes back as another.
    async fn get_lost(&mut self) {
        let lost = vec![Lost { owner: self.owner, counter: 1 }];
        let report = self.ledger.agenda.reap(lost, 1000).await.expect("it reaps");
        assert!(report.retired.contains(&self.owner));
        assert_eq!(
            self.ledger.ledger.mine(self.owner).await.expect("it lists"),
            [],
            "all of its tasks came back"
        );
        self.claims.clear();
        self.owner = a_worker(&self.ledger).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_that_does_everything_at_once_neither_deadlocks_nor_miscounts() {
    let database = Database::create().await;
    let ledger = Store::from_adapter(database.space.open(u32::try_from(CROWD).expect("a few")).await);
    let messages = (0..200).map(|number| message_for(["mail", "reports", "default"][number % 3])).collect();
    let messages: Arc<Mutex<Vec<Message>>> = Arc::new(Mutex::new(messages));
    let acquired: Arc<Mutex<HashSet<(TaskId, Fence)>>> = Arc::default();

    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut member = Member {
            ledger: ledger.clone(),
            dice: Dice(0xdead_beef + number as u64),
            messages: messages.clone(),
            owner: a_worker(&ledger).await,
            claims: Vec::new(),
            acquired: acquired.clone(),
        };
        crowd.push(tokio::spawn(async move {
            for _ in 0..150 {
                member.step().await;
            }
        }));
    }
    for member in crowd {
        member.await.expect("no member of the crowd fails");
    }

    let acquired = acquired.lock().expect("no holder panics").len();
    assert!(acquired > 300, "the crowd was too tame: {acquired}");
    assert_eq!(counted(&ledger).await, recounted(&ledger).await);
    assert_eq!(database.deadlocks().await, 0);
}
