//! Everything that commands print. Never decides what to say.
//!
//! Results go to stdout, one JSON object a line with `--json`; remarks, warnings and errors go to stderr, so that what
//! is piped is the result alone.

use std::fmt::Display;
use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::Arc;

use serde_json::Value;

use super::failure::{Exit, Failure};
use super::table::{Cell, Table};

/// The terminal, or whatever stands in its place.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    form: Form,
    quiet: bool,
    interactive: bool,
    stdout: Arc<Stdout>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Human { color: bool },
    Json,
}

impl Output {
    /// Looks at what stdout and stderr are.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let human = Form::Human { color: !plain && io::stdout().is_terminal() };
        Self {
            form: if json { Form::Json } else { human },
            quiet,
            interactive: !json && !quiet && io::stderr().is_terminal(),
            stdout: Arc::new(io::stdout()),
        }
    }

    /// One JSON object a line was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    fn color(&self) -> bool {
        self.form == Form::Human { color: true }
    }

    /// A person watches stderr: progress may be drawn.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// A line, or several, of the result.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.stdout.lock(), "{text}")?;
        Ok(())
    }

    /// One object of the result.
    pub(crate) fn object(&self, value: &Value) -> Result<(), Failure> {
        self.line(value)
    }

    /// The result in the form that was asked for.
    pub(crate) fn result(
        &self,
        human: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> Result<(), Failure> {
        if self.is_json() { self.object(&json()) } else { self.line(human()) }
    }

    /// A table with a row an item, or a line of JSON an item.
    pub(crate) fn list<T>(
        &self,
        header: &[&'static str],
        items: &[T],
        cells: impl Fn(&T) -> Vec<Cell>,
        json: impl Fn(&T) -> Value,
    ) -> Result<(), Failure> {
        if self.is_json() {
            return items.iter().try_for_each(|item| self.object(&json(item)));
        }
        if items.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(header);
        for item in items {
            table.row(cells(item));
        }
        self.text(&table.render(self.color()))
    }

    /// Text that brings its own line ends.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        self.stdout.lock().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Makes room for what is drawn again and again: an empty screen on a terminal, an empty line elsewhere. JSON needs
    /// neither.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        match self.form {
            Form::Json => Ok(()),
            Form::Human { .. } if self.stdout.is_terminal() => self.text("\x1b[H\x1b[2J"),
            Form::Human { .. } => self.text("\n"),
        }
    }

    /// A table inside of other text.
    pub(crate) fn render(&self, table: &Table) -> String {
        table.render(self.color())
    }

    /// A cell outside of a table.
    pub(crate) fn paint(&self, cell: &Cell) -> String {
        cell.paint(self.color())
    }

    /// Something good to know. Left out with `--quiet` and with `--json`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet && !self.is_json() {
            to_stderr(&text);
        }
    }

    /// Something that may not be what the user meant.
    pub(crate) fn warn(&self, text: impl Display) {
        if self.is_json() {
            to_stderr(&serde_json::json!({ "warning": text.to_string() }));
        } else if !self.quiet {
            to_stderr(&format_args!("warning: {text}"));
        }
    }

    /// The end of a command that failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.exit == Exit::Quiet {
            return;
        }
        if self.is_json() {
            return to_stderr(&failure.to_json());
        }
        to_stderr(&format_args!("error: {}", failure.message));
        if let Some(advice) = &failure.advice {
            to_stderr(&format_args!("  help: {advice}"));
        }
        if let Some(page) = failure.page {
            to_stderr(&format_args!("  more: upbeat explain {page}"));
        }
    }
}

/// A stderr that is gone takes its remarks with it: there is nowhere left to say so.
fn to_stderr(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
