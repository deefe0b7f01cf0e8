//! Which tasks are meant, of any state.

use clap::Args;
use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::name::{QueueName, ScheduleId, TaskName};
use upbeat_shared::task::TaskState;

use super::context::Session;
use super::moment::{Moment, parse_moment};

/// Conditions; every one that is given must hold.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// In one of these states
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = super::states::parser())]
    states: Vec<TaskState>,
    /// Of this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
    /// Of this name
    #[arg(long, value_name = "NAME")]
    name: Option<TaskName>,
    /// Made by this schedule
    #[arg(long, value_name = "ID")]
    schedule: Option<ScheduleId>,
    /// With this label
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// First recorded since: 30m, 24h, or an instant
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
}

impl Which {
    /// As the ledger looks for them.
    pub(crate) fn filter(self, session: &Session) -> TaskFilter {
        TaskFilter {
            states: self.states,
            queue: self.queue,
            name: self.name,
            schedule: self.schedule,
            tag: self.tag,
            since: self.since.map(|since| since.resolve(session.now())),
        }
    }
}
