//! Roles started inside a program that has more to do.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use upbeat::RoleError;
use upbeat::prelude::*;

use super::{Home, PATIENCE};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "waits", queue = "slow", output = u32)]
struct Waits;

#[derive(Clone, Default)]
struct Doors {
    entered: Arc<Notify>,
    opened: Arc<Notify>,
}

async fn waits(_: Waits, ctx: Context<Doors>) -> Result<u32, Error> {
    ctx.state().entered.notify_one();
    ctx.state().opened.notified().await;
    Ok(7)
}

#[tokio::test]
async fn a_worker_runs_until_its_token_is_cancelled_and_what_runs_finishes() {
    let home = Home::new();
    let doors = Doors::default();
    let stop = CancellationToken::new();
    let worker = App::new().state(doors.clone()).task(waits).worker().config(home.config());
    let running = tokio::spawn(worker.run_until(stop.clone()));
    let client = upbeat::connect_to(&home.config()).await.unwrap();
    let published = client.publish(Waits).await.unwrap();
    doors.entered.notified().await;

    stop.cancel();
    doors.opened.notify_one();

    running.await.unwrap().unwrap();
    assert_eq!(published.result_within(PATIENCE).await.unwrap(), 7);
}

#[tokio::test]
async fn two_programs_live_in_one_process_without_knowing_of_each_other() {
    let (one, other) = (Home::new(), Home::new());
    let doors = Doors::default();
    doors.opened.notify_one();
    let (first, client) = one.up(App::new().state(doors).task(waits)).await;
    let (second, stranger) = other.up(App::new()).await;

    assert_eq!(client.publish(Waits).await.unwrap().result_within(PATIENCE).await.unwrap(), 7);

    let unknown = stranger.publish(Waits).delay(Duration::from_secs(3600)).await.unwrap();
    assert!(client.store().inspect.get(vec![unknown.id()]).await.unwrap()[0].is_none());
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn two_tasks_of_one_name_are_refused_before_anything_is_opened() {
    let home = Home::new();
    let twice = App::new().state(Doors::default()).task(waits).task(waits);
    let error = twice.worker().config(home.config()).start().await.unwrap_err();
    assert!(matches!(error, RoleError::Registry(_)), "{error}");
    assert_eq!(error.to_string(), "there are two tasks named waits: one of them must get another name");
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test]
async fn a_configuration_with_a_mistake_is_refused_where_it_is_written() {
    let home = Home::new();
    let (flags, _) = home.configured("[worker]\nconcurency = 3\n");
    let error = App::new().worker().overrides(flags).start().await.unwrap_err();
    assert!(matches!(error, RoleError::Config(_)), "{error}");
    assert!(error.to_string().contains("did you mean `concurrency`"), "{error}");
}

/// Where the next test starts this binary again.
const ENTRY: &str = "library::roles::a_program_without_signals_and_subscribers";

/// Says that the process is the program.
const PROGRAM: &str = "UPBEAT_TEST_LIBRARY";

/// Not a test but a way in: a program whose own handling of signals and logs must stay its own.
#[tokio::test]
#[allow(clippy::print_stdout, reason = "the test that started it reads what it says")]
async fn a_program_without_signals_and_subscribers() {
    if std::env::var_os(PROGRAM).is_none() {
        return;
    }
    let home = Home::new();
    let doors = Doors::default();
    doors.opened.notify_one();
    let (running, client) = home.up(App::new().state(doors).task(waits)).await;
    client.publish(Waits).await.unwrap().result_within(PATIENCE).await.unwrap();
    let caught = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    // The bits of SIGINT (2) and SIGTERM (15).
    println!("caught={}", caught & (1 << 1 | 1 << 14));
    println!("subscriber={}", tracing::dispatcher::has_been_set());
    running.stop().await.unwrap();
}

#[test]
fn nothing_global_is_installed() {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args([ENTRY, "--exact", "--nocapture"]).env(PROGRAM, "1");
    let said = command.output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("caught=0"), "{said}");
    assert!(said.contains("subscriber=false"), "{said}");
}
