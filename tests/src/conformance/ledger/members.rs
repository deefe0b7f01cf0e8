//! Members: heartbeats and what they answer, rows in a member's name, and leaving.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq, TaskId, Token};
use upbeat_shared::ledger::OwnedClaim;
use upbeat_shared::member::{Heartbeat, LEASE, MemberInfo, Pulse, Role};
use upbeat_shared::progress::Progress;
use upbeat_shared::task::TaskState;

use super::probe::assert_between;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{heartbeat, message, queue, task_name};

suite! { $ members_conformance, LedgerWorld, ledger::members:
    a_heartbeat_tells_the_stores_time,
    a_heartbeat_tells_every_members_pulse,
    a_heartbeat_tells_which_queues_are_paused,
    a_member_is_listed_as_it_describes_itself,
    mine_lists_what_runs_in_a_members_name,
    releasing_gives_back_exactly_what_is_named,
    releasing_by_an_older_fence_or_another_token_does_nothing,
    releasing_by_another_owner_does_nothing,
    leaving_releases_and_forgets_the_member,
    a_record_keeps_the_name_of_its_worker,
    a_new_incarnation_starts_from_nothing,
}

async fn a_heartbeat_tells_the_stores_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let before = ledger.now().await;
    let answer = ledger.beat(OwnerId::random(), 1).await;
    assert_between("now", Some(answer.now), before, ledger.now().await, Duration::ZERO);
    world.forward(Duration::from_secs(60));
    let later = ledger.beat(OwnerId::random(), 1).await;
    assert!(later.now >= upbeat_shared::clock::later(answer.now, Duration::from_secs(60)));
}

async fn a_heartbeat_tells_every_members_pulse(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (worker, beat) = (OwnerId::random(), OwnerId::random());
    ledger.beat(worker, 41).await;
    let of_beat = Heartbeat { role: Role::Beat, lease: Duration::from_millis(2500), ..heartbeat(beat, 1) };

    let answer = ledger.store.ledger.heartbeat(of_beat).await.expect("the store answers");

    let mut pulses = answer.pulses;
    pulses.sort_by_key(|pulse| pulse.counter);
    let expected = [
        Pulse { owner: beat, role: Role::Beat, counter: 1, lease: Duration::from_millis(2500) },
        Pulse { owner: worker, role: Role::Worker, counter: 41, lease: LEASE },
    ];
    assert_eq!(pulses, expected, "its own is among them");
    let answer = ledger.beat(worker, 42).await;
    assert!(answer.pulses.iter().any(|pulse| (pulse.owner, pulse.counter) == (worker, 42)));
}

async fn a_heartbeat_tells_which_queues_are_paused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    let pause = async |name: &str, paused: bool| {
        ledger.store.inspect.pause(queue(name), paused).await.expect("the store pauses");
    };
    assert_eq!(ledger.beat(owner, 1).await.paused, []);

    pause("mail", true).await;
    pause("mail", true).await;
    pause("reports", true).await;
    let mut paused = ledger.beat(owner, 2).await.paused;
    paused.sort();
    assert_eq!(paused, [queue("mail"), queue("reports")]);

    pause("mail", false).await;
    pause("never-paused", false).await;
    assert_eq!(ledger.beat(owner, 3).await.paused, [queue("reports")]);
}

async fn a_member_is_listed_as_it_describes_itself(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    let info = MemberInfo {
        name: "box:4711".to_owned(),
        version: "0.1.0".to_owned(),
        queues: vec![(queue("critical"), 6), (queue("default"), 1)],
        slots: 20,
        running: 3,
        draining: false,
        isolates: true,
        tasks: vec![(task_name("report.load"), 2), (task_name("hello"), 1)],
        progress: vec![
            (
                TaskId::new(ledger.now().await),
                Progress::new(120, Some(1000), "rows \0 of \u{1F980} \"tables\""),
            ),
            (TaskId::new(ledger.now().await), Progress::new(u64::MAX, None, "")),
        ],
    };
    let started_at = ledger.now().await;
    let first = Heartbeat { info: info.clone(), ..heartbeat(owner, 1) };
    ledger.store.ledger.heartbeat(first).await.expect("the store answers");
    world.forward(Duration::from_secs(5));
    let seen_at = ledger.now().await;
    let draining = MemberInfo { draining: true, running: 0, ..info };
    let second = Heartbeat { info: draining.clone(), ..heartbeat(owner, 2) };
    ledger.store.ledger.heartbeat(second).await.expect("the store answers");

    let members = ledger.store.inspect.members().await.expect("the store lists");

    assert_eq!(members.len(), 1);
    let member = &members[0];
    assert_eq!((member.owner, member.role, member.lease), (owner, Role::Worker, LEASE));
    assert_eq!(member.info, draining);
    assert!(!member.retired);
    assert!(member.started_at >= started_at && member.started_at < seen_at, "{}", member.started_at);
    assert!(member.seen_at >= seen_at, "{}", member.seen_at);
}

async fn mine_lists_what_runs_in_a_members_name(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, stranger) = (OwnerId::random(), OwnerId::random());
    let [one, other, done] = [
        ledger.acquire(owner, &message()).await,
        ledger.acquire(owner, &message()).await,
        ledger.acquire(owner, &message()).await,
    ];
    ledger.acquire(stranger, &message()).await;
    ledger.succeed(&done).await;

    let mut mine = ledger.store.ledger.mine(owner).await.expect("the store answers");

    mine.sort_by_key(|claim| claim.id);
    let mut expected = [one.claim, other.claim];
    expected.sort_by_key(|claim| claim.id);
    assert_eq!(mine, expected);
}

async fn releasing_gives_back_exactly_what_is_named(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    // A reply was lost: the row runs in this worker's name, and nobody runs it.
    let (ghost, kept) = (ledger.acquire(owner, &message()).await, ledger.acquire(owner, &message()).await);
    let before = ledger.now().await;

    let released = ledger.store.ledger.release(owner, vec![ghost.claim]).await.expect("the store releases");

    assert_eq!(released, 1);
    let record = ledger.record(ghost.claim.id).await;
    assert_eq!((record.state, record.seq()), (TaskState::Scheduled, Seq(1)));
    assert_eq!((record.message.attempts, record.message.crashes), (0, 0));
    assert_between("due_at", record.due_at, before, ledger.now().await, Duration::ZERO);
    assert_eq!(ledger.state(kept.claim.id).await, TaskState::Running);
    assert_eq!(ledger.store.ledger.mine(owner).await.expect("the store answers"), [kept.claim]);
    assert_eq!(ledger.due_ids(10).await, [ghost.claim.id]);
}

async fn releasing_by_an_older_fence_or_another_token_does_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, token) = (OwnerId::random(), Token::random());
    let old = ledger.acquire_as(owner, &message(), token).await;
    ledger.fail(&old, Duration::ZERO).await;
    let again = ledger.promoted(old.claim.id).await;
    // The same token: only the fence tells the two claims apart.
    let new = ledger.acquire_as(owner, &again, token).await;
    let forged = OwnedClaim { token: Token::random(), ..new.claim };

    let claims = vec![old.claim, forged];
    let released = ledger.store.ledger.release(owner, claims).await.expect("the store releases");

    assert_eq!(released, 0);
    assert_eq!(ledger.state(new.claim.id).await, TaskState::Running);
}

async fn releasing_by_another_owner_does_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;

    let stranger = OwnerId::random();
    let released = ledger.store.ledger.release(stranger, vec![run.claim]).await.expect("the store releases");

    assert_eq!(released, 0);
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Running);
}

async fn leaving_releases_and_forgets_the_member(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, stays) = (OwnerId::random(), OwnerId::random());
    ledger.beat(owner, 1).await;
    ledger.beat(stays, 1).await;
    let (left, kept) = (ledger.acquire(owner, &message()).await, ledger.acquire(stays, &message()).await);

    ledger.store.ledger.leave(owner).await.expect("a member may leave");
    ledger.store.ledger.leave(owner).await.expect("leaving twice is harmless");

    let members = ledger.store.inspect.members().await.expect("the store lists");
    assert_eq!(members.iter().map(|member| member.owner).collect::<Vec<_>>(), [stays]);
    let record = ledger.record(left.claim.id).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Scheduled, 0));
    assert_eq!(ledger.due_ids(10).await, [left.claim.id]);
    assert_eq!(ledger.state(kept.claim.id).await, TaskState::Running);
}

async fn a_record_keeps_the_name_of_its_worker(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    let info = MemberInfo { name: "box:4711".to_owned(), ..MemberInfo::default() };
    ledger.store.ledger.heartbeat(Heartbeat { info, ..heartbeat(owner, 1) }).await.expect("it answers");
    let run = ledger.acquire(owner, &message()).await;
    assert_eq!(ledger.record(run.claim.id).await.worker.as_deref(), Some("box:4711"));
    ledger.succeed(&run).await;

    ledger.store.ledger.leave(owner).await.expect("a member may leave");

    let record = ledger.record(run.claim.id).await;
    assert_eq!(record.worker.as_deref(), Some("box:4711"), "also after it is gone");
}

async fn a_new_incarnation_starts_from_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let lost = ledger.crash(&message()).await;
    let again = ledger.promoted(lost.claim.id).await;
    let new = OwnerId::random();

    assert!(!ledger.beat(new, 1).await.retired);
    assert_eq!(ledger.store.ledger.mine(new).await.expect("the store answers"), []);
    ledger.acquire(new, &again).await;
}
