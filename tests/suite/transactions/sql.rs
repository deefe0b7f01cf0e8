//! The SQL functions `publish` and `settle`, by themselves.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::postgres::migrations_sql;
use upbeat_shared::ledger::postgres::tokio_postgres::{Client, Error};
use upbeat_shared::ledger::{AddAnswer, Due, Store};
use upbeat_shared::message::{Message, Payload, Priority, TraceContext};
use upbeat_shared::retry::{Backoff, Jitter, RetryPolicy};
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;
use upbeat_tests::conformance::ledger::{Probe, Running};
use upbeat_tests::conformance::postgres::{Space, connect};
use upbeat_tests::message::{message, queue, task_name};

/// A ledger, and somebody who speaks SQL to it.
struct Desk {
    space: Space,
    ledger: Probe,
    user: Client,
}

impl Desk {
    async fn new() -> Self {
        let space = Space::random();
        let ledger = Probe::over(Store::from_adapter(space.open(2).await));
        let user = connect(&space.url).await;
        Self { space, ledger, user }
    }

    /// Publishes with these arguments of the function.
    async fn publish(&self, arguments: &str) -> Result<TaskId, Error> {
        let sql = format!("select {}.publish({arguments})::text", self.space.schema());
        let row = self.user.query_one(&sql, &[]).await?;
        Ok(row.get::<_, &str>(0).parse().expect("it answers an id"))
    }

    /// Publishes with these arguments of the function; answers the state of who was there before, too.
    async fn publish_or_find(&self, arguments: &str) -> (TaskId, Option<String>) {
        let sql = format!(
            "select id::text, duplicate_of from {}.publish_or_find({arguments})",
            self.space.schema()
        );
        let row = self.user.query_one(&sql, &[]).await.expect("it is accepted");
        (row.get::<_, &str>(0).parse().expect("it answers an id"), row.get(1))
    }

    async fn settle(&self, run: &Running) -> Result<u64, Error> {
        let claim = run.claim;
        let (id, fence, token) = (claim.id, claim.fence.0, claim.token.0);
        let sql = format!("select {}.settle('{id}', {fence}, {token}, '[7]')", self.space.schema());
        self.user.execute(&sql, &[]).await
    }

    async fn message(&self, id: TaskId) -> Message {
        self.ledger.record(id).await.message
    }
}

/// What the server said: SQLSTATE and message.
fn said(refused: Result<impl std::fmt::Debug, Error>) -> (String, String) {
    let error = refused.expect_err("it should be refused");
    let error = error.as_db_error().expect("the server said so");
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn a_published_task_has_what_was_given() {
    let desk = Desk::new().await;
    let plain = desk.publish("'demo.task'").await.expect("a name is enough");
    let full = desk
        .publish(
            "'demo.task', '{\"a\": [1, null]}', queue => 'other', priority => 9, expires_in => '1 hour', deadline_in => '2 hours', tags => '{x,y}',
             timeout => '1.5 s', args_version => 3, dedup_id => 'ü-1', tracestate => 'vendor=1',
             traceparent => '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'",
        )
        .await
        .expect("it is well described");

    let kept = desk.message(plain).await;
    assert_eq!((&kept.args.to_json(), kept.queue.as_str()), (&serde_json::Value::Null, "default"));
    assert_eq!((kept.priority, kept.args_version, kept.tags), (Priority::default(), 1, Vec::<String>::new()));
    let name = task_name("demo.task");
    assert_eq!(full, TaskId::from_dedup(&desk.space.namespace, &name, "ü-1"));
    let kept = desk.message(full).await;
    let published = kept.first_published.expect("the server knows the time");
    let args = Payload { bytes: br#"{"a": [1, null]}"#.to_vec().into(), ..Payload::json(&0).expect("plain") };
    let expected = Message {
        priority: Priority::new(9).expect("at most 9"),
        first_published: Some(published),
        dedup_id: Some("ü-1".into()),
        expires_at: Some(upbeat_shared::clock::later(published, std::time::Duration::from_secs(3600))),
        deadline_at: Some(upbeat_shared::clock::later(published, std::time::Duration::from_secs(7200))),
        timeout: Some(std::time::Duration::from_millis(1500)),
        tags: vec!["x".into(), "y".into()],
        args_version: 3,
        trace: Some(TraceContext {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
            tracestate: Some("vendor=1".into()),
        }),
        ..Message::new(full, name, queue("other"), args)
    };
    assert_eq!(kept, expected);
    let again = desk.publish("'demo.task', dedup_id => 'ü-1'").await.expect("it is one more");
    assert_eq!(again, full);
    // What a beat promotes is what was given.
    let due = desk.ledger.due(10).await.entries;
    assert_eq!(
        due.iter().find(|entry| entry.message.id == full).map(|entry| &entry.message),
        Some(&expected)
    );
    assert_eq!(due.len(), 2);
}

#[tokio::test]
async fn a_published_task_has_its_keys_and_its_retry_policy() {
    let desk = Desk::new().await;
    let id = desk
        .publish(
            "'demo.task', unique_key => 'ü-7', unique_within => '90 minutes', replace => true, key => 'tenant/7',
             retry => '{\"max_attempts\": 3, \"backoff\": \"linear\", \"delay\": \"250ms\", \"jitter\": \"none\"}'",
        )
        .await
        .expect("it is well described");

    let kept = desk.message(id).await;
    let window = Duration::from_secs(90 * 60);
    assert_eq!(kept.unique, Some(Unique::by("ü-7").within(window).replacing()));
    assert_eq!(kept.key.expect("it has one").as_str(), "tenant/7");
    let expected = RetryPolicy {
        max_attempts: 3,
        backoff: Backoff::Linear,
        delay: Duration::from_millis(250),
        jitter: Jitter::None,
        ..RetryPolicy::DEFAULT
    };
    assert_eq!(kept.retry, Some(expected));
    for (retry, expected) in [("{}", Some(RetryPolicy::DEFAULT)), ("null", None)] {
        let id = desk.publish(&format!("'demo.task', retry => '{retry}'")).await.expect("it is accepted");
        assert_eq!(desk.message(id).await.retry, expected, "{retry}");
    }
}

#[tokio::test]
async fn who_has_the_key_is_the_answer() {
    let desk = Desk::new().await;
    let keyed = "'demo.task', unique_key => 'customer-7'";
    let (first, new) = desk.publish_or_find(keyed).await;
    assert_eq!(new, None);
    // As programs derive it: a client meets the same task.
    let outside =
        Message { name: task_name("demo.task"), unique: Some(Unique::by("customer-7")), ..message() };
    let answer = desk.ledger.add(&outside, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Taken { by: first, state: TaskState::Scheduled });

    assert_eq!(desk.publish_or_find(keyed).await, (first, Some("scheduled".into())));
    assert_eq!(desk.publish(keyed).await.expect("it is answered"), first);
    let (second, new) = desk.publish_or_find(&format!("{keyed}, replace => true")).await;
    assert_eq!((desk.ledger.state(first).await, new), (TaskState::Cancelled, None));
    assert_eq!(desk.publish_or_find(keyed).await, (second, Some("scheduled".into())));
    let (elsewhere, new) = desk.publish_or_find("'demo.other', unique_key => 'customer-7'").await;
    assert_eq!((elsewhere != second, new), (true, None), "a key belongs to a name");
    let (id, _) = desk.publish_or_find("'demo.task', dedup_id => 'x'").await;
    assert_eq!(desk.publish_or_find("'demo.task', dedup_id => 'x'").await, (id, Some("scheduled".into())));
}

#[tokio::test]
async fn a_delayed_task_waits_and_a_given_instant_is_kept() {
    let desk = Desk::new().await;
    desk.publish("'demo.task', delay => '1 hour'").await.expect("it is accepted");
    let at = desk.publish("'demo.task', at => '2100-01-01T00:00:00Z'").await.expect("it is accepted");

    assert!(desk.ledger.due(10).await.entries.is_empty());
    let due = desk.ledger.record(at).await.due_at.expect("it waits for its time");
    assert_eq!(due.to_string(), "2100-01-01T00:00:00Z");
}

#[tokio::test]
async fn what_no_client_may_publish_is_refused_with_the_reason() {
    let desk = Desk::new().await;
    let refused = [
        (
            "'my task'",
            "\"my task\" is no task name: ' ' is not allowed; use letters, digits and any of _ . : / -",
        ),
        ("''", "\"\" is no task name: it is empty"),
        ("null", "null is no task name: it is empty"),
        ("repeat('x', 201)", "is longer than 200 bytes"),
        ("'a', queue => 'my queue'", "is no queue name"),
        ("'a', queue => 'undeliverable'", "the queue \"undeliverable\" is the broker's own"),
        ("'a', to_jsonb(repeat('x', 1048576))", "args takes 1048578 bytes, more than the limit of 1048576"),
        (
            "'a', (repeat('[', 65) || repeat(']', 65))::jsonb",
            "args is nested deeper than the limit of 64 levels",
        ),
        ("'a', dedup_id => ''", "a dedup id has 1 to 512 bytes, this one has 0"),
        ("'a', dedup_id => repeat('ü', 257)", "a dedup id has 1 to 512 bytes, this one has 514"),
        ("'a', priority => 10", "a priority is 0 to 9, and 10 is none"),
        ("'a', priority => null", "a priority is 0 to 9, and null is none"),
        ("'a', delay => '-1 s'", "delay is -00:00:01, which is not between nothing and 1000 years"),
        ("'a', at => 'infinity'", "at is infinity, which is not between the years 1970 and 9999"),
        ("'a', at => now(), delay => '1 s'", "give delay or at, not both"),
        ("'a', expires_at => now(), expires_in => '1 s'", "give expires_in or expires_at, not both"),
        ("'a', deadline_at => now(), deadline_in => '1 s'", "give deadline_in or deadline_at, not both"),
        ("'a', delay => '2 s', deadline_in => '1 s'", "its deadline comes before it is due"),
        ("'a', tags => '{x,null}'", "a tag is null"),
        ("'a', timeout => '0'", "a timeout has a millisecond at least"),
        ("'a', args_version => 0", "args_version is 1 at least"),
        ("'a', traceparent => 'x'", "\"x\" is no traceparent"),
        ("'a', unique_key => ''", "a unique key has 1 to 512 bytes, this one has 0"),
        ("'a', unique_key => repeat('ü', 257)", "a unique key has 1 to 512 bytes, this one has 514"),
        ("'a', unique_within => '1 s'", "unique_within needs a unique_key"),
        ("'a', replace => true", "replace needs a unique_key"),
        (
            "'a', unique_key => 'k', unique_within => '0'",
            "a unique key is held for a microsecond to 365 days",
        ),
        ("'a', unique_key => 'k', unique_within => '366 days'", "to 365 days, and not for 366 days"),
        ("'a', key => 'my key'", "\"my key\" is no key: ' ' is not allowed"),
        ("'a', key => ''", "\"\" is no key: it is empty"),
        ("'a', retry => '3'", "retry is no object but number"),
        ("'a', retry => '{\"attempts\": 3}'", "retry knows no \"attempts\"; it has max_attempts"),
        (
            "'a', retry => '{\"max_attempts\": 0}'",
            "retry.max_attempts is a whole number from 1 on, and 0 is none",
        ),
        ("'a', retry => '{\"max_attempts\": 1.5}'", "and 1.5 is none"),
        ("'a', retry => '{\"max_attempts\": \"x\"}'", "retry.max_attempts is no number"),
        (
            "'a', retry => '{\"backoff\": \"slow\"}'",
            "retry.backoff is constant, linear or exponential, and not \"slow\"",
        ),
        ("'a', retry => '{\"jitter\": \"some\"}'", "retry.jitter is none or full, and not \"some\""),
        ("'a', retry => '{\"delay\": \"-1 s\"}'", "retry.delay is -00:00:01"),
        (
            "'a', retry => '{\"delay\": \"2 s\", \"max_delay\": \"1 s\"}'",
            "retry.max_delay is shorter than retry.delay",
        ),
    ];
    for (arguments, reason) in refused {
        let (state, text) = said(desk.publish(arguments).await);
        assert_eq!(state, "22023", "{arguments}: {text}");
        assert!(text.contains(reason), "{arguments}: {text}");
    }
    desk.publish("'a', (repeat('[', 64) || repeat(']', 64))::jsonb").await.expect("64 levels are allowed");
    desk.publish("'a', to_jsonb(repeat('[{\"\\', 70))").await.expect("brackets in text do not count");
}

#[tokio::test]
async fn a_settle_that_does_not_apply_raises_and_dooms_its_transaction() {
    let desk = Desk::new().await;
    let lost = desk.ledger.crash(&message()).await;
    assert_eq!(said(desk.settle(&lost).await).0, "UB001", "a straggler");
    let again = desk.ledger.promoted(lost.claim.id).await;
    let run = desk.ledger.acquire(OwnerId::random(), &again).await;
    assert_eq!(said(desk.settle(&lost).await).0, "UB001", "an old fence");

    desk.settle(&run).await.expect("it has the claim");
    let record = desk.ledger.record(run.claim.id).await;
    assert_eq!(
        (record.state, record.result.map(|it| it.to_json())),
        (TaskState::Succeeded, Some([7].into()))
    );

    let sql = format!("begin; create table {}.effect ()", desk.space.schema());
    desk.user.batch_execute(&sql).await.expect("an effect can be written");
    assert_eq!(said(desk.settle(&run).await).0, "UB002", "it is settled");
    assert_eq!(
        said(desk.user.execute("select 1", &[]).await).0,
        "25P02",
        "nothing can be committed any more"
    );
    let needed = format!("rollback; select {}.settle(null, 1, 2)", desk.space.schema());
    assert_eq!(said(desk.user.batch_execute(&needed).await).0, "22023");
}

#[tokio::test]
async fn a_transaction_that_settled_may_not_fall_asleep() {
    let desk = Desk::new().await;
    let run = desk.ledger.acquire_any(&message()).await;
    let patience = async || {
        let sql = "select current_setting('idle_in_transaction_session_timeout')";
        desk.user.query_one(sql, &[]).await.expect("it is a setting").get::<_, String>(0)
    };
    desk.user.batch_execute("begin").await.expect("it begins");
    desk.settle(&run).await.expect("it has the claim");
    assert_eq!(patience().await, "30s");
    desk.user.batch_execute("commit").await.expect("it ends");
    assert_eq!(patience().await, "0", "as it was");
}

#[tokio::test]
async fn transactions_that_stay_open_hinder_no_worker() {
    let desk = Desk::new().await;
    let mut open = Vec::new();
    // More than a worker's own transactions have slots to count in.
    for _ in 0..140 {
        let user = connect(&desk.space.url).await;
        let sql =
            format!("set lock_timeout = '5s'; begin; select {}.publish('demo.task')", desk.space.schema());
        user.batch_execute(&sql).await.expect("it publishes");
        open.push(user);
    }
    let run = desk.ledger.acquire_any(&message()).await;
    desk.ledger.succeed(&run).await;
    assert_eq!(desk.ledger.count(&queue("default"), TaskState::Succeeded).await, 1);
    for user in open {
        user.batch_execute("commit").await.expect("it commits");
    }
    assert_eq!(desk.ledger.count(&queue("default"), TaskState::Scheduled).await, 140);
}

#[tokio::test]
async fn who_may_use_the_schema_may_publish_and_settle_and_see_nothing() {
    let desk = Desk::new().await;
    let run = desk.ledger.acquire_any(&message()).await;
    let (schema, role) = (desk.space.schema(), format!("role_{}", desk.space.namespace));
    let sql = format!("create role {role}; grant usage on schema {schema} to {role}; set role {role}");
    desk.user.batch_execute(&sql).await.expect("it is a role");

    let published = desk.publish("'demo.task'").await;
    let settled = desk.settle(&run).await;
    let seen = desk.user.query(&format!("select * from {schema}.task"), &[]).await;

    let sql = format!("reset role; drop owned by {role}; drop role {role}");
    desk.user.batch_execute(&sql).await.expect("it goes");
    published.expect("it may publish");
    settled.expect("it may settle");
    assert_eq!(said(seen).0, "42501");
}

#[tokio::test]
async fn what_was_granted_on_the_three_functions_outlives_a_migration() {
    let desk = Desk::new().await;
    let schema = desk.space.schema();
    let grants = format!(
        "revoke execute on function {schema}.settle from public; revoke execute on function {schema}.publish from public; \
         revoke execute on function {schema}.publish_or_find from public"
    );
    desk.user.batch_execute(&grants).await.expect("it can be revoked");
    let sql = migrations_sql(&desk.space.namespace);
    let functions = &sql[sql.rfind("begin;").expect("the functions are a transaction")..];
    desk.user.batch_execute(functions).await.expect("they are made anew");

    let sql = "select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where quote_ident(n.nspname) = $1 and p.proname in ('publish', 'publish_or_find', 'settle') and p.proacl is not null";
    let plain = schema.trim_matches('"').to_owned();
    let row = desk.user.query_one(sql, &[&plain]).await.expect("it is SQL");
    assert_eq!(row.get::<_, i64>(0), 3);
}
