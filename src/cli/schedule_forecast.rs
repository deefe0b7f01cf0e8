//! `upbeat schedules forecast`: how many tasks start in each minute to come, and what to spread.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use upbeat_shared::schedule::{self, Forecast, Stampede, Timetable};

use super::context::{Access, Context};
use super::failure::Failure;
use super::moment::{parse_instant, stamp};
use super::words::counted;

/// Longer ahead, a forecast says little: schedules change.
const MOST_HOURS: usize = 31 * 24;

/// Rows of the chart, at most.
const ROWS: usize = 48;

/// Columns of a row: the minutes of an hour, where a row is one.
const COLUMNS: usize = 60;

/// Schedules of a stampede that are named.
const NAMED: usize = 5;

/// From nothing to the peak.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const AFTER_HELP: &str = "\
Examples:
  upbeat schedules forecast
  upbeat schedules forecast --hours 168 --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ForecastSchedules {
    /// How far ahead
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = hours)]
    hours: usize,
    /// Begin at this instant, rather than now
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    from: Option<Timestamp>,
}

fn hours(text: &str) -> Result<usize, String> {
    let hours = text.parse().ok().filter(|hours| (1..=MOST_HOURS).contains(hours));
    hours.ok_or_else(|| format!("it goes from 1 to {MOST_HOURS}"))
}

impl ForecastSchedules {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        let schedules = session.stack.store.catalog.snapshot().await?.schedules;
        let from = self.from.unwrap_or_else(|| session.now());
        let (mut compiled, mut unreadable): (Vec<(String, Timetable)>, _) = (Vec::new(), Vec::new());
        for schedule in schedules.iter().filter(|schedule| !schedule.definition.paused) {
            match schedule.definition.timing.compile() {
                Ok(timetable) => compiled.push((schedule.id.to_string(), timetable)),
                Err(_) => unreadable.push(schedule.id.as_str()),
            }
        }
        compiled.sort_by(|a, b| a.0.cmp(&b.0));
        let named: Vec<_> = compiled.iter().map(|(id, timetable)| (id.as_str(), timetable)).collect();
        let forecast = schedule::forecast(&named, from, self.hours * 60);
        let output = &context.output;
        for id in unreadable {
            output.warn(format_args!("{id} cannot be understood and is not counted"));
        }
        for id in &forecast.left_out {
            output.warn(format_args!("{id} fires too often to be counted; nothing is known of its part"));
        }
        output.result(|| text(&forecast, &TimeZone::system()), || forecast_json(&forecast))
    }
}

fn text(forecast: &Forecast, zone: &TimeZone) -> String {
    let mut text = summary(forecast);
    if forecast.total() > 0 {
        text.push_str("\n\n");
        text.push_str(&chart(forecast, zone));
    }
    for stampede in &forecast.stampedes {
        let _ = write!(text, "\n{}", stampede_text(stampede, zone));
    }
    if forecast.more_stampedes > 0 {
        let _ = write!(text, "\nand {} more", counted(forecast.more_stampedes as u64, "stampede"));
    }
    text.trim_end().to_owned()
}

fn summary(forecast: &Forecast) -> String {
    let hours = forecast.minutes.len().div_ceil(60) as u64;
    match forecast.total() {
        0 => format!("nothing is planned within {}", counted(hours, "hour")),
        total => format!(
            "{} within {}, at most {} in one minute",
            counted(total, "task"),
            counted(hours, "hour"),
            forecast.peak()
        ),
    }
}

/// A row an hour, or several of them; a column a minute, or the busiest of several.
fn chart(forecast: &Forecast, zone: &TimeZone) -> String {
    let hours = forecast.minutes.len().div_ceil(60);
    let row = 60 * hours.div_ceil(ROWS);
    let column = row / COLUMNS;
    let peak = forecast.peak();
    let mut chart = String::new();
    for (index, minutes) in forecast.minutes.chunks(row).enumerate() {
        let begins = forecast.minute(index * row).to_zoned(zone.clone());
        let bars: String =
            minutes.chunks(column).map(|part| bar(part.iter().copied().max().unwrap_or(0), peak)).collect();
        let tasks: u64 = minutes.iter().sum();
        let _ = writeln!(chart, "{}  {bars:COLUMNS$}  {tasks}", begins.strftime("%a %m-%d %H:%M"));
    }
    chart
}

/// Anything is more than nothing, and only the peak is a whole one.
fn bar(tasks: u64, peak: u64) -> char {
    let level = (tasks * 8).div_ceil(peak.max(1)).min(8);
    LEVELS[usize::try_from(level).unwrap_or(8)]
}

fn stampede_text(stampede: &Stampede, zone: &TimeZone) -> String {
    let at = stamp(stampede.at, zone);
    let head = format!("stampede: {} in the minute from {at}", counted(stampede.tasks, "task"));
    if stampede.schedules.len() < 2 {
        return format!("{head}, by schedules that are spread already or fire again at once");
    }
    let shown = stampede.schedules.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match stampede.schedules.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{head}\n  {shown}{more}: `jitter = \"{:#}\"` would spread them", stampede.jitter)
}

/// Minutes in which nothing is planned are left out.
fn forecast_json(forecast: &Forecast) -> Value {
    let busy = forecast.minutes.iter().enumerate().filter(|(_, tasks)| **tasks > 0);
    let minutes: Vec<Value> = busy
        .map(|(index, tasks)| json!({ "at": forecast.minute(index).to_string(), "tasks": tasks }))
        .collect();
    let stampede = |stampede: &Stampede| {
        json!({
            "at": stampede.at.to_string(),
            "tasks": stampede.tasks,
            "schedules": stampede.schedules,
            "jitter": format!("{:#}", stampede.jitter),
        })
    };
    json!({
        "from": forecast.from.to_string(),
        "until": forecast.minute(forecast.minutes.len()).to_string(),
        "tasks": forecast.total(),
        "peak": forecast.peak(),
        "minutes": minutes,
        "stampedes": forecast.stampedes.iter().map(stampede).collect::<Vec<_>>(),
        "more_stampedes": forecast.more_stampedes,
        "left_out": forecast.left_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::schedule::TimingSpec;

    fn forecast(rules: &[(&str, &str)], hours: usize) -> Forecast {
        let compile = |cron: &str| TimingSpec { cron: Some(cron.into()), ..TimingSpec::default() }.compile();
        let all: Vec<(String, Timetable)> =
            rules.iter().map(|(id, cron)| ((*id).to_owned(), compile(cron).unwrap())).collect();
        let from = "2026-01-01T00:00:00Z".parse().unwrap();
        let named: Vec<_> = all.iter().map(|(id, timetable)| (id.as_str(), timetable)).collect();
        schedule::forecast(&named, from, hours * 60)
    }

    #[test]
    fn the_chart_has_a_row_an_hour_and_names_what_is_crowded() {
        let ids: Vec<String> = (0..12).map(|n| format!("job-{n:02}")).collect();
        let mut rules: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "0 1 * * *")).collect();
        rules.push(("tick", "*/10 * * * *"));
        let shown = text(&forecast(&rules, 3), &TimeZone::UTC);
        let tick = "▁         ▁         ▁         ▁         ▁         ▁         ";
        assert_eq!(
            shown,
            format!(
                "30 tasks within 3 hours, at most 13 in one minute\n\n\
                 Thu 01-01 00:00  {tick}  6\n\
                 Thu 01-01 01:00  █{}  18\n\
                 Thu 01-01 02:00  {tick}  6\n\n\
                 stampede: 13 tasks in the minute from 2026-01-01T01:00:00Z\n  \
                 job-00, job-01, job-02, job-03, job-04 and 8 more: `jitter = \"3m\"` would spread them",
                tick.trim_start_matches('▁')
            )
        );
    }

    #[test]
    fn a_week_fits_a_screen() {
        let shown = text(&forecast(&[("a", "0 * * * *")], 168), &TimeZone::UTC);
        let rows = shown.lines().filter(|line| line.contains("01-")).count();
        assert_eq!(rows, 42);
        assert!(shown.lines().all(|line| line.chars().count() < 90), "{shown}");
    }

    #[test]
    fn nothing_planned_is_said_so() {
        assert_eq!(text(&forecast(&[], 24), &TimeZone::UTC), "nothing is planned within 24 hours");
    }
}
