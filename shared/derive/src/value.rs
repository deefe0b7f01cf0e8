//! The values of the attribute's keys: the same rules that names and durations have when a program runs.

use syn::{Error, LitInt, LitStr, Result};

/// The rules of names, as the names' own types check them when a program runs.
pub(crate) fn name(text: Option<&LitStr>, noun: &str, max: usize, extra: &str) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let value = text.value();
    if value.is_empty() || value.len() > max {
        return Err(Error::new(text.span(), format!("a {noun} has 1 to {max} bytes")));
    }
    match value.chars().find(|c| !(c.is_ascii_alphanumeric() || extra.contains(*c))) {
        None => Ok(()),
        Some(bad) => {
            let allowed = extra.chars().map(String::from).collect::<Vec<_>>().join(" ");
            let message =
                format!("{bad:?} is not allowed in a {noun}; use letters, digits and any of {allowed}");
            Err(Error::new(text.span(), message))
        }
    }
}

/// Whole numbers with units, added up: `250ms`, `30s`, `1h 30m`, `7d`. More than nothing.
pub(crate) fn milliseconds(text: &LitStr, noun: &str) -> Result<u64> {
    total(&text.value()).filter(|total| *total > 0).ok_or_else(|| {
        let message = format!("a {noun} is whole numbers with units, like `250ms`, `30s`, `15m` or `1h 30m`");
        Error::new(text.span(), message)
    })
}

fn total(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(millis)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// A number that counts from 1; `why` says so.
pub(crate) fn at_least_one(number: &LitInt, why: &str) -> Result<u32> {
    match number.base10_parse() {
        Ok(0) => Err(Error::new(number.span(), why)),
        Ok(value) => Ok(value),
        Err(_) => Err(Error::new(number.span(), format!("a whole number up to {}", u32::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_the_configuration() {
        for (text, millis) in
            [("250ms", 250), ("30s", 30_000), ("1h 30m", 5_400_000), ("1m30s", 90_000), ("7d", 604_800_000)]
        {
            assert_eq!(total(text), Some(millis), "{text}");
        }
        for text in ["30", "s", "1.5h", "-1s", "1 h", "2w", "99999999999999999999s", "213503982335d"] {
            assert_eq!(total(text), None, "{text}");
        }
    }
}
