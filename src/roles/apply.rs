//! Schedules of files and of the program, put in force when a beat starts.

use std::path::Path;

use upbeat_broker::BeatError;
use upbeat_shared::config::Config;
use upbeat_shared::ledger::NewSchedule;

use super::RoleError;
use crate::app::Program;
use crate::stack::Stack;

/// What the catalog calls a configuration that is no file.
const NO_FILE: &str = "the configuration";

/// Each source with its schedules. What is wrong with the program's own is found out here.
pub(crate) fn sources(
    program: &Program,
    config: &Config,
    file: Option<&Path>,
) -> Result<Vec<(String, Vec<NewSchedule>)>, RoleError> {
    let mut sources = Vec::new();
    let written = file.map_or_else(|| NO_FILE.to_owned(), |file| file.display().to_string());
    let own = program.schedules()?;
    let taken = |id| config.schedules.iter().any(|schedule| schedule.id == id);
    if let Some(twice) = own.iter().find(|schedule| taken(schedule.id.clone())) {
        return Err(RoleError::ScheduledTwice { id: twice.id.to_string(), file: written });
    }
    // A file without schedules removes what it had; where there is none, nothing was said.
    if file.is_some() || !config.schedules.is_empty() {
        sources.push((written, config.schedules.clone()));
    }
    // Likewise a program, unless it has no tasks of its own either: the stock binary says nothing.
    if !own.is_empty() || !program.tasks.is_empty() {
        sources.push((program.source(), own));
    }
    Ok(sources)
}

/// Makes the catalog hold these schedules of this source, and no others of it.
pub(crate) async fn apply(
    stack: &Stack,
    config: &Config,
    source: &str,
    schedules: Vec<NewSchedule>,
) -> Result<(), BeatError> {
    upbeat_broker::apply(&stack.store, &stack.clock, &config.namespace, source, schedules).await?;
    Ok(())
}
