//! `upbeat migrate`: the ledger's schema.

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::{Access, Context};
use super::failure::Failure;
use crate::stack;

/// Look at the ledger's schema, or bring it up to date
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  upbeat migrate status\n  upbeat migrate --print-sql | psql …",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct MigrateCommand {
    #[command(subcommand)]
    action: Option<MigrateAction>,
    /// Print what `up` does to a Postgres ledger, as SQL, and connect to nothing: for those who review it, or may do it
    #[arg(long)]
    print_sql: bool,
}

#[derive(Debug, Subcommand)]
enum MigrateAction {
    /// Show the version that the ledger has, and the one that this program knows
    Status,
    /// Bring the ledger to the version that this program knows
    ///
    /// An embedded ledger is brought up to date whenever it is opened. A newer schema than this program knows is refused.
    Up,
}

impl MigrateCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            Some(MigrateAction::Up) => up(context).await,
            None if self.print_sql => print_sql(context),
            Some(MigrateAction::Status) | None => status(context).await,
        }
    }
}

fn print_sql(context: &Context) -> Result<(), Failure> {
    let settings = context.settings()?;
    let sql = stack::migrations_sql(settings.config()).ok_or_else(|| {
        Failure::usage(format!(
            "{} has no SQL to print: only a Postgres ledger has",
            settings.config().ledger.url
        ))
        .advice("name a ledger with --ledger postgres://… or in the configuration")
    })?;
    context.output.text(&sql)
}

async fn status(context: &Context) -> Result<(), Failure> {
    let session = context.session(Access::Existing).await?;
    let schema = &session.stack.store.schema;
    let status = schema.status().await?;
    let human = || {
        let verdict = match status.found.cmp(&status.known) {
            std::cmp::Ordering::Equal => "up to date",
            std::cmp::Ordering::Less => "older than this program: run `upbeat migrate up`",
            std::cmp::Ordering::Greater => "newer than this program: use a newer upbeat",
        };
        format!("{}: schema version {} of {}, {verdict}", schema.describe(), status.found, status.known)
    };
    context.output.result(
        human,
        || json!({ "ledger": schema.describe(), "found": status.found, "known": status.known }),
    )
}

async fn up(context: &Context) -> Result<(), Failure> {
    let session = context.session(Access::Create).await?;
    let schema = &session.stack.store.schema;
    let applied = schema.up().await?;
    let status = schema.status().await?;
    let human = || match applied.as_slice() {
        [] => format!("{}: up to date, schema version {}", schema.describe(), status.found),
        versions => {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            format!("{}: applied version {}", schema.describe(), versions.join(", "))
        }
    };
    context.output.result(human, || {
        json!({ "ledger": schema.describe(), "applied": applied, "found": status.found, "known": status.known })
    })
}
