//! Workers and beats come, go and are killed: each task is completed once, every tick fires once.

use std::collections::BTreeSet;
use std::time::Duration;

use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::occurrence::OccurrenceRecord;
use upbeat_tests::harness::{Process, eventually, eventually_some, tasks};
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
    let mut fired = 0;
    for n in 0..SCHEDULES {
        let id = schedule_id(&format!("s{n}"));
        let what = format!("s{n} fires for every second of the minute");
        let seconds = eventually_some(&what, PATIENCE, async || {
            let occurrences = stack.store.catalog.occurrences(id.clone(), 10_000).await;
            let seconds: Vec<i64> = occurrences.expect("the store shows").iter().map(second).collect();
            (seconds.len() >= SECONDS).then_some(seconds)
        })
        .await;
        assert!(seconds.windows(2).all(|pair| pair[0] == pair[1] + 1), "s{n} left some out: {seconds:?}");
        fired += seconds.len();
    }
    // And each ran, once.
    eventually("every tick ran", PATIENCE, async || scene.runs("tick").len() >= fired).await;
    for beat in beats {
        beat.stop().await;
    }
    let all = tasks(&stack.store, TaskFilter::default()).await.len();
    scene.succeeded(&stack, all, PATIENCE).await;
    worker.stop().await;
    let runs = scene.runs("tick");
    let twice: Vec<_> = runs.iter().filter(|(_, runs)| **runs != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(runs.len(), all, "as many tasks as ticks");
}

fn second(occurrence: &OccurrenceRecord) -> i64 {
    match occurrence {
        OccurrenceRecord::Fired { planned_at, .. } => planned_at.as_second(),
        OccurrenceRecord::Skipped(range) => panic!("nothing was to be skipped: {range:?}"),
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
