//! Against a real ledger, with the planner that fills the watches.

use tokio::sync::mpsc;
use upbeat_shared::hook::{HookRunner, Hooks, Notices, OVERDUE_NOTICE};
use upbeat_shared::id::{OwnerId, TaskId, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, Expect, NewSchedule, TaskFilter};
use upbeat_shared::member::{Heartbeat, MemberInfo, Role};
use upbeat_shared::name::{Namespace, ScheduleId};
use upbeat_shared::occurrence::ScheduleDefinition;
use upbeat_shared::task::TaskState;

use super::*;
use crate::beat::leases::{Held, shard_of};
use crate::beat::plan::{Planner, Round};
use crate::beat::testing::{Hand, Scripted, Stage, at, queue, schedule};

const NOON: &str = "2026-05-01T12:00:00Z";

/// More than it takes to call the hook for all that one test tells.
const TURNS: usize = 2000;

/// A beat that plans every shard, and tells a hook and an endpoint.
struct Scene {
    stage: Stage,
    ctx: Arc<Context>,
    planner: Planner,
    shards: tokio::sync::watch::Sender<Held>,
    heard: mpsc::Receiver<Overdue>,
    _calling: HookRunner,
}

impl Scene {
    async fn new() -> Self {
        Self::beside(Stage::new(Hand::at(NOON), Scripted::with_queues(&[])).await)
    }

    /// A beat that has just come.
    fn beside(stage: Stage) -> Self {
        let (told, heard) = mpsc::channel(1000);
        let hooks = Hooks::new().on_overdue(move |overdue| {
            let told = told.clone();
            async move { told.send(overdue).await.unwrap() }
        });
        let (hooks, calling) = hooks.start(stage.hand.clone());
        let ctx = stage.with(|ctx| {
            ctx.hooks = hooks;
            ctx.options.notices = Notices { overdue: Some(queue("hooks")), ..Notices::default() };
        });
        let (shards, held) = tokio::sync::watch::channel(Held::all(ctx.options.shards));
        let planner = Planner::new(ctx.clone(), held);
        Self { stage, ctx, planner, shards, heard, _calling: calling }
    }

    async fn put(&mut self, id: &str, change: impl FnOnce(&mut ScheduleDefinition)) -> u64 {
        let mut definition = schedule("every", "5m", NOON).definition;
        change(&mut definition);
        let new = NewSchedule { id: ScheduleId::new(id).unwrap(), definition, source: "test".into() };
        self.ctx.store.catalog.put(new, Expect::Absent).await.unwrap();
        self.plan().await;
        let id = ScheduleId::new(id).unwrap();
        self.ctx.store.catalog.get(vec![id]).await.unwrap().remove(0).incarnation
    }

    async fn plan(&mut self) {
        while matches!(self.planner.round().await.unwrap(), Round::Busy) {}
    }

    /// Time passes; the beat plans, and then looks.
    async fn pass(&mut self, seconds: u64) {
        self.stage.hand.forward(Duration::from_secs(seconds));
        self.plan().await;
        while round(&self.ctx).await.unwrap() {}
    }

    /// What the hook was told since. Hooks are called on this very thread, so that all is told after some turns.
    async fn told(&mut self) -> Vec<Overdue> {
        let mut told = Vec::new();
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            told.extend(self.heard.try_recv());
        }
        told
    }

    async fn notices(&self) -> usize {
        let name = Some(upbeat_shared::name::TaskName::new(OVERDUE_NOTICE).unwrap());
        let page = self.ctx.store.inspect.list(TaskFilter { name, ..TaskFilter::default() }, None, 1000);
        page.await.unwrap().tasks.len()
    }

    /// A worker takes the task.
    async fn start(&self, id: TaskId) {
        let owner = OwnerId::random();
        let (lease, info) = (Duration::from_secs(15), MemberInfo::default());
        let heartbeat = Heartbeat { owner, role: Role::Worker, counter: 1, lease, info };
        self.ctx.store.ledger.heartbeat(heartbeat).await.unwrap();
        let message = self.ctx.store.inspect.get(vec![id]).await.unwrap().remove(0).unwrap().message;
        let request = ClaimRequest::new(message, Token::random());
        let answers = self.ctx.store.ledger.claim(owner, vec![request]).await.unwrap();
        assert!(matches!(answers[0], ClaimAnswer::Acquired(_)), "{answers:?}");
    }
}

fn occurrence(schedule: &str, incarnation: u64, planned_at: &str) -> TaskId {
    let schedule = ScheduleId::new(schedule).unwrap();
    TaskId::from_occurrence(&Namespace::default(), &schedule, incarnation, at(planned_at), 0)
}

#[tokio::test]
async fn an_occurrence_that_is_merged_into_a_running_task_is_not_overdue() {
    let mut scene = Scene::new().await;
    let incarnation = scene.put("a", |definition| definition.task.unique = Some("k".into())).await;
    scene.pass(300).await;
    scene.start(occurrence("a", incarnation, "2026-05-01T12:05:00Z")).await;
    // The next one finds the key taken: it has no task that could start.
    scene.pass(300).await;
    scene.pass(290).await;
    assert_eq!(scene.told().await, []);
    assert_eq!(scene.notices().await, 0);
}

#[tokio::test]
async fn an_occurrence_that_nobody_runs_is_overdue_after_a_minute_and_told_of_once() {
    let mut scene = Scene::new().await;
    let incarnation = scene.put("nightly", |_| {}).await;
    scene.pass(300).await;
    scene.pass(59).await;
    assert_eq!(scene.told().await, []);

    scene.pass(1).await;

    let told = scene.told().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].id(), occurrence("nightly", incarnation, "2026-05-01T12:05:00Z"));
    assert_eq!((told[0].schedule.as_str(), told[0].state), ("nightly", TaskState::Scheduled));
    assert_eq!((told[0].planned_at, told[0].late_by), (at("2026-05-01T12:05:00Z"), Duration::from_secs(60)));
    assert_eq!(scene.notices().await, 1);
    // The next ones wait too: it is the same trouble.
    for _ in 0..5 {
        scene.pass(300).await;
    }
    assert_eq!((scene.told().await, scene.notices().await), (vec![], 1));
}

#[tokio::test]
async fn when_what_was_told_of_has_started_the_next_trouble_is_told_of() {
    let mut scene = Scene::new().await;
    scene.put("nightly", |_| {}).await;
    scene.pass(300).await;
    scene.pass(60).await;
    let told = scene.told().await;
    scene.start(told[0].id()).await;

    scene.pass(240).await;
    scene.pass(60).await;

    let next = scene.told().await;
    assert_eq!((next.len(), next[0].planned_at), (1, at("2026-05-01T12:10:00Z")));
    assert_eq!(scene.notices().await, 2);
}

#[tokio::test]
async fn what_has_started_in_time_is_not_overdue() {
    let mut scene = Scene::new().await;
    let incarnation = scene.put("nightly", |_| {}).await;
    for instant in ["2026-05-01T12:05:00Z", "2026-05-01T12:10:00Z", "2026-05-01T12:15:00Z"] {
        scene.pass(300).await;
        scene.start(occurrence("nightly", incarnation, instant)).await;
    }
    scene.pass(200).await;
    assert_eq!((scene.told().await, scene.notices().await), (vec![], 0));
}

#[tokio::test]
async fn a_schedule_says_itself_how_late_is_too_late_and_jitter_is_no_lateness() {
    let mut scene = Scene::new().await;
    scene.put("patient", |definition| definition.overdue_after = Some(Duration::from_secs(240))).await;
    scene.put("spread", |definition| definition.timing.jitter = Some("200s".into())).await;
    scene.pass(300).await;
    // By now the spread one may be overdue, and no earlier than its own delay allows.
    scene.pass(60).await;
    assert_eq!(scene.told().await, []);
    scene.pass(179).await;
    let told = scene.told().await;
    let told: Vec<_> = told.iter().map(|it| (it.schedule.as_str(), it.due_at > it.planned_at)).collect();
    assert_eq!(told, [("spread", true)]);
    scene.pass(1).await;
    let told = scene.told().await;
    assert_eq!(told.iter().map(|it| it.schedule.as_str()).collect::<Vec<_>>(), ["patient"]);
}

#[tokio::test]
async fn what_another_beat_left_is_found_by_the_one_that_takes_over() {
    let mut first = Scene::new().await;
    let incarnation = first.put("nightly", |_| {}).await;
    first.pass(300).await;
    let Scene { stage, .. } = first;

    let mut second = Scene::beside(stage);
    second.pass(30).await;
    assert_eq!(second.told().await, []);
    second.pass(30).await;

    let told = second.told().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].id(), occurrence("nightly", incarnation, "2026-05-01T12:05:00Z"));
    // And a third one, which comes when it is long overdue, tells of it again, but for the endpoint.
    let Scene { stage, .. } = second;
    let mut third = Scene::beside(stage);
    third.pass(1).await;
    third.pass(9).await;
    assert_eq!(third.told().await, [], "what waits may be promoted first");
    third.pass(1).await;
    assert_eq!((third.told().await.len(), third.notices().await), (1, 1));
}

#[tokio::test]
async fn what_another_beat_plans_by_now_is_left_to_it() {
    let mut scene = Scene::new().await;
    scene.put("nightly", |_| {}).await;
    scene.pass(300).await;
    let all = scene.ctx.options.shards;
    let shard = shard_of(&ScheduleId::new("nightly").unwrap(), all);
    scene.shards.send_replace(Held::all(all).without(shard));
    scene.pass(60).await;
    assert_eq!((scene.told().await, scene.notices().await), (vec![], 0));
}

#[tokio::test]
async fn an_occurrence_that_was_made_up_for_has_as_long_as_any_other() {
    let mut scene = Scene::new().await;
    scene.put("nightly", |_| {}).await;
    // No beat for two hours.
    scene.stage.hand.forward(Duration::from_secs(2 * 3600 + 60));
    scene.pass(0).await;
    scene.pass(59).await;
    assert_eq!(scene.told().await, []);
    scene.pass(1).await;
    let told = scene.told().await;
    assert_eq!((told.len(), told[0].planned_at), (1, at("2026-05-01T14:00:00Z")));
}

#[tokio::test]
async fn what_was_skipped_or_belongs_to_a_schedule_that_is_gone_is_not_overdue() {
    let mut scene = Scene::new().await;
    scene.put("paused", |definition| definition.paused = true).await;
    scene.put("gone", |_| {}).await;
    scene.pass(300).await;
    let id = ScheduleId::new("gone").unwrap();
    assert!(scene.ctx.store.catalog.remove(id, 1).await.unwrap());
    scene.pass(300).await;
    scene.pass(300).await;
    assert_eq!((scene.told().await, scene.notices().await), (vec![], 0));
}

#[tokio::test]
async fn many_schedules_are_looked_at_in_batches_and_each_is_told_of() {
    let mut scene = Scene::new().await;
    for number in 0..250 {
        scene.put(&format!("s{number}"), |_| {}).await;
    }
    scene.pass(300).await;
    scene.pass(60).await;
    assert_eq!((scene.told().await.len(), scene.notices().await), (250, 250));
}
