//! Connections that break, stall and come back. Nothing is lost, nothing is done twice, and nobody waits for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::config::ServiceUrl;
use upbeat_shared::id::{Fence, OwnerId, TaskId, Token};
use upbeat_shared::ledger::postgres::PostgresLedger;
use upbeat_shared::ledger::{
    ClaimAnswer, ClaimRequest, Inspect, Ledger, LedgerError, OwnedClaim, SettleAnswer, Settlement,
};
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::postgres::{Space, connect};
use upbeat_tests::message::{heartbeat, message};

/// Asks until it is answered, as a worker does; an answer that was lost is asked for again.
async fn insist<T>(failures: &AtomicU32, mut ask: impl AsyncFnMut() -> Result<T, LedgerError>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(LedgerError::Unavailable(_)) => {
                failures.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(other) => panic!("a broken connection is no reason for: {other}"),
        }
    }
}

/// Claims and settles so many batches; answers each task's fence.
async fn work(
    ledger: Arc<PostgresLedger>,
    failures: Arc<AtomicU32>,
    batches: usize,
) -> HashMap<TaskId, Fence> {
    let owner = OwnerId::random();
    insist(&failures, async || ledger.heartbeat(heartbeat(owner, 1)).await).await;
    let mut done = HashMap::new();
    for _ in 0..batches {
        let requests: Vec<ClaimRequest> =
            (0..50).map(|_| ClaimRequest::new(message(), Token::random())).collect();
        let answers = insist(&failures, async || ledger.claim(owner, requests.clone()).await).await;
        let mut settlements = Vec::new();
        for (request, answer) in requests.iter().zip(answers) {
            let ClaimAnswer::Acquired(claim) = answer else { panic!("nobody else has it: {answer:?}") };
            let claim = OwnedClaim { id: request.message.id, fence: claim.fence, token: request.token };
            let verdict = Verdict::Succeeded { result: None };
            settlements.push(Settlement { owner, claim, verdict, then: Vec::new() });
            assert_eq!(done.insert(claim.id, claim.fence), None);
        }
        let answers = insist(&failures, async || ledger.settle(settlements.clone()).await).await;
        assert!(answers.iter().all(|answer| *answer != SettleAnswer::Stale), "{answers:?}");
    }
    done
}

#[tokio::test]
async fn connections_that_are_killed_under_load_lose_nothing() {
    tokio::task::LocalSet::new().run_until(kill_under_load()).await;
}

async fn kill_under_load() {
    let space = Space::random();
    let name = format!("victim-{}", space.namespace);
    let mut options = space.options(4);
    options.name.clone_from(&name);
    let ledger = PostgresLedger::open(options).await.expect("the ledger can be opened");
    let failures = Arc::new(AtomicU32::new(0));

    let workers: Vec<_> =
        (0..4).map(|_| tokio::task::spawn_local(work(ledger.clone(), failures.clone(), 40))).collect();
    let killer = connect(&space.url).await;
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1";
    while !workers.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(40)).await;
        killer.execute(sql, &[&name]).await.expect("a superuser may");
    }

    let mut done = HashMap::new();
    for worker in workers {
        done.extend(worker.await.expect("no worker gives up"));
    }
    assert!(failures.load(Ordering::Relaxed) > 0, "nobody noticed");
    assert_eq!(done.len(), 4 * 40 * 50);
    // The last ones may find a connection dead that nobody has used since.
    let queues = insist(&failures, async || ledger.queues().await).await;
    assert_eq!(queues[0].counts, [(TaskState::Succeeded, done.len() as u64)]);
    let ids: Vec<TaskId> = done.keys().copied().collect();
    let records = ledger.get(ids.clone()).await.expect("it shows");
    for (id, record) in ids.iter().zip(records) {
        let record = record.expect("every task has its row");
        assert_eq!((record.state, record.fence), (TaskState::Succeeded, Some(done[id])), "{id}");
    }
}

/// A way to the server that can be blocked: what is sent is neither lost nor answered.
struct Way {
    port: u16,
    blocked: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: &ServiceUrl) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let blocked = Arc::new(AtomicBool::new(false));
        let (_, address) = server.expose().rsplit_once('@').expect("the URL names a user");
        let address = address.split('/').next().expect("it names a host").to_owned();
        let of_all = blocked.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (address, blocked) = (address.clone(), of_all.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(address).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::join!(
                        pass(from_client, to_server, &blocked),
                        pass(from_server, to_client, &blocked)
                    );
                });
            }
        });
        Self { port, blocked }
    }

    fn url(&self, server: &ServiceUrl) -> ServiceUrl {
        let (user, address) = server.expose().rsplit_once('@').expect("the URL names a user");
        let (_, database) = address.split_once('/').expect("it names a database");
        format!("{user}@127.0.0.1:{}/{database}", self.port).parse().expect("still a URL")
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, blocked: &AtomicBool) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        while blocked.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_given_up_in_time_and_used_again_at_once() {
    let space = Space::random();
    let way = Way::to(&space.url).await;
    let mut options = space.options(2);
    options.url = way.url(&space.url);
    let ledger = PostgresLedger::open(options).await.expect("the ledger can be opened");
    let clock = SystemClock::default();

    for _ in 0..2 {
        way.blocked.store(true, Ordering::Relaxed);
        let answer = tokio::time::timeout(Duration::from_secs(7), ledger.now()).await;
        let error = answer.expect("it gives up in time").expect_err("nobody answers");
        assert!(matches!(error, LedgerError::Unavailable(_)), "{error}");

        way.blocked.store(false, Ordering::Relaxed);
        let asked = clock.monotonic();
        ledger.now().await.expect("the server is back");
        let waited = clock.monotonic().saturating_sub(asked);
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_ledger_is_unavailable_at_once() {
    let space = Space::random();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let mut options = space.options(1);
    options.url = format!("postgres://upbeat@127.0.0.1:{port}/postgres").parse().expect("a URL");

    let opened = tokio::time::timeout(Duration::from_secs(5), PostgresLedger::open(options)).await;

    let error = opened.expect("it does not wait").expect_err("nobody listens");
    assert!(matches!(&error, LedgerError::Unavailable(why) if why.contains("refused")), "{error}");
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_transaction_behind() {
    let space = Space::random();
    let ledger = space.open(1).await;
    let client = connect(&space.url).await;
    let schema = space.schema();
    let task = message();
    ledger
        .act(vec![task.id], upbeat_shared::ledger::Action::Cancel { reason: "no".into() })
        .await
        .expect("it acts");

    // Somebody holds the row; the call waits for it in the middle of its transaction, and its caller goes away.
    client.batch_execute("begin").await.expect("a transaction begins");
    let lock = format!("select from {schema}.task where id = $1 for update");
    client.execute(&lock, &[&task.id.0]).await.expect("the row is locked");
    let act = ledger.act(vec![task.id], upbeat_shared::ledger::Action::Retry);
    tokio::time::timeout(Duration::from_millis(200), act).await.expect_err("it waits");

    // The one connection is free for the next caller at once.
    let asked = tokio::time::timeout(Duration::from_secs(1), ledger.now()).await;
    asked.expect("it need not wait for what was given up").expect("it answers");
    client.batch_execute("commit").await.expect("the row is free");
    let state = ledger.get(vec![task.id]).await.expect("it shows").remove(0).expect("it is there").state;
    assert_eq!(state, TaskState::Cancelled, "what was given up did not happen");
}

#[tokio::test]
async fn a_batch_that_lost_a_deadlock_is_done_again() {
    let space = Space::random();
    let ledger = space.open(1).await;
    let mut ids = vec![message().id, message().id];
    ids.sort();
    let cancel = upbeat_shared::ledger::Action::Cancel { reason: "no".into() };
    ledger.act(ids.clone(), cancel).await.expect("it acts");
    let client = connect(&space.url).await;
    let lock = format!("select from {}.task where id = $1 for update", space.schema());

    // Somebody who does not keep to the order of ids: the ledger waits for them, and then they for the ledger.
    client.batch_execute("begin; set local deadlock_timeout = '60s'").await.expect("a transaction begins");
    client.execute(&lock, &[&ids[1].0]).await.expect("the second row is locked");
    let act = ledger.act(ids.clone(), upbeat_shared::ledger::Action::Drop);
    let other = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.execute(&lock, &[&ids[0].0]).await.expect("the ledger gives way");
        client.batch_execute("commit").await.expect("both rows are free");
    };

    let (answers, ()) = tokio::join!(act, other);

    let refused = upbeat_shared::ledger::ActAnswer::Refused(TaskState::Cancelled);
    assert_eq!(answers.expect("it is done again"), [refused, refused]);
}
