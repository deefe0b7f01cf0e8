//! Plans: one made while the ledger was empty must be good when it is large. Told by what Postgres counts, not by time.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, TaskId, Token};
use upbeat_shared::ledger::{
    Action, ClaimRequest, Due, Expect, Lost, Mark, NewSchedule, Postpone, Retention, Settlement, Store,
    TaskFilter,
};
use upbeat_shared::limit::{FairPolicy, FairQueues, LimitKind, LimitPolicy, LimitUse};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::ledger::{Probe, Running};
use upbeat_tests::conformance::postgres::{Space, connect};
use upbeat_tests::harness::eventually;
use upbeat_tests::message::{definition, entry, failure, message, occurrence, schedule_id};

/// Everything that is ever asked of a ledger, in small batches.
async fn a_bit_of_everything(store: &Store) {
    let ledger = Probe::over(store.clone());
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    let new: Vec<Message> = (0..20).map(|_| Message { tags: vec!["eu".into()], ..message() }).collect();
    ledger.add_all(new.iter().map(|message| entry(message, Due::In(Duration::ZERO))).collect()).await;
    let due = ledger.due(50).await;
    let marks = |from: &[Message]| from.iter().map(|it| Mark { id: it.id, seq: it.seq }).collect::<Vec<_>>();
    store.agenda.mark(marks(&new)).await.expect("it marks");
    let by = Duration::from_secs(60);
    let late = new[..2].iter().map(|it| Postpone { id: it.id, seq: it.seq, by }).collect();
    store.agenda.postpone(late).await.expect("it postpones");
    assert!(due.entries.len() >= 20);

    let mut known = new.clone();
    known.extend((0..20).map(|_| message()));
    let mut runs: Vec<Running> = Vec::new();
    for message in &known {
        runs.push(ledger.acquire(owner, message).await);
    }
    let result = Some(Payload::json(&1).expect("plain data"));
    let verdicts = [
        Verdict::Succeeded { result: None },
        Verdict::Succeeded { result },
        Verdict::Retry { delay: by, error: failure("again") },
        Verdict::Dead { error: failure("enough") },
        Verdict::Snooze { delay: by },
        Verdict::Cancelled { reason: "no".into() },
    ];
    let settled = runs[..30].iter().zip(verdicts.iter().cycle());
    ledger.settle_all(settled.map(|(run, verdict)| run.settlement(verdict.clone())).collect()).await;
    ledger.claim_all(owner, &known).await;
    store.ledger.mine(owner).await.expect("it lists");
    store.ledger.release(owner, vec![runs[30].claim]).await.expect("it releases");
    let dead = runs[3].claim.id;
    for action in [Action::Cancel { reason: "no".into() }, Action::Drop, Action::Retry] {
        let ids: Vec<TaskId> = vec![runs[31].claim.id, dead, runs[2].claim.id, message().id];
        store.inspect.act(ids, action).await.expect("it acts");
    }
    with_keys(&ledger).await;
    ledger.park(&message()).await;
    ledger.park(&new[4]).await;
    store.inspect.get(known.iter().map(|message| message.id).collect()).await.expect("it shows");
    limited(&ledger).await;
    look_around(store).await;
    plan(store).await;
    ledger.beat(owner, 2).await;
    store.agenda.reap(vec![Lost { owner, counter: 2 }], 3).await.expect("it reaps");
    store.ledger.leave(owner).await.expect("it may leave");
    let retention = Retention {
        details: by,
        dead: Some(by),
        cancelled: Some(by / 2),
        ids: by,
        occurrences: by,
        ..Retention::default()
    };
    store.inspect.purge(retention, 100).await.expect("it purges");
}

/// Keys that are taken, replaced, freed and taken again.
async fn with_keys(ledger: &Probe) {
    let keyed = |unique: Unique| Message { unique: Some(unique), ..message() };
    let window = Unique::by("window").within(Duration::from_secs(60)).replacing();
    let batch: Vec<Message> = (0..3)
        .flat_map(|number| [Unique::by(number.to_string()).replacing(), window.clone()])
        .map(keyed)
        .collect();
    let due = Due::In(Duration::from_secs(3600));
    ledger.add_all(batch.iter().map(|message| entry(message, due)).collect()).await;
    ledger.cancel(batch[0].id).await;
    ledger.act(batch[0].id, Action::Retry).await;
}

/// Tasks under limits, and of a fair queue.
async fn limited(ledger: &Probe) {
    let policy = LimitPolicy::default().running(1).rate("1000/1s".parse().expect("a rate"));
    let limits = vec![LimitUse::new(LimitKind::Task, "busy", policy)];
    let fair = FairQueues([("default".parse().expect("a name"), FairPolicy::new(1))].into());
    let owner = OwnerId::random();
    let messages: Vec<Message> = (0..3).map(|_| message()).collect();
    ledger.add_all(messages.iter().map(|it| entry(it, Due::In(Duration::ZERO))).collect()).await;
    let turns = messages.iter().filter_map(|it| fair.turn(it)).collect();
    ledger.store.ledger.line_up(turns).await.expect("it answers");
    for _ in 0..2 {
        let request = |it: &Message| ClaimRequest::new(it.clone(), Token::random()).under(limits.clone());
        ledger.claim_batch(owner, messages.iter().map(request).collect()).await;
        let mine = ledger.store.ledger.mine(owner).await.expect("it lists");
        let verdict = || Verdict::Succeeded { result: None };
        let settled =
            mine.into_iter().map(|claim| Settlement { owner, claim, verdict: verdict(), then: Vec::new() });
        ledger.settle_all(settled.collect()).await;
    }
    for message in &messages {
        ledger.cancel(message.id).await;
    }
}

async fn look_around(store: &Store) {
    let all = TaskFilter::default;
    let filters = [
        all(),
        TaskFilter { states: vec![TaskState::Dead], ..all() },
        TaskFilter { states: vec![TaskState::Scheduled, TaskState::Queued], ..all() },
        TaskFilter { states: vec![TaskState::Running], ..all() },
        TaskFilter {
            states: vec![TaskState::Succeeded],
            queue: Some("default".parse().expect("a name")),
            ..all()
        },
        TaskFilter { schedule: Some(schedule_id("nightly")), ..all() },
        TaskFilter { tag: Some("eu".into()), name: Some("demo.task".parse().expect("a name")), ..all() },
    ];
    for filter in filters {
        let page = store.inspect.list(filter.clone(), None, 5).await.expect("it lists");
        store.inspect.list(filter, page.next, 5).await.expect("it lists");
    }
    store.inspect.queues().await.expect("it counts");
    store.agenda.backlog().await.expect("it counts");
}

async fn plan(store: &Store) {
    let id = schedule_id("nightly");
    let new = NewSchedule { id: id.clone(), definition: definition(), source: "a test".into() };
    store.catalog.put(new, Expect::Absent).await.expect("it is stored");
    let record = store.catalog.get(vec![id.clone()]).await.expect("it is there").remove(0);
    let advance = upbeat_shared::ledger::Advance {
        id: id.clone(),
        incarnation: record.incarnation,
        revision: record.revision,
        from: record.cursor,
        to: record.cursor,
        fire: vec![occurrence(&record, record.cursor)],
        skipped: Vec::new(),
    };
    store.catalog.advance(vec![advance]).await.expect("it moves");
    store.catalog.occurrences(id.clone(), 5).await.expect("they are listed");
    assert!(store.catalog.remove(id, record.revision).await.expect("it is removed"));
}

/// 200,000 tasks that ended or wait, as if they had gone through the ledger. Their messages are such as nobody can read.
fn growth(schema: &str) -> String {
    format!(
        "with new as (
            insert into {schema}.task (id, row, name, queue, priority, state, seq, attempts, crashes, recorded_at,
                due_at, wake_at, finished_at, bad)
            select gen_random_uuid(), nextval('{schema}.task_row'), 'demo.task', 'default', 4,
                case when n % 100 = 0 then 0 when n % 100 = 1 then 5 else 4 end, 0, 0, 0, {schema}.now_us(),
                {schema}.now_us(), case when n % 100 = 0 then {schema}.now_us() + 3600000000 end,
                case when n % 100 > 0 then {schema}.now_us() end, n % 100 = 1
            from generate_series(1, 200000) n returning row
         )
         insert into {schema}.detail (task, message) select row, '\\xc1' from new;
         insert into {schema}.limit_part (task, limit_id, part, at)
         select n, 'task:' || n % 10, 1, n from generate_series(1000000, 1200000) n"
    )
}

/// Sequential scans of the large tables, rows read by them, and lookups in indexes.
async fn scans(space: &Space) -> (i64, i64, i64) {
    let sql = "select sum(seq_scan)::bigint, sum(seq_tup_read)::bigint, sum(idx_scan)::bigint from pg_stat_user_tables
        where schemaname = $1 and relname in ('task', 'detail', 'outcome', 'unique_window', 'limit_part')";
    let schema = space.schema().replace('"', "");
    let row = connect(&space.url).await.query_one(sql, &[&schema]).await.expect("Postgres counts");
    (row.get(0), row.get(1), row.get(2))
}

/// Waits until every process of this name has gone: only then has it told all that it counted.
async fn gone(space: &Space, name: &str) {
    let client = connect(&space.url).await;
    let sql = "select count(*) from pg_stat_activity where application_name = $1";
    eventually("its connections are closed", Duration::from_secs(20), async || {
        client.query_one(sql, &[&name]).await.expect("Postgres lists").get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn a_plan_made_for_an_empty_ledger_reads_no_large_table_from_end_to_end() {
    let space = Space::random();
    let maker = format!("maker-{}", space.namespace);
    let user = format!("user-{}", space.namespace);
    let mut options = space.options(1);
    options.name.clone_from(&maker);
    drop(
        upbeat_shared::ledger::postgres::PostgresLedger::open(options.clone())
            .await
            .expect("it can be opened"),
    );
    gone(&space, &maker).await;
    let before = scans(&space).await;

    options.name.clone_from(&user);
    let store = Store::from_adapter(
        upbeat_shared::ledger::postgres::PostgresLedger::open(options).await.expect("it can be opened"),
    );
    a_bit_of_everything(&store).await;
    let client = connect(&space.url).await;
    client.batch_execute(&growth(&space.schema())).await.expect("the tables grow");
    for _ in 0..3 {
        a_bit_of_everything(&store).await;
    }
    drop(store);

    gone(&space, &user).await;
    let after = scans(&space).await;
    assert!(after.2 > before.2 + 1000, "Postgres counted nothing: {before:?}, {after:?}");
    assert_eq!((after.0 - before.0, after.1 - before.1), (0, 0), "sequential scans, and rows read by them");
}
