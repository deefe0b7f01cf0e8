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
    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::upbeat::Task for #ident #arguments #conditions {
            const NAME: &'static str = #name;
            const QUEUE: ::core::option::Option<&'static str> = #queue;
            const TIMEOUT: ::core::option::Option<::core::time::Duration> = #timeout;
            const MAX_ATTEMPTS: ::core::option::Option<u32> = #max_attempts;
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
