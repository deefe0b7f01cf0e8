//! How far long work has come: a bar on a terminal, a plain line now and then otherwise.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::moment::rough;
use super::output::Output;
use crate::cli::context::Context;

/// Work that is over sooner is not worth a word.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shown while it lives.
pub(crate) struct Progress<'a> {
    context: &'a Context,
    verb: &'static str,
    total: Option<u64>,
    done: u64,
    bar: Option<ProgressBar>,
    started: Duration,
    spoke: Duration,
}

impl<'a> Progress<'a> {
    /// `verb` in the past tense: `published`. `total` where it is known.
    pub(crate) fn new(context: &'a Context, verb: &'static str, total: Option<u64>) -> Self {
        let started = context.clock.monotonic();
        let bar = context.output.is_interactive().then(|| bar(verb, total));
        Self { context, verb, total, done: 0, bar, started, spoke: started }
    }

    /// So many more are done.
    pub(crate) fn advance(&mut self, by: usize) {
        self.done += by as u64;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            return;
        }
        let now = self.context.clock.monotonic();
        if now.saturating_sub(self.spoke) >= PATIENCE {
            self.spoke = now;
            let of = self.total.map(|total| format!(" of {total}")).unwrap_or_default();
            self.output().note(format_args!("{} {}{of}", self.verb, self.done));
        }
    }

    /// How many are done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// `in 5.1s (19600 a second)`.
    pub(crate) fn pace(&self) -> String {
        let took = self.context.clock.monotonic().saturating_sub(self.started);
        let seconds = took.as_secs_f64().max(0.001);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for a person to read"
        )]
        let rate = (self.done as f64 / seconds) as u64;
        format!("in {} ({rate} a second)", rough(took))
    }

    fn output(&self) -> &Output {
        &self.context.output
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(verb: &'static str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{prefix} {wide_bar:.cyan/dim} {human_pos} of {human_len}, {rate} a second, {eta} left",
        None => "{prefix} {human_pos}, {rate} a second",
    };
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // A bar that cannot be drawn is no reason to stop the work.
        let _ = write!(text, "{:.0}", state.per_sec());
    };
    let style =
        ProgressStyle::with_template(template).expect("the template is a constant").with_key("rate", rate);
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new).with_style(style).with_prefix(verb);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
