//! Workers and beats come, go and are killed: each task is completed once, every tick fires once.

use std::collections::BTreeSet;
use std::time::Duration;

use upbeat_shared::id::TaskId;
use upbeat_shared::occurrence::OccurrenceRecord;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Process, eventually, eventually_some};
use upbeat_tests::message::schedule_id;

use super::scene::{PATIENCE, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_complete_50_000_tasks_once_while_two_of_them_are_killed() {
    const TASKS: usize = 50_000;
    let scene = Scene::new().await;
    let beat = scene.beat();
    let mut workers: Vec<Process> = (0..8).map(|_| scene.worker()).collect();
    let stack = scene.stack().await;
    let publish = async {
        scene.world.run(&["publish", "work", "--count", &TASKS.to_string(), "--quiet"]).await.ok();
    };
    let kill = async {
        for victim in 0..2 {
            let done = (victim + 1) * TASKS / 4;
            eventually("enough has been done", PATIENCE, async || scene.runs("work").len() > done).await;
            workers[victim].kill().await;
            workers.push(scene.worker());
        }
    };
    tokio::join!(publish, kill);

    scene.succeeded(&stack, TASKS, PATIENCE).await;

    let runs = scene.runs("work");
    assert_eq!(runs.len(), TASKS);
    // What a killed worker was at ran again, and its record says so. Nothing else ran twice.
    for (id, runs) in runs.iter().filter(|(_, runs)| **runs > 1) {
        let id = id.parse().expect("an id");
        let record =
            stack.store.inspect.get(vec![id]).await.expect("the store shows").remove(0).expect("a row");
        let crashes = record.message.crashes as usize;
        assert!(
            *runs <= 1 + crashes,
            "{id} ran {runs} times, and its record tells of {crashes} lost workers"
        );
    }
    for worker in workers.into_iter().skip(2) {
        worker.stop().await;
    }
    beat.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tick_fires_once_while_one_of_two_beats_is_killed_each_second() {
    const SCHEDULES: usize = 200;
    const SECONDS: usize = 60;
    let schedules = (0..SCHEDULES).fold(String::new(), |text, n| {
        text + &format!("[[schedule]]\nid = 's{n}'\ntask = 'tick'\nevery = '1s'\ncatch_up = 'all'\n")
    });
    let scene = Scene::with(&schedules).await;
    let worker = scene.worker();
    let mut beats = [scene.beat(), scene.beat()];
    let stack = scene.stack().await;
    eventually("every schedule ticks", PATIENCE, async || {
        let lines = scene.journal.lines();
        let ticking: BTreeSet<_> = lines.iter().filter_map(|line| line[1].split('@').next()).collect();
        ticking.len() == SCHEDULES
    })
    .await;

    for second in 0..SECONDS {
        beats[second % 2].kill().await;
        beats[second % 2] = scene.beat();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    // Every instant of every schedule, without a gap, by the ledger. The last ones may still be on their way.
    let mut fired = Vec::new();
    for n in 0..SCHEDULES {
        let id = schedule_id(&format!("s{n}"));
        let what = format!("s{n} fires for every second of the minute");
        let ticks = eventually_some(&what, PATIENCE, async || {
            let occurrences = stack.store.catalog.occurrences(id.clone(), 10_000).await;
            let ticks: Vec<_> = occurrences.expect("the store shows").iter().map(tick).collect();
            (ticks.len() >= SECONDS).then_some(ticks)
        })
        .await;
        let whole = ticks.windows(2).all(|pair| pair[0].0 == pair[1].0 + 1);
        assert!(whole, "s{n} left some out: {ticks:?}");
        fired.extend(ticks.into_iter().map(|(_, task)| task));
    }
    // And each of them is done.
    eventually("every tick is done", PATIENCE, async || {
        let records = stack.store.inspect.get(fired.clone()).await.expect("the store shows");
        records.iter().flatten().filter(|record| record.state == TaskState::Succeeded).count() == fired.len()
    })
    .await;
    for member in beats.into_iter().chain([worker]) {
        member.stop().await;
    }
    let runs = scene.runs("tick");
    assert!(runs.len() >= fired.len(), "{} of {} ran", runs.len(), fired.len());
    let twice: Vec<_> = runs.iter().filter(|(_, runs)| **runs != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// When it was planned, in seconds, and its task.
fn tick(occurrence: &OccurrenceRecord) -> (i64, TaskId) {
    match occurrence {
        OccurrenceRecord::Fired { planned_at, task_id, .. } => (planned_at.as_second(), *task_id),
        other => panic!("nothing was to be skipped: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_doubles_nothing_and_keeps_nobody_waiting() {
    const GRACE: Duration = Duration::from_secs(5);
    const TASKS: usize = 120;
    let scene = Scene::with("[worker]\nconcurrency = 8\ngrace = '5s'\n").await;
    let beat = scene.beat();
    let mut workers: Vec<Process> = (0..4).map(|_| scene.worker()).collect();
    for worker in &workers {
        worker.says("the worker is ready", PATIENCE).await;
    }
    let stack = scene.stack().await;

    let publish = async {
        let mut ids = Vec::new();
        for _ in 0..TASKS {
            ids.push(scene.world.publish(&["nap", "--args", "2000"]).await);
        }
        ids
    };
    let restart = async {
        for old in &mut workers {
            let new = scene.worker();
            new.says("the worker is ready", PATIENCE).await;
            std::mem::replace(old, new).stop().await;
        }
    };
    let (ids, ()) = tokio::join!(publish, restart);

    scene.succeeded(&stack, TASKS, PATIENCE).await;
    scene.each_ran_once("begin", &ids);
    scene.each_ran_once("end", &ids);
    for record in stack.store.inspect.get(ids).await.expect("the store shows").into_iter().flatten() {
        assert_eq!(record.message.crashes, 0, "{record:?}");
        let published = record.message.first_published.expect("its client knew the time");
        let waited = upbeat_shared::clock::until(published, record.started_at.expect("it ran"));
        assert!(waited < GRACE, "{} waited {waited:?}", record.id());
    }
    for worker in workers {
        worker.stop().await;
    }
    beat.stop().await;
}
