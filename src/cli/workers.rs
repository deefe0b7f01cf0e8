//! `upbeat workers`: who is there, and what they do.

use clap::{Args, Subcommand};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::member::{MemberRecord, Role};
use upbeat_shared::task::{TaskRecord, TaskState};

use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::member_view as view;
use super::nearest::nearest;

/// Records in one round trip.
const BATCH: usize = 500;

const STATES: &str = "\
States, the first that fits, by the store's clock:
  lost      a beat retired it and gave its tasks to others; or its lease ([ledger] lease) is over and no
            beat has judged it yet. --json tells which: \"lost\" is \"retired\" or \"unjudged\"
  late      its last heartbeat is older than two of its renewals (a fifth of the lease each; of a beat, at
            most a second), and its lease is not over
  draining  it was asked to stop: it finishes what runs, and takes nothing new
  healthy   none of these

A worker's line is as of its last heartbeat. One that left in good order is not listed.

Examples:
  upbeat workers list
  upbeat workers list --all --json";

/// Look at the workers
#[derive(Debug, Args)]
pub(crate) struct WorkersCommand {
    #[command(subcommand)]
    action: WorkersAction,
}

#[derive(Debug, Subcommand)]
enum WorkersAction {
    /// List workers: how they are, what they take, what they run
    #[command(after_help = STATES)]
    List {
        /// Show beats, too
        #[arg(long)]
        all: bool,
    },
    /// Show everything about a worker or a beat, and the tasks claimed in its name
    ///
    /// Where several have that name, each is shown: the beat and the worker of one `upbeat up`, or a worker that was lost
    /// and the one that took its place.
    #[command(
        after_help = "Examples:\n  upbeat workers show web-1:4711\n  upbeat workers show 7d1fbd2c2a6b4a52b6ab4e3d3e7a0c11 --json"
    )]
    Show {
        /// Its name, as listed, or its owner id
        #[arg(value_name = "NAME|OWNER")]
        member: String,
    },
}

impl WorkersCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        match self.action {
            WorkersAction::List { all } => list(context, &session, all).await,
            WorkersAction::Show { member } => show(context, &session, &member).await,
        }
    }
}

async fn list(context: &Context, session: &Session, all: bool) -> Result<(), Failure> {
    let mut members = session.stack.store.inspect.members().await?;
    members.retain(|member| all || member.role == Role::Worker);
    members.sort_by(|a, b| (a.role.as_str(), a.started_at).cmp(&(b.role.as_str(), b.started_at)));
    let now = session.now();
    let output = &context.output;
    if all {
        let cells = |member: &_| view::cells_of_all(now, member);
        output.list(&view::header_of_all(), &members, cells, |member| view::json(now, member))?;
    } else {
        let cells = |member: &_| view::cells(now, member);
        output.list(&view::HEADER, &members, cells, |member| view::json(now, member))?;
    }
    if members.is_empty() {
        let nobody = if all { "nobody is here" } else { "no worker is here" };
        output.note(format_args!("{nobody}: start one with `upbeat up` or `upbeat worker`"));
    }
    Ok(())
}

async fn show(context: &Context, session: &Session, wanted: &str) -> Result<(), Failure> {
    let store = &session.stack.store;
    let members = store.inspect.members().await?;
    let (meant, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| is_meant(wanted, member));
    if meant.is_empty() {
        return Err(unknown(wanted, &others));
    }
    for (index, member) in meant.iter().enumerate() {
        let claims = claims(store, member).await?;
        let now = session.now();
        let gap = if index == 0 { "" } else { "\n" };
        let output = &context.output;
        output.result(
            || format!("{gap}{}", view::details(now, member, &claims, output)),
            || view::json_with_claims(now, member, &claims),
        )?;
    }
    Ok(())
}

/// By its name, or by its owner id with or without hyphens.
fn is_meant(wanted: &str, member: &MemberRecord) -> bool {
    member.info.name == wanted
        || member.owner.to_string() == wanted.to_ascii_lowercase()
        || member.owner.0.hyphenated().to_string() == wanted.to_ascii_lowercase()
}

fn unknown(wanted: &str, members: &[MemberRecord]) -> Failure {
    let failure = Failure::failed(format!("there is no member {wanted}")).page("no-such-member");
    let listing = "`upbeat workers list --all` shows who is there";
    failure.advice(match nearest(wanted, members.iter().map(|member| member.info.name.as_str())) {
        Some(name) => format!("did you mean {name}? {listing}"),
        None => format!("{listing}; one that left in good order is not"),
    })
}

/// The tasks that run in a member's name, the longest running first.
async fn claims(store: &Store, member: &MemberRecord) -> Result<Vec<TaskRecord>, LedgerError> {
    let mine = store.ledger.mine(member.owner).await?;
    let mut claims = Vec::with_capacity(mine.len());
    for chunk in mine.chunks(BATCH) {
        let records = store.inspect.get(chunk.iter().map(|claim| claim.id).collect()).await?;
        claims.extend(records.into_iter().flatten());
    }
    // Some may have ended between the two questions, or gone to another worker.
    claims.retain(|task| task.state == TaskState::Running && task.owner == Some(member.owner));
    claims.sort_by_key(|task| (task.started_at, task.id()));
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::id::OwnerId;
    use upbeat_shared::member::{LEASE, MemberInfo};

    fn member(name: &str) -> MemberRecord {
        let now: jiff::Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        MemberRecord {
            owner: OwnerId::random(),
            role: Role::Worker,
            info: MemberInfo { name: name.into(), ..MemberInfo::default() },
            started_at: now,
            seen_at: now,
            lease: LEASE,
            retired: false,
        }
    }

    #[test]
    fn a_member_is_found_by_its_name_and_by_its_owner_in_every_writing() {
        let member = member("web-1:7");
        assert!(is_meant("web-1:7", &member) && !is_meant("web-1", &member));
        assert!(is_meant(&member.owner.to_string(), &member));
        assert!(is_meant(&member.owner.0.hyphenated().to_string().to_uppercase(), &member));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let advice = |wanted| unknown(wanted, &[member("web-1:7"), member("mail")]).advice.unwrap();
        assert!(advice("wbe-1:7").contains("did you mean web-1:7?"));
        assert!(advice("nobody-like-it").contains("workers list --all"));
    }
}
