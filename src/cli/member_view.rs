//! A member as a person, and as a program reads it. Pure: gives text and values, prints nothing.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use upbeat_shared::member::{MemberInfo, MemberRecord, MemberState, Role};
use upbeat_shared::task::{TaskRecord, rfc3339_micros};

use super::moment::{local, relative, rough};
use super::output::Output;
use super::table::{Cell, Details, Look, Table};

/// The columns of a listing of workers.
pub(crate) const HEADER: [&str; 9] =
    ["NAME", "STATE", "RUNNING", "SLOTS", "TASKS", "QUEUES", "STARTED", "SEEN", "VERSION"];

/// Tasks that a person is shown by themselves; the rest is counted.
const SHOWN: usize = 50;

/// A row of a listing of workers.
pub(crate) fn cells(now: Timestamp, member: &MemberRecord) -> Vec<Cell> {
    let info = &member.info;
    vec![
        Cell::plain(info.name.as_str()),
        state(now, member),
        Cell::number(info.running),
        Cell::number(info.slots),
        Cell::plain(tasks(info)).cut(48),
        Cell::plain(queues(info)).cut(48),
        Cell::plain(relative(now, member.started_at)),
        Cell::plain(relative(now, member.seen_at)),
        Cell::faint(info.version.as_str()),
    ]
}

/// The columns where beats are listed, too.
pub(crate) fn header_of_all() -> Vec<&'static str> {
    let mut header = HEADER.to_vec();
    header.insert(1, "ROLE");
    header
}

/// A row where beats are listed, too.
pub(crate) fn cells_of_all(now: Timestamp, member: &MemberRecord) -> Vec<Cell> {
    let mut cells = cells(now, member);
    cells.insert(1, Cell::plain(member.role.as_str()));
    if member.role == Role::Beat {
        // It runs nothing and has no slots: a 0 would look like a worker that is idle.
        for number in &mut cells[3..5] {
            *number = Cell::number("-");
        }
    }
    cells
}

fn state(now: Timestamp, member: &MemberRecord) -> Cell {
    let state = member.state(now);
    let look = match state {
        MemberState::Healthy => Look::Good,
        MemberState::Draining => Look::Busy,
        MemberState::Late => Look::Odd,
        MemberState::Lost => Look::Bad,
    };
    Cell::new(state.as_str(), look)
}

/// `report.load ×3, hello`, and an ellipsis where more runs than its heartbeat names.
fn tasks(info: &MemberInfo) -> String {
    let one = |(name, count): &(_, u32)| match count {
        1 => format!("{name}"),
        n => format!("{name} ×{n}"),
    };
    let mut names: Vec<String> = info.tasks.iter().map(one).collect();
    let told: u64 = info.tasks.iter().map(|(_, count)| u64::from(*count)).sum();
    if info.tasks.len() == MemberInfo::MAX_TASKS && told < u64::from(info.running) {
        names.push("…".to_owned());
    }
    names.join(", ")
}

fn queues(info: &MemberInfo) -> String {
    let queues: Vec<String> = info.queues.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    queues.join(",")
}

/// Why it counts as lost, for programs: `null` if it does not.
fn lost(now: Timestamp, member: &MemberRecord) -> Option<&'static str> {
    match member.state(now) {
        MemberState::Lost if member.retired => Some("retired"),
        MemberState::Lost => Some("unjudged"),
        MemberState::Healthy | MemberState::Draining | MemberState::Late => None,
    }
}

/// A line of `--json`.
pub(crate) fn json(now: Timestamp, member: &MemberRecord) -> Value {
    let info = &member.info;
    let queues: Map<String, Value> =
        info.queues.iter().map(|(name, weight)| (name.to_string(), (*weight).into())).collect();
    let tasks: Vec<Value> =
        info.tasks.iter().map(|(name, count)| json!({ "name": name.as_str(), "count": count })).collect();
    json!({
        "name": info.name,
        "owner": member.owner.to_string(),
        "role": member.role.as_str(),
        "state": member.state(now).as_str(),
        "lost": lost(now, member),
        "draining": info.draining,
        "running": info.running,
        "slots": info.slots,
        "tasks": tasks,
        "queues": queues,
        "version": info.version,
        "started_at": rfc3339_micros(member.started_at),
        "seen_at": rfc3339_micros(member.seen_at),
        "lease_seconds": member.lease.as_secs_f64(),
    })
}

/// The object of `show`: a line of the listing, with the tasks that are claimed in the member's name.
pub(crate) fn json_with_claims(now: Timestamp, member: &MemberRecord, claims: &[TaskRecord]) -> Value {
    let claim = |task: &TaskRecord| {
        json!({
            "id": task.id().to_string(),
            "name": task.message.name.as_str(),
            "queue": task.message.queue.as_str(),
            "started_at": task.started_at.map(rfc3339_micros),
            "attempt": attempt(task),
            "crashes": task.message.crashes,
            "cancel_requested": task.cancel_requested,
            "progress": member.info.progress_of(task.id()),
        })
    };
    let mut object = json(now, member);
    object["claims"] = claims.iter().map(claim).collect();
    object
}

/// Everything about a member.
pub(crate) fn details(
    now: Timestamp,
    member: &MemberRecord,
    claims: &[TaskRecord],
    output: &Output,
) -> String {
    let info = &member.info;
    let mut view = Details::new(output.paint(&Cell::new(info.name.as_str(), Look::Strong)));
    view.line("role", member.role.as_str());
    view.line("state", format!("{}{}", output.paint(&state(now, member)), why(now, member)));
    view.line("owner", member.owner.to_string());
    view.line("version", info.version.as_str());
    view.line("started", local(now, member.started_at));
    view.line("seen", format!("{}; its lease is {}", local(now, member.seen_at), rough(member.lease)));
    if member.role == Role::Worker {
        view.line("queues", queues(info));
        view.line("running", format!("{} of {} slots", info.running, info.slots));
        view.maybe("tasks", (!info.tasks.is_empty()).then(|| tasks(info)));
    }
    let mut text = view.render();
    if !claims.is_empty() {
        text.push('\n');
        text.push_str(&table(now, info, claims, output));
    }
    text.trim_end().to_owned()
}

fn why(now: Timestamp, member: &MemberRecord) -> &'static str {
    match member.state(now) {
        MemberState::Healthy => "",
        MemberState::Draining => ": it finishes what runs, and takes nothing new",
        MemberState::Late => ": two of its heartbeats are missing; its lease is not over",
        MemberState::Lost if member.retired => ": a beat retired it, and gave its tasks to others",
        MemberState::Lost => {
            ": its lease is over, and no beat has judged it yet; `upbeat workers list --all` shows whether one runs"
        }
    }
}

fn table(now: Timestamp, info: &MemberInfo, claims: &[TaskRecord], output: &Output) -> String {
    let mut table = Table::new(&["ID", "NAME", "QUEUE", "STARTED", "ATTEMPT", "PROGRESS"]);
    for task in claims.iter().take(SHOWN) {
        let started = task.started_at.map(|at| relative(now, at)).unwrap_or_default();
        let stopping = if task.cancel_requested { ", asked to stop" } else { "" };
        table.row(vec![
            Cell::plain(task.id().to_string()),
            Cell::plain(task.message.name.as_str()),
            Cell::plain(task.message.queue.as_str()),
            Cell::plain(format!("{started}{stopping}")),
            Cell::number(attempt(task)),
            Cell::faint(info.progress_of(task.id()).map(ToString::to_string).unwrap_or_default()).cut(60),
        ]);
    }
    let text = output.render(&table);
    match claims.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text}and {more} more, started later; --json shows all of them\n"),
    }
}

/// Which attempt the present run is, from 1.
fn attempt(task: &TaskRecord) -> u32 {
    task.message.attempts.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::clock;
    use upbeat_shared::id::OwnerId;
    use upbeat_shared::member::LEASE;
    use upbeat_shared::name::TaskName;

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    fn member() -> MemberRecord {
        let named = |name: &str, count| (TaskName::new(name).unwrap(), count);
        MemberRecord {
            owner: OwnerId::random(),
            role: Role::Worker,
            info: MemberInfo {
                name: "host:7".into(),
                running: 4,
                slots: 8,
                tasks: vec![named("report.load", 3), named("hello", 1)],
                ..MemberInfo::default()
            },
            started_at: now(),
            seen_at: now(),
            lease: LEASE,
            retired: false,
        }
    }

    #[test]
    fn a_row_says_what_runs_and_how_many_of_each() {
        let row: Vec<String> = cells(now(), &member()).iter().map(|cell| cell.paint(false)).collect();
        assert_eq!(row[..5], ["host:7", "healthy", "4", "8", "report.load ×3, hello"]);
    }

    #[test]
    fn more_names_than_a_heartbeat_carries_end_in_an_ellipsis() {
        let mut info = member().info;
        info.tasks = vec![info.tasks[1].clone(); MemberInfo::MAX_TASKS];
        info.running = 9;
        assert!(tasks(&info).ends_with("hello, …"), "{}", tasks(&info));
        info.running = 8;
        assert!(tasks(&info).ends_with("hello"), "{}", tasks(&info));
    }

    #[test]
    fn json_says_by_whom_a_member_was_lost() {
        assert_eq!(json(now(), &member())["lost"], Value::Null);
        let silent = MemberRecord { seen_at: clock::earlier(now(), LEASE * 2), ..member() };
        assert_eq!(
            (&json(now(), &silent)["state"], &json(now(), &silent)["lost"]),
            (&"lost".into(), &"unjudged".into())
        );
        let retired = MemberRecord { retired: true, ..member() };
        assert_eq!(json(now(), &retired)["lost"], "retired");
    }

    #[test]
    fn a_beat_has_no_slots_to_show() {
        let beat = MemberRecord { role: Role::Beat, ..member() };
        let row: Vec<String> = cells_of_all(now(), &beat).iter().map(|cell| cell.paint(false)).collect();
        assert_eq!(row[1..5], ["beat", "healthy", "-", "-"]);
    }
}
