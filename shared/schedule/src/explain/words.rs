//! A rule as plain English.
//! Never says more than the rule does: an expression that has no plain words is spelled out field by field.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::shift::clock;
use crate::calendar::OnHoliday;
use crate::cron::{self, Cron};
use crate::duration::{CalendarStep, Step, parse_step};
use crate::repeat::Repetition;
use crate::spec::TimingSpec;
use crate::timetable::{Rule, Timetable};
use crate::wall::{Fold, Gap};

/// The rule, then each of its bounds and policies.
pub(super) fn rule(spec: &TimingSpec, timetable: &Timetable) -> String {
    let mut sentences = vec![when(spec, timetable)];
    sentences.extend(clocks(spec, timetable));
    sentences.extend(days_off(timetable));
    sentences.extend(bounds(timetable));
    if timetable.jitter.is_positive() {
        sentences.push(format!("Each is delayed by its own part of {:#}", timetable.jitter));
    }
    sentences.join(". ") + "."
}

fn when(spec: &TimingSpec, timetable: &Timetable) -> String {
    let by_clocks = |text: String| format!("{text}, by the clocks of {}", timetable.zone_name());
    match &timetable.rule {
        Rule::Cron { text, .. } => by_clocks(cron::words(text, spec.dom_and_dow == Some(true))),
        Rule::Every { text, .. } if spec.repeat.is_some() => {
            repetition(spec.text_of("repeat"), timetable).unwrap_or_else(|| text.clone())
        }
        Rule::Every { text, .. } => {
            let written = text.strip_prefix("every ").unwrap_or(text);
            match parse_step(written, "") {
                Ok(Step::Calendar(step)) => by_clocks(format!("Every {}", calendar_step(step))),
                Ok(Step::Fixed(step)) => format!("Every {} of elapsed time", elapsed(step)),
                Err(_) => text.clone(),
            }
        }
        Rule::At(instant) => format!("Once, at {}", moment(*instant, timetable.zone())),
    }
}

fn repetition(text: &str, timetable: &Timetable) -> Option<String> {
    let read = Repetition::parse(text).ok()?;
    let (instant, civil) = read.anchor(timetable.zone());
    let civil = instant.map_or(civil, |instant| timetable.zone().to_datetime(instant));
    let start = format!("{} {}", civil.date(), clock(civil.time()));
    let apart = match read.step {
        Step::Fixed(step) => elapsed(step),
        Step::Calendar(step) => calendar_step(step),
    };
    let times = match read.turns.count() {
        None => format!("Every {apart}, without end"),
        Some(1) => "Once".to_owned(),
        Some(times) if apart.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{times} times, {apart} apart")
        }
        Some(times) => format!("{times} times, {} {apart} apart", if apart == "hour" { "an" } else { "a" }),
    };
    Some(format!("{times}, from {start} on, by the clocks of {}", timetable.zone_name()))
}

/// What is said of gaps and folds where a choice was made; the default is what people expect.
fn clocks(spec: &TimingSpec, timetable: &Timetable) -> Option<String> {
    let (text, wall) = match &timetable.rule {
        Rule::Cron { text, wall, .. } => (text, *wall),
        Rule::Every { .. } | Rule::At(_) => return None,
    };
    if Cron::parse(text, spec.dom_and_dow == Some(true)).is_ok_and(|cron| cron.interval) {
        return timetable
            .changes_clocks()
            .then(|| "It follows elapsed time through changes of the clocks".to_owned());
    }
    let gap = match wall.gap {
        Gap::RunAfter => None,
        Gap::Skip => Some("does not run at a time that the clocks skip"),
    };
    let fold = match wall.fold {
        Fold::First => None,
        Fold::Second => Some("runs the second time where they show a time twice"),
        Fold::Both => Some("runs both times where they show a time twice"),
    };
    let said: Vec<&str> = gap.into_iter().chain(fold).collect();
    (!said.is_empty()).then(|| format!("It {}", said.join(", and ")))
}

fn days_off(timetable: &Timetable) -> Option<String> {
    let business = timetable.business.as_ref()?;
    let name = business.calendar.name();
    Some(match business.on_holiday {
        OnHoliday::Skip => format!("Days off of {name} are skipped"),
        OnHoliday::NextBusinessDay => {
            format!("What falls on a day off of {name} runs on the next business day")
        }
        OnHoliday::PreviousBusinessDay => {
            format!("What falls on a day off of {name} runs on the business day before")
        }
    })
}

fn bounds(timetable: &Timetable) -> Option<String> {
    let starts = timetable.starts.map(|at| format!("not before {}", moment(at, timetable.zone())));
    let ends = timetable.ends.map(|at| format!("not after {}", moment(at, timetable.zone())));
    let said: Vec<String> = starts.into_iter().chain(ends).collect();
    let text = said.join(", and ");
    (!text.is_empty()).then(|| format!("N{}", &text[1..]))
}

/// `2026-01-31 09:00`, by the clocks of a zone.
fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let civil = zone.to_datetime(at);
    format!("{} {}", civil.date(), clock(civil.time()))
}

fn counted(number: i64, unit: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(unit.to_owned()),
        n => Some(format!("{n} {unit}s")),
    }
}

/// `15 minutes`, `1 hour 30 minutes`; a single unit goes without its one, as after "every".
fn elapsed(step: SignedDuration) -> String {
    let secs = step.as_secs();
    let parts = [
        counted(secs / 3600, "hour"),
        counted(secs / 60 % 60, "minute"),
        counted(secs % 60, "second"),
        counted(i64::from(step.subsec_micros() / 1000), "millisecond"),
        counted(i64::from(step.subsec_micros() % 1000), "microsecond"),
    ];
    joined(parts)
}

fn calendar_step(step: CalendarStep) -> String {
    let (weeks, days) = if step.days % 7 == 0 { (step.days / 7, 0) } else { (0, step.days) };
    let time = (!step.time.is_zero()).then(|| elapsed(step.time));
    joined([
        counted(step.months / 12, "year"),
        counted(step.months % 12, "month"),
        counted(weeks, "week"),
        counted(days, "day"),
        time,
    ])
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.as_slice() {
        [one] => one.clone(),
        // "every hour", but "every 1 hour 30 minutes".
        parts => {
            let counted =
                parts.iter().map(|part| if part.contains(' ') { part.clone() } else { format!("1 {part}") });
            counted.collect::<Vec<_>>().join(" ")
        }
    }
}
