//! Looking at what was published.

use std::time::Duration;

use upbeat::testing::{assert_not_published, assert_published};

use super::{Invoice, Remind, Report, Unknown, publish, world};

#[tokio::test]
async fn every_task_is_there_in_the_order_published() {
    let world = world();
    let first = publish(&world, 7).await.id();
    let second =
        world.client().publish(Report).delay(Duration::from_secs(1)).await.expect("it is accepted").id();
    world.drain().await.expect_all_succeeded();
    let ids: Vec<_> = world.tasks().iter().map(upbeat::task::TaskRecord::id).collect();
    assert_eq!(ids, [first, second]);
    let invoices = world.published::<Invoice>();
    assert_eq!(invoices[0].task, Invoice { customer: 7, net: 10 });
    assert_eq!(invoices[0].record.id(), first);
}

#[tokio::test]
async fn a_pattern_finds_what_it_matches_and_nothing_else() {
    let world = world();
    publish(&world, 7).await;
    publish(&world, 8).await;
    world.client().publish(Report).await.expect("it is accepted");

    assert_published!(world, Invoice { customer: 7, .. });
    assert_published!(world, Invoice { customer: 7, net: 10 });
    assert_published!(world, Invoice { customer, .. } if *customer > 7);
    assert_published!(world, super::Invoice { .. }, times = 2);
    assert_published!(world, Report);
    assert_published!(&world, Invoice { customer: 7 | 9, .. }, times = 1,);
    assert_not_published!(world, Invoice { customer: 9, .. });
    assert_not_published!(world, Invoice { customer, .. } if *customer > 8);
    assert_not_published!(world, Remind { .. });
    assert_not_published!(world, Unknown);
    assert_not_published!(world, Invoice { .. }, times = 1);
}

#[tokio::test]
async fn conditions_are_about_the_rest() {
    let world = world();
    let minute = Duration::from_secs(60);
    let publish = world.client().publish(Invoice { customer: 7, net: 1 });
    publish
        .delay(minute)
        .queue("rush")
        .priority(9)
        .tag("eu")
        .dedup_id("may-7")
        .await
        .expect("it is accepted");
    let at = upbeat::clock::later(world.now(), minute);

    assert_published!(world, Invoice { .. }, queue = "rush", priority = 9, tag = "eu", dedup_id = "may-7");
    assert_published!(world, Invoice { .. }, due_in = minute, due_at = at);
    assert_published!(world, Invoice { .. }, state = upbeat::task::TaskState::Scheduled);
    assert_not_published!(world, Invoice { .. }, queue = "billing");
    assert_not_published!(world, Invoice { .. }, due_in = minute * 2);
    assert_not_published!(world, Invoice { .. }, priority = 4);
    assert_not_published!(world, Invoice { .. }, tag = "us");
    assert_not_published!(world, Invoice { .. }, dedup_id = "june-7");
    assert_not_published!(world, Invoice { .. }, schedule = "nightly");
    assert_not_published!(world, Invoice { .. }, state = upbeat::task::TaskState::Dead);
}

#[tokio::test]
async fn what_was_published_counts_also_after_it_ran() {
    let world = world();
    publish(&world, 7).await;
    world.drain().await.expect_all_succeeded();
    assert_published!(world, Invoice { customer: 7, .. });
}
