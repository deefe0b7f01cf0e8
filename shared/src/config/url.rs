//! URLs of brokers, ledgers and tasks. Never opens one, and never shows its password.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::mask::passwords;
use super::secret::MASK;

/// A URL with a scheme and a host. `Debug` and `Display` mask its password; [`expose`](Self::expose) does not.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    text: String,
    /// It came from a file of secrets: nothing of it is shown but the scheme, for a path can be a password too.
    sealed: bool,
}

/// Where tasks travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BrokerUrl {
    /// `embedded`: the SQLite file in the data directory.
    #[default]
    Embedded,
    /// `amqp://…` or `amqps://…`: RabbitMQ.
    Amqp(ServiceUrl),
}

/// Where tasks are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LedgerUrl {
    /// `embedded`: the SQLite file in the data directory.
    #[default]
    Embedded,
    /// `postgres://…` or `postgresql://…`.
    Postgres(ServiceUrl),
    /// `redis://…` or `rediss://…`.
    Redis(ServiceUrl),
}

/// Why a text is no URL of its kind: the part at fault, what is wrong and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlFault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

/// Why a text is no URL of a service. Shows no part of the text but its scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct UrlError {
    message: String,
    help: String,
}

impl UrlError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "url-invalid"
    }
}

/// What Upbeat speaks to.
const SCHEMES: [&str; 8] = ["amqp", "amqps", "postgres", "postgresql", "redis", "rediss", "http", "https"];

impl FromStr for ServiceUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text, &SCHEMES).map_err(|UrlFault { message, help, .. }| UrlError { message, help })
    }
}

impl ServiceUrl {
    /// The URL with its password, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> String {
        self.text.split("://").next().unwrap_or_default().to_ascii_lowercase()
    }

    /// The same one, of which nothing is shown but the scheme.
    pub(super) fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// Checks that the text has one of the schemes and a host.
    pub(super) fn parse(text: &str, schemes: &[&str]) -> Result<Self, UrlFault> {
        let forms = || format!("write it as {}", spoken(schemes));
        let fault = |span, message: String| Err(UrlFault { span, message, help: forms() });
        let Some(at) = text.find("://") else {
            return fault(0..text.len(), "this is no URL: it has no scheme".into());
        };
        let scheme = text[..at].to_ascii_lowercase();
        if !schemes.contains(&scheme.as_str()) {
            return fault(0..at, format!("the scheme `{}` is not known here", &text[..at]));
        }
        if let Some((bad, c)) = text.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control()) {
            return fault(bad..bad + c.len_utf8(), format!("{c:?} is not allowed in a URL"));
        }
        let (start, end) = authority(text, at + 3);
        let host = text[start..end].rfind('@').map_or(start, |at| start + at + 1);
        if text[host..end].split(':').next().is_none_or(str::is_empty) {
            return fault(0..text.len(), "this URL has no host".into());
        }
        // `amqp://user:a/b@host` reads as a host named `user`; to connect there would be a riddle.
        if let (false, Some(at)) = (scheme.starts_with("http"), text[end..].find('@')) {
            let help = "write `/`, `?` and `#` in a user or password as `%2F`, `%3F` and `%23`".into();
            let span = end + at..end + at + 1;
            return Err(UrlFault { span, message: "this `@` comes after the host".into(), help });
        }
        if let Some(port) = port(&text[host..end])
            && port.parse::<u16>().is_err()
        {
            return fault(end - port.len()..end, "this is no port".into());
        }
        Ok(Self { text: text.to_owned(), sealed: false })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sealed {
            return write!(f, "{}://{MASK}", self.scheme());
        }
        let mut shown = 0;
        for span in passwords(&self.text) {
            write!(f, "{}{MASK}", &self.text[shown..span.start])?;
            shown = span.end;
        }
        f.write_str(&self.text[shown..])
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Amqp(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Postgres(url) | Self::Redis(url) => url.fmt(f),
        }
    }
}

impl BrokerUrl {
    pub(super) fn parse(text: &str) -> Result<Self, UrlFault> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        ServiceUrl::parse(text, &["embedded", "amqp", "amqps"])
            .and_then(|url| embedded_has_no_parts(url, text))
            .map(Self::Amqp)
    }
}

impl LedgerUrl {
    pub(super) fn parse(text: &str) -> Result<Self, UrlFault> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let schemes = ["embedded", "postgres", "postgresql", "redis", "rediss"];
        let url = ServiceUrl::parse(text, &schemes).and_then(|url| embedded_has_no_parts(url, text))?;
        Ok(if url.scheme().starts_with("redis") { Self::Redis(url) } else { Self::Postgres(url) })
    }
}

fn authority(text: &str, start: usize) -> (usize, usize) {
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    (start, end)
}

/// What follows the host's colon; an IPv6 host keeps its own in brackets.
fn port(host: &str) -> Option<&str> {
    let after = host.rfind(']').map_or(0, |at| at + 1);
    host[after..].split_once(':').map(|(_, port)| port)
}

fn embedded_has_no_parts(url: ServiceUrl, text: &str) -> Result<ServiceUrl, UrlFault> {
    if url.scheme() != "embedded" {
        return Ok(url);
    }
    let help = "write `embedded` alone; its file lies in the data directory".into();
    Err(UrlFault { span: 0..text.len(), message: "`embedded` has no host and no path".into(), help })
}

fn spoken(schemes: &[&str]) -> String {
    let forms: Vec<String> = schemes
        .iter()
        .map(|scheme| if *scheme == "embedded" { "`embedded`".to_owned() } else { format!("`{scheme}://…`") })
        .collect();
    match forms.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => forms.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url = BrokerUrl::parse("amqp://upbeat:s3cr:et@mq:5672/%2f").unwrap();
        assert_eq!(url.to_string(), "amqp://upbeat:********@mq:5672/%2f");
        assert_eq!(format!("{url:?}"), "Amqp(\"amqp://upbeat:********@mq:5672/%2f\")");
    }

    #[test]
    fn each_kind_of_store_is_told_by_its_scheme() {
        assert_eq!(LedgerUrl::parse("embedded"), Ok(LedgerUrl::Embedded));
        assert!(matches!(LedgerUrl::parse("postgresql://db/upbeat"), Ok(LedgerUrl::Postgres(_))));
        assert!(matches!(LedgerUrl::parse("rediss://[::1]:6379/0"), Ok(LedgerUrl::Redis(_))));
    }

    #[test]
    fn what_is_no_url_is_refused_at_the_part_at_fault() {
        assert_eq!(BrokerUrl::parse("http://mq").unwrap_err().span, 0..4);
        assert_eq!(BrokerUrl::parse("amqp://mq:56720000").unwrap_err().span, 10..18);
        assert_eq!(BrokerUrl::parse("amqp://u:p@/x").unwrap_err().message, "this URL has no host");
        assert_eq!(BrokerUrl::parse("amqp://u:a/b@mq").unwrap_err().span, 12..13);
        assert_eq!(
            BrokerUrl::parse("embedded://x").unwrap_err().message,
            "`embedded` has no host and no path"
        );
        assert_eq!(
            BrokerUrl::parse("mq:5672").unwrap_err().help,
            "write it as `embedded`, `amqp://…` or `amqps://…`"
        );
    }
}
