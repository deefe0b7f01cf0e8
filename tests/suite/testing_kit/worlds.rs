//! Worlds: alike if they are made alike, and apart from each other.

use upbeat::prelude::*;
use upbeat::testing::{World, WorldOptions};

use super::{Invoice, Report, program, publish, said, world};

/// Everything that a test could see of a world in which some things happened.
async fn seen(seed: u64) -> String {
    let mut options = WorldOptions::default();
    options.seed = seed;
    let world = World::with(program().0, options);
    for customer in [7, 13, 0, 666] {
        publish(&world, customer).await;
    }
    let drained = world.advance(std::time::Duration::from_hours(1)).await;
    format!("{drained:?} {:?}", world.tasks())
}

#[tokio::test]
async fn the_same_test_sees_the_same_ids_times_and_delays() {
    let first = seen(0).await;
    assert_eq!(first, seen(0).await);
    assert_ne!(first, seen(1).await, "another seed, another world");
}

#[tokio::test]
async fn ids_are_known_beforehand() {
    let world = world();
    let ids = [publish(&world, 7).await.id(), publish(&world, 7).await.id()];
    insta::assert_snapshot!(format!("{} {}", ids[0], ids[1]), @"019b76da-a800-754f-b88b-b8a8724c81ec 019b76da-a800-749b-93cb-9f0c747ea2ea");
}

#[tokio::test]
async fn worlds_know_nothing_of_each_other() {
    let (one, other) = (world(), world());
    publish(&one, 7).await;
    assert!(other.drain().await.runs.is_empty());
    assert!(other.tasks().is_empty());
    other.advance(std::time::Duration::from_hours(1)).await.expect_runs(0);
    assert_ne!(one.now(), other.now());
    one.drain().await.expect_all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_several_threads() {
    let world = world();
    for customer in 100..150 {
        publish(&world, customer).await;
    }
    world.drain().await.expect_runs(50).expect_all_succeeded();
}

#[tokio::test]
async fn a_program_that_is_refused_says_why() {
    let twice = said(|| drop(World::new(App::new().task(super::report).task(super::report))));
    insta::assert_snapshot!(twice, @"this program cannot run: there are two tasks named report: one of them must get another name");
    let schedule = Schedule::cron("report.nightly", "30 25 * * *", Report);
    let wrong = said(|| drop(World::new(App::new().schedule(schedule))));
    insta::assert_snapshot!(wrong, @r#"
    this program cannot run: the schedule report.nightly of this program: it cannot be understood
    cron = "30 25 * * *"
               ^^ 25 is not an hour
    help: hours go from 0 to 23
    "#);
}

#[tokio::test]
async fn a_clone_is_the_same_world() {
    let world = world();
    let clone = world.clone();
    clone.client().publish(Invoice { customer: 7, net: 1 }).await.expect("it is accepted");
    world.drain().await.expect_runs(1).expect_all_succeeded();
}
