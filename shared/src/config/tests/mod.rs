//! The module as its users see it: texts in, a configuration or mistakes out.

mod files;
mod limits;
mod page;
mod provenance;
mod reactions;
mod reading;
mod reference;
mod refusals;
mod refused_schedules;
mod refused_work;
mod robustness;
mod secrets;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Config, ConfigErrors, KnownTask, Loaded, Overrides, Sources, load};
use crate::name::{QueueName, TaskName};
use crate::typed::ArgsVersions;

/// Files, an environment and flags that a test makes up.
#[derive(Default)]
struct World {
    files: BTreeMap<PathBuf, String>,
    env: BTreeMap<String, String>,
    flags: Overrides,
    native: Vec<KnownTask>,
}

impl World {
    /// A world with this `upbeat.toml`.
    fn with(text: &str) -> Self {
        Self::default().file("upbeat.toml", text)
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    fn flags(mut self, flags: Overrides) -> Self {
        self.flags = flags;
        self
    }

    fn native(mut self, name: &str) -> Self {
        self.native.push(KnownTask::new(TaskName::new(name).unwrap()));
        self
    }

    /// A handler of the program that reads these versions of its arguments.
    fn native_of(mut self, name: &str, oldest: u32, newest: u32) -> Self {
        let known = KnownTask::new(TaskName::new(name).unwrap());
        self.native.push(KnownTask { args: Some(ArgsVersions { oldest, newest }), ..known });
        self
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        let read = |path: &Path| {
            let missing = || io::Error::new(io::ErrorKind::NotFound, "No such file or directory");
            self.files.get(path).cloned().ok_or_else(missing)
        };
        let env = |name: &str| self.env.get(name).cloned();
        load(Sources { flags: self.flags.clone(), env: &env, read: &read, known: &self.native })
    }

    fn config(&self) -> Config {
        self.load().unwrap().config
    }

    /// The one text that shows every mistake.
    fn refusal(&self) -> String {
        format!("{}\n", self.load().expect_err("there is a mistake"))
    }
}

/// The default, with the queues that only loading finds out.
fn default_as_loaded() -> Config {
    let mut config = Config::default();
    config.worker.queues = vec![(QueueName::default_queue(), 1)];
    config
}
