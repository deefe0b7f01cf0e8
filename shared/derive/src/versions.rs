//! The older versions that a type can still be read from: `from(1 = InvoiceV1, 2 = InvoiceV2)`.

use syn::parse::{Parse, ParseStream};
use syn::{Error, LitInt, Result, Token, Type};

use crate::value;

/// One older version: its number and the type that has its shape.
pub(crate) struct Older {
    literal: LitInt,
    pub(crate) version: u32,
    pub(crate) shape: Type,
}

impl Parse for Older {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let at = input.span();
        let told = |_| Error::new(at, "an older version is its number and its type, like `1 = InvoiceV1`");
        let literal: LitInt = input.parse().map_err(told)?;
        let version = value::at_least_one(&literal, "versions count from 1")?;
        input.parse::<Token![=]>().map_err(told)?;
        Ok(Self { literal, version, shape: input.parse().map_err(told)? })
    }
}

/// Puts them in order, oldest first, and checks that they are all there is between the oldest and today's version: then a
/// worker can tell by two numbers what it reads.
pub(crate) fn check(older: &mut [Older], version: u32, says_version: bool) -> Result<()> {
    for one in older.iter() {
        if !says_version {
            let message = format!(
                "`from` needs to know what it leads to: add `version = {}`",
                one.version.saturating_add(1)
            );
            return Err(Error::new(one.literal.span(), message));
        }
        if one.version >= version {
            let message = format!("version {} is not older than this type's own, {version}", one.version);
            return Err(Error::new(one.literal.span(), message));
        }
    }
    older.sort_by_key(|one| one.version);
    for pair in older.windows(2) {
        if pair[0].version == pair[1].version {
            let message = format!("version {} is given twice", pair[1].version);
            return Err(Error::new(pair[1].literal.span(), message));
        }
    }
    let mut newer = version;
    for one in older.iter().rev() {
        if one.version + 1 != newer {
            let message = format!(
                "version {missing} is missing: list every version from the oldest that is still read up to {}; one of \
                 the same shape as this type is `{missing} = Self`",
                version - 1,
                missing = newer - 1
            );
            return Err(Error::new(one.literal.span(), message));
        }
        newer = one.version;
    }
    Ok(())
}
