//! `upbeat schedules import crontab`: what cron runs, as schedules of command tasks. Prints; changes nothing.

mod line;
mod render;
mod table;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use upbeat_shared::schedule;

use super::context::Context;
use super::failure::Failure;
use super::words::counted;
use line::Form;
use table::Table;

/// A larger file is no crontab.
const MOST_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Turn a crontab into schedules, in TOML on stdout
    ///
    /// What is not understood is listed above them, and on stderr. Nothing is put in force: read it, add it to your
    /// configuration, and take the lines out of the crontab.
    Crontab(ImportCrontab),
}

const AFTER_HELP: &str = "\
Examples:
  crontab -l > mine.crontab && upbeat schedules import crontab mine.crontab --zone Europe/Berlin
  upbeat schedules import crontab /etc/cron.d/sysstat > sysstat.toml";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImportCrontab {
    /// The crontab
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The zone of the machine that runs it, whose clocks cron goes by
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// Lines name a user before the command; so they do in /etc/crontab and /etc/cron.d without being told
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Lines name no user, wherever the file is
    #[arg(long)]
    user: bool,
}

impl ImportCommand {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Crontab(command) => command.run(context),
        }
    }
}

impl ImportCrontab {
    fn run(self, context: &Context) -> Result<(), Failure> {
        schedule::zone(&self.zone).map_err(|error| {
            let failure = Failure::usage(error.message.clone()).page(error.page());
            error.help.clone().map_or(failure.clone(), |help| failure.advice(help))
        })?;
        let text = read(&self.file)?;
        let form = self.form();
        let table = Table::read(&text, form, &stem(&self.file), &self.zone);
        let toml = render::toml(&table, &self.file.display().to_string());
        let output = &context.output;
        if output.is_json() {
            let remark = |remark: &table::Remark| json!({ "line": remark.line, "text": remark.text, "message": remark.message });
            return output.object(&json!({
                "schedules": table.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(),
                "not_understood": table.remarks.iter().map(remark).collect::<Vec<_>>(),
                "toml": toml,
            }));
        }
        output.text(&toml)?;
        for remark in &table.remarks {
            output.warn(format_args!("{}:{}: {}", self.file.display(), remark.line, remark.message));
        }
        output.note(counted(table.jobs.len() as u64, "schedule"));
        Ok(())
    }

    /// A system's crontab is known by its place.
    fn form(&self) -> Form {
        let place = self.file.parent().and_then(Path::file_name);
        let is_system = place.is_some_and(|place| place == "cron.d") || self.file.ends_with("etc/crontab");
        if self.system || (is_system && !self.user) { Form::System } else { Form::User }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let unread = |error: std::io::Error| Failure::failed(format!("cannot read {}: {error}", file.display()));
    let size = std::fs::metadata(file).map_err(unread)?.len();
    if size > MOST_BYTES {
        return Err(Failure::failed(format!("{} is too large for a crontab", file.display())));
    }
    let bytes = std::fs::read(file).map_err(unread)?;
    String::from_utf8(bytes).map_err(|_| {
        Failure::failed(format!("{} is not UTF-8", file.display())).advice("convert it with `iconv` first")
    })
}

/// What the names of its tasks begin with: the file's own name, in letters that names may have.
fn stem(file: &Path) -> String {
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '-' }).collect();
    let plain: String = plain.trim_matches(['-', '.', '_']).chars().take(100).collect();
    if plain.is_empty() { "crontab".into() } else { plain }
}
