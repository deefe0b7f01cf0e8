//! What the doctor looks at once it is inside: ledger, broker, clocks, members, queues.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::ledger::QueueRecord;
use upbeat_shared::ledger::holding::{COUNTED, Holding};
use upbeat_shared::member::{MemberRecord, MemberState, Role};
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;

use super::context::{Context, Session, Settings};
use super::doctor::Finding;
use super::failure::Failure;
use super::moment::rough;
use super::words::counted;

/// Clocks further apart than this make logs hard to read; nothing else depends on them.
const APART: Duration = Duration::from_secs(2);

/// A finding, or what kept us from it.
pub(crate) type Examined = Result<Finding, (&'static str, Failure)>;

/// What the configuration says, in a line.
pub(crate) fn configuration(settings: &Settings) -> Finding {
    let config = settings.config();
    let file = match &settings.loaded.file {
        _ if settings.quickstart => "the built-in quickstart".to_owned(),
        Some(file) => file.display().to_string(),
        None => "no file".to_owned(),
    };
    let detail = format!(
        "{file}: namespace {}, {}, {}",
        config.namespace,
        counted(config.tasks.len() as u64, "task"),
        counted(config.schedules.len() as u64, "schedule")
    );
    match settings.loaded.warnings.len() {
        0 => Finding::ok("configuration", detail),
        n => {
            let advice = format!("`upbeat config check` shows {}", counted(n as u64, "warning"));
            Finding::warning("configuration", detail, advice)
        }
    }
}

/// Everything behind the two ports.
pub(crate) async fn everything(context: &Context, session: &Session) -> Vec<Examined> {
    let mut found =
        vec![ledger(context, session).await, broker(context, session).await, Ok(clocks(context, session))];
    match session.stack.store.inspect.members().await {
        Ok(all) => {
            found.push(Ok(members(session, &all, Role::Beat)));
            found.push(Ok(members(session, &all, Role::Worker)));
            found.push(queues(session, &all).await);
        }
        Err(error) => found.push(Err(("members", error.into()))),
    }
    found.push(undeliverable(session).await);
    found.push(contents(session).await);
    found
}

async fn ledger(context: &Context, session: &Session) -> Examined {
    let schema = &session.stack.store.schema;
    let failed = |error: upbeat_shared::ledger::LedgerError| ("ledger", Failure::from(error));
    let sent = context.clock.monotonic();
    session.stack.store.ledger.now().await.map_err(failed)?;
    let took = context.clock.monotonic().saturating_sub(sent);
    let status = schema.status().await.map_err(failed)?;
    let detail = format!(
        "{}, schema version {} of {}, answers in {}",
        schema.describe(),
        status.found,
        status.known,
        rough(took)
    );
    Ok(if status.found < status.known {
        Finding::warning("ledger", detail, "bring the schema up to date: `upbeat migrate up`")
    } else if let Some(advice) = schema.advice() {
        Finding::warning("ledger", detail, advice)
    } else {
        Finding::ok("ledger", detail)
    })
}

async fn broker(context: &Context, session: &Session) -> Examined {
    let transport = &session.stack.transport;
    let sent = context.clock.monotonic();
    transport.ping().await.map_err(|error| ("broker", Failure::from(error)))?;
    let took = context.clock.monotonic().saturating_sub(sent);
    Ok(Finding::ok("broker", format!("{}, answers in {}", transport.describe(), rough(took))))
}

fn clocks(context: &Context, session: &Session) -> Finding {
    let apart = session.now().duration_since(context.clock.wall()).unsigned_abs();
    if apart > APART {
        let advice =
            "tasks are not affected, since the store's time counts; log lines are: set this machine's clock";
        return Finding::warning("clock", format!("{} from the store's", rough(apart)), advice);
    }
    Finding::ok("clock", "agrees with the store's")
}

fn members(session: &Session, all: &[MemberRecord], role: Role) -> Finding {
    let (check, without) = match role {
        Role::Beat => {
            ("beats", "nothing scheduled, delayed or to be retried runs; start `upbeat beat` or `upbeat up`")
        }
        Role::Worker => ("workers", "nothing runs; start `upbeat worker` or `upbeat up`"),
    };
    let alive = alive(session, all, role);
    let names: Vec<&str> = alive.iter().map(|member| member.info.name.as_str()).collect();
    let versions: BTreeSet<&str> = alive.iter().map(|member| member.info.version.as_str()).collect();
    if names.is_empty() {
        return Finding::warning(check, "none is alive", without);
    }
    let detail = format!("{} alive: {}", names.len(), names.join(", "));
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        return Finding::warning(
            check,
            detail,
            format!("they are of different versions: {}", versions.join(", ")),
        );
    }
    Finding::ok(check, detail)
}

fn alive<'a>(session: &Session, all: &'a [MemberRecord], role: Role) -> Vec<&'a MemberRecord> {
    let now = session.now();
    let well = |member: &&MemberRecord| member.role == role && member.state(now) != MemberState::Lost;
    all.iter().filter(well).collect()
}

/// Queues that nobody serves, that are paused, or that hold dead tasks.
async fn queues(session: &Session, all: &[MemberRecord]) -> Examined {
    let queues =
        session.stack.store.inspect.queues().await.map_err(|error| ("queues", Failure::from(error)))?;
    let workers = alive(session, all, Role::Worker);
    let served: BTreeSet<&QueueName> =
        workers.iter().flat_map(|worker| worker.info.queues.iter().map(|(name, _)| name)).collect();
    let mut advice = Vec::new();
    for queue in &queues {
        let waiting = count(queue, TaskState::Queued);
        if queue.paused {
            advice.push(format!(
                "{} is paused, {waiting} tasks wait: `upbeat queues resume {}`",
                queue.name, queue.name
            ));
        } else if waiting > 0 && !served.contains(&queue.name) {
            advice.push(format!(
                "no worker takes from {}, {waiting} tasks wait: `upbeat worker --queues {}`",
                queue.name, queue.name
            ));
        }
        match count(queue, TaskState::Dead) {
            0 => {}
            dead => advice.push(format!(
                "{} holds {dead} dead tasks: `upbeat dead list --queue {}`",
                queue.name, queue.name
            )),
        }
    }
    let total = |state| queues.iter().map(|queue| count(queue, state)).sum::<u64>();
    let detail = format!(
        "{}: {} scheduled, {} queued, {} running, {} dead",
        counted(queues.len() as u64, "queue"),
        total(TaskState::Scheduled),
        total(TaskState::Queued),
        total(TaskState::Running),
        total(TaskState::Dead)
    );
    Ok(if advice.is_empty() {
        Finding::ok("queues", detail)
    } else {
        Finding::warning("queues", detail, advice.join("; "))
    })
}

fn count(queue: &QueueRecord, state: TaskState) -> u64 {
    queue.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
}

/// Messages that nobody can read, until a beat has looked at them.
async fn undeliverable(session: &Session) -> Examined {
    let queue = QueueName::undeliverable();
    let depth = session.stack.transport.depth(&queue).await;
    let depth = depth.map_err(|error| ("undeliverable", Failure::from(error)))?;
    let waiting = depth.map_or(0, |depth| depth.ready + depth.unacknowledged.unwrap_or(0));
    Ok(match waiting {
        0 => Finding::ok("undeliverable", "no message waits to be looked at"),
        n => {
            let advice =
                "a beat looks at them: what it can read is due again, the rest is dead (`upbeat dead list`)";
            Finding::warning("undeliverable", format!("{} to be looked at", counted(n, "message")), advice)
        }
    })
}

/// What the ledger holds, and how much room that takes.
async fn contents(session: &Session) -> Examined {
    let failed = |error: upbeat_shared::ledger::LedgerError| ("contents", Failure::from(error));
    let store = &session.stack.store;
    let holdings = store.schema.holdings().await.map_err(failed)?;
    let queues = store.inspect.queues().await.map_err(failed)?;
    let now = session.now();
    let mut parts: Vec<String> = holdings.iter().map(|holding| held(now, holding)).collect();
    let by_state = TaskState::ALL.into_iter().filter_map(|state| {
        let tasks: u64 = queues.iter().map(|queue| count(queue, state)).sum();
        (tasks > 0).then(|| format!("{tasks} {state}"))
    });
    let by_state: Vec<String> = by_state.collect();
    if !by_state.is_empty() {
        parts.insert(0, by_state.join(", "));
    }
    Ok(Finding::ok("contents", parts.join("; ")))
}

/// `1203 tasks in 3 MiB, the oldest 6d old`.
fn held(now: Timestamp, holding: &Holding) -> String {
    let more = if holding.count >= COUNTED { " or more" } else { "" };
    let bytes = holding.bytes.map(|bytes| format!(" in {}", size(bytes))).unwrap_or_default();
    let age = holding.oldest.filter(|oldest| *oldest <= now && holding.count > 0);
    let age = age.map(|oldest| format!(", the oldest {} old", rough(clock::until(oldest, now))));
    format!("{}{more} {}{bytes}{}", holding.count, holding.part, age.unwrap_or_default())
}

/// In the unit in which it is a short number.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..KIB => format!("{bytes} bytes"),
        KIB..1_048_576 => format!("{} KiB", bytes / KIB),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes / KIB / KIB),
        _ => format!("{} GiB", bytes / KIB / KIB / KIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::ledger::holding::Part;

    #[test]
    fn what_is_held_is_told_in_a_few_words() {
        let now: Timestamp = "2026-05-06T12:00:00Z".parse().unwrap();
        let oldest = "2026-05-06T10:00:00Z".parse().ok();
        let tasks = Holding { part: Part::Tasks, count: 7, bytes: Some(3 * 1024 * 1024), oldest };
        assert_eq!(held(now, &tasks), "7 tasks in 3 MiB, the oldest 2h old");
        let many = Holding { count: COUNTED, bytes: None, oldest: None, ..tasks };
        assert_eq!(held(now, &many), "1000000 or more tasks");
        assert_eq!([size(0), size(2048), size(u64::MAX)].join(", "), "0 bytes, 2 KiB, 17179869183 GiB");
    }
}
