//! `[calendars.NAME]`: days off that schedules can follow, written here or read from an iCalendar file.

use std::collections::BTreeMap;

use upbeat_schedule::{Calendar, DayOff, TimingError};

use super::keys;
use super::section::Section;
use super::show::bare_or_quoted;
use super::value::{At, Fault, Found, Spot, nearest};
use crate::name::ScheduleId;

/// The calendars by their names; `None` where one has a mistake that is reported already.
pub(super) type Calendars = BTreeMap<String, Option<Calendar>>;

/// Reads every `[calendars.NAME]`.
pub(super) fn read(top: &mut Section<'_, '_>) -> Calendars {
    let mut calendars = Calendars::new();
    for field in top.named("calendars") {
        // The rules of a schedule's id: what is shown in one line, and typed without quotes.
        if let Err(error) = ScheduleId::new(&field.name) {
            let fault = Fault::new(format!("this is no name for a calendar: {error}"));
            top.cx.fault(Some(At::Text(field.at)), fault);
            continue;
        }
        let table = format!("calendars.{}", bare_or_quoted(&field.name));
        let mut section = Section::new(top.cx, &keys::CALENDAR, table, Some(field.node));
        let calendar = calendar(&mut section, &field.name);
        section.finish();
        calendars.insert(field.name, calendar);
    }
    calendars
}

/// The calendar that a schedule names.
pub(super) fn named(section: &mut Section<'_, '_>, calendars: &Calendars) -> Option<Calendar> {
    let name = section.find("calendar", |found| found.filled().map(str::to_owned))?;
    if let Some(calendar) = calendars.get(&name) {
        return calendar.clone();
    }
    let help = match nearest(&name, calendars.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("describe it under [calendars.{}]", bare_or_quoted(&name)),
    };
    section.fault("calendar", Fault::new(format!("there is no calendar `{name}`")).help(help));
    None
}

fn calendar(section: &mut Section<'_, '_>, name: &str) -> Option<Calendar> {
    let faults = section.cx.faults();
    let mut days = section.find("days_off", days_off).unwrap_or_default();
    days.extend(from_file(section));
    if section.cx.faults() > faults {
        return None;
    }
    if days.is_empty() {
        let help = "write `days_off = [\"saturday\", \"sunday\"]`, or name an iCalendar file with `file`";
        section.fault("days_off", Fault::new("this calendar has no days off").help(help));
        return None;
    }
    match Calendar::new(name, days) {
        Ok(calendar) => Some(calendar),
        Err(error) => {
            section.fault("days_off", whole(error));
            None
        }
    }
}

fn days_off(found: &Found) -> Result<Vec<DayOff>, Fault> {
    let help = "write [\"saturday\", \"12-25\", \"2026-04-03\"]";
    let items = found.items("a list of days").map_err(|fault| fault.help(help))?;
    items.iter().map(|item| day_off(item).map_err(|fault| item.placed(fault))).collect()
}

/// A day as its own parser reads it; TOML's own dates are days too.
fn day_off(item: &Found) -> Result<DayOff, Fault> {
    let text = match &item.value {
        super::tree::Value::Datetime(date) => date.as_str(),
        _ => item.text()?,
    };
    text.parse().map_err(whole)
}

/// The days of the file, which is read anew whenever the configuration is.
fn from_file(section: &mut Section<'_, '_>) -> Vec<DayOff> {
    let Some(path) = section.find("file", |found| found.filled().map(str::to_owned)) else {
        return Vec::new();
    };
    let full = section.cx.resolve(&path);
    let days = match section.cx.read(&full) {
        Ok(text) => Calendar::days_of_ical(&text).map_err(|error| {
            let line = 1 + text[..error.span.start].matches('\n').count();
            let fault = whole(error);
            Fault { message: format!("{}, line {line}: {}", full.display(), fault.message), ..fault }
        }),
        Err(error) => Err(Fault::new(format!("cannot read {}: {error}", full.display()))
            .help("paths are relative to the directory of this file")),
    };
    days.unwrap_or_else(|fault| {
        section.fault("file", fault);
        Vec::new()
    })
}

fn whole(error: TimingError) -> Fault {
    Fault { spot: Spot::Whole, message: error.message, help: error.help }
}
