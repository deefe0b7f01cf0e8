//! Values as they were found, and what they are read as. Never knows which key they belong to.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::provenance::Origin;
use super::tree::{Node, Value};
use jiff::{Span, SpanRelativeTo};

/// A value with the place where it was found. Not `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) at: At,
    pub(super) origin: Origin,
    /// A text that stands for any kind of value: it came from the environment or a flag.
    pub(super) loose: bool,
    /// It came from a file of its own, and is not shown.
    pub(super) sealed: bool,
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Bytes of the file.
    Text(Range<usize>),
    Environment(&'static str),
    Flag(&'static str),
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) spot: Spot,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Which part of a value is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Whole,
    /// Bytes of its text.
    Part(Range<usize>),
    /// Another stretch of the file: a key or an item inside of it.
    Bytes(Range<usize>),
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { spot: Spot::Whole, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn at(mut self, spot: Spot) -> Self {
        self.spot = spot;
        self
    }
}

impl Found {
    /// Something inside of this value, such as an item of a list.
    pub(super) fn inside(&self, node: &Node) -> Self {
        let at = match &self.at {
            At::Text(_) => At::Text(node.span.clone()),
            at => at.clone(),
        };
        Self {
            value: node.value.clone(),
            at,
            origin: self.origin.clone(),
            loose: self.loose,
            sealed: self.sealed,
        }
    }

    /// Moves a fault of something inside of this value to its place.
    pub(super) fn within(span: Range<usize>, fault: Fault) -> Fault {
        match fault.spot {
            Spot::Whole | Spot::Part(_) => fault.at(Spot::Bytes(span)),
            Spot::Bytes(_) => fault,
        }
    }

    pub(super) fn text(&self) -> Result<&str, Fault> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.unlike("a text").help("texts are written in quotes")),
        }
    }

    /// A text that says something.
    pub(super) fn filled(&self) -> Result<&str, Fault> {
        match self.text()? {
            text if text.trim().is_empty() => Err(Fault::new("this text is empty")),
            text => Ok(text),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        match &self.value {
            Value::Boolean(value) => Ok(*value),
            Value::Text(text) if self.loose && text == "true" => Ok(true),
            Value::Text(text) if self.loose && text == "false" => Ok(false),
            _ => Err(self.unlike("`true` or `false`")),
        }
    }

    pub(super) fn number(&self, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let parsed = match &self.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if self.loose => match text.trim().parse::<i128>() {
                Ok(number) => Some(number),
                Err(_) => return Err(Fault::new("this is no whole number")),
            },
            _ => return Err(self.unlike("a whole number")),
        };
        let number =
            parsed.and_then(|number| u64::try_from(number).ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| {
            Fault::new("this number is out of range").help(format!(
                "it goes from {} to {}",
                range.start(),
                range.end()
            ))
        })
    }

    pub(super) fn small(&self, range: RangeInclusive<u32>) -> Result<u32, Fault> {
        let number = self.number(u64::from(*range.start())..=u64::from(*range.end()))?;
        Ok(u32::try_from(number).expect("the range holds numbers of 32 bits only"))
    }

    /// A length of time. A day is 24 hours here.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, Fault> {
        const FORMS: &str = "durations are written as \"250ms\", \"30s\", \"1h 30m\" or \"7d\"";
        let text = match &self.value {
            Value::Integer(number) => {
                return Err(
                    Fault::new("a duration needs a unit").help(format!("for seconds write \"{number}s\""))
                );
            }
            Value::Text(text) => text.trim(),
            _ => return Err(self.unlike("a duration").help(FORMS)),
        };
        let span: Span = text.parse().map_err(|_| Fault::new("this is no duration").help(FORMS))?;
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| {
            Fault::new("months and years vary in length").help("write days: a year is mostly \"365d\"")
        })?;
        let length = Duration::try_from(length).map_err(|_| Fault::new("a duration cannot be negative"))?;
        if !range.contains(&length) {
            let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
            let which = if length < *range.start() { "short" } else { "long" };
            return Err(Fault::new(format!("this duration is too {which}"))
                .help(format!("it goes from {least} to {most}")));
        }
        Ok(length)
    }

    /// A number of bytes: `65536`, `"64KiB"`, `"1MB"`.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Result<usize, Fault> {
        const FORMS: &str = "sizes are written as 65536, \"64KiB\" or \"1MiB\"";
        let bytes = match &self.value {
            Value::Integer(_) => self.number(range)?,
            Value::Text(text) => {
                let bytes =
                    parse_size(text.trim()).ok_or_else(|| Fault::new("this is no size").help(FORMS))?;
                if !range.contains(&bytes) {
                    let (least, most) = (show_size(*range.start()), show_size(*range.end()));
                    return Err(Fault::new("this size is out of range")
                        .help(format!("it goes from {least} to {most}")));
                }
                bytes
            }
            _ => return Err(self.unlike("a size").help(FORMS)),
        };
        usize::try_from(bytes).map_err(|_| Fault::new("this size is out of range"))
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Fault> {
        let text = self.text()?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Ok(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(Fault::new(format!("`{}` is none of the choices", brief(text)))
            .help(format!("choose {}", one_of(&names))))
    }

    pub(super) fn items(&self, what: &str) -> Result<Vec<Self>, Fault> {
        let Value::List(items) = &self.value else { return Err(self.unlike(what)) };
        Ok(items.iter().map(|item| self.inside(item)).collect())
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, Fault> {
        let items = self.items("a list of texts").map_err(|fault| fault.help("write [\"one\", \"two\"]"))?;
        items.iter().map(|item| item.text().map(str::to_owned).map_err(|fault| item.placed(fault))).collect()
    }

    /// The bytes of the file, if it is there that this was found.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        match &self.at {
            At::Text(span) => Some(span.clone()),
            At::Environment(_) | At::Flag(_) => None,
        }
    }

    /// A fault of this value, for a caller that reports it as one of the value around it.
    pub(super) fn placed(&self, fault: Fault) -> Fault {
        match self.span() {
            Some(span) => Self::within(span, fault),
            None => fault,
        }
    }

    /// A value of the wrong kind.
    pub(super) fn unlike(&self, wanted: &str) -> Fault {
        Fault::new(format!("this should be {wanted}, and is {}", self.value.kind()))
    }
}

/// `a`, `b` or `c`.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The name that was probably meant.
pub(super) fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const SIMILAR: f64 = 0.6;
    let wanted = wanted.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// A text's beginning, for a message.
pub(super) fn brief(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// As it would be written: whole days as days, everything else in hours and less.
pub(super) fn show_duration(duration: Duration) -> String {
    const DAY_SECS: u64 = 24 * 3600;
    let secs = duration.as_secs();
    if duration.subsec_nanos() == 0 && secs > DAY_SECS && secs.is_multiple_of(DAY_SECS) {
        return format!("{}d", secs / DAY_SECS);
    }
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{secs}s"), |duration| format!("{duration:#}"))
}

pub(super) fn show_size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        0 => "0".into(),
        bytes if bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        bytes if bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        bytes => bytes.to_string(),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Found {
        Found {
            value: Value::Text(text.to_owned()),
            at: At::Flag("--x"),
            origin: Origin::Flag("--x"),
            loose: true,
            sealed: false,
        }
    }

    #[test]
    fn durations_are_shown_as_they_can_be_written() {
        let any = Duration::ZERO..=Duration::MAX;
        for written in ["250ms", "5s", "1m 30s", "1h", "24h", "7d", "365d", "49h"] {
            assert_eq!(show_duration(text(written).duration(any.clone()).unwrap()), written);
        }
    }

    #[test]
    fn sizes_are_shown_as_they_can_be_written() {
        for written in ["0", "100", "64KiB", "1MiB"] {
            assert_eq!(show_size(text(written).size(0..=u64::MAX).unwrap() as u64), written);
        }
        assert!(text("99999999999999MiB").size(0..=u64::MAX).is_err());
    }

    #[test]
    fn bounds_belong_to_the_range() {
        assert_eq!(text("1").number(1..=9), Ok(1));
        assert_eq!(text("9").number(1..=9), Ok(9));
        assert!(text("0").number(1..=9).is_err());
        assert!(text("10").number(1..=9).is_err());
        assert!(text("-1").number(0..=9).is_err());
    }
}
