//! The ledger's other half as a member has it: looking, and acting on what one sees.

use std::time::Duration;

use async_trait::async_trait;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{
    ActAnswer, Action, Edit, EditAnswer, Inspect, KeyWindow, LedgerError, LimitRecord, PageCursor,
    PurgeReport, QueueRecord, Records, RestoreAnswer, RestoredSchedule, Retention, TaskFilter, TaskPage,
};
use upbeat_shared::member::MemberRecord;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskRecord;

use super::history::About;
use super::ledger::FarLedger;
use super::net::Seen;
use crate::testing::world::at_once;

type Answer<T> = Result<T, LedgerError>;

#[async_trait]
impl Inspect for FarLedger {
    async fn get(&self, ids: Vec<TaskId>) -> Answer<Vec<Option<TaskRecord>>> {
        self.look("get", |raw| at_once(Inspect::get(raw, ids))).await
    }

    async fn list(&self, filter: TaskFilter, after: Option<PageCursor>, limit: usize) -> Answer<TaskPage> {
        self.look("list", move |raw| at_once(raw.list(filter, after, limit))).await
    }

    async fn queues(&self) -> Answer<Vec<QueueRecord>> {
        self.look("queues", |raw| at_once(raw.queues())).await
    }

    async fn limits(&self, most: usize) -> Answer<Vec<LimitRecord>> {
        self.look("limits", move |raw| at_once(raw.limits(most))).await
    }

    async fn members(&self) -> Answer<Vec<MemberRecord>> {
        self.look("members", |raw| at_once(raw.members())).await
    }

    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Answer<Vec<ActAnswer>> {
        let about = About::tasks(ids.iter().copied());
        self.ask(
            "act",
            about,
            |_| Seen::notable("done"),
            move |raw, law| {
                if matches!(action, Action::Retry) {
                    law.hurried(&ids);
                }
                at_once(raw.act(ids, action))
            },
        )
        .await
    }

    async fn pause(&self, queue: QueueName, paused: bool) -> Answer<()> {
        self.look("pause", move |raw| at_once(raw.pause(queue, paused))).await
    }

    async fn purge(&self, retention: Retention, limit: usize) -> Answer<PurgeReport> {
        self.look("forget", move |raw| at_once(raw.purge(retention, limit))).await
    }

    async fn wait(&self, at_most: Duration) {
        Inspect::wait(self.raw(), at_most).await;
    }
}

#[async_trait]
impl Records for FarLedger {
    async fn edit(&self, edits: Vec<Edit>) -> Answer<Vec<EditAnswer>> {
        let ids: Vec<TaskId> = edits.iter().map(|edit| edit.id).collect();
        let about = About::tasks(ids.iter().copied());
        self.ask(
            "edit",
            about,
            |_| Seen::notable("edited"),
            move |raw, law| {
                law.hurried(&ids);
                at_once(raw.edit(edits))
            },
        )
        .await
    }

    async fn restore(&self, tasks: Vec<TaskRecord>) -> Answer<Vec<RestoreAnswer>> {
        let about = About::tasks(tasks.iter().map(TaskRecord::id));
        self.ask("restore", about, |_| Seen::notable("restored"), |raw, _| at_once(raw.restore(tasks))).await
    }

    async fn restore_schedules(&self, schedules: Vec<RestoredSchedule>) -> Answer<Vec<RestoreAnswer>> {
        self.ask(
            "restore_schedules",
            About::default(),
            |_| Seen::notable("restored"),
            |raw, _| at_once(raw.restore_schedules(schedules)),
        )
        .await
    }

    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Answer<Vec<KeyWindow>> {
        self.look("windows", move |raw| at_once(raw.windows(after, limit))).await
    }

    async fn restore_windows(&self, windows: Vec<KeyWindow>) -> Answer<Vec<RestoreAnswer>> {
        let about = About::tasks(windows.iter().map(|window| window.task));
        let seen = |_: &Vec<RestoreAnswer>| Seen::notable("restored");
        self.ask("restore_windows", about, seen, |raw, _| at_once(raw.restore_windows(windows))).await
    }
}
