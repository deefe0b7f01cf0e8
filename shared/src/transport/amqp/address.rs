//! Where the broker is: the URL taken apart. Never shows its password.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};

use crate::config::ServiceUrl;
use crate::transport::TransportError;

/// Seconds between heartbeats, unless the URL says otherwise: a broker that fell silent is noticed after two of them.
const HEARTBEAT_SECONDS: u16 = 10;

/// A broker's address, with what is needed to log in.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
}

impl Address {
    pub(super) fn parse(url: &ServiceUrl) -> Result<Self, TransportError> {
        let refused = |reason: String| TransportError::Refused(format!("{url} is no broker's URL: {reason}"));
        let mut uri: AMQPUri = url.expose().parse().map_err(refused)?;
        // The parser knows names and IPv4 only, and takes anything else for `localhost`.
        if let Some(host) = bracketed_host(url.expose()) {
            host.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        if uri.vhost.len() > usize::from(u8::MAX) {
            return Err(refused("a vhost has at most 255 bytes".to_owned()));
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self { uri })
    }

    pub(super) fn host(&self) -> &str {
        &self.uri.authority.host
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.authority.port
    }

    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    #[cfg(feature = "management")]
    pub(super) fn password(&self) -> &str {
        &self.uri.authority.userinfo.password
    }

    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

/// `host:port`, an IPv6 host in brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.host(), self.port());
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} vhost {}", self.vhost())
    }
}

fn bracketed_host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    host.strip_prefix('[')?.split_once(']').map(|(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_url_without_a_vhost_means_the_default_one() {
        assert_eq!(address("amqp://mq").vhost(), "/");
        assert_eq!(address("amqp://mq/").vhost(), "/");
        assert_eq!(address("amqp://mq/%2f").vhost(), "/");
        assert_eq!(address("amqp://mq/tasks").vhost(), "tasks");
    }

    #[test]
    fn an_ipv6_host_is_not_taken_for_localhost() {
        assert_eq!(address("amqp://u:p@[::1]:5673/x").host(), "::1");
        assert_eq!(address("amqp://[2001:db8::7]").to_string(), "[2001:db8::7]:5672");
    }

    #[test]
    fn a_heartbeat_is_ten_seconds_unless_the_url_says_otherwise() {
        assert_eq!(address("amqp://mq").uri.query.heartbeat, Some(10));
        assert_eq!(address("amqp://mq/?heartbeat=3").uri.query.heartbeat, Some(3));
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = format!("{:?}", address("amqps://u:secret@mq/tasks"));
        assert_eq!(shown, "mq:5671 vhost tasks");
    }
}
