//! What became of each guard, as a table for the documents.

use std::fmt::Write;

use super::{Outcome, Trial};

/// So many names of tests are told of each.
const TOLD: usize = 3;

/// A Markdown table of trials.
pub fn table(trials: &[Trial]) -> String {
    let mut table = String::from(
        "| guard removed | what it upholds | tests that go red | such as |\n|---|---|---|---|\n",
    );
    for Trial { guard, failed, outcome } in trials {
        let count = match outcome {
            Outcome::Red => failed.len().to_string(),
            Outcome::Green(groups) => format!("**none in {}**", groups.join(", ")),
            Outcome::NotBuilt(_) => "**not built**".to_owned(),
        };
        let names: Vec<String> = failed.iter().take(TOLD).map(|name| format!("`{name}`")).collect();
        let _ = writeln!(table, "| `{}` | {} | {count} | {} |", guard.name, guard.promise, names.join(", "));
    }
    table
}
