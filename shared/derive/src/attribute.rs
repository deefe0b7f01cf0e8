//! The attribute `#[task(…)]`: what it may say, and what is wrong with what it says.

use syn::meta::ParseNestedMeta;
use syn::{DeriveInput, Error, LitInt, LitStr, Result, Token, Type};

/// What a type says of its task.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) output: Option<Type>,
    pub(crate) version: Option<u32>,
    /// Older versions, each with the type that its arguments had.
    pub(crate) from: Vec<(LitInt, Type)>,
}

impl Attribute {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut attribute = Self::default();
        for found in input.attrs.iter().filter(|attribute| attribute.path().is_ident("task")) {
            found.parse_nested_meta(|meta| attribute.read(&meta))?;
        }
        Ok(attribute)
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("name") {
            self.name = Some(checked(meta.value()?.parse()?, "task name", 200, "_-.:/")?);
        } else if meta.path.is_ident("queue") {
            self.queue = Some(checked(meta.value()?.parse()?, "queue name", 120, "_-.")?);
        } else if meta.path.is_ident("timeout") {
            self.timeout_ms = Some(milliseconds(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("max_attempts") {
            self.max_attempts = Some(at_least_one(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("output") {
            self.output = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("version") {
            self.version = Some(at_least_one(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("from") {
            let content;
            syn::parenthesized!(content in meta.input);
            while !content.is_empty() {
                let version = content.parse()?;
                content.parse::<Token![=]>()?;
                self.from.push((version, content.parse()?));
                if !content.is_empty() {
                    content.parse::<Token![,]>()?;
                }
            }
        } else {
            return Err(meta.error("unknown key; `task` has `name`, `queue`, `timeout` and `max_attempts`"));
        }
        Ok(())
    }
}

/// The rules of names, as the names' own types check them when a program runs.
fn checked(text: LitStr, noun: &str, max: usize, extra: &str) -> Result<LitStr> {
    let value = text.value();
    if value.is_empty() || value.len() > max {
        return Err(Error::new(text.span(), format!("a {noun} has 1 to {max} bytes")));
    }
    match value.chars().find(|c| !(c.is_ascii_alphanumeric() || extra.contains(*c))) {
        None => Ok(text),
        Some(bad) => {
            let allowed = extra.chars().map(String::from).collect::<Vec<_>>().join(" ");
            let message =
                format!("{bad:?} is not allowed in a {noun}; use letters, digits and any of {allowed}");
            Err(Error::new(text.span(), message))
        }
    }
}

/// A whole number with a unit: `250ms`, `30s`, `15m`, `2h`.
fn milliseconds(text: &LitStr) -> Result<u64> {
    let value = text.value();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    let product = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    product.filter(|product| *product > 0).ok_or_else(|| {
        Error::new(text.span(), "a timeout is a whole number with a unit, like `250ms`, `30s`, `15m` or `2h`")
    })
}

fn at_least_one(number: &LitInt) -> Result<u32> {
    let value: u32 = number.base10_parse()?;
    if value == 0 {
        return Err(Error::new(number.span(), "`max_attempts` includes the first: it is at least 1"));
    }
    Ok(value)
}
