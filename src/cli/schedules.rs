//! `upbeat schedules`: looking at schedules, checking a file's, triggering one by hand.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use upbeat_shared::client::NewTask;
use upbeat_shared::config::Overrides;
use upbeat_shared::ledger::{Due, NewSchedule};
use upbeat_shared::message::{Payload, Planned, Priority};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::{ScheduleDefinition, ScheduleRecord};
use upbeat_shared::task::TaskState;

use super::context::{Access, Context, Session};
use super::crontab::ImportCommand;
use super::failure::Failure;
use super::nearest::nearest;
use super::schedule_explain::ExplainSchedule;
use super::schedule_forecast::ForecastSchedules;
use super::schedule_view as view;
use super::words::counted;

/// Planned instants shown ahead.
const AHEAD: usize = 5;

/// Occurrences shown back.
const BACK: usize = 10;

/// Look at schedules, check and trigger them
#[derive(Debug, Args)]
pub(crate) struct SchedulesCommand {
    #[command(subcommand)]
    action: SchedulesAction,
}

#[derive(Debug, Subcommand)]
enum SchedulesAction {
    /// List the schedules in force, with their next instants
    List,
    /// Show a schedule: its rule, what is planned, what became of what was
    Show {
        /// The schedule's id
        #[arg(value_name = "ID")]
        id: ScheduleId,
    },
    /// Check a configuration file's schedules without putting them in force
    ///
    /// Prints the next instants of each, in its zone, or what is wrong with it and where. Reads nothing but the file.
    #[command(after_help = "Example:\n  upbeat schedules check upbeat.toml")]
    Check {
        /// A configuration file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what a rule means, when it fires next, and what moved it there
    Explain(ExplainSchedule),
    /// Show how many tasks start in each minute to come, and what to spread
    Forecast(ForecastSchedules),
    /// Turn what other programs run by time into schedules
    #[command(subcommand)]
    Import(ImportCommand),
    /// Run a schedule's task once, now, whatever its rule says
    ///
    /// Prints the id of the task. The schedule itself goes on as planned.
    Trigger {
        /// The schedule's id
        #[arg(value_name = "ID")]
        id: ScheduleId,
    },
}

impl SchedulesCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            SchedulesAction::Check { file } => return check(context, &file),
            SchedulesAction::Explain(command) => return command.run(context).await,
            SchedulesAction::Forecast(command) => return command.run(context).await,
            SchedulesAction::Import(command) => return command.run(context),
            SchedulesAction::List | SchedulesAction::Show { .. } | SchedulesAction::Trigger { .. } => {}
        }
        let session = context.session(Access::Existing).await?;
        match self.action {
            SchedulesAction::List => list(context, &session).await,
            SchedulesAction::Show { id } => show(context, &session, &id).await,
            SchedulesAction::Trigger { id } => trigger(context, &session, &id).await,
            SchedulesAction::Check { .. }
            | SchedulesAction::Explain(_)
            | SchedulesAction::Forecast(_)
            | SchedulesAction::Import(_) => Ok(()),
        }
    }
}

async fn list(context: &Context, session: &Session) -> Result<(), Failure> {
    let mut schedules = session.stack.store.catalog.snapshot().await?.schedules;
    schedules.sort_by(|a, b| a.id.cmp(&b.id));
    let now = session.now();
    let output = &context.output;
    output.list(
        &view::HEADER,
        &schedules,
        |schedule| view::cells(now, schedule),
        |schedule| view::json(now, schedule),
    )?;
    if schedules.is_empty() {
        output.note("no schedules: write some into upbeat.toml and start a beat");
    }
    Ok(())
}

async fn show(context: &Context, session: &Session, id: &ScheduleId) -> Result<(), Failure> {
    let schedule = find(session, id).await?;
    let occurrences = session.stack.store.catalog.occurrences(id.clone(), BACK).await?;
    let now = session.now();
    let output = &context.output;
    output.result(
        || view::details(now, &schedule, AHEAD, &occurrences, output),
        || {
            let mut object = view::json(now, &schedule);
            object["planned"] = view::planned_json(now, &schedule.definition, AHEAD);
            object["occurrences"] = occurrences.iter().map(view::occurrence_json).collect();
            object
        },
    )
}

pub(super) async fn find(session: &Session, id: &ScheduleId) -> Result<ScheduleRecord, Failure> {
    let catalog = &session.stack.store.catalog;
    if let Some(found) = catalog.get(vec![id.clone()]).await?.into_iter().next() {
        return Ok(found);
    }
    let known = catalog.snapshot().await?.schedules;
    let meant = nearest(id.as_str(), known.iter().map(|schedule| schedule.id.as_str()));
    let failure = Failure::failed(format!("there is no schedule {id}")).page("no-such-schedule");
    Err(match meant {
        Some(meant) => failure.advice(format!("did you mean {meant}?")),
        None => failure.advice(
            "`upbeat schedules list` shows those in force; a beat takes a configuration's schedules when it starts",
        ),
    })
}

/// The configuration's own checks refuse what is wrong; what is right is shown with what it means.
fn check(context: &Context, file: &Path) -> Result<(), Failure> {
    let flags = Overrides { config: Some(file.to_owned()), ..context.global.overrides() };
    let settings = context.settings_with(&flags)?;
    let now = context.clock.wall();
    let output = &context.output;
    let schedules = &settings.config().schedules;
    for schedule in schedules {
        output.result(|| checked(now, schedule), || view::new_json(now, schedule, AHEAD))?;
    }
    match schedules.len() {
        0 => output.note(format_args!("{} has no schedules", file.display())),
        n => output.note(format_args!("{}, nothing wrong", counted(n as u64, "schedule"))),
    }
    Ok(())
}

fn checked(now: Timestamp, schedule: &NewSchedule) -> String {
    let definition = &schedule.definition;
    let planned = view::planned_text(now, definition, 3).join("\n    ");
    let planned = if planned.is_empty() { "never again".to_owned() } else { planned };
    format!("{}: {} runs {}\n    {planned}", schedule.id, view::rule(definition), definition.task.name)
}

async fn trigger(context: &Context, session: &Session, id: &ScheduleId) -> Result<(), Failure> {
    let schedule = find(session, id).await?;
    let task = by_hand(session.now(), &schedule.id, &schedule.definition)?;
    let published = session.stack.client.publish(task).await?;
    context.output.result(
        || published.id().to_string(),
        || {
            serde_json::json!({
                "id": published.id().to_string(), "schedule_id": id.as_str(),
                "duplicate_of": published.duplicate_of().map(TaskState::as_str),
            })
        },
    )?;
    if let Some(state) = published.duplicate_of() {
        context
            .output
            .note(format_args!("nothing new was made: this task has the unique key, and is {state}"));
    }
    Ok(())
}

/// The task of an occurrence that nobody planned: a new id, and this instant as its plan.
fn by_hand(now: Timestamp, id: &ScheduleId, definition: &ScheduleDefinition) -> Result<NewTask, Failure> {
    let template = &definition.task;
    let args = Payload::json(&template.args).map_err(|error| Failure::failed(error.to_string()))?;
    let mut task = NewTask::new(template.name.clone(), args).queue(template.queue.clone());
    task.priority = template.priority.and_then(Priority::new).unwrap_or_default();
    task.timeout = template.timeout;
    task.retry = template.retry;
    task.tags.clone_from(&template.tags);
    task.key.clone_from(&template.key);
    task.unique.clone_from(&template.unique);
    task.args_version = template.args_version;
    task.expires = template.expires_after.map(Due::In);
    task.deadline = template.deadline_after.map(Due::In);
    task.planned = Some(Planned { schedule_id: id.clone(), planned_at: now });
    Ok(task)
}
