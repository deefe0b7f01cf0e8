//! From the text of an expression to its sets.
//! Never knows the zone; refuses what can never fire.

use super::days::{Days, MonthDays, WeekDays};
use super::field::Field;
use super::item::{self, Piece};
use super::never;
use super::pattern::Pattern;
use super::years::Years;
use crate::error::TimingError;

/// A parsed expression.
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    pub(crate) pattern: Pattern,
    /// Second, minute or hour start with `*` or are an open step: the expression follows elapsed time, as in Debian's
    /// cron, and changes of clocks neither move nor suppress its occurrences.
    pub(crate) interval: bool,
}

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const FORMS: &str = "a crontab line has 5 fields (minute, hour, day of the month, month, day of the week); \
                     6 have seconds first, 7 have years last";

/// The duration of `@every 90s`, and where it starts; none if this is another expression.
pub(crate) fn every_macro(text: &str) -> Option<(&str, usize)> {
    let trimmed = text.trim_start();
    let word = trimmed.get(..6)?;
    let rest = &trimmed[6..];
    if !word.eq_ignore_ascii_case("@every") || !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
        return None;
    }
    let duration = rest.trim_start();
    Some((duration, text.len() - duration.len()))
}

impl Cron {
    /// Parses an expression; `dom_and_dow` asks that a day satisfy both day fields always.
    pub(crate) fn parse(text: &str, dom_and_dow: bool) -> Result<Self, TimingError> {
        let fields = Fields::split(text)?;
        let cron = fields.read(dom_and_dow)?;
        never::check(&cron.pattern, &fields)?;
        Ok(cron)
    }
}

/// The pieces of an expression by field. A crontab line has no seconds and no years.
#[derive(Debug)]
pub(super) struct Fields<'t> {
    pub(super) second: Option<Piece<'t>>,
    pub(super) minute: Piece<'t>,
    pub(super) hour: Piece<'t>,
    pub(super) day_of_month: Piece<'t>,
    pub(super) month: Piece<'t>,
    pub(super) day_of_week: Piece<'t>,
    pub(super) year: Option<Piece<'t>>,
}

impl<'t> Fields<'t> {
    pub(super) fn split(text: &'t str) -> Result<Self, TimingError> {
        let word = text.trim();
        let text = if word.starts_with('@') { expand_macro(text, word)? } else { text };
        let pieces = words(text);
        refuse_zone(pieces.first())?;
        let fields = match pieces.as_slice() {
            [minute, hour, day_of_month, month, day_of_week] => {
                (None, minute, hour, day_of_month, month, day_of_week, None)
            }
            [second, minute, hour, day_of_month, month, day_of_week] => {
                (Some(*second), minute, hour, day_of_month, month, day_of_week, None)
            }
            [second, minute, hour, day_of_month, month, day_of_week, year] => {
                (Some(*second), minute, hour, day_of_month, month, day_of_week, Some(*year))
            }
            _ => return Err(wrong_count(text, &pieces)),
        };
        let (second, minute, hour, day_of_month, month, day_of_week, year) = fields;
        Ok(Self {
            second,
            minute: *minute,
            hour: *hour,
            day_of_month: *day_of_month,
            month: *month,
            day_of_week: *day_of_week,
            year,
        })
    }

    fn read(&self, dom_and_dow: bool) -> Result<Cron, TimingError> {
        let pattern = Pattern {
            seconds: self.second.map_or(Ok(1), |piece| set(Field::Second, piece))?,
            minutes: set(Field::Minute, self.minute)?,
            hours: set(Field::Hour, self.hour)?,
            days: Days {
                of_month: MonthDays::parse(self.day_of_month)?,
                of_week: WeekDays::parse(self.day_of_week)?,
                both: dom_and_dow || is_star(self.day_of_month) || is_star(self.day_of_week),
            },
            months: set(Field::Month, self.month)?,
            years: self.year.map_or(Ok(Years::All), years)?,
            business: None,
        };
        let clock = [self.second, Some(self.minute), Some(self.hour)];
        let interval = clock.iter().flatten().any(|field| repeats(field.text));
        Ok(Cron { pattern, interval })
    }
}

/// As in Vixie cron, the first character decides: a day field that starts with a star restricts the other one, and is
/// not an alternative to it.
fn is_star(field: Piece) -> bool {
    field.text.starts_with(['*', '?'])
}

/// As in Debian's cron, what a field starts with decides.
fn repeats(field: &str) -> bool {
    item::is_open(field.split(',').next().unwrap_or(field))
}

fn set(field: Field, piece: Piece) -> Result<u64, TimingError> {
    let mut set = 0;
    for item in piece.split(',') {
        for number in item::numbers(field, item)? {
            set |= 1_u64 << number;
        }
    }
    Ok(set)
}

fn years(piece: Piece) -> Result<Years, TimingError> {
    if piece.text == "*" {
        return Ok(Years::All);
    }
    let mut listed = Vec::new();
    for item in piece.split(',') {
        let numbers = item::numbers(Field::Year, item)?;
        listed.extend(numbers.into_iter().filter_map(|year| i16::try_from(year).ok()));
    }
    Ok(Years::listed(listed))
}

fn words(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, c.is_whitespace()) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                pieces.push(Piece { text: &text[from..at], at: from });
                start = None;
            }
            _ => {}
        }
    }
    pieces
}

fn expand_macro(text: &str, word: &str) -> Result<&'static str, TimingError> {
    let at = text.len() - text.trim_start().len();
    let piece = Piece { text: word, at };
    if let Some((_, expression)) = MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Ok(expression);
    }
    if word.eq_ignore_ascii_case("@reboot") {
        return Err(piece
            .fault("`@reboot` names no time")
            .help("publish the task from whatever starts the program"));
    }
    let known = MACROS.iter().map(|(name, _)| *name).chain(["@every"]);
    let nearest = known
        .map(|name| (strsim::normalized_damerau_levenshtein(&word.to_ascii_lowercase(), name), name))
        .filter(|(similarity, _)| *similarity > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let error = piece.fault(format!("`{word}` is not known"));
    Err(match nearest {
        Some((_, name)) => error.help(format!("did you mean `{name}`?")),
        None => error.help("there are @yearly, @monthly, @weekly, @daily, @hourly and `@every 90s`"),
    })
}

/// Crontabs of some systems name a zone before the fields.
fn refuse_zone(first: Option<&Piece>) -> Result<(), TimingError> {
    match first.and_then(|piece| piece.text.split_once('=').map(|words| (piece, words))) {
        Some((piece, ("TZ" | "CRON_TZ", zone))) => Err(piece
            .fault("a zone is not part of the expression")
            .help(format!("set `timezone = \"{zone}\"`"))),
        _ => Ok(()),
    }
}

fn wrong_count(text: &str, pieces: &[Piece]) -> TimingError {
    match pieces {
        [] => TimingError::whole(text, "the expression is empty").help(FORMS),
        [one] => one.fault("1 field is too few").help(FORMS),
        [.., last] if pieces.len() < 5 => TimingError::new(
            pieces[0].at..last.at + last.text.len(),
            format!("{} fields are too few", pieces.len()),
        )
        .help(FORMS),
        [.., last] => TimingError::new(
            pieces[7].at..last.at + last.text.len(),
            format!("{} fields are too many", pieces.len()),
        )
        .help(FORMS),
    }
}
