//! `retry(max_attempts = 5, delay = "10s", …)`: the keys of `[tasks.NAME.retry]`, with the same meaning.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Error, Ident, LitInt, Result};

use crate::key::{self, Seen};
use crate::value;

const KEYS: [&str; 5] = ["max_attempts", "backoff", "delay", "max_delay", "jitter"];
const BACKOFFS: [(&str, &str); 3] =
    [("constant", "Constant"), ("linear", "Linear"), ("exponential", "Exponential")];
const JITTERS: [(&str, &str); 2] = [("none", "None"), ("full", "Full")];

/// What is said of it; the rest is the default.
#[derive(Default)]
pub(crate) struct Retry {
    pub(crate) max_attempts: Option<u32>,
    backoff: Option<Ident>,
    delay_ms: Option<u64>,
    max_delay_ms: Option<u64>,
    jitter: Option<Ident>,
}

impl Retry {
    pub(crate) fn of(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        let mut retry = Self::default();
        let mut seen = Seen::default();
        let mut longest_at = None;
        meta.parse_nested_meta(|meta| {
            let key = key::known("retry", &KEYS, &meta.path)?;
            seen.once(key, &meta)?;
            match key {
                "max_attempts" => retry.max_attempts = Some(max_attempts(&meta.value()?.parse()?)?),
                "backoff" => {
                    let text = value::text(&meta, "backoff = \"linear\"")?;
                    retry.backoff = Some(value::choice(&text, &BACKOFFS)?);
                }
                "delay" => {
                    let text = value::text(&meta, "delay = \"5s\"")?;
                    retry.delay_ms = Some(value::milliseconds(&text, 0, value::YEAR_MS)?);
                }
                "max_delay" => {
                    let text = value::text(&meta, "max_delay = \"10m\"")?;
                    retry.max_delay_ms = Some(value::milliseconds(&text, 0, value::YEAR_MS)?);
                    longest_at = Some(text.span());
                }
                _ => {
                    let text = value::text(&meta, "jitter = \"none\"")?;
                    retry.jitter = Some(value::choice(&text, &JITTERS)?);
                }
            }
            Ok(())
        })?;
        match (retry.delay_ms, retry.max_delay_ms, longest_at) {
            (Some(delay), Some(longest), Some(at)) if longest < delay => {
                let message = "`max_delay` is shorter than `delay`: `delay` is the first one, `max_delay` what it never exceeds";
                Err(Error::new(at, message))
            }
            _ => Ok(retry),
        }
    }

    /// `max_attempts = 5` alone.
    pub(crate) fn attempts(number: &LitInt) -> Result<Self> {
        Ok(Self { max_attempts: Some(max_attempts(number)?), ..Self::default() })
    }

    /// Together with what was said of the attempts alone.
    pub(crate) fn and(self, more: Self, meta: &ParseNestedMeta<'_>) -> Result<Self> {
        if self.max_attempts.is_some() && more.max_attempts.is_some() {
            return Err(meta.error("`max_attempts` is said twice"));
        }
        let max_attempts = self.max_attempts.or(more.max_attempts);
        Ok(Self {
            max_attempts,
            backoff: self.backoff.or(more.backoff),
            delay_ms: self.delay_ms.or(more.delay_ms),
            max_delay_ms: self.max_delay_ms.or(more.max_delay_ms),
            jitter: self.jitter.or(more.jitter),
        })
    }

    /// A constant expression of the policy; nothing where nothing is said.
    pub(crate) fn policy(&self) -> Option<TokenStream> {
        let millis = |ms: u64| quote!(::core::time::Duration::from_millis(#ms));
        let fields = [
            self.max_attempts.map(|max| quote!(max_attempts: #max)),
            self.backoff.as_ref().map(|backoff| quote!(backoff: ::upbeat::retry::Backoff::#backoff)),
            self.delay_ms.map(millis).map(|delay| quote!(delay: #delay)),
            self.longest().map(millis).map(|longest| quote!(max_delay: #longest)),
            self.jitter.as_ref().map(|jitter| quote!(jitter: ::upbeat::retry::Jitter::#jitter)),
        ];
        let fields: Vec<TokenStream> = fields.into_iter().flatten().collect();
        (!fields.is_empty()).then(
            || quote!(::upbeat::retry::RetryPolicy { #(#fields,)* ..::upbeat::retry::RetryPolicy::DEFAULT }),
        )
    }

    /// A first delay above the default of the longest one raises that, as in the configuration.
    fn longest(&self) -> Option<u64> {
        const DEFAULT_MS: u64 = 600_000;
        self.max_delay_ms.or_else(|| self.delay_ms.filter(|delay| *delay > DEFAULT_MS))
    }
}

fn max_attempts(number: &LitInt) -> Result<u32> {
    value::at_least_one(number, "`max_attempts` includes the first: it is at least 1")
}
