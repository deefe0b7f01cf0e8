//! Dead tasks that a beat found, as others are told of them when the ledger has them: hooks, and by a task the operator's
//! endpoint.

use std::sync::Arc;

use upbeat_shared::hook::Dead;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{NewEntry, Park, ParkAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::RunError;

use super::context::Context;

/// Tasks ended in a reap: their rows say the rest.
pub(super) async fn reaped(ctx: &Context, ids: &[TaskId]) {
    if ids.is_empty() || !(ctx.hooks.wants_dead() || ctx.options.notices.dead.is_some()) {
        return;
    }
    for ids in ids.chunks(ctx.options.batch) {
        match ctx.persist("get", || ctx.store.inspect.get(ids.to_vec())).await {
            Ok(records) => tell(ctx, records.into_iter().flatten().filter_map(of_row)).await,
            Err(error) => {
                tracing::error!(?ids, %error, "nobody is told of these dead tasks: they cannot be read");
            }
        }
    }
}

/// Some of these tasks may have been parked for too long.
pub(super) async fn parked(ctx: &Context, parks: Vec<Park>, answers: Vec<ParkAnswer>) {
    let dead = parks.into_iter().zip(answers).filter_map(|(park, answer)| {
        let (ParkAnswer::Dead, Some((_, kind))) = (answer, park.dead_after) else { return None };
        tracing::warn!(id = %park.message.id, name = %park.message.name, why = park.note, "a task waited for too long and is dead");
        Some(of(park.message, RunError::new(kind, park.note)))
    });
    tell(ctx, dead).await;
}

/// The dead task that stands for a message which could not be understood. The verdict counts an attempt.
pub(super) fn buried(message: Message, error: RunError) -> Dead {
    Dead { attempts: message.attempts + 1, ..of(message, error) }
}

/// Its notice, if the operator wants to know.
pub(super) fn notice(ctx: &Context, dead: &Dead) -> Option<NewEntry> {
    ctx.options.notices.of_dead(&ctx.options.namespace, dead)
}

/// Tells the hooks, and puts notices on the agenda. A beat that dies before that has told nobody.
async fn tell(ctx: &Context, all: impl Iterator<Item = Dead>) {
    let mut notices = Vec::new();
    for dead in all {
        let dead = Dead { at: ctx.clock.now(), ..dead };
        notices.extend(notice(ctx, &dead));
        ctx.hooks.dead(|| dead);
    }
    if notices.is_empty() {
        return;
    }
    if let Err(error) = ctx.persist("add", || ctx.store.agenda.add(notices.clone())).await {
        let ids: Vec<&str> = notices.iter().filter_map(|notice| notice.message.dedup_id.as_deref()).collect();
        tracing::error!(?ids, %error, "the notices of these dead tasks could not be put on the agenda: nobody is told of them");
    }
}

/// Somebody may have replayed it meanwhile.
fn of_row(record: TaskRecord) -> Option<Dead> {
    let error = record.error.filter(|_| record.state == TaskState::Dead)?;
    Some(of(record.message, error))
}

fn of(message: Message, error: RunError) -> Dead {
    let Message { attempts, crashes, .. } = message;
    Dead { message: Arc::new(message), attempts, crashes, error, at: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{mpsc, watch};
    use upbeat_shared::hook::Hooks;
    use upbeat_shared::hook::{DEAD_NOTICE, Notices};
    use upbeat_shared::id::{OwnerId, Token};
    use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, Lost};
    use upbeat_shared::member::{Heartbeat, MemberInfo, Role};
    use upbeat_shared::message::Payload;
    use upbeat_shared::name::TaskName;
    use upbeat_shared::verdict::RunErrorKind;

    use super::*;
    use crate::beat::testing::{Hand, Scripted, Stage, queue};
    use crate::beat::{BeatOptions, reap};

    fn message(number: u128) -> Message {
        let id = TaskId(uuid::Uuid::from_u128(number));
        Message::new(id, TaskName::new("a").unwrap(), queue("q"), Payload::json(&1).unwrap())
    }

    /// A worker that has claimed these, and is silent from then on.
    async fn lost(stage: &Stage, messages: &[Message]) -> Lost {
        let (owner, counter) = (OwnerId::random(), 7);
        let (lease, info) = (Duration::from_secs(15), MemberInfo::default());
        let heartbeat = Heartbeat { owner, role: Role::Worker, counter, lease, info };
        let ledger = &stage.ctx.store.ledger;
        ledger.heartbeat(heartbeat).await.unwrap();
        let request = |message: &Message| ClaimRequest::new(message.clone(), Token::random());
        let answers = ledger.claim(owner, messages.iter().map(request).collect()).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, ClaimAnswer::Acquired(_))));
        Lost { owner, counter }
    }

    #[tokio::test]
    async fn who_kills_its_workers_is_told_of_and_whoever_goes_on_is_not() {
        let stage = Stage::new(Hand::at("2026-05-01T12:00:00Z"), Scripted::with_queues(&[])).await;
        let (told, mut heard) = mpsc::channel(10);
        let hooks = Hooks::new().on_dead(move |dead| {
            let told = told.clone();
            async move { told.send(dead).await.unwrap() }
        });
        let (hooks, calling) = hooks.start(stage.hand.clone());
        let notices = Notices { dead: Some(queue("hooks")), ..Notices::default() };
        let ctx = stage.with(|ctx| {
            ctx.options = BeatOptions { max_crashes: 2, notices, ..ctx.options.clone() };
            ctx.hooks = hooks;
        });
        let doomed = Message { crashes: 1, tags: vec!["tenant:acme".into()], ..message(1) };
        let lost = lost(&stage, &[doomed, message(2)]).await;
        let (_judged, judged) = watch::channel(vec![lost]);

        let reaping = tokio::spawn(reap::reap(ctx.clone(), judged));

        let dead = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap();
        ctx.stop.cancel();
        reaping.await.unwrap();
        let due = ctx.store.agenda.due(10, Duration::ZERO).await.unwrap().entries;
        drop(ctx);
        calling.stop(Duration::from_secs(30)).await;
        assert_eq!((dead.id(), dead.crashes, dead.attempts), (message(1).id, 2, 0));
        assert_eq!(dead.error.kind, RunErrorKind::Crashed);
        assert_eq!(dead.message.tags, ["tenant:acme"]);
        assert_eq!(heard.recv().await, None, "and of nobody else");
        let due: Vec<_> = due.iter().map(|entry| entry.message.name.as_str()).collect();
        assert_eq!(due.iter().filter(|name| **name == DEAD_NOTICE).count(), 1, "{due:?}");
        assert_eq!(due.len(), 2, "the other one runs again: {due:?}");
    }
}
