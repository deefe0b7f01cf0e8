//! With real programs. Each waits for an event, and gives up after a bound that no healthy run comes near.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tokio_util::task::AbortOnDropHandle;
use upbeat_shared::id::TaskId;
use upbeat_shared::name::{Namespace, QueueName, TaskName};

use super::*;

fn run_with(args: &serde_json::Value) -> RunContext {
    let id = TaskId::from_foreign(&Namespace::default(), "a");
    let name = TaskName::new("report").unwrap();
    let args = Payload::json(args).unwrap();
    RunContext::detached(Message::new(id, name, QueueName::default_queue(), args))
}

fn shell(script: &str) -> CommandTask {
    CommandTask { args: vec!["-c".into(), script.into()], ..CommandTask::new("sh") }
}

async fn run(task: &CommandTask) -> Result<Option<serde_json::Value>, TaskError> {
    let result = task.run(&run_with(&serde_json::json!({"a": 1}))).await?;
    Ok(result.map(|payload| payload.to_json()))
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited 10 s for: {what}");
}

/// Whether a process runs. One that ended and was not waited for yet does not.
fn runs(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// A program that starts another one in the background and writes its number to a file, with more script around that.
fn family(folder: &tempfile::TempDir, before: &str, after: &str) -> (CommandTask, PathBuf) {
    let file = folder.path().join("pid");
    let start = format!("{before} sleep 600 & echo $! > {0}.new; mv {0}.new {0}; {after}", file.display());
    (shell(&start), file)
}

async fn child_of(file: &PathBuf) -> String {
    until("the program to start", || file.exists()).await;
    fs::read_to_string(file).unwrap().trim().to_owned()
}

#[tokio::test]
async fn arguments_come_on_standard_input_and_output_is_the_result() {
    assert_eq!(run(&shell("cat")).await, Ok(Some(serde_json::json!({"a": 1}))));
    assert_eq!(run(&shell("echo done")).await, Ok(Some(serde_json::json!("done"))));
    assert_eq!(run(&shell("true")).await, Ok(None));
}

#[tokio::test]
async fn the_program_knows_its_task_and_not_the_workers_secrets() {
    let mut task = shell("echo $UPBEAT_TASK_NAME $UPBEAT_ATTEMPT $UPBEAT_FENCE $OWN; env");
    task.env.insert("OWN".into(), "mine".into());
    let text = run(&task).await.unwrap().unwrap().to_string();
    assert!(text.starts_with("\"report 1 1 mine"), "{text}");
    // Cargo sets this for every test; the program is not to get what it was not given.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !text.contains("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn exit_codes_say_whether_a_retry_makes_sense() {
    let error = run(&shell("echo out; echo no such invoice >&2; exit 65")).await.unwrap_err();
    let text = "the program ended with exit code 65: no such invoice";
    assert_eq!(error, TaskError::GiveUp(text.into()).code("exit:65"));
    for code in [1, 75] {
        let error = run(&shell(&format!("exit {code}"))).await.unwrap_err();
        let failed = TaskError::Retry(format!("the program ended with exit code {code}"));
        assert_eq!(error, failed.code(format!("exit:{code}")));
    }
    let error = run(&shell("kill -9 $$")).await.unwrap_err();
    assert_eq!(error, TaskError::Retry("the program was killed by signal 9".into()).code("signal:9"));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let text = |error: TaskError| error.to_string();
    let missing = CommandTask::new("/nonexistent/program");
    assert!(text(run(&missing).await.unwrap_err()).contains("no such program"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(text(run(&CommandTask::new(&file)).await.unwrap_err()).contains("may not execute"));
    let astray = CommandTask { cwd: Some("/nonexistent".into()), ..shell("true") };
    assert!(text(run(&astray).await.unwrap_err()).contains("no directory /nonexistent"));
}

#[tokio::test]
async fn big_output_is_bounded_and_does_not_block_the_program() {
    let task = CommandTask {
        output_limit: 100,
        ..shell("yes | head -c 10000000; yes e | head -c 10000000 >&2; exit 3")
    };
    let error = run(&task).await.unwrap_err().to_string();
    assert!(error.len() < STDERR_TAIL + 100, "{} bytes", error.len());
    let task = CommandTask { output_limit: 100, ..shell("yes | head -c 10000000") };
    let text = run(&task).await.unwrap().unwrap().to_string();
    assert!(text.len() < 250 && text.contains("(cut)"), "{text}");
}

#[tokio::test]
async fn big_input_that_nobody_reads_does_not_block() {
    let run = run_with(&serde_json::json!("x".repeat(1_000_000)));
    assert_eq!(shell("exit 0").run(&run).await, Ok(None));
}

#[tokio::test]
async fn cancelling_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let (task, file) = family(&folder, "", "wait");
    let context = run_with(&serde_json::Value::Null);
    let cancel = context.cancel.clone();
    let run = AbortOnDropHandle::new(tokio::spawn(async move { task.run(&context).await }));
    let child = child_of(&file).await;
    assert!(runs(&child));
    cancel.cancel();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error, TaskError::Retry("the program was killed by signal 15".into()).code("signal:15"));
    until("the child to end", || !runs(&child)).await;
}

#[tokio::test]
async fn a_program_that_does_not_obey_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut task, file) = family(&folder, "trap '' TERM;", "while :; do sleep 1; done");
    task.kill_grace = Duration::from_millis(200);
    let context = run_with(&serde_json::Value::Null);
    let cancel = context.cancel.clone();
    let run = AbortOnDropHandle::new(tokio::spawn(async move { task.run(&context).await }));
    let child = child_of(&file).await;
    cancel.cancel();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error, TaskError::Retry("the program was killed by signal 9".into()).code("signal:9"));
    until("the child to end", || !runs(&child)).await;
}

#[tokio::test]
async fn at_its_soft_timeout_a_program_is_asked_to_end_and_may_still_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let (task, file) = family(&folder, "trap 'echo wound up; exit 0' TERM;", "wait");
    let context = run_with(&serde_json::Value::Null);
    let soft = context.soft_timeout.clone();
    let run = AbortOnDropHandle::new(tokio::spawn(async move { task.run(&context).await }));
    child_of(&file).await;
    soft.cancel();
    let result = run.await.unwrap().unwrap().unwrap();
    assert_eq!(result.to_json(), serde_json::json!("wound up"));
}

#[tokio::test]
async fn a_program_that_fails_when_it_is_asked_to_end_was_out_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let (task, file) = family(&folder, "trap 'exit 65' TERM;", "wait");
    let context = run_with(&serde_json::Value::Null);
    let soft = context.soft_timeout.clone();
    let run = AbortOnDropHandle::new(tokio::spawn(async move { task.run(&context).await }));
    child_of(&file).await;
    soft.cancel();
    let (code, error) = run.await.unwrap().unwrap_err().into_parts();
    assert_eq!(code.as_deref(), Some("timeout"));
    assert!(
        matches!(&error, TaskError::Retry(text) if text.contains("soft timeout") && text.contains("65")),
        "{error}"
    );
}

#[tokio::test]
async fn a_program_that_goes_on_after_its_soft_timeout_is_killed_at_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let (mut task, file) =
        family(&folder, "trap 'echo asked >>\"$asked\"' TERM;", "while :; do sleep 0.1; done");
    let asked = folder.path().join("asked");
    task.env.insert("asked".into(), asked.display().to_string());
    // Nobody waits for it a second time.
    task.kill_grace = Duration::from_hours(1);
    let context = run_with(&serde_json::Value::Null);
    let (soft, cancel) = (context.soft_timeout.clone(), context.cancel.clone());
    let run = AbortOnDropHandle::new(tokio::spawn(async move { task.run(&context).await }));
    let child = child_of(&file).await;
    soft.cancel();
    until("the program to be asked", || asked.exists()).await;
    cancel.cancel();
    let error = run.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("killed by signal 9"), "{error}");
    until("the child to end", || !runs(&child)).await;
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (task, file) = family(&folder, "trap '' TERM;", "while :; do sleep 1; done");
    let context = run_with(&serde_json::Value::Null);
    let run = tokio::spawn(async move { task.run(&context).await });
    let child = child_of(&file).await;
    run.abort();
    until("the child to end", || !runs(&child)).await;
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    // The child holds the output open: whoever waits for its end waits for ten minutes.
    let (task, file) = family(&folder, "", "echo started");
    let result = tokio::time::timeout(Duration::from_secs(10), run(&task))
        .await
        .expect("it does not wait for the child");
    assert_eq!(result, Ok(Some(serde_json::json!("started"))));
    let child = child_of(&file).await;
    until("the child to end", || !runs(&child)).await;
}
