//! What became of an action on tasks, told task by task.

use serde_json::Value;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{ActAnswer, Action};

use super::failure::Failure;
use super::output::Output;
use super::words::counted;

/// One task's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    id: TaskId,
    verb: &'static str,
    done: &'static str,
    answer: ActAnswer,
}

impl Told {
    pub(crate) fn new(id: TaskId, action: &Action, answer: ActAnswer) -> Self {
        let (verb, done) = match action {
            Action::Cancel { .. } => ("cancelled", "cancelled"),
            Action::Retry => ("retried", "due again"),
            Action::Drop => ("dropped", "dropped"),
        };
        Self { id, verb, done, answer }
    }

    /// It applies, or will.
    pub(crate) fn applied(&self) -> bool {
        matches!(self.answer, ActAnswer::Applied(_) | ActAnswer::Requested)
    }

    fn sentence(&self) -> String {
        let Self { id, verb, done, answer } = self;
        match answer {
            ActAnswer::Applied(_) => format!("{id} {done}"),
            ActAnswer::Requested => format!("{id} is running: asked to stop"),
            ActAnswer::Refused(state) => format!("{id} is {state} and cannot be {verb}"),
            ActAnswer::KeyTaken { by } => format!(
                "{id} cannot be {verb} while {by} has its unique key; wait until that one has ended, or cancel it"
            ),
            ActAnswer::Unknown => format!("{id} is not known"),
        }
    }

    fn to_json(&self) -> Value {
        if let ActAnswer::KeyTaken { by } = self.answer {
            let (id, by) = (self.id.to_string(), by.to_string());
            return serde_json::json!({ "id": id, "answer": "key_taken", "state": null, "by": by });
        }
        let (answer, state) = match self.answer {
            ActAnswer::Applied(state) => ("applied", Some(state.as_str())),
            ActAnswer::Requested => ("requested", Some("running")),
            ActAnswer::Refused(state) => ("refused", Some(state.as_str())),
            ActAnswer::KeyTaken { .. } | ActAnswer::Unknown => ("unknown", None),
        };
        serde_json::json!({ "id": self.id.to_string(), "answer": answer, "state": state })
    }
}

/// Prints every answer; fails if any task was left as it was.
pub(crate) fn report(output: &Output, told: &[Told]) -> Result<(), Failure> {
    for one in told {
        output.result(|| one.sentence(), || one.to_json())?;
    }
    match told.iter().filter(|one| !one.applied()).count() {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{n} of {} left as it is", counted(told.len() as u64, "task")))
            .page("left-as-it-is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::task::TaskState;

    #[test]
    fn a_refusal_names_the_state_and_the_verb() {
        let id: TaskId = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let told = Told::new(id, &Action::Retry, ActAnswer::Refused(TaskState::Running));
        assert_eq!(told.sentence(), format!("{id} is running and cannot be retried"));
        assert_eq!(told.to_json()["answer"], "refused");
        assert!(!told.applied());
    }
}
