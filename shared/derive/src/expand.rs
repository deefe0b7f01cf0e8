//! The implementation that the derive writes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result};

use crate::attribute::Attribute;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let attribute = Attribute::of(input)?;
    let Some(name) = attribute.name else {
        let message = "say which task this is: #[task(name = \"billing.invoice\")]";
        return Err(Error::new(input.ident.span(), message));
    };
    let queue = option(attribute.queue.map(|queue| quote!(#queue)));
    let timeout = option(attribute.timeout_ms.map(|ms| quote!(::core::time::Duration::from_millis(#ms))));
    let max_attempts = option(attribute.max_attempts.map(|attempts| quote!(#attempts)));
    let version = attribute.version.unwrap_or(1);
    let output = attribute
        .output
        .map_or_else(|| quote!(::upbeat::Unsaid), |output| quote!(::upbeat::Returns<#output>));
    let mut oldest = version;
    let mut older = Vec::new();
    for (known, shape) in &attribute.from {
        let number: u32 = known.base10_parse()?;
        if number == 0 || number >= version {
            return Err(Error::new(
                known.span(),
                format!("an older version is below `version`, which is {version}"),
            ));
        }
        oldest = oldest.min(number);
        older.push(quote!(#number => ::core::result::Result::Ok(
            <Self as ::core::convert::From<#shape>>::from(args.decode::<#shape>()?)
        )));
    }
    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::upbeat::Task for #ident #arguments #conditions {
            type Output = #output;
            const NAME: &'static str = #name;
            const QUEUE: ::core::option::Option<&'static str> = #queue;
            const TIMEOUT: ::core::option::Option<::core::time::Duration> = #timeout;
            const MAX_ATTEMPTS: ::core::option::Option<u32> = #max_attempts;
            const VERSION: u32 = #version;

            fn read(
                version: u32,
                args: &::upbeat::message::Payload,
            ) -> ::core::result::Result<Self, ::upbeat::ArgsError> {
                match version {
                    #version => ::core::result::Result::Ok(args.decode()?),
                    #(#older,)*
                    newer if newer > #version => {
                        ::core::result::Result::Err(::upbeat::ArgsError::Newer { version, known: #version })
                    }
                    _ => ::core::result::Result::Err(::upbeat::ArgsError::Older { version, oldest: #oldest }),
                }
            }
        }
    })
}

fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(
        || quote!(::core::option::Option::None),
        |value| quote!(::core::option::Option::Some(#value)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn error(input: &DeriveInput) -> String {
        expand(input).unwrap_err().to_string()
    }

    #[test]
    fn what_is_said_becomes_constants() {
        let input = parse_quote! {
            #[task(name = "billing.invoice", queue = "billing", timeout = "30s", max_attempts = 5)]
            struct Invoice { customer: u64 }
        };
        let written = expand(&input).unwrap().to_string();
        for part in
            ["for Invoice", "\"billing.invoice\"", "\"billing\"", "from_millis (30000u64)", "Some (5u32)"]
        {
            assert!(written.contains(part), "{part} is missing in {written}");
        }
    }

    #[test]
    fn a_task_without_a_name_is_refused() {
        assert!(
            error(&parse_quote!(
                struct Invoice;
            ))
            .starts_with("say which task this is")
        );
    }

    #[test]
    fn mistakes_say_what_is_allowed() {
        let cases: [(DeriveInput, &str); 5] = [
            (
                parse_quote!(
                    #[task(name = "a b")]
                    struct A;
                ),
                "' ' is not allowed in a task name",
            ),
            (
                parse_quote!(
                    #[task(name = "a", queue = "")]
                    struct A;
                ),
                "a queue name has 1 to 120 bytes",
            ),
            (
                parse_quote!(
                    #[task(name = "a", timeout = "soon")]
                    struct A;
                ),
                "like `250ms`, `30s`",
            ),
            (
                parse_quote!(
                    #[task(name = "a", max_attempts = 0)]
                    struct A;
                ),
                "it is at least 1",
            ),
            (
                parse_quote!(
                    #[task(nam = "a")]
                    struct A;
                ),
                "unknown key",
            ),
        ];
        for (input, part) in cases {
            let message = error(&input);
            assert!(message.contains(part), "{message}");
        }
    }
}
