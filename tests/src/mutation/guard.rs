//! The lines that uphold an invariant, and what is left when they are gone.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// Every guard that is known by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// In the order in which they are tried.
    #[serde(rename = "guard")]
    pub all: Vec<Guard>,
}

/// One guard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// As it is called on the command line.
    pub name: String,
    /// What it upholds.
    pub promise: String,
    /// Which tests look for it: parts of their names.
    pub tests: Vec<String>,
    /// In the name of a test that goes red; one test for each of these.
    pub red: Vec<String>,
    /// Where those tests are.
    #[serde(default, rename = "where")]
    pub place: Where,
    /// How it is taken away.
    pub edits: Vec<Edit>,
}

/// Where tests are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// In the suite, with real servers.
    #[default]
    Suite,
    /// Beside the code.
    Lib,
}

/// Text that makes way for another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// From the project's root.
    pub file: String,
    /// Stands there exactly once.
    pub from: String,
    /// Stands there afterwards.
    pub to: String,
}

impl Guards {
    /// Those of a project.
    pub fn of(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("tests/guards.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// Those with these names, or all.
    pub fn named(self, names: &[String]) -> anyhow::Result<Vec<Guard>> {
        let unknown = names.iter().find(|name| !self.all.iter().any(|guard| guard.name == **name));
        if let Some(name) = unknown {
            let known: Vec<&str> = self.all.iter().map(|guard| guard.name.as_str()).collect();
            bail!("there is no guard {name}; there are: {}", known.join(", "));
        }
        Ok(self.all.into_iter().filter(|guard| names.is_empty() || names.contains(&guard.name)).collect())
    }
}

impl Guard {
    /// Takes it away in this tree.
    pub fn remove(&self, root: &Path) -> anyhow::Result<()> {
        self.edits.iter().try_for_each(|edit| {
            let text = edit.applied(&std::fs::read_to_string(root.join(&edit.file))?)?;
            std::fs::write(root.join(&edit.file), text).with_context(|| format!("cannot write {}", edit.file))
        })
    }
}

impl Edit {
    /// What the file says afterwards.
    pub fn applied(&self, text: &str) -> anyhow::Result<String> {
        let times = text.matches(&self.from).count();
        ensure!(times == 1, "{} should say this once, and says it {times} times:\n{}", self.file, self.from);
        Ok(text.replacen(&self.from, &self.to, 1))
    }
}
