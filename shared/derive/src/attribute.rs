//! The attribute `#[task(…)]`: what it may say, and what is wrong with what it says.

use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, LitInt, LitStr, Path, Result, Token, Type, parenthesized};

use crate::value;
use crate::versions::{self, Older};

/// Every key, as messages list them.
const KEYS: [&str; 7] = ["name", "queue", "timeout", "max_attempts", "output", "version", "from"];

/// What a type says of its task.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) queue: Option<LitStr>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) max_attempts: Option<u32>,
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
    seen: Vec<String>,
    mistakes: Option<Error>,
}

impl Attribute {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut reader = Reader::default();
        for found in input.attrs.iter().filter(|attribute| attribute.path().is_ident("task")) {
            // What comes after a mistake in the grammar cannot be told apart any more: it ends the attribute.
            if let Err(error) = found.parse_nested_meta(|meta| reader.read(&meta)) {
                reader.mistake(error);
            }
        }
        reader.finish(input)
    }
}

impl Reader {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let key = KEYS.into_iter().find(|key| meta.path.is_ident(key)).ok_or_else(|| unknown(&meta.path))?;
        if self.seen.iter().any(|seen| seen == key) {
            self.mistake(meta.error(format!("`{key}` is said twice")));
        }
        self.seen.push(key.to_owned());
        match key {
            "name" => {
                self.attribute.name = Some(meta.value()?.parse()?);
                self.check(value::name(self.attribute.name.as_ref(), "task name", 200, "_-.:/"));
            }
            "queue" => {
                self.attribute.queue = Some(meta.value()?.parse()?);
                self.check(value::name(self.attribute.queue.as_ref(), "queue name", 120, "_-."));
            }
            "timeout" => {
                let millis = value::milliseconds(&meta.value()?.parse()?, "timeout");
                self.attribute.timeout_ms = self.keep(millis);
            }
            "max_attempts" => {
                let why = "`max_attempts` includes the first: it is at least 1";
                let attempts = value::at_least_one(&meta.value()?.parse()?, why);
                self.attribute.max_attempts = self.keep(attempts);
            }
            "output" => self.attribute.output = Some(output(meta.value()?)?),
            "version" => self.version = Some(meta.value()?.parse()?),
            _ => {
                let content;
                parenthesized!(content in meta.input);
                let older = Punctuated::<Older, Token![,]>::parse_terminated(&content)?;
                if older.is_empty() {
                    self.mistake(meta.error("name the older versions: `from(1 = InvoiceV1)`"));
                }
                self.attribute.older = older.into_iter().collect();
            }
        }
        Ok(())
    }

    fn finish(mut self, input: &DeriveInput) -> Result<Attribute> {
        let version =
            self.version.as_ref().map(|version| value::at_least_one(version, "versions count from 1"));
        self.attribute.version = version.and_then(|version| self.keep(version)).unwrap_or(1);
        let says_version = self.version.is_some();
        let checked = versions::check(&mut self.attribute.older, self.attribute.version, says_version);
        self.check(checked);
        if self.attribute.name.is_none() && self.mistakes.is_none() {
            let message = "say which task this is: #[task(name = \"billing.invoice\")]";
            self.mistake(Error::new(input.ident.span(), message));
        }
        self.mistakes.map_or(Ok(self.attribute), Err)
    }

    fn check(&mut self, checked: Result<()>) {
        self.keep(checked);
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

fn unknown(path: &Path) -> Error {
    let said = path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::");
    let distance = |key: &&str| strsim::damerau_levenshtein(&said, key);
    let nearest = KEYS.into_iter().min_by_key(distance).filter(|key| distance(key) <= 2);
    let hint = nearest.map(|key| format!(", did you mean `{key}`?")).unwrap_or_default();
    let known = KEYS.map(|key| format!("`{key}`")).join(", ");
    Error::new(path.span(), format!("`task` has no key `{said}`{hint}; its keys are {known}"))
}

fn output(input: ParseStream<'_>) -> Result<Type> {
    let at = input.span();
    input
        .parse()
        .map_err(|_| Error::new(at, "`output` is the type that a run returns, like `output = Receipt`"))
}
