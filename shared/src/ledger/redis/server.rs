//! What the server says of itself: its version, whether it throws keys away, and what it forgets when it falls.

use std::collections::HashMap;
use std::fmt;

use redis::Value;

use super::error::Fault;
use super::reply;
use super::session::Session;

/// The oldest that knows every command of the scripts. Valkey began from 7.2 and says so.
const OLDEST: (u32, u32) = (7, 0);

/// A server, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// `Redis 8.0.2`, `Valkey 8.1.1`.
    pub(super) product: String,
    pub(super) durability: Durability,
}

/// What a crash makes the server forget. An answer to a task's step is only as good as this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// `appendfsync always`.
    Always,
    /// `appendfsync everysec`.
    EverySecond,
    /// `appendfsync no`.
    Kernel,
    /// An append-only file, and nobody may know how often it is written to the disk.
    AppendOnly,
    /// No append-only file.
    None,
}

impl Durability {
    fn of(has_file: bool, fsync: Option<&str>) -> Self {
        match (has_file, fsync) {
            (false, _) => Self::None,
            (true, Some("always")) => Self::Always,
            (true, Some("everysec")) => Self::EverySecond,
            (true, Some("no")) => Self::Kernel,
            (true, _) => Self::AppendOnly,
        }
    }

    /// Whether a crash of one server can take more than a second or so.
    pub(super) fn is_weak(&self) -> bool {
        matches!(self, Self::None | Self::Kernel)
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "AOF, appendfsync always: a crash forgets nothing that was answered",
            Self::EverySecond => {
                "AOF, appendfsync everysec: a crash forgets up to the last second or two; tasks that ended then may run again, \
                 and what was put on the agenda then is lost"
            }
            Self::Kernel => {
                "AOF, appendfsync no: a crash of the machine forgets up to half a minute or so; tasks that ended then may run \
                 again, and what was put on the agenda then is lost"
            }
            Self::AppendOnly => {
                "AOF; how often it is written to the disk is not told here: what a crash makes it forget may run again or be lost"
            }
            Self::None => {
                "no AOF: a restart forgets every task since the last snapshot, if there is one; set `appendonly yes`"
            }
        })
    }
}

impl Server {
    /// Asks the server; refuses one that throws keys away, or is too old.
    pub(super) async fn examine(session: &Session) -> Result<Self, Fault> {
        let info = info(session).await?;
        let version = info.get("valkey_version").or_else(|| info.get("redis_version"));
        let version = version.ok_or_else(|| Fault::Invalid("Redis does not tell its version".into()))?;
        let product = if info.contains_key("valkey_version") { "Valkey" } else { "Redis" };
        if parse(version) < OLDEST {
            let (major, minor) = OLDEST;
            return Err(Fault::Invalid(format!(
                "{product} {version} is too old: it takes Redis {major}.{minor} or later, or Valkey"
            )));
        }
        let settings = settings(session).await?;
        let policy = settings.get("maxmemory-policy").or_else(|| info.get("maxmemory_policy"));
        refuse_eviction(policy.map(String::as_str))?;
        let has_file = info.get("aof_enabled").is_some_and(|enabled| enabled == "1");
        let durability = Durability::of(has_file, settings.get("appendfsync").map(String::as_str));
        Ok(Self { product: format!("{product} {version}"), durability })
    }
}

/// A ledger whose keys may be thrown away would run tasks twice and lose others, without a word.
fn refuse_eviction(policy: Option<&str>) -> Result<(), Fault> {
    match policy {
        Some("noeviction") => Ok(()),
        Some(policy) => Err(Fault::Invalid(format!(
            "Redis may throw keys away: its maxmemory-policy is {policy}; a ledger needs `maxmemory-policy noeviction`, on a \
             server that is no cache"
        ))),
        None => Err(Fault::Invalid(
            "Redis does not tell its maxmemory-policy, neither in CONFIG nor in INFO: allow the ledger's user `INFO`, so that it \
             can be seen to be `noeviction`"
                .into(),
        )),
    }
}

fn parse(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

async fn info(session: &Session) -> Result<HashMap<String, String>, Fault> {
    let text = match session.command(&redis::cmd("INFO")).await {
        Ok(value) => reply::text(value)?,
        Err(fault) if fault.is_forbidden() => {
            return Err(Fault::Invalid(
                "Redis does not allow INFO to the ledger's user, which tells its maxmemory-policy".into(),
            ));
        }
        Err(fault) => return Err(fault),
    };
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
}

/// Empty where it is forbidden, as managed servers do.
async fn settings(session: &Session) -> Result<HashMap<String, String>, Fault> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("maxmemory-policy").arg("appendfsync");
    let answer = match session.command(&command).await {
        Ok(answer) => answer,
        Err(fault) if fault.is_forbidden() => return Ok(HashMap::new()),
        Err(fault) => return Err(fault),
    };
    let values: Vec<Value> = reply::array(answer)?;
    let texts = values.into_iter().map(reply::text).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_throws_nothing_away_will_do() {
        assert!(refuse_eviction(Some("noeviction")).is_ok());
        for policy in [Some("allkeys-lru"), Some("volatile-ttl"), None] {
            let Err(Fault::Invalid(message)) = refuse_eviction(policy) else {
                panic!("{policy:?} is accepted")
            };
            assert!(message.contains("noeviction"), "{message}");
        }
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(parse("6.2.14") < OLDEST);
        assert!(parse("7.0.0") >= OLDEST);
        assert!(parse("10.1") >= OLDEST);
        assert!(parse("garbled") < OLDEST);
    }

    #[test]
    fn what_a_crash_forgets_is_said() {
        assert!(Durability::of(false, Some("always")).is_weak(), "no file, whatever is set for one");
        assert!(!Durability::of(true, Some("everysec")).is_weak());
        assert_eq!(Durability::of(true, None), Durability::AppendOnly);
        assert!(Durability::of(true, Some("always")).to_string().contains("forgets nothing"));
    }
}
