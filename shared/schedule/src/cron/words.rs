//! An expression as plain English: `At 02:30 on Monday to Friday`.
//! Never looks at the sets: what was written is what is said.

use super::field::{Field, capitalized, month_name, weekday_name};
use super::item::{self, Piece};
use super::parse::Fields;

/// Times of day beyond so many are said as minutes and hours.
const MOST_TIMES: usize = 6;

/// Says what an expression means. The text is one that was accepted.
pub(crate) fn words(text: &str, dom_and_dow: bool) -> String {
    let Ok(fields) = Fields::split(text) else { return format!("By the expression `{text}`") };
    let fixed = times(&fields);
    let days = days(&fields, dom_and_dow);
    let mut said = if let Some(times) = fixed {
        let days = days.unwrap_or_else(|| "every day".into());
        format!("at {} {days}", listed(&times))
    } else {
        let clock = clock(&fields);
        days.map_or(clock.clone(), |days| format!("{clock}, {days}"))
    };
    if fields.month.text != "*" {
        said = format!("{said} in {}", spans(Field::Month, fields.month, &month_name));
    }
    if let Some(year) = fields.year.filter(|year| year.text != "*") {
        said = format!("{said} in {}", spans(Field::Year, year, &|year| year.to_string()));
    }
    capitalized(&said)
}

/// The times of day, if they are few and each of them was written down.
fn times(fields: &Fields<'_>) -> Option<Vec<String>> {
    let (minutes, hours) = (plain(fields.minute)?, plain(fields.hour)?);
    let seconds = fields.second.map_or(Some(vec![0]), plain)?;
    if minutes.len() * hours.len() * seconds.len() > MOST_TIMES {
        return None;
    }
    let mut times: Vec<(u32, u32, u32)> = Vec::new();
    for hour in &hours {
        for minute in &minutes {
            times.extend(seconds.iter().map(|second| (*hour, *minute, *second)));
        }
    }
    times.sort_unstable();
    times.dedup();
    let shown = |(hour, minute, second): &(u32, u32, u32)| match second {
        0 => format!("{hour:02}:{minute:02}"),
        second => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    Some(times.iter().map(shown).collect())
}

/// The numbers of a field that lists nothing but numbers.
fn plain(field: Piece<'_>) -> Option<Vec<u32>> {
    field.split(',').map(|item| item.text.parse().ok()).collect()
}

/// Seconds, minutes and hours, each in its own words.
fn clock(fields: &Fields<'_>) -> String {
    let second = fields.second.filter(|second| !second.text.trim_start_matches('0').is_empty());
    let mut parts = Vec::new();
    if let Some(second) = second {
        parts.push(beat(Field::Second, second));
    }
    match (fields.minute.text, fields.hour.text) {
        ("*", _) if second.is_some() => {}
        ("0" | "00", "*") if second.is_none() => return "every hour, on the hour".into(),
        (_, "*") => {
            let minute = beat(Field::Minute, fields.minute);
            let of_hours = minute.starts_with("at ");
            parts.push(if of_hours { format!("{minute} of every hour") } else { minute });
        }
        _ => parts.push(beat(Field::Minute, fields.minute)),
    }
    parts.extend(hours(fields));
    parts.join(", ")
}

/// `every minute`, `every 15 minutes`, `at minutes 0 to 10`.
fn beat(field: Field, piece: Piece<'_>) -> String {
    let (name, most) = (field.name(), field.values().end() + 1);
    if piece.text == "*" {
        return format!("every {name}");
    }
    if let Some(step) = piece.text.strip_prefix("*/").and_then(|step| step.parse::<u32>().ok()) {
        if step == 1 {
            return format!("every {name}");
        }
        if most % step == 0 {
            return format!("every {step} {name}s");
        }
    }
    let number = |number: u32| number.to_string();
    let plural = if plain(piece).is_some_and(|numbers| numbers.len() == 1) { "" } else { "s" };
    format!("at {name}{plural} {}", spans(field, piece, &number))
}

fn hours(fields: &Fields<'_>) -> Option<String> {
    let hour = fields.hour;
    if hour.text == "*" {
        return None;
    }
    if let Some(step) = hour.text.strip_prefix("*/").and_then(|step| step.parse::<u32>().ok())
        && 24 % step == 0
    {
        return (step > 1).then(|| format!("every {step} hours"));
    }
    // A range of hours lasts to the end of its last one.
    if let Some((first, last)) = bounds(hour) {
        return Some(format!("from {first:02}:00 to {last:02}:59"));
    }
    let word = if plain(hour).is_some_and(|numbers| numbers.len() == 1) { "hour" } else { "hours" };
    Some(format!("in the {word} {}", spans(Field::Hour, hour, &|hour| format!("{hour:02}"))))
}

/// A single range without a step.
fn bounds(piece: Piece<'_>) -> Option<(u32, u32)> {
    let (first, last) = piece.text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The two day fields, as the expression joins them; none if every day will do.
fn days(fields: &Fields<'_>, dom_and_dow: bool) -> Option<String> {
    let open = |piece: Piece<'_>| matches!(piece.text, "*" | "?" | "*/1");
    let (month, week) = (fields.day_of_month, fields.day_of_week);
    let both = dom_and_dow || month.text.starts_with(['*', '?']) || week.text.starts_with(['*', '?']);
    match (open(month), open(week)) {
        (true, true) => None,
        (false, true) => Some(format!("on {}", month_days(month))),
        (true, false) => Some(format!("on {}", week_days(week, false))),
        (false, false) if both => {
            Some(format!("on {}, but only if that is {}", month_days(month), week_days(week, true)))
        }
        (false, false) => Some(format!("on {}, and also on {}", month_days(month), week_days(week, false))),
    }
}

fn month_days(field: Piece<'_>) -> String {
    let items: Vec<String> = field.split(',').map(month_day).collect();
    let of_month = field.split(',').any(|item| item.text.starts_with(['L', 'l', '*']));
    if of_month { listed(&items) } else { format!("{} of the month", listed(&items)) }
}

fn month_day(item: Piece<'_>) -> String {
    let upper = item.text.to_ascii_uppercase();
    match upper.as_str() {
        "L" => "the last day of the month".into(),
        "LW" | "WL" => "the last Monday to Friday of the month".into(),
        text if text.starts_with("L-") => format!("the {} day before the last of the month", nth(&text[2..])),
        text if text.ends_with('W') => {
            format!("the Monday to Friday nearest to the {}", nth(text.trim_end_matches('W')))
        }
        text if text.starts_with("*/") => {
            format!("every {} day of the month from the 1st on", nth(&text[2..]))
        }
        _ => span(Field::DayOfMonth, item, &|day| format!("the {}", nth(&day.to_string()))),
    }
}

fn week_days(field: Piece<'_>, single: bool) -> String {
    let items: Vec<String> = field.split(',').map(week_day).collect();
    let joint = if single { "or" } else { "and" };
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {joint} {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

fn week_day(item: Piece<'_>) -> String {
    let name = |text: &str| {
        let piece = Piece { text, at: item.at };
        item::value(Field::DayOfWeek, piece).map_or_else(|_| text.to_owned(), weekday_name)
    };
    if let Some((day, n)) = item.text.split_once('#') {
        return format!("the {} {} of the month", nth(n), name(day));
    }
    let last = item.text.strip_suffix(['L', 'l']).filter(|day| !day.is_empty());
    match last {
        Some(day) => format!("the last {} of the month", name(day)),
        None => span(Field::DayOfWeek, item, &weekday_name),
    }
}

fn nth(number: &str) -> String {
    number.parse().map_or_else(|_| number.to_owned(), crate::explain::ordinal)
}

/// The items of a field, each as a span.
fn spans(field: Field, piece: Piece<'_>, name: &dyn Fn(u32) -> String) -> String {
    let items: Vec<String> = piece.split(',').map(|item| span(field, item, name)).collect();
    listed(&items)
}

/// `5`, `1 to 5`; what has a step is spelled out, or said by its step where that is long.
fn span(field: Field, item: Piece<'_>, name: &dyn Fn(u32) -> String) -> String {
    let number = |text: &str| item::value(field, Piece { text, at: item.at }).ok().map(&name);
    if let Some((base, step)) = item.text.split_once('/') {
        let numbers = item::numbers(field, item).unwrap_or_default();
        if numbers.len() <= MOST_TIMES {
            return listed(&numbers.into_iter().map(name).collect::<Vec<_>>());
        }
        let base = base.split_once('-').map_or(base, |(first, _)| first);
        let first = if base == "*" { Some(name(*field.values().start())) } else { number(base) };
        let last = numbers.last().copied().map(name).unwrap_or_default();
        return format!("{} to {last} in steps of {step}", first.unwrap_or_default());
    }
    match item.text.split_once('-') {
        Some((first, last)) => match (number(first), number(last)) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => item.text.to_owned(),
        },
        None => number(item.text).unwrap_or_else(|| item.text.to_owned()),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => items.concat(),
    }
}
