//! What is asked of a history when it is over: that nothing accepted was lost, and nothing was done without being recorded.

use std::collections::BTreeMap;

use upbeat_shared::id::TaskId;
use upbeat_shared::task::{TaskRecord, TaskState};

use super::engine::Engine;
use super::rows;

/// What must not have happened and did.
pub(super) fn broken(engine: &Engine, in_time: bool) -> Vec<String> {
    let law = &engine.ground.law;
    let mut broken = law.broken();
    if !broken.is_empty() {
        // What comes of it would only distract.
        return broken;
    }
    law.tallied(&engine.ground.ledger);
    broken.extend(law.broken());
    let tasks = rows::all(&engine.ground.ledger);
    if !in_time {
        broken.push(format!("not everything ended within {:?} after all was well again", engine.patience));
        broken.extend(tasks.iter().filter(|task| !task.state.is_terminal()).map(stuck));
        let publishing = engine.members.iter().filter(|member| member.is_publisher());
        let publishing = publishing.filter(|member| !member.done.load(std::sync::atomic::Ordering::Relaxed));
        broken.extend(publishing.map(|member| format!("{} is still publishing", member.name)));
    }
    let by_id: BTreeMap<TaskId, &TaskRecord> = tasks.iter().map(|task| (task.id(), task)).collect();
    for id in engine.ground.journal.accepted() {
        if !by_id.contains_key(&id) {
            broken.push(format!("task {id} was accepted, and the ledger does not know it"));
        }
    }
    broken.extend(runs(engine, &by_id));
    broken
}

fn stuck(task: &TaskRecord) -> String {
    format!("task {} ({}) is still {}, due at {:?}", task.id(), task.message.name, task.state, task.due_at)
}

/// Runs and records agree.
fn runs(engine: &Engine, tasks: &BTreeMap<TaskId, &TaskRecord>) -> Vec<String> {
    let mut completed: BTreeMap<TaskId, (u64, u64)> = BTreeMap::new();
    for run in engine.ground.journal.runs() {
        let (returned, well) = completed.entry(run.id).or_default();
        *returned += u64::from(run.returned.is_some());
        *well += u64::from(run.returned == Some(true));
    }
    let mut broken = Vec::new();
    for (id, task) in tasks {
        let (returned, well) = completed.get(id).copied().unwrap_or_default();
        let account = engine.ground.law.account(*id);
        if task.state == TaskState::Succeeded && well == 0 && engine.knows(&task.message.name) {
            broken.push(format!("task {id} is recorded as succeeded, and no run of it was"));
        }
        if returned > account.settled + account.lost {
            broken.push(format!(
                "task {id}: {returned} of its runs returned; {} were settled, and {} lost or given back",
                account.settled, account.lost
            ));
        }
    }
    broken
}
