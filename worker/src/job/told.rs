//! Names whose tasks cannot run here, for want of a handler or of a newer one: told of once a minute each, however many
//! tasks carry them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use upbeat_shared::name::TaskName;

/// How long a name is not told of again.
const QUIET: Duration = Duration::from_mins(1);
/// Names remembered at most: they come from the network.
const MAX_NAMES: usize = 1000;

/// When each name was told of last.
#[derive(Default)]
pub(crate) struct ToldNames(Mutex<HashMap<TaskName, Duration>>);

impl ToldNames {
    /// Whether it is time to tell of a name; `now` is monotonic.
    pub(crate) fn worth_telling(&self, name: &TaskName, now: Duration) -> bool {
        let mut told = self.0.lock().expect("no holder of the names panics");
        if told.get(name).is_some_and(|last| now < *last + QUIET) {
            return false;
        }
        if told.len() >= MAX_NAMES {
            told.clear();
        }
        told.insert(name.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_of_once_a_minute() {
        let names = ToldNames::default();
        let (a, b) = (TaskName::new("a").unwrap(), TaskName::new("b").unwrap());
        let told = |name, seconds| names.worth_telling(name, Duration::from_secs(seconds));
        assert!(told(&a, 0) && !told(&a, 59) && told(&b, 59) && told(&a, 60));
    }
}
