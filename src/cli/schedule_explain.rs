//! `upbeat schedules explain`: when a schedule fires next, and why then; what an expression means.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::schedule::{self, Explanation, Fire, TimingError, TimingSpec};

use super::context::{Access, Context};
use super::failure::Failure;
use super::moment::{parse_instant, stamp};
use super::schedules::find;
use super::table::{Cell, Table};

/// More than a person reads, and less than a machine should be kept busy with.
const MOST: usize = 10_000;

const AFTER_HELP: &str = "\
Examples:
  upbeat schedules explain nightly
  upbeat schedules explain @hourly --zone America/New_York --from 2026-11-01T00:00:00Z
  upbeat schedules explain 'R5/2026-01-31T09:00:00Z/P1M' --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ExplainSchedule {
    /// A schedule's id; or a cron expression, a step (`15m`), a repetition (`R5/…`) or an instant
    #[arg(value_name = "ID|EXPR")]
    what: String,
    /// The zone whose clocks an expression is read by; UTC unless it is given
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// How many of the next fires
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = count)]
    count: usize,
    /// The first fires after this instant, rather than after now
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    from: Option<Timestamp>,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| format!("it goes from 1 to {MOST}"))
}

impl ExplainSchedule {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(spec) = expression(&self.what, self.zone.as_deref()) {
            let from = self.from.unwrap_or_else(|| context.clock.wall());
            let explained = schedule::explain(&spec, None, from, self.count)
                .map_err(|error| unreadable(&spec, &error))?;
            return show(context, &explained);
        }
        let id: ScheduleId = self.what.parse().map_err(|error| {
            Failure::usage(format!("`{}` is neither an expression nor the id of a schedule: {error}", self.what))
                .advice("expressions have five fields, such as '30 2 * * *'; quote them, or the shell takes them apart")
        })?;
        if self.zone.is_some() {
            return Err(Failure::usage(format!("the schedule {id} has its zone already"))
                .advice("leave out `--zone`; to see its rule in another zone, pass the rule itself"));
        }
        let session = context.session(Access::Existing).await?;
        let spec = find(&session, &id).await?.definition.timing;
        let from = self.from.unwrap_or_else(|| session.now());
        let explained = schedule::explain(&spec, Some(id.as_str()), from, self.count)
            .map_err(|error| unreadable(&spec, &error))?;
        show(context, &explained)
    }
}

/// The rule that a text is, if it looks like one: a schedule's id has no spaces, slashes or `@`.
fn expression(text: &str, zone: Option<&str>) -> Option<TimingSpec> {
    let trimmed = text.trim();
    let some = Some(trimmed.to_owned());
    let base = TimingSpec { timezone: zone.map(str::to_owned), ..TimingSpec::default() };
    let repeats = trimmed.strip_prefix(['R', 'r']).and_then(|rest| rest.split_once('/'));
    if repeats.is_some_and(|(times, _)| times.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())) {
        return Some(TimingSpec { repeat: some, ..base });
    }
    let as_every = TimingSpec { every: some.clone(), ..base.clone() };
    let as_at = TimingSpec { at: some.clone(), ..base.clone() };
    // Times alone begin with a digit; a name such as `15m` is read as the step that it looks like.
    let is_step = trimmed.starts_with(|c: char| c.is_ascii_digit() || c == 'P') && as_every.compile().is_ok();
    if is_step {
        return Some(as_every);
    }
    if trimmed.starts_with(|c: char| c.is_ascii_digit()) && as_at.compile().is_ok() {
        return Some(as_at);
    }
    let is_cron =
        trimmed.contains(char::is_whitespace) || trimmed.starts_with(['@', '*']) || trimmed.is_empty();
    is_cron.then_some(TimingSpec { cron: some, ..base })
}

fn unreadable(spec: &TimingSpec, error: &TimingError) -> Failure {
    let picture = error.picture(spec.text_of(error.field));
    let failure = Failure::usage(format!("this rule cannot be understood\n{}", picture.trim_end()));
    match &error.help {
        Some(help) => failure.advice(help.clone()).page(error.page()),
        None => failure.page(error.page()),
    }
}

fn show(context: &Context, explained: &Explanation) -> Result<(), Failure> {
    let output = &context.output;
    if output.is_json() {
        return explained.fires.iter().try_for_each(|fire| output.object(&fire_json(fire)));
    }
    output.line(&explained.rule)?;
    if explained.fires.is_empty() {
        return output.line("It never fires again.");
    }
    let mut table = Table::new(&["AT", "UTC", "WHY THEN"]);
    for fire in &explained.fires {
        let at = stamp(fire.utc, fire.at.time_zone());
        let utc = stamp(fire.utc, &jiff::tz::TimeZone::UTC);
        let reason = fire.reason().unwrap_or_default();
        let weekday = fire.at.strftime("%a").to_string();
        table.row(vec![Cell::plain(format!("{weekday} {at}")), Cell::faint(utc), Cell::plain(reason)]);
    }
    output.text("\n")?;
    output.text(&output.render(&table))
}

/// One fire, as a program reads it.
fn fire_json(fire: &Fire) -> Value {
    let kinds: Vec<&str> = fire.shifts.iter().map(schedule::Shift::kind).collect();
    json!({
        "at": stamp_with_offset(fire),
        "utc": fire.utc.to_string(),
        "zone": fire.at.time_zone().iana_name(),
        "due": fire.due.to_string(),
        "reason": fire.reason(),
        "shifts": kinds,
    })
}

/// RFC 3339 with the zone's offset, `+00:00` for UTC too.
fn stamp_with_offset(fire: &Fire) -> String {
    let form = match fire.at.subsec_nanosecond() {
        0 => "%Y-%m-%dT%H:%M:%S%:z",
        _ => "%Y-%m-%dT%H:%M:%S%.6f%:z",
    };
    fire.at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_rule_is_one_and_everything_else_is_an_id() {
        let field = |text| {
            let spec = expression(text, None)?;
            Some(match (spec.cron, spec.every, spec.repeat, spec.at) {
                (Some(_), ..) => "cron",
                (_, Some(_), ..) => "every",
                (_, _, Some(_), _) => "repeat",
                _ => "at",
            })
        };
        for (text, found) in [
            ("30 2 * * *", Some("cron")),
            ("@daily", Some("cron")),
            ("30 2 * *", Some("cron")),
            ("", Some("cron")),
            ("15m", Some("every")),
            ("P1M", Some("every")),
            ("1 day", Some("every")),
            ("R5/2026-01-31T09:00:00Z/P1M", Some("repeat")),
            ("2026-01-31T09:00:00Z", Some("at")),
            ("nightly", None),
            ("report.load", None),
            ("Pager", None),
            ("2026-report", None),
        ] {
            assert_eq!(field(text), found, "{text}");
        }
    }
}
