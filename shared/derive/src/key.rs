//! The keys of an attribute: known ones, each once.

use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Error, Path, Result};

/// The key of these that is meant; or what is known, and what may have been meant.
pub(crate) fn known(of: &str, keys: &[&'static str], path: &Path) -> Result<&'static str> {
    if let Some(key) = keys.iter().find(|key| path.is_ident(key)) {
        return Ok(key);
    }
    let said = path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::");
    let distance = |key: &&&str| strsim::damerau_levenshtein(&said, key);
    let nearest = keys.iter().min_by_key(distance).filter(|key| distance(key) <= 2);
    let hint = nearest.map_or_else(|| "its".to_owned(), |key| format!("did you mean `{key}`? Its"));
    let known = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    Err(Error::new(path.span(), format!("`{of}` has no key `{said}`; {hint} keys are {known}")))
}

/// The keys that were said so far.
#[derive(Default)]
pub(crate) struct Seen(Vec<&'static str>);

impl Seen {
    pub(crate) fn once(&mut self, key: &'static str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.0.contains(&key) {
            return Err(meta.error(format!("`{key}` is said twice")));
        }
        self.0.push(key);
        Ok(())
    }
}
