//! Waiting for published tasks to end.

use std::time::Duration;

use upbeat_shared::client::WaitError;
use upbeat_shared::id::TaskId;
use upbeat_shared::task::{TaskRecord, TaskState};

use super::context::{Context, Session};
use super::failure::Failure;
use super::moment::rough;
use super::task_view;
use super::words::counted;

/// After so long without an end, a remark says why nothing happens.
const REMINDER: Duration = Duration::from_secs(5);

/// Waits for tasks, one after the other, and prints each; fails unless all of them succeeded. `timeout` is for all of
/// them together.
pub(crate) async fn until_ended(
    context: &Context,
    session: &Session,
    ids: &[TaskId],
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    let started = context.clock.monotonic();
    let mut failed: u64 = 0;
    for id in ids {
        let spent = context.clock.monotonic().saturating_sub(started);
        let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(spent));
        let record = until_one_ended(context, session, *id, left).await.map_err(|error| match error {
            WaitError::TimedOut { .. } => too_long(*id, timeout.unwrap_or_default()),
            error => error.into(),
        })?;
        let output = &context.output;
        output.result(|| task_view::details(session.now(), &record, output), || record.to_json())?;
        failed += u64::from(record.state != TaskState::Succeeded);
    }
    let message = match failed {
        0 => return Ok(()),
        1 if ids.len() == 1 => "the task did not succeed".to_owned(),
        n => format!("{n} of {} did not succeed", counted(ids.len() as u64, "task")),
    };
    Err(Failure::failed(message).page("task-not-succeeded"))
}

fn too_long(id: TaskId, timeout: Duration) -> Failure {
    Failure::failed(format!("the task {id} has not ended within {}", rough(timeout)))
        .page("wait-timed-out")
        .advice(format!("it goes on; look at it with `upbeat tasks show {id}`"))
}

async fn until_one_ended(
    context: &Context,
    session: &Session,
    id: TaskId,
    timeout: Duration,
) -> Result<TaskRecord, WaitError> {
    let waiting = session.stack.client.wait(id, timeout);
    tokio::pin!(waiting);
    tokio::select! {
        ended = &mut waiting => return ended,
        () = tokio::time::sleep(REMINDER) => {}
    }
    // Only a remark: if the ledger fails, the wait itself will say so.
    if let Ok(records) = session.stack.store.inspect.get(vec![id]).await {
        let record = records.into_iter().next().flatten();
        let seen = record.map(|record| task_view::standing(session.now(), &record));
        let seen = seen.unwrap_or_else(|| "the ledger has not seen it yet".to_owned());
        context.output.note(format_args!("waiting for {id}: {seen}"));
    }
    waiting.await
}
