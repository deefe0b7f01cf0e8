//! Against a server of a few lines: it reads one request, answers as told, and hands the request over.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use upbeat_shared::id::TaskId;
use upbeat_shared::message::Message;
use upbeat_shared::name::{Namespace, QueueName, TaskName};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers one request with `answer`; the handle ends with the request's text.
async fn endpoint(answer: String) -> (HttpTask, AbortOnDropHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:password@{}/hook?key=secret", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{\"a\":1}") {
            let mut chunk = [0; 1024];
            let count = stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the request ended early: {}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&chunk[..count]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (HttpTask::new(&url, TIMEOUT).unwrap(), AbortOnDropHandle::new(server))
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn a_run() -> RunContext {
    let id = TaskId::from_foreign(&Namespace::default(), "a");
    let name = TaskName::new("hook").unwrap();
    // Encoded the default way: the endpoint gets JSON all the same.
    let args = Payload::msgpack(&serde_json::json!({"a": 1})).unwrap();
    RunContext::detached(Message::new(id, name, QueueName::default_queue(), args))
}

async fn answered(head: &str, body: &str) -> Result<Option<serde_json::Value>, TaskError> {
    let (task, _server) = endpoint(answer(head, body)).await;
    let result = task.run(&a_run()).await?;
    Ok(result.map(|payload| payload.to_json()))
}

#[tokio::test]
async fn the_request_says_which_task_it_is_and_is_signed() {
    let (task, server) = endpoint(answer("200 OK", "")).await;
    let task = task.header("Authorization", "Bearer x").unwrap().secret("s3cret");
    let run = a_run();
    assert_eq!(task.run(&run).await, Ok(None));
    let request = server.await.unwrap();
    assert!(request.starts_with("POST /hook?key=secret HTTP/1.1\r\n"), "{request}");
    let value = |name: &str| {
        let line = request.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name));
        line.unwrap_or_else(|| panic!("{name} is missing: {request}")).1.to_owned()
    };
    let id = run.message.id.to_string();
    assert_eq!((value("idempotency-key"), value("upbeat-task-id")), (id.clone(), id));
    assert_eq!((value("upbeat-task-name").as_str(), value("upbeat-attempt").as_str()), ("hook", "1"));
    assert_eq!(
        (value("authorization").as_str(), value("content-type").as_str()),
        ("Bearer x", "application/json")
    );
    let signature = value("upbeat-signature");
    let seconds = signature.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(signature, signature::header(b"s3cret", seconds, b"{\"a\":1}"));
}

#[tokio::test]
async fn a_good_answer_is_the_result_as_json_or_text_up_to_a_bound() {
    assert_eq!(answered("200 OK", "{\"b\": 2}").await, Ok(Some(serde_json::json!({"b": 2}))));
    assert_eq!(answered("202 Accepted", "fine").await, Ok(Some(serde_json::json!("fine"))));
    let long = answered("200 OK", &"x".repeat(OUTPUT_LIMIT * 3)).await.unwrap().unwrap();
    let kept = long.as_str().unwrap().len();
    assert!(kept > OUTPUT_LIMIT && kept < OUTPUT_LIMIT + 20, "{kept}");
}

#[tokio::test]
async fn a_bad_answer_says_whether_a_retry_makes_sense() {
    let error = answered("422 Unprocessable Entity", "no such customer").await.unwrap_err();
    let text = "the endpoint answered 422 Unprocessable Entity: no such customer";
    assert_eq!(error, TaskError::GiveUp(text.into()).code("http:422"));
    let error = answered("500 Internal Server Error", "").await.unwrap_err();
    let failed = TaskError::Retry("the endpoint answered 500 Internal Server Error".into());
    assert_eq!(error, failed.code("http:500"));
    let error = answered("429 Too Many Requests\r\nretry-after: 7", "").await.unwrap_err();
    let (code, error) = error.into_parts();
    assert_eq!(code.as_deref(), Some("http:429"));
    assert!(matches!(error, TaskError::RetryAfter { delay, .. } if delay == Duration::from_secs(7)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let error = answered("302 Found\r\nlocation: http://127.0.0.1:1/", "").await.unwrap_err();
    let (_, error) = error.into_parts();
    assert!(matches!(&error, TaskError::GiveUp(text) if text.contains("not followed")), "{error}");
}

#[tokio::test]
async fn no_answer_is_worth_a_retry_and_tells_no_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:password@{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = HttpTask::new(&url, TIMEOUT).unwrap().run(&a_run()).await.unwrap_err();
    let (Some(code), TaskError::Retry(text)) = error.into_parts() else {
        panic!("it is a failure with a code")
    };
    assert_eq!(code, "http:no_answer");
    assert!(text.contains("refused") && !text.contains("password"), "{text}");
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_closes_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let task = HttpTask::new(&format!("http://{}/", listener.local_addr().unwrap()), TIMEOUT).unwrap();
    let run = a_run();
    let cancel = run.cancel.clone();
    let running = AbortOnDropHandle::new(tokio::spawn(async move { task.run(&run).await }));
    let (mut stream, _) = listener.accept().await.unwrap();
    cancel.cancel();
    assert!(matches!(running.await.unwrap(), Err(TaskError::Retry(_))));
    // Ends only because the other side closed it.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[test]
fn retry_after_is_seconds_or_a_date_beside_the_answers_own() {
    let of = |pairs: &[(&'static str, &'static str)]| {
        retry_after(
            &pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect(),
        )
    };
    assert_eq!(of(&[("retry-after", "120")]), Some(Duration::from_mins(2)));
    assert_eq!(of(&[("retry-after", "99999999")]), Some(MAX_RETRY_AFTER));
    let later = ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
    assert_eq!(of(&[later, ("date", "Fri, 31 Dec 1999 23:59:29 GMT")]), Some(Duration::from_secs(30)));
    assert_eq!(of(&[later, ("date", "Sat, 01 Jan 2000 00:00:29 GMT")]), Some(Duration::ZERO));
    assert_eq!(of(&[later]), None);
    assert_eq!(of(&[("retry-after", "soon")]), None);
}

#[test]
fn what_is_shown_holds_no_secret() {
    let task = HttpTask::new("https://user:password@example.org:8443/hook?key=secret", TIMEOUT).unwrap();
    assert_eq!(task.describe(), "http https://example.org:8443/hook");
    for bad in ["ftp://user:password@example.org/", "http://user:password@"] {
        let error = HttpTask::new(bad, TIMEOUT).err().unwrap().to_string();
        assert!(!error.contains("password"), "{error}");
    }
    assert!(HttpTask::new("https://example.org", TIMEOUT).unwrap().header("bad name", "x").is_err());
}
