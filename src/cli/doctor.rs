//! `upbeat doctor`: reaches everything, and says what to do.

use clap::Args;
use serde_json::{Value, json};
use upbeat_shared::config::LedgerUrl;
use upbeat_shared::schedule;

use super::context::{self, Context, Session};
use super::data_dir;
use super::examination;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::table::{Cell, Look};
use crate::logging;
use crate::roles;
use crate::stack::{OpenError, Stack};

/// Reach everything; print versions and advice
///
/// Reads the configuration, tries the data directory, opens broker and ledger, and looks at who is there and what waits. Changes
/// nothing. Exit codes: 0 nothing is broken (warnings may be there), 1 or 3 something is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  upbeat doctor\n  upbeat doctor --json | jq 'select(.status != \"ok\")'")]
pub(crate) struct DoctorCommand {}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Warning,
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    fn look(self) -> Look {
        match self {
            Self::Ok => Look::Good,
            Self::Warning => Look::Odd,
            Self::Failed => Look::Bad,
        }
    }
}

/// What was looked at, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    check: &'static str,
    status: Status,
    detail: String,
    advice: Option<String>,
    page: Option<&'static str>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, detail: detail.into(), advice: None, page: None }
    }

    pub(crate) fn warning(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        let (detail, advice) = (detail.into(), Some(advice.into()));
        Self { check, status: Status::Warning, detail, advice, page: None }
    }

    pub(crate) fn failed(check: &'static str, failure: &Failure) -> Self {
        let (detail, advice) = (failure.message.clone(), failure.advice.clone());
        Self { check, status: Status::Failed, detail, advice, page: failure.page }
    }

    fn to_json(&self) -> Value {
        json!({
            "check": self.check,
            "status": self.status.as_str(),
            "detail": self.detail,
            "advice": self.advice,
            "page": self.page,
        })
    }

    fn text(&self, output: &Output) -> String {
        let status = output.paint(&Cell::new(format!("{:<7}", self.status.as_str()), self.status.look()));
        let mut text = format!("{status}  {:<14}  {}", self.check, self.detail);
        let more = self.page.map(|page| format!("upbeat explain {page}"));
        for advice in self.advice.iter().chain(&more) {
            text.push_str("\n         → ");
            text.push_str(advice);
        }
        text
    }
}

impl DoctorCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut report = Report { output: &context.output, worst: None };
        report.add(&Finding::ok("upbeat", versions()))?;
        let settings = match context.settings() {
            Ok(settings) => settings,
            Err(failure) => {
                report.add(&Finding::failed("configuration", &failure))?;
                return Err(Failure::usage("the configuration is wrong; nothing else can be looked at"));
            }
        };
        logging::for_a_command(context.global.verbosity(), &settings.loaded, &context.clock);
        report.add(&examination::configuration(&settings))?;
        if let Some(file) = Stack::embedded_file(settings.config()) {
            report.add(&data_dir::examine(&file))?;
            if !file.exists() && settings.config().ledger.url == LedgerUrl::Embedded {
                report.add(&Finding::warning(
                    "ledger",
                    "there is none yet",
                    "it is made when it is first needed: start `upbeat up`",
                ))?;
                return report.end();
            }
        }
        let stack = match Stack::open(
            settings.config(),
            context.clock.clone(),
            &roles::connection_name(settings.config(), "doctor"),
        )
        .await
        {
            Ok(stack) => stack,
            Err(error) => {
                let check = if matches!(error, OpenError::Transport(_)) { "broker" } else { "ledger" };
                let failure = context::unopened(&error);
                report.broken(failure.exit, &Finding::failed(check, &failure))?;
                return report.end();
            }
        };
        let session = Session { settings, stack };
        for finding in examination::everything(context, &session).await {
            match finding {
                Ok(finding) => report.add(&finding)?,
                Err((check, failure)) => report.broken(failure.exit, &Finding::failed(check, &failure))?,
            }
        }
        report.end()
    }
}

fn versions() -> String {
    let tzdb = schedule::tzdb_version().unwrap_or("of unknown version");
    format!(
        "{} on {} {}; time zones {tzdb}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

/// Prints findings as they come, and keeps the worst.
struct Report<'a> {
    output: &'a Output,
    worst: Option<Exit>,
}

impl Report<'_> {
    fn add(&mut self, finding: &Finding) -> Result<(), Failure> {
        if finding.status == Status::Failed {
            self.worst = self.worst.or(Some(Exit::Failed));
        }
        self.output.result(|| finding.text(self.output), || finding.to_json())
    }

    fn broken(&mut self, exit: Exit, finding: &Finding) -> Result<(), Failure> {
        self.worst = Some(exit);
        self.add(finding)
    }

    fn end(self) -> Result<(), Failure> {
        match self.worst {
            None => Ok(()),
            Some(exit) => Err(Failure { exit, ..Failure::failed("something is broken, see above") }),
        }
    }
}
