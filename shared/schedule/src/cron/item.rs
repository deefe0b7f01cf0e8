//! One element of a field's list: `*`, `7`, `MON-FRI`, `10-50/10`, `0/30`.
//! Never knows L, W and #, which are `days`'s.

use super::field::Field;
use super::ordinals;
use crate::error::TimingError;

/// A piece of an expression, and where it stands in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl Piece<'_> {
    pub(super) fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        self.text.split(separator).map(move |text| {
            let piece = Self { text, at };
            at += text.len() + separator.len_utf8();
            piece
        })
    }

    fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let (left, right) = self.text.split_once(separator)?;
        let right_at = self.at + left.len() + separator.len_utf8();
        Some((Self { text: left, at: self.at }, Self { text: right, at: right_at }))
    }

    /// Without its last `bytes` bytes.
    pub(super) fn without_end(self, bytes: usize) -> Self {
        Self { text: &self.text[..self.text.len() - bytes], at: self.at }
    }

    pub(super) fn fault(self, message: impl Into<String>) -> TimingError {
        TimingError::new(self.at..self.at + self.text.len(), message)
    }
}

/// Whether the item repeats to the end of its field: `*`, `*/5` or `10/5`.
pub(super) fn is_open(item: &str) -> bool {
    item.starts_with('*') || (item.contains('/') && !item.contains('-'))
}

/// The numbers that an item names, within the field's [`Field::values`].
pub(super) fn numbers(field: Field, item: Piece) -> Result<Vec<u32>, TimingError> {
    let (base, step) = match item.split_once('/') {
        Some((base, step)) => (base, Some(step_of(field, step)?)),
        None => (item, None),
    };
    let (start, end) = bounds(field, base, step.is_some())?;
    sequence(field, start, end, step.unwrap_or(1)).map_err(|message| item.fault(message))
}

/// A number or a name of the field, as written: Sunday may be 7.
pub(super) fn value(field: Field, piece: Piece) -> Result<u32, TimingError> {
    let text = piece.text;
    if text.is_empty() {
        return Err(piece.fault(format!("{} is missing here", field.a_name())).help(field.allowed()));
    }
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok().filter(|number| field.written().contains(number))
    } else {
        field.number_of(text)
    };
    number.ok_or_else(|| not_a_value(field, piece))
}

fn bounds(field: Field, base: Piece, stepped: bool) -> Result<(u32, u32), TimingError> {
    let values = field.values();
    if base.text == "*" {
        return Ok((*values.start(), *values.end()));
    }
    if base.text.starts_with('*') {
        return Err(base
            .fault(format!("`{}` is not understood", base.text))
            .help("`*` stands alone or before a step, as in `*/5`"));
    }
    if let Some((start, end)) = base.split_once('-') {
        return range(field, base, value(field, start)?, value(field, end)?);
    }
    let start = sunday_first(field, value(field, base)?);
    let end = if stepped { *values.end() } else { start };
    Ok((start, end))
}

fn range(field: Field, piece: Piece, start: u32, end: u32) -> Result<(u32, u32), TimingError> {
    if start > end && !field.wraps() {
        let (first, last) = (field.values().start().to_owned(), field.values().end().to_owned());
        let error = piece
            .fault(format!("the range ends before it starts, and a {} does not wrap around", field.name()));
        return Err(match field {
            Field::DayOfMonth => error.help(format!("over the month's end: `{start}-{last},{first}-{end}`")),
            _ => error.help(format!("did you mean `{end}-{start}`?")),
        });
    }
    if field == Field::DayOfWeek && (start, end) == (0, 7) {
        return Ok((0, 6));
    }
    Ok((sunday_first(field, start), sunday_first(field, end)))
}

fn sunday_first(field: Field, number: u32) -> u32 {
    if field == Field::DayOfWeek { number % 7 } else { number }
}

/// Every `step`-th number from `start` to `end`, going on with the field's first after its last.
fn sequence(field: Field, start: u32, end: u32, step: u32) -> Result<Vec<u32>, String> {
    if start <= end {
        return ordinals::expand(field, start, end, step);
    }
    let mut whole = ordinals::expand(field, start, *field.values().end(), 1)?;
    whole.extend(ordinals::expand(field, *field.values().start(), end, 1)?);
    Ok(whole.into_iter().step_by(step as usize).collect())
}

fn step_of(field: Field, piece: Piece) -> Result<u32, TimingError> {
    let most = field.values().end() - field.values().start();
    let step = if piece.text.bytes().all(|byte| byte.is_ascii_digit()) {
        piece.text.parse().ok().filter(|step| (1..=most).contains(step))
    } else {
        None
    };
    step.ok_or_else(|| not_a_step(field, piece, most))
}

fn not_a_step(field: Field, piece: Piece, most: u32) -> TimingError {
    if piece.text.is_empty() {
        return piece.fault("the step is missing").help(format!("steps go from 1 to {most}"));
    }
    let error = piece.fault(format!("`{}` is not a step of the {}", piece.text, field.name()));
    let too_long = piece.text.parse::<u32>().is_ok_and(|step| step > most);
    match field {
        Field::Second | Field::Minute if too_long => error.help(format!(
            "steps go from 1 to {most}; a longer one does not fit a clock: write `every = \"90m\"`"
        )),
        _ => error.help(format!("steps go from 1 to {most}")),
    }
}

fn not_a_value(field: Field, piece: Piece) -> TimingError {
    let text = piece.text;
    let error = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        piece.fault(format!("{text} is not {}", field.a_name()))
    } else {
        piece.fault(format!("`{text}` is not {}", field.a_name()))
    };
    if text.eq_ignore_ascii_case("h") || text.to_ascii_uppercase().starts_with("H(") {
        return error.help("to spread schedules over time, choose a number and set `jitter`");
    }
    if text == "?" {
        return error.help("`?` stands only for a whole day field; write `*`");
    }
    match nearest_name(field, text) {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => error.help(field.allowed()),
    }
}

fn nearest_name(field: Field, text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    field
        .names()
        .map(|(name, _)| (strsim::normalized_damerau_levenshtein(&text, name), name))
        .filter(|(similarity, _)| *similarity > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
