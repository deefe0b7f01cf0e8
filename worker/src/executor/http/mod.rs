//! Tasks that somebody's HTTP endpoint does.
//!
//! Each run is one `POST` with the arguments as JSON. What the endpoint sees:
//!
//! | header | what |
//! |---|---|
//! | `Idempotency-Key`, `Upbeat-Task-Id` | the task's id: the same in every attempt, so that a repeat can be recognised |
//! | `Upbeat-Task-Name`, `Upbeat-Attempt`, `Upbeat-Fence` | which task, which attempt (from 1); the fence grows with every run |
//! | `Upbeat-Token` | the claim's own number: with id and fence, the endpoint may settle the run in a transaction of its own |
//! | `Upbeat-Signature` | `t=<seconds since 1970>,v1=<signature>`, if there is a secret |
//! | `traceparent`, `tracestate` | the publisher's trace, if it has one |
//!
//! The signature is the HMAC-SHA256, in lower-case hexadecimal, of the time's digits, a full stop, and the body (the
//! scheme is Stripe's). An endpoint computes it anew, compares in constant time, and refuses old times.
//!
//! What its answer means: 2xx is success, with the body as the result (JSON if it is JSON, else text; so much of it is
//! kept). 408, 425, 429 and 5xx are failures to be retried; so is no answer at all. `Retry-After` (RFC 9110, seconds or a
//! date) is obeyed, up to a day. Every other status is a failure that no retry mends. `on` of the task may say otherwise, by
//! `http:429`, `http:5xx`, `http:no_answer`. A soft timeout is not told to the endpoint. Redirects are not followed: a task
//! goes where the operator said.

mod signature;

use std::time::Duration;

use async_trait::async_trait;
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use upbeat_shared::clock;
use upbeat_shared::message::Payload;

use super::{Executor, RunContext, TaskError, output};

/// Bytes of an answer that are kept.
const OUTPUT_LIMIT: usize = 64 * 1024;
/// Bytes of a failure's answer that go into the error.
const ERROR_LIMIT: usize = 1024;
/// The longest `Retry-After` that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Why an endpoint cannot be used as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpTaskError {
    /// It is no address that a task can be sent to.
    #[error("{url:?} is no http or https address: {reason}")]
    Url {
        /// As configured, without what may be a password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header cannot be sent.
    #[error("the header {0:?} has a name or a value that no HTTP message can hold")]
    Header(String),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

impl HttpTaskError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "executor-invalid"
    }
}

/// Sends a task to an endpoint.
pub struct HttpTask {
    url: Url,
    headers: HeaderMap,
    secret: Option<String>,
    client: Client,
}

impl HttpTask {
    /// An endpoint without headers of its own, unsigned. `timeout` bounds one request, inside the run's own timeout.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, HttpTaskError> {
        let url = parse(url)?;
        // TLS needs a provider for the whole process. A binary chooses it first thing; where none did, it is this one.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error means that another thread was quicker.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(timeout)
            .user_agent(concat!("upbeat/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpTaskError::Client(causes(&error)))?;
        Ok(Self { url, headers: HeaderMap::new(), secret: None, client })
    }

    /// Sends a header with every request. Those of the protocol win over it.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpTaskError> {
        let bad = || HttpTaskError::Header(name.to_owned());
        let key = HeaderName::try_from(name).map_err(|_| bad())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
        // It may be a password: not to be shown by whatever prints requests.
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(self)
    }

    /// Signs every request.
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    fn headers(&self, run: &RunContext, body: &[u8]) -> HeaderMap {
        let mut headers = self.headers.clone();
        let id = run.message.id.to_string();
        let mut set = |name: &'static str, value: &str| {
            // What a publisher sent as its trace may be any text. Names and numbers can always be sent.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        set(CONTENT_TYPE.as_str(), "application/json");
        set("idempotency-key", &id);
        set("upbeat-task-id", &id);
        set("upbeat-task-name", run.message.name.as_str());
        set("upbeat-attempt", &run.attempt.to_string());
        set("upbeat-fence", &run.fence.0.to_string());
        set("upbeat-token", &run.token.0.to_string());
        if let Some(trace) = &run.message.trace {
            set("traceparent", &trace.traceparent);
            trace.tracestate.iter().for_each(|state| set("tracestate", state));
        }
        if let Some(secret) = &self.secret {
            set("upbeat-signature", &signature::header(secret.as_bytes(), run.now().as_second(), body));
        }
        headers
    }

    async fn post(&self, run: &RunContext) -> Result<Option<Payload>, TaskError> {
        let body = output::as_json(&run.message.args)?;
        let headers = self.headers(run, &body);
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        if status.is_success() {
            let (bytes, cut) = read(response, OUTPUT_LIMIT).await?;
            return Ok(output::result(bytes, cut));
        }
        // The status says enough where the rest of a failure's answer does not come.
        let (bytes, _) = read(response, ERROR_LIMIT).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        Err(failure(status, retry_after, text.trim()))
    }
}

#[async_trait]
impl Executor for HttpTask {
    async fn run(&self, run: &RunContext) -> Result<Option<Payload>, TaskError> {
        // A request that is not waited for any more is closed by dropping it.
        tokio::select! {
            result = self.post(run) => result,
            () = run.cancel.cancelled() => Err(TaskError::Retry("the request was cut off: the run was told to stop".into())),
        }
    }

    fn runs_apart(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("http {}", without_secrets(&self.url))
    }
}

fn parse(text: &str) -> Result<Url, HttpTaskError> {
    let bad = |url: String, reason: &str| HttpTaskError::Url { url, reason: reason.to_owned() };
    // What cannot be parsed cannot be stripped of its password either: show none of it after the scheme.
    let scheme = || text.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://…"));
    let url = Url::parse(text).map_err(|error| bad(scheme(), &error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(without_secrets(&url), "its scheme is another one"));
    }
    Ok(url)
}

/// Without user, password and query.
fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// Reads at most `limit` bytes; answers whether there was more.
async fn read(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), TaskError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        let room = limit - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((bytes, true));
        }
    }
    Ok((bytes, false))
}

fn no_answer(error: reqwest::Error) -> TaskError {
    // The address may hold a password.
    TaskError::Retry(format!("the endpoint gave no answer: {}", causes(&error.without_url())))
        .code("http:no_answer")
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// What a status other than success means.
fn failure(status: StatusCode, retry_after: Option<Duration>, text: &str) -> TaskError {
    let answered = format!("the endpoint answered {status}");
    let message = if text.is_empty() { answered } else { format!("{answered}: {text}") };
    let error = match (status.as_u16(), retry_after) {
        (408 | 425 | 429 | 500..=599, Some(delay)) => TaskError::RetryAfter { delay, message },
        (408 | 425 | 429 | 500..=599, None) => TaskError::Retry(message),
        (300..=399, _) => {
            TaskError::GiveUp(format!("{message} (redirects are not followed: configure the final address)"))
        }
        _ => TaskError::GiveUp(message),
    };
    error.code(format!("http:{}", status.as_u16()))
}

/// The header `Retry-After`: seconds, or a date, which is compared with the answer's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    let delay = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = |text: &str| rfc2822::parse(text).map(|zoned| zoned.timestamp()).ok();
        clock::until(date(text(DATE)?)?, date(value)?)
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
