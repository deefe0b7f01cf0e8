//! Dead tasks that a beat found, as hooks are told of them. Called only when the ledger has them already.

use std::sync::Arc;

use upbeat_shared::hook::Dead;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Park;
use upbeat_shared::message::Message;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::{RunError, RunErrorKind};

use super::context::Context;

/// Tasks ended in a reap: their rows say the rest.
pub(super) async fn reaped(ctx: &Context, ids: &[TaskId]) {
    if !ctx.hooks.wants_dead() {
        return;
    }
    for ids in ids.chunks(ctx.options.batch) {
        match ctx.persist("get", || ctx.store.inspect.get(ids.to_vec())).await {
            Ok(records) => {
                for record in records.into_iter().flatten() {
                    row(ctx, record);
                }
            }
            Err(error) => {
                tracing::warn!(tasks = ids.len(), %error, "hooks are not told of dead tasks that cannot be read");
            }
        }
    }
}

/// A message could not be understood, and a dead task stands for it.
pub(super) fn buried(ctx: &Context, message: Message, reason: &str) {
    let error = RunError::new(RunErrorKind::Undeliverable, reason);
    // The verdict counts an attempt.
    ctx.hooks.dead(|| Dead { attempts: message.attempts + 1, ..dead(ctx, message, error) });
}

/// A task was parked for too long.
pub(super) fn parked(ctx: &Context, park: &Park) {
    let Some((_, kind)) = park.dead_after else { return };
    tracing::warn!(id = %park.message.id, name = %park.message.name, why = park.note, "a task waited for too long and is dead");
    ctx.hooks.dead(|| dead(ctx, park.message.clone(), RunError::new(kind, park.note.clone())));
}

fn row(ctx: &Context, record: TaskRecord) {
    // Somebody may have replayed it meanwhile.
    let Some(error) = record.error.filter(|_| record.state == TaskState::Dead) else { return };
    ctx.hooks.dead(|| dead(ctx, record.message, error));
}

fn dead(ctx: &Context, message: Message, error: RunError) -> Dead {
    let Message { attempts, crashes, .. } = message;
    Dead { message: Arc::new(message), attempts, crashes, error, at: ctx.clock.now() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{mpsc, watch};
    use upbeat_shared::hook::Hooks;
    use upbeat_shared::id::{OwnerId, Token};
    use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, Lost};
    use upbeat_shared::member::{Heartbeat, MemberInfo, Role};
    use upbeat_shared::message::Payload;
    use upbeat_shared::name::TaskName;

    use super::*;
    use crate::beat::context::Context;
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
        let request = |message: &Message| ClaimRequest { message: message.clone(), token: Token::random() };
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
        let options = BeatOptions { max_crashes: 2, ..stage.ctx.options.clone() };
        let ctx = Arc::new(Context { options, hooks, ..(*stage.ctx).clone() });
        let doomed = Message { crashes: 1, tags: vec!["tenant:acme".into()], ..message(1) };
        let lost = lost(&stage, &[doomed, message(2)]).await;
        let (_judged, judged) = watch::channel(vec![lost]);

        let reaping = tokio::spawn(reap::reap(ctx.clone(), judged));

        let dead = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap();
        ctx.stop.cancel();
        reaping.await.unwrap();
        drop(ctx);
        calling.stop(Duration::from_secs(30)).await;
        assert_eq!((dead.id(), dead.crashes, dead.attempts), (message(1).id, 2, 0));
        assert_eq!(dead.error.kind, RunErrorKind::Crashed);
        assert_eq!(dead.message.tags, ["tenant:acme"]);
        assert_eq!(heard.recv().await, None, "and of nobody else");
    }
}
