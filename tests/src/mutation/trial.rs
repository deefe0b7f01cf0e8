//! One guard taken away, and what the tests say.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::{Guard, Tree, Where};

/// What the tests said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A test of each group failed.
    Red,
    /// No test of these groups failed.
    Green(Vec<String>),
    /// There were no tests to fail, for it could not be built: this proves nothing.
    NotBuilt(String),
}

/// A guard that was taken away.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Which.
    pub guard: Guard,
    /// Every test that failed.
    pub failed: BTreeSet<String>,
    /// How it went.
    pub outcome: Outcome,
}

impl Trial {
    /// Takes a guard away in this tree, runs the tests that look for it, and puts it back.
    pub fn of(guard: Guard, tree: &Tree) -> anyhow::Result<Self> {
        let run = guard.remove(tree.root()).and_then(|()| run(&guard, tree));
        for edit in &guard.edits {
            tree.copy(&edit.file)?;
        }
        Ok(Self::told_by(guard, &run?))
    }

    /// What a run of the tests printed.
    pub fn told_by(guard: Guard, said: &str) -> Self {
        let failed: BTreeSet<String> = said.lines().filter_map(failed).map(str::to_owned).collect();
        let missed = |group: &&String| !failed.iter().any(|test| test.contains(group.as_str()));
        let green: Vec<String> = guard.red.iter().filter(missed).cloned().collect();
        let outcome = match green {
            _ if !said.contains("test result:") => Outcome::NotBuilt(last_lines(said)),
            green if green.is_empty() && !failed.is_empty() => Outcome::Red,
            green => Outcome::Green(green),
        };
        Self { guard, failed, outcome }
    }
}

/// The name in a line such as `test a::b ... FAILED`.
fn failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Everything that the tests print, on both streams.
fn run(guard: &Guard, tree: &Tree) -> anyhow::Result<String> {
    let mut command = match guard.place {
        Where::Suite => {
            let mut command = Command::new(tree.root().join("tests/run"));
            command.arg("suite");
            command
        }
        Where::Lib => {
            let mut command = Command::new("cargo");
            command.args([
                "test",
                "--locked",
                "--workspace",
                "--features",
                "failpoints",
                "--lib",
                "--no-fail-fast",
                "--",
            ]);
            command
        }
    };
    command
        .args(&guard.tests)
        .current_dir(tree.root())
        .env("CARGO_TARGET_DIR", tree.target())
        .env("CARGO_TERM_COLOR", "never")
        .env("UPBEAT_TEST_ROOTS", tree.servers())
        .stdin(Stdio::null());
    let output = command.output().context("cannot run the tests")?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ensure!(!said.concat().trim().is_empty(), "the tests said nothing");
    Ok(said.join("\n"))
}
