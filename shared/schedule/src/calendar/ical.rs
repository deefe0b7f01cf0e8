//! The one file that knows the `icalendar` crate: all-day events as days off.
//! Never opens a file, and never guesses: an event that cannot become days off is refused.

use std::ops::Range;

use icalendar::parser::{Component, Property, read_calendar, unfold};
use jiff::ToSpan;
use jiff::civil::Date;

use super::MOST_ENTRIES;
use super::day_off::DayOff;
use crate::error::TimingError;

/// The parser calls itself for each component within another; events are the second.
const DEEPEST: usize = 8;

/// A rule that ends is written down date by date, up to here.
const LAST_YEAR: i16 = 2200;

pub(super) fn days(text: &str) -> Result<Vec<DayOff>, TimingError> {
    check_nesting(text)?;
    let plain = unfold(text.trim_start_matches('\u{feff}')).replace("\r\n", "\n");
    let plain = format!("{}\n", plain.trim_end());
    let calendar = read_calendar(&plain).map_err(|_| {
        TimingError::new(0..first_line(text), "this is no iCalendar file")
            .help("it begins with BEGIN:VCALENDAR, ends with END:VCALENDAR, and has NAME:VALUE lines between")
    })?;
    if calendar.components.iter().any(|component| component.name == "VCALENDAR") {
        return Err(TimingError::new(0..first_line(text), "there is more than one calendar in this file")
            .help("split it, and name one file for each calendar"));
    }
    let mut days = Vec::new();
    for event in calendar.components.iter().filter(|component| component.name == "VEVENT") {
        Event { text, event }.add(&mut days)?;
        if days.len() > MOST_ENTRIES {
            return Err(TimingError::new(0..0, "this file has too many events")
                .help(format!("a calendar can have {MOST_ENTRIES} entries")));
        }
    }
    if days.is_empty() {
        return Err(TimingError::new(0..first_line(text), "this file has no events")
            .help("days off are its all-day events (VEVENT)"));
    }
    Ok(days)
}

fn first_line(text: &str) -> usize {
    text.find(['\r', '\n']).unwrap_or(text.len())
}

fn check_nesting(text: &str) -> Result<(), TimingError> {
    let (mut depth, mut at) = (0_usize, 0);
    for line in text.split('\n') {
        match line.get(..6).map(str::to_ascii_uppercase).as_deref() {
            Some("BEGIN:") => depth += 1,
            Some(word) if word.starts_with("END:") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(TimingError::new(at..at + line.trim_end().len(), "components are nested too deeply")
                .help(format!("a calendar has {DEEPEST} levels at most")));
        }
        at += line.len() + 1;
    }
    Ok(())
}

/// One event, and the text it was read from.
struct Event<'t> {
    text: &'t str,
    event: &'t Component<'t>,
}

impl Event<'_> {
    fn add(&self, days: &mut Vec<DayOff>) -> Result<(), TimingError> {
        if self.value("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED")) {
            return Ok(());
        }
        for name in ["RDATE", "EXDATE", "RECURRENCE-ID", "EXRULE"] {
            if let Some(property) = self.property(name) {
                return Err(self
                    .fault(property, format!("{} has {name}, which is not understood", self.name()))
                    .help("write an event for each day"));
            }
        }
        let (first, last) = self.dates()?;
        match self.property("RRULE") {
            None => days.push(DayOff::Dates { first, last }),
            Some(rule) => self.repeat(rule, first, last, days)?,
        }
        Ok(())
    }

    /// The first and the last day, both included.
    fn dates(&self) -> Result<(Date, Date), TimingError> {
        let Some(start) = self.property("DTSTART") else {
            return Err(TimingError::new(0..0, format!("{} has no DTSTART", self.name()))
                .help("an event says when it is: DTSTART;VALUE=DATE:20261225"));
        };
        let first = self.date(start)?;
        let last = match (self.property("DTEND"), self.property("DURATION")) {
            // The end is the first day that is no part of it.
            (Some(end), _) => self.date(end)?.yesterday().ok().filter(|last| *last >= first),
            (None, Some(duration)) => whole_days(duration.val.as_str())
                .and_then(|days| first.checked_add((days - 1).days()).ok())
                .filter(|last| *last >= first),
            (None, None) => Some(first),
        };
        let days = last.map_or(0, |last| (last - first).get_days() + 1);
        match last {
            Some(last) if days <= 366 => Ok((first, last)),
            Some(_) => Err(self
                .fault(start, format!("{} is longer than a year", self.name()))
                .help("an event of whole days ends on the day after its last: DTEND;VALUE=DATE:20261226")),
            None => Err(self
                .fault(start, format!("{} ends before it starts, or within a day", self.name()))
                .help("an event of whole days ends on the day after its last: DTEND;VALUE=DATE:20261226")),
        }
    }

    fn date(&self, property: &Property<'_>) -> Result<Date, TimingError> {
        let value = property.val.as_str().trim();
        let is_date = value.len() == 8 && value.bytes().all(|byte| byte.is_ascii_digit());
        let parts = if is_date {
            Some((value[..4].parse().ok(), value[4..6].parse().ok(), value[6..].parse().ok()))
        } else {
            None
        };
        if let Some((Some(year), Some(month), Some(day))) = parts
            && let Ok(date) = Date::new(year, month, day)
        {
            return Ok(date);
        }
        let what = if value.contains('T') { "has a time of day" } else { "has no such date" };
        Err(self
            .fault(property, format!("{} {what}", self.name()))
            .help("only whole days can be off: DTSTART;VALUE=DATE:20261225"))
    }

    /// A yearly rule: without an end it is a day of every year, with one its dates.
    fn repeat(
        &self,
        rule: &Property<'_>,
        first: Date,
        last: Date,
        days: &mut Vec<DayOff>,
    ) -> Result<(), TimingError> {
        let end = self.yearly(rule, first)?;
        let length = (last - first).get_days();
        if let End::Never = end {
            for day in 0..=length {
                let date = first.checked_add(day.days()).unwrap_or(last);
                days.push(DayOff::Yearly { month: date.month(), day: date.day() });
            }
            return Ok(());
        }
        let mut count = 0;
        for year in first.year()..=LAST_YEAR {
            // The 29th of February is there in leap years only, and only those count.
            let Ok(date) = Date::new(year, first.month(), first.day()) else { continue };
            count += 1;
            let over = match end {
                End::Never => false,
                End::Times(times) => count > times,
                End::Until(until) => date > until,
            };
            if over {
                break;
            }
            days.push(DayOff::Dates { first: date, last: date.checked_add(length.days()).unwrap_or(date) });
        }
        Ok(())
    }

    fn yearly(&self, rule: &Property<'_>, first: Date) -> Result<End, TimingError> {
        let (mut end, mut is_yearly) = (End::Never, false);
        for part in rule.val.as_str().split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            let understood = match name.trim().to_ascii_uppercase().as_str() {
                "FREQ" => {
                    is_yearly = value.eq_ignore_ascii_case("YEARLY");
                    is_yearly
                }
                "INTERVAL" => value == "1",
                "BYMONTH" => value.parse() == Ok(first.month()),
                "BYMONTHDAY" => value.parse() == Ok(first.day()),
                "WKST" => true,
                "COUNT" => value.parse().is_ok_and(|times| {
                    end = End::Times(times);
                    true
                }),
                "UNTIL" => until(value).is_some_and(|date| {
                    end = End::Until(date);
                    true
                }),
                _ => false,
            };
            if !understood {
                return Err(self.beyond_yearly(rule, part.trim()));
            }
        }
        if is_yearly { Ok(end) } else { Err(self.beyond_yearly(rule, rule.val.as_str())) }
    }

    fn beyond_yearly(&self, rule: &Property<'_>, part: &str) -> TimingError {
        let message = format!("{} repeats by a rule that is not understood: {part}", self.name());
        self.fault(rule, message).help(
            "only the same date every year can be read (FREQ=YEARLY); write the dates of other rules as events of their own",
        )
    }

    fn property(&self, name: &str) -> Option<&Property<'_>> {
        self.event.properties.iter().find(|property| property.name.as_str().eq_ignore_ascii_case(name))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(|property| property.val.as_str().trim())
    }

    /// What a person calls it.
    fn name(&self) -> String {
        match self.value("SUMMARY").or_else(|| self.value("UID")) {
            Some(name) => format!("the event `{}`", name.chars().take(60).collect::<String>()),
            None => "an event without a name".into(),
        }
    }

    /// Points at the property in the text, of which it may be another one's equal.
    fn fault(&self, property: &Property<'_>, message: String) -> TimingError {
        TimingError::new(self.place(property), message)
    }

    fn place(&self, property: &Property<'_>) -> Range<usize> {
        let lines = self.text.match_indices(property.val.as_str()).filter(|(at, value)| {
            let line = self.text[..*at].rfind('\n').map_or(0, |at| at + 1);
            !value.is_empty()
                && self.text[line..]
                    .to_ascii_uppercase()
                    .starts_with(&property.name.as_str().to_ascii_uppercase())
        });
        lines.map(|(at, value)| at..at + value.len()).next().unwrap_or(0..0)
    }
}

/// When a yearly rule ends.
#[derive(Clone, Copy)]
enum End {
    Never,
    Times(u32),
    Until(Date),
}

/// `20301231`, or with a time of day, which a date does not need.
fn until(value: &str) -> Option<Date> {
    let digits = value.get(..8).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?).ok()
}

/// `P1D` or `P2W`.
fn whole_days(duration: &str) -> Option<i64> {
    let span: jiff::Span = duration.trim().parse().ok()?;
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    (span.fieldwise() == jiff::Span::new().weeks(span.get_weeks()).days(span.get_days())).then_some(days)
}
