//! Upbeat inside somebody's program: typed tasks, state, results, schedules in Rust, and nothing global.

mod handlers;
mod progress;
mod roles;
mod schedules;

use std::time::Duration;

use tempfile::TempDir;
use upbeat::config::{Config, Overrides};
use upbeat::{App, Client, Running};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program's broker and ledger, in a file of a folder of its own.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: TempDir::with_prefix("upbeat-library-").expect("a folder can be made") }
    }

    fn config(&self) -> Config {
        Config { data: self.folder.path().to_owned(), ..Config::default() }
    }

    /// With this `upbeat.toml`, which stands where the answer says.
    fn configured(&self, text: &str) -> (Overrides, String) {
        let path = self.folder.path().join("upbeat.toml");
        std::fs::write(&path, text).expect("the folder can be written to");
        let data = Some(self.folder.path().to_owned());
        (Overrides { config: Some(path.clone()), data, ..Overrides::default() }, path.display().to_string())
    }

    /// Starts everything; ready when this returns.
    async fn up<S>(&self, app: App<S>) -> (Running, Client) {
        let running = app.up().config(self.config()).start().await.expect("it can be started");
        assert!(running.ready(PATIENCE).await, "{:?}", running.why_not_ready().await);
        let client = running.client();
        (running, client)
    }
}
