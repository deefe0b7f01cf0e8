//! Unique keys in transactions on Postgres that are open at the same time.

use upbeat::client::{Client, NewTask, PublishError};
use upbeat_shared::ledger::postgres::PostgresClientExt;
use upbeat_shared::ledger::postgres::tokio_postgres::{self, IsolationLevel, Transaction};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::message::Payload;
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;
use upbeat_tests::conformance::postgres::{Space, connect};
use upbeat_tests::conformance::transaction::client_over;
use upbeat_tests::harness::eventually;
use upbeat_tests::message::task_name;

use super::scene::PATIENCE;

fn keyed(key: &str) -> NewTask {
    let task = NewTask::new(task_name("demo.task"), Payload::json(&1).expect("a number"));
    NewTask { unique: Some(Unique::by(key)), ..task }
}

/// A ledger, a client of it, and somebody who looks at who waits.
struct Desk {
    space: Space,
    client: Client,
    eye: tokio_postgres::Client,
}

impl Desk {
    async fn new() -> Self {
        let space = Space::random();
        let client = client_over(Store::from_adapter(space.open(2).await));
        let eye = connect(&space.url).await;
        Self { space, client, eye }
    }

    async fn user(&self) -> User {
        let database = connect(&self.space.url).await;
        let row = database.query_one("select pg_backend_pid()", &[]).await.expect("it has a number");
        User { pid: row.get(0), database }
    }

    /// Waits until this backend waits for somebody.
    async fn waits(&self, pid: i32) {
        let sql = "select cardinality(pg_blocking_pids($1)) > 0";
        let is_blocked =
            async || self.eye.query_one(sql, &[&pid]).await.expect("it is SQL").get::<_, bool>(0);
        eventually("it waits for the other transaction", PATIENCE, is_blocked).await;
    }

    /// Waits until somebody waits for this backend.
    async fn hinders(&self, pid: i32) {
        let sql = "select exists (select from pg_locks l where not l.granted and $1 = any (pg_blocking_pids(l.pid)))";
        let hinders = async || self.eye.query_one(sql, &[&pid]).await.expect("it is SQL").get::<_, bool>(0);
        eventually("somebody waits for it", PATIENCE, hinders).await;
    }
}

struct User {
    database: tokio_postgres::Client,
    pid: i32,
}

impl User {
    async fn begin(&mut self) -> Transaction<'_> {
        self.database.transaction().await.expect("a transaction begins")
    }
}

#[tokio::test]
async fn of_two_transactions_with_one_key_the_second_waits_for_the_first_and_sees_it() {
    let desk = Desk::new().await;
    let (mut a, mut b) = (desk.user().await, desk.user().await);
    let waiting = b.pid;
    let (one, two) = (a.begin().await, b.begin().await);
    let first = desk.client.publish_in(&one, keyed("k")).await.expect("it is accepted");

    let second = async {
        let second = desk.client.publish_in(&two, keyed("k")).await.expect("it is answered");
        two.commit().await.expect("it commits");
        second
    };
    let commit = async {
        desk.waits(waiting).await;
        one.commit().await.expect("it commits");
    };
    let (second, ()) = tokio::join!(second, commit);

    assert_eq!((second.id(), second.duplicate_of()), (first.id(), Some(TaskState::Scheduled)));
}

#[tokio::test]
async fn a_rollback_gives_the_key_to_the_transaction_that_waits_for_it() {
    let desk = Desk::new().await;
    let (mut a, mut b) = (desk.user().await, desk.user().await);
    let waiting = b.pid;
    let (one, two) = (a.begin().await, b.begin().await);
    let never = desk.client.publish_in(&one, keyed("k")).await.expect("it is accepted");

    let second = async {
        let second = desk.client.publish_in(&two, keyed("k")).await.expect("it is answered");
        two.commit().await.expect("it commits");
        second
    };
    let rollback = async {
        desk.waits(waiting).await;
        one.rollback().await.expect("it is rolled back");
    };
    let (second, ()) = tokio::join!(second, rollback);

    assert_ne!(second.id(), never.id());
    assert_eq!(second.duplicate_of(), None);
    assert!(never.record().await.expect("the store shows").is_none());
}

#[tokio::test]
async fn a_client_that_wants_the_key_waits_too() {
    let desk = Desk::new().await;
    let mut user = desk.user().await;
    let hindering = user.pid;
    let transaction = user.begin().await;
    let first = desk.client.publish_in(&transaction, keyed("k")).await.expect("it is accepted");

    let outside = async { desk.client.publish(keyed("k")).await.expect("it is answered") };
    let commit = async {
        desk.hinders(hindering).await;
        transaction.commit().await.expect("it commits");
    };
    let (outside, ()) = tokio::join!(outside, commit);

    assert_eq!((outside.id(), outside.duplicate_of()), (first.id(), Some(TaskState::Scheduled)));
}

#[tokio::test]
async fn of_transactions_that_take_keys_crosswise_one_is_ended_and_the_other_goes_on() {
    let desk = Desk::new().await;
    let (mut a, mut b) = (desk.user().await, desk.user().await);
    let waiting = a.pid;
    let (one, two) = (a.begin().await, b.begin().await);
    desk.client.publish_in(&one, keyed("k")).await.expect("it is accepted");
    desk.client.publish_in(&two, keyed("l")).await.expect("it is accepted");

    // Whoever is refused gives its keys back, as its user must.
    let first = async {
        let answer = desk.client.publish_in(&one, keyed("l")).await;
        drop(one.rollback().await);
        answer.err()
    };
    let second = async {
        desk.waits(waiting).await;
        let answer = desk.client.publish_in(&two, keyed("k")).await;
        drop(two.rollback().await);
        answer.err()
    };
    let (first, second) = tokio::join!(first, second);

    assert_eq!([&first, &second].into_iter().flatten().count(), 1, "{first:?} {second:?}");
    let refused = first.or(second).expect("one of them");
    assert!(matches!(&refused, PublishError::Ledger(LedgerError::Unavailable(_))), "{refused}");
    assert!(refused.to_string().contains("40P01"), "{refused}");
    let free = desk.client.publish(keyed("k")).await.expect("it is answered");
    assert_eq!(free.duplicate_of(), None);
}

#[tokio::test]
async fn a_transaction_that_sees_nothing_newer_than_itself_is_told_to_be_done_again() {
    let desk = Desk::new().await;
    let mut user = desk.user().await;
    let transaction = user.database.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let transaction = transaction.start().await.expect("a transaction begins");
    transaction.query_one("select 1", &[]).await.expect("it has seen something");
    desk.client.publish(keyed("k")).await.expect("it is accepted");

    let refused =
        desk.client.publish_in(&transaction, keyed("k")).await.expect_err("it does not see that one");

    assert!(matches!(&refused, PublishError::Ledger(LedgerError::Unavailable(_))), "{refused}");
    assert!(refused.to_string().contains("the unique key was taken"), "{refused}");
    assert!(refused.to_string().contains("40001"), "{refused}");
}

#[tokio::test]
async fn a_transaction_that_has_a_key_may_not_fall_asleep() {
    let desk = Desk::new().await;
    let mut user = desk.user().await;
    let transaction = user.begin().await;
    let sql = "select current_setting('idle_in_transaction_session_timeout')";
    for (task, patience) in [(NewTask { unique: None, ..keyed("k") }, "0"), (keyed("k"), "30s")] {
        desk.client.publish_in(&transaction, task).await.expect("it is accepted");
        let row = transaction.query_one(sql, &[]).await.expect("it is a setting");
        assert_eq!(row.get::<_, String>(0), patience);
    }
}
