//! `on(card_declined(give_up), timeout(retry_after = "1m"))`: what becomes of failures by their code, as in
//! `[tasks.NAME.on.CODE]`.

use proc_macro2::{Group, TokenStream};
use quote::quote;
use syn::Result;
use syn::meta::ParseNestedMeta;

use crate::key;
use crate::retry::Retry;
use crate::value;

const KEYS: [&str; 4] = ["give_up", "retry", "retry_after", "snooze"];
const MAX_CODE_BYTES: usize = 64;

/// What becomes of failures with one code.
pub(crate) struct On {
    pub(crate) code: String,
    /// A constant expression of the reaction.
    pub(crate) reaction: TokenStream,
}

impl On {
    /// All that is said.
    pub(crate) fn all(meta: &ParseNestedMeta<'_>) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        if says_nothing(meta) {
            return Err(meta.error("name the codes: `on(card_declined(give_up))`"));
        }
        meta.parse_nested_meta(|meta| {
            let code = meta.path.get_ident().map(ToString::to_string);
            let code = code.filter(|code| code.is_ascii() && code.len() <= MAX_CODE_BYTES);
            let code = code.ok_or_else(|| meta.error("an error's code is one word, like `card_declined`"))?;
            if all.iter().any(|known| known.code == code) {
                return Err(meta.error(format!("`{code}` is said twice")));
            }
            let reaction = reaction(&meta)?;
            all.push(Self { code, reaction });
            Ok(())
        })?;
        Ok(all)
    }
}

/// Whether `()` follows, of which the parser would only say that its input ends.
fn says_nothing(meta: &ParseNestedMeta<'_>) -> bool {
    meta.input.fork().parse::<Group>().is_ok_and(|group| group.stream().is_empty())
}

fn reaction(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let mut said = None;
    let one = "exactly one of `give_up`, `retry`, `retry_after` and `snooze` says what becomes of a failure";
    if says_nothing(meta) {
        return Err(meta.error(one));
    }
    meta.parse_nested_meta(|meta| {
        let key = key::known("on", &KEYS, &meta.path)?;
        if said.is_some() {
            return Err(meta.error(one));
        }
        let delay = || {
            let text = value::text(&meta, "retry_after = \"1m\"")?;
            let ms = value::milliseconds(&text, 0, value::YEAR_MS)?;
            Ok::<_, syn::Error>(quote!(::core::time::Duration::from_millis(#ms)))
        };
        said = Some(match key {
            "give_up" => quote!(GiveUp),
            "retry" => {
                let policy = Retry::of(&meta)?.policy();
                let policy = policy.unwrap_or_else(|| quote!(::upbeat::retry::RetryPolicy::DEFAULT));
                quote!(Retry(#policy))
            }
            "retry_after" => {
                let delay = delay()?;
                quote!(RetryAfter(#delay))
            }
            _ => {
                let delay = delay()?;
                quote!(Snooze(#delay))
            }
        });
        Ok(())
    })?;
    let said = said.ok_or_else(|| meta.error(one))?;
    Ok(quote!(::upbeat::reaction::Reaction::#said))
}
