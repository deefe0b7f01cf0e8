//! Waiting for published tasks to end.

use std::time::Duration;

use upbeat_shared::client::WaitError;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::LedgerError;
use upbeat_shared::progress::Progress;
use upbeat_shared::task::{TaskRecord, TaskState};

use super::context::{Context, Session};
use super::failure::Failure;
use super::moment::rough;
use super::running::Running;
use super::task_view;
use super::words::counted;

/// After so long without an end, a remark says why nothing happens; and again, while there is something else to say.
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
        let running = Running::default();
        output.result(
            || task_view::details(session.now(), &record, &running, output),
            || running.json(&record),
        )?;
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
    let mut said = None;
    loop {
        tokio::select! {
            ended = &mut waiting => return ended,
            () = tokio::time::sleep(REMINDER) => {}
        }
        // Only a remark: if the ledger fails, the wait itself will say so.
        let Ok((standing, progress)) = look(session, id).await else { continue };
        // That it still stands where it stood need not be said twice.
        if said.as_ref() != Some(&progress) {
            context.output.note(format_args!("waiting for {id}: {standing}"));
            said = Some(progress);
        }
    }
}

/// Where a task stands, and how far its run has come.
async fn look(session: &Session, id: TaskId) -> Result<(String, Option<Progress>), LedgerError> {
    let store = &session.stack.store;
    let found: Vec<TaskRecord> = store.inspect.get(vec![id]).await?.into_iter().flatten().collect();
    let running = Running::of(store, &found).await?;
    let Some(task) = found.first() else { return Ok(("the ledger has not seen it yet".to_owned(), None)) };
    Ok((task_view::standing(session.now(), task, &running), running.progress(task).cloned()))
}
