//! RabbitMQ's management API, for what AMQP does not tell: what is unacknowledged, and how fast a queue moves. Only looks.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

use super::address::Address;
use crate::config::{ServiceUrl, TlsFiles};
use crate::transport::{Depth, Rates, TransportError};

/// The API keeps its own statistics, so an answer takes no work; one that is late is as good as none.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The management API of one broker.
#[derive(Clone, Debug)]
pub(super) struct Management {
    http: reqwest::Client,
    /// Without user and password.
    base: String,
    user: String,
    password: String,
    vhost: String,
}

/// What the API says of a queue; it leaves out what it has no figures for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Queue {
    messages_ready: u64,
    messages_unacknowledged: u64,
    consumers: u64,
    message_stats: Statistics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Statistics {
    #[serde(rename = "publish_details")]
    published: Rate,
    #[serde(rename = "deliver_get_details")]
    delivered: Rate,
    #[serde(rename = "ack_details")]
    acknowledged: Rate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rate {
    rate: f64,
}

impl Management {
    /// At this URL; without a user in it, the broker's user asks.
    pub(super) fn new(url: &ServiceUrl, broker: &Address) -> Result<Self, TransportError> {
        let refused = |why: String| TransportError::Refused(format!("the management API at {url}: {why}"));
        let mut parsed = reqwest::Url::parse(url.expose()).map_err(|error| refused(error.to_string()))?;
        let (mut user, mut password) = (unescape(parsed.username()), parsed.password().map(unescape));
        if user.is_empty() {
            (user, password) = (broker.user().to_owned(), Some(broker.password().to_owned()));
        }
        // A URL that can have a host can have these taken away.
        let _ = parsed.set_username("").and_then(|()| parsed.set_password(None));
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .tls_backend_preconfigured(tls(&parsed).map_err(refused)?)
            .build();
        Ok(Self {
            http: http.map_err(|error| refused(error.to_string()))?,
            base: parsed.as_str().trim_end_matches('/').to_owned(),
            user,
            password: password.unwrap_or_default(),
            vhost: escape(broker.vhost()),
        })
    }

    /// What the broker's statistics say of a queue; `None` if there is no such queue.
    pub(super) async fn depth(&self, queue: &str) -> Result<Option<Depth>, TransportError> {
        let url = format!("{}/api/queues/{}/{}", self.base, self.vhost, escape(queue));
        let answer = self.http.get(url).basic_auth(&self.user, Some(&self.password)).send().await;
        let answer = answer.map_err(|error| self.failed(&error.without_url()))?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = answer.error_for_status().map_err(|error| self.failed(&error.without_url()))?;
        let body = answer.bytes().await.map_err(|error| self.failed(&error.without_url()))?;
        let queue: Queue = serde_json::from_slice(&body).map_err(|error| {
            TransportError::Refused(format!("the management API at {} answers oddly: {error}", self.base))
        })?;
        Ok(Some(queue.into()))
    }

    fn failed(&self, error: &reqwest::Error) -> TransportError {
        match error.status() {
            Some(status) if status.is_client_error() => TransportError::Refused(format!(
                "the management API at {} says {status}: its user needs the tag `monitoring`",
                self.base
            )),
            _ => TransportError::Unavailable(format!("the management API at {}: {error}", self.base)),
        }
    }
}

/// Given, so that it does not depend on what the process has installed as its default.
fn tls(url: &reqwest::Url) -> Result<rustls::ClientConfig, String> {
    if url.scheme() == "https" {
        return crate::tls::client_config(&TlsFiles::default());
    }
    Ok(crate::tls::without_authorities())
}

impl From<Queue> for Depth {
    fn from(queue: Queue) -> Self {
        Self {
            ready: queue.messages_ready,
            unacknowledged: Some(queue.messages_unacknowledged),
            consumers: Some(queue.consumers),
            rates: Some(Rates {
                published: queue.message_stats.published.rate,
                delivered: queue.message_stats.delivered.rate,
                acknowledged: queue.message_stats.acknowledged.rate,
            }),
        }
    }
}

/// As a part of a path; a vhost is often `/` itself.
fn escape(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let mut escaped = String::with_capacity(text.len());
    for b in text.bytes() {
        if unreserved(b) {
            escaped.push(char::from(b));
        } else {
            write!(escaped, "%{b:02X}").expect("a text can always be written to");
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = (*first == b'%').then(|| behind.get(..2)).flatten();
        let escaped = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vhost_is_one_part_of_a_path() {
        assert_eq!(escape("/"), "%2F");
        assert_eq!(escape("upbeat.default.a-b_c"), "upbeat.default.a-b_c");
        assert_eq!(unescape("a%2Fb%"), "a/b%");
    }

    #[test]
    fn figures_that_the_api_leaves_out_are_zero() {
        let queue: Queue = serde_json::from_str(
            r#"{"messages_ready": 3, "name": "x", "message_stats": {"ack_details": {"rate": 1.5}}}"#,
        )
        .unwrap();
        let depth = Depth::from(queue);
        assert_eq!((depth.ready, depth.unacknowledged), (3, Some(0)));
        assert!((depth.rates.unwrap().acknowledged - 1.5).abs() < 1e-9);
    }
}
