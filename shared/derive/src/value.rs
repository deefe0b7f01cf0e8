//! The values of the attribute's keys: the same rules that names and durations have when a program runs.

use syn::meta::ParseNestedMeta;
use syn::{Error, Ident, LitInt, LitStr, Result};

/// The longest duration that the configuration takes.
pub(crate) const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// A text in quotes; `example` shows one.
pub(crate) fn text(meta: &ParseNestedMeta<'_>, example: &str) -> Result<LitStr> {
    let value = meta.value()?;
    let at = value.span();
    value.parse().map_err(|_| Error::new(at, format!("this is a text in quotes, like `{example}`")))
}

/// The rules of names, as the names' own types check them when a program runs.
pub(crate) fn name(text: &LitStr, noun: &str, max: usize, extra: &str) -> Result<()> {
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

/// Whole numbers with units, added up: `250ms`, `30s`, `1h 30m`, `7d`.
pub(crate) fn milliseconds(text: &LitStr, least: u64, most: u64) -> Result<u64> {
    let Some(total) = total(&text.value()) else {
        let message = "a duration is whole numbers with units: `250ms`, `30s`, `1h 30m` or `7d`";
        return Err(Error::new(text.span(), message));
    };
    if total < least {
        return Err(Error::new(text.span(), format!("this duration is too short: it is at least {least}ms")));
    }
    if total > most {
        return Err(Error::new(
            text.span(),
            format!("this duration is too long: it is at most {}h", most / 3_600_000),
        ));
    }
    Ok(total)
}

fn total(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: Option<u64> = None;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let millis = number.parse::<u64>().ok()?.checked_mul(factor)?;
        total = Some(total.unwrap_or(0).checked_add(millis)?);
        rest = after.trim_start();
    }
    total
}

/// A number that counts from 1; `why` says so.
pub(crate) fn at_least_one(number: &LitInt, why: &str) -> Result<u32> {
    match number.base10_parse() {
        Ok(0) => Err(Error::new(number.span(), why)),
        Ok(value) => Ok(value),
        Err(_) => Err(Error::new(number.span(), format!("this is a whole number up to {}", u32::MAX))),
    }
}

/// One of these words, as the variant that it stands for.
pub(crate) fn choice(text: &LitStr, choices: &[(&str, &str)]) -> Result<Ident> {
    let value = text.value();
    let found = choices.iter().find(|(word, _)| *word == value);
    found.map(|(_, variant)| Ident::new(variant, text.span())).ok_or_else(|| {
        let words = choices.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        Error::new(text.span(), format!("{value:?} is none of {words}"))
    })
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
        for text in ["", "30", "s", "1.5h", "-1s", "1 h", "2w", "99999999999999999999s", "213503982335d"] {
            assert_eq!(total(text), None, "{text}");
        }
    }
}
