//! The attribute `#[task(…)]`: what it may say, and what is wrong with what it says.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Error, LitInt, LitStr, Result, Token, Type, parenthesized};

use crate::key::{self, Seen};
use crate::reaction::On;
use crate::retry::Retry;
use crate::value;
use crate::versions::{self, Older};

/// Every key, as messages list them.
const KEYS: [&str; 12] = [
    "name",
    "queue",
    "priority",
    "timeout",
    "soft_timeout",
    "max_attempts",
    "retry",
    "on",
    "ack",
    "output",
    "version",
    "from",
];
const ACKS: [(&str, &str); 2] = [("settled", "Settled"), ("claimed", "Claimed")];
const MIN_TIMEOUT_MS: u64 = 1;

/// What a type says of its task.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) priority: Option<u8>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) soft_timeout_ms: Option<u64>,
    pub(crate) retry: Retry,
    pub(crate) on: Vec<On>,
    pub(crate) ack_when_claimed: bool,
    pub(crate) output: Option<Type>,
    /// The version of the shape; 1 where the type does not say.
    pub(crate) version: u32,
    /// The older versions that can still be read, oldest first.
    pub(crate) older: Vec<Older>,
}

/// The attribute while it is read: mistakes are gathered, so that one build tells of all of them.
#[derive(Default)]
struct Reader {
    attribute: Attribute,
    version: Option<LitInt>,
    soft_timeout_at: Option<Span>,
    seen: Seen,
    mistakes: Option<Error>,
}

impl Attribute {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut reader = Reader::default();
        for found in input.attrs.iter().filter(|attribute| attribute.path().is_ident("task")) {
            // What comes after a mistake in the grammar cannot be told apart any more: it ends the attribute.
            let read =
                not_a_bare_text(found).and_then(|()| found.parse_nested_meta(|meta| reader.read(&meta)));
            if let Err(error) = read {
                reader.mistake(error);
            }
        }
        reader.finish(input)
    }
}

impl Reader {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let key = key::known("task", &KEYS, &meta.path)?;
        let once = self.seen.once(key, meta);
        self.keep(once);
        match key {
            "name" => self.attribute.name = Some(self.name(meta, "task name", 200, "_-.:/")?),
            "queue" => self.attribute.queue = Some(self.name(meta, "queue name", 120, "_-.")?),
            "priority" => {
                let priority = priority(&meta.value()?.parse()?);
                self.attribute.priority = self.keep(priority);
            }
            "timeout" => {
                let text = value::text(meta, "timeout = \"30s\"")?;
                self.attribute.timeout_ms =
                    self.keep(value::milliseconds(&text, MIN_TIMEOUT_MS, value::YEAR_MS));
            }
            "soft_timeout" => {
                let text = value::text(meta, "soft_timeout = \"25s\"")?;
                self.attribute.soft_timeout_ms =
                    self.keep(value::milliseconds(&text, MIN_TIMEOUT_MS, value::YEAR_MS));
                self.soft_timeout_at = Some(text.span());
            }
            "on" => self.attribute.on = On::all(meta)?,
            "max_attempts" => {
                let said = Retry::attempts(&meta.value()?.parse()?);
                if let Some(said) = self.keep(said) {
                    self.retry(said, meta)?;
                }
            }
            "retry" => self.retry(Retry::of(meta)?, meta)?,
            "ack" => {
                let chosen = value::choice(&value::text(meta, "ack = \"claimed\"")?, &ACKS);
                self.attribute.ack_when_claimed = self.keep(chosen).is_some_and(|ack| ack == "Claimed");
            }
            "output" => self.attribute.output = Some(output(meta.value()?)?),
            "version" => self.version = Some(meta.value()?.parse()?),
            _ => self.attribute.older = older(meta)?,
        }
        Ok(())
    }

    fn name(&mut self, meta: &ParseNestedMeta<'_>, noun: &str, max: usize, extra: &str) -> Result<LitStr> {
        let text = value::text(meta, "name = \"billing.invoice\"")?;
        self.keep(value::name(&text, noun, max, extra));
        Ok(text)
    }

    fn retry(&mut self, said: Retry, meta: &ParseNestedMeta<'_>) -> Result<()> {
        self.attribute.retry = std::mem::take(&mut self.attribute.retry).and(said, meta)?;
        Ok(())
    }

    fn finish(mut self, input: &DeriveInput) -> Result<Attribute> {
        let says_version = self.version.is_some();
        let version =
            self.version.take().map(|version| value::at_least_one(&version, "versions count from 1"));
        let version = version.map_or(Some(1), |version| self.keep(version));
        if let Some(version) = version {
            self.attribute.version = version;
            let checked = versions::check(&mut self.attribute.older, version, says_version);
            self.keep(checked);
        }
        if let (Some(timeout), Some(soft), Some(at)) =
            (self.attribute.timeout_ms, self.attribute.soft_timeout_ms, self.soft_timeout_at)
            && soft >= timeout
        {
            let message = "`soft_timeout` is not shorter than `timeout`: a run is told to wind up at the first, and stopped at \
                           the second";
            self.mistake(Error::new(at, message));
        }
        if self.attribute.name.is_none() && self.mistakes.is_none() {
            let message = "say which task this is: #[task(name = \"billing.invoice\")]";
            self.mistake(Error::new(input.ident.span(), message));
        }
        self.mistakes.map_or(Ok(self.attribute), Err)
    }

    fn keep<T>(&mut self, checked: Result<T>) -> Option<T> {
        checked.map_err(|error| self.mistake(error)).ok()
    }

    fn mistake(&mut self, error: Error) {
        match &mut self.mistakes {
            Some(mistakes) => mistakes.combine(error),
            None => self.mistakes = Some(error),
        }
    }
}

/// The name alone, as some frameworks write it.
fn not_a_bare_text(attribute: &syn::Attribute) -> Result<()> {
    let syn::Meta::List(list) = &attribute.meta else { return Ok(()) };
    let Ok(text) = syn::parse2::<LitStr>(list.tokens.clone()) else { return Ok(()) };
    Err(Error::new(text.span(), format!("say what this is: `name = {:?}`", text.value())))
}

fn priority(number: &LitInt) -> Result<u8> {
    let value = number.base10_parse().ok().filter(|priority| *priority <= 9);
    value.ok_or_else(|| Error::new(number.span(), "a priority is 0 (last) to 9 (first)"))
}

fn output(input: ParseStream<'_>) -> Result<Type> {
    let at = input.span();
    input
        .parse()
        .map_err(|_| Error::new(at, "`output` is the type that a run returns, like `output = Receipt`"))
}

fn older(meta: &ParseNestedMeta<'_>) -> Result<Vec<Older>> {
    let content;
    parenthesized!(content in meta.input);
    let older = Punctuated::<Older, Token![,]>::parse_terminated(&content)?;
    if older.is_empty() {
        return Err(meta.error("name the older versions: `from(1 = InvoiceV1)`"));
    }
    Ok(older.into_iter().collect())
}
