//! `upbeat init`: a commented configuration to begin with.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use upbeat_shared::config::TEMPLATE;

use super::context::Context;
use super::failure::Failure;
use super::quickstart;

/// Write a commented upbeat.toml
///
/// Every setting is there, with its default and what it means. With --quickstart it is the small configuration that
/// `upbeat up` runs where there is none.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  upbeat init\n  upbeat init --quickstart demo.toml")]
pub(crate) struct InitCommand {
    /// Where to
    #[arg(value_name = "FILE", default_value = "upbeat.toml")]
    file: PathBuf,
    /// Write the quickstart instead
    #[arg(long)]
    quickstart: bool,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

impl InitCommand {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let text = if self.quickstart { quickstart::TEXT } else { TEMPLATE };
        let path = self.file.display();
        let mut options = OpenOptions::new();
        options.write(true);
        // Made in one step: two of them cannot overwrite each other unasked.
        if self.force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        let written = options.open(&self.file).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::failed(format!("{path} exists: nothing was written"))
                    .page("file-exists")
                    .advice("--force replaces it; another FILE leaves it alone")
            }
            _ => Failure::failed(format!("cannot write {path}: {error}")).page("file-exists"),
        })?;
        let human = || format!("wrote {path}; `upbeat config check` checks it, `upbeat up` runs it");
        context.output.result(human, || json!({ "file": path.to_string(), "written": true }))
    }
}
