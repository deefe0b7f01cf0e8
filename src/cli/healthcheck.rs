//! `upbeat healthcheck`: one answer, for containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use upbeat_shared::member::MemberState;

use super::context::{Access, Context};
use super::failure::Failure;
use super::launch::{self, ListenArgs, WorkerArgs};
use crate::logging;
use crate::roles;

/// How long the role may take to answer; orchestrators ask every few seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers longer than this are none of ours.
const LONGEST: u64 = 64 * 1024;

/// Answer whether the role on this host works; for containers
///
/// Asks /readyz of the address that the configuration or --listen names. Where none is named, looks for a member of this host with
/// a fresh heartbeat in the ledger. Exit codes: 0 it works, 1 it does not, 3 it cannot be reached.
#[allow(clippy::doc_markdown, reason = "these lines are shown on terminals, where backticks would stand out")]
#[derive(Debug, Args)]
#[command(after_help = "Example, in a Dockerfile:\n  HEALTHCHECK CMD [\"upbeat\", \"healthcheck\"]")]
pub(crate) struct HealthcheckCommand {
    /// Where the role serves /readyz [env: UPBEAT_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
}

impl HealthcheckCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let flags = launch::overrides(context, ListenArgs { listen: self.listen }, WorkerArgs::default());
        let settings = context.settings_with(&flags)?;
        logging::for_a_command(context.global.verbosity(), &settings.loaded, &context.clock);
        if let Some(address) = settings.own_listen() {
            return ask(context, reachable(address)).await;
        }
        let stack = context.open(&settings, Access::Existing, "healthcheck").await?;
        let name = roles::member_name(settings.config());
        let prefix = roles::host_prefix();
        let now = stack.clock.now().unwrap_or_else(|| context.clock.wall());
        let members = stack.store.inspect.members().await?;
        let here =
            members.iter().filter(|member| member.info.name == name || member.info.name.starts_with(&prefix));
        let alive: Vec<&str> = here
            .filter(|member| member.state(now) != MemberState::Lost)
            .map(|member| member.info.name.as_str())
            .collect();
        if alive.is_empty() {
            return Err(unready(format!("no live member is called {name} or {prefix}…"))
                .advice("start `upbeat up`, `upbeat beat` or `upbeat worker`; `upbeat workers list --all` shows who is there"));
        }
        context.output.result(
            || format!("{} is alive", alive.join(", ")),
            || json!({ "healthy": true, "members": alive }),
        )
    }
}

/// Where to knock: what listens on every address is reached on this host's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(context: &Context, address: SocketAddr) -> Result<(), Failure> {
    let asked = tokio::time::timeout(PATIENCE, readyz(address)).await;
    let answer = asked
        .unwrap_or_else(|_| Err(std::io::Error::other(format!("no answer within {PATIENCE:?}"))))
        .map_err(|error| {
            Failure::unreachable(format!("cannot ask http://{address}/readyz: {error}")).page("not-ready")
        })?;
    let (status, body) = parse(&answer)
        .ok_or_else(|| Failure::failed(format!("http://{address}/readyz answers what upbeat never says")))?;
    if status == 200 {
        return context.output.result(|| "ready".to_owned(), || json!({ "healthy": true, "readyz": body }));
    }
    let why_not = body["why_not"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Err(unready(format!("not ready: {}", why_not.collect::<Vec<_>>().join("; "))))
}

fn unready(message: String) -> Failure {
    Failure::failed(message).page("not-ready")
}

/// A whole HTTP client for one line would be a large thing to bring into a container's check.
async fn readyz(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Status and body of an answer.
fn parse(answer: &str) -> Option<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_knocked_at_on_this_host() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(reachable("[::]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
        assert_eq!(reachable("10.0.0.7:80".parse().unwrap()), "10.0.0.7:80".parse().unwrap());
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 15\r\n\r\n{\"ready\":false}";
        assert_eq!(parse(answer), Some((503, json!({ "ready": false }))));
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n"), None);
    }

    #[tokio::test]
    async fn a_role_that_cannot_work_is_told_with_its_reason() {
        use crate::ops::{self, Endpoints};
        use crate::roles::Readiness;
        use tokio_util::sync::CancellationToken;

        let dir = tempfile::tempdir().unwrap();
        let config = upbeat_shared::config::Config { data: dir.path().to_owned(), ..Default::default() };
        let clock = std::sync::Arc::new(upbeat_shared::clock::SystemClock::default());
        let stack = crate::Stack::open(&config, clock, "upbeat test").await.unwrap();
        let mut readiness = Readiness::new(stack.store.clone(), stack.transport.clone());
        readiness.role("worker", || vec!["stopping".to_owned()]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = Endpoints { readiness, metrics: None, echo: false };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(ops::serve(listener, endpoints, stop.clone()));

        let answer = readyz(address).await.unwrap();
        let why_not = json!({ "ready": false, "why_not": ["worker: stopping"] });
        assert_eq!(parse(&answer), Some((503, why_not)));
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
