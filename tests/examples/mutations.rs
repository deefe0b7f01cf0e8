//! Takes each guard away in a copy of the project, and sees the tests go red: `just mutations [NAME…]`.
//!
//! It builds and tests the project once for each guard: minutes each. It ends with a table, and fails if a guard was not missed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that people look at")]

use std::path::Path;

use anyhow::{Context, ensure};
use upbeat_tests::mutation::{Guards, Outcome, Tree, Trial, table};

fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let project =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the project is around its tests")?;
    let guards = Guards::of(project)?.named(&names)?;
    let tree = Tree::of(project)?;
    let mut trials = Vec::new();
    for guard in guards {
        eprintln!("taking away {}: {}", guard.name, guard.promise);
        let trial = Trial::of(guard, &tree)?;
        match &trial.outcome {
            Outcome::Red => eprintln!("  {} tests went red", trial.failed.len()),
            Outcome::Green(groups) => eprintln!("  NOT MISSED in: {}", groups.join(", ")),
            Outcome::NotBuilt(said) => eprintln!("  NOT BUILT:\n{said}"),
        }
        trials.push(trial);
    }
    println!("{}", table(&trials));
    let held = trials.iter().filter(|trial| trial.outcome == Outcome::Red).count();
    ensure!(
        held == trials.len(),
        "{} of {} guards were not missed by the tests",
        trials.len() - held,
        trials.len()
    );
    Ok(())
}
