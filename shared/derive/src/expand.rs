//! The implementation that the derive writes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Result};

use crate::attribute::Attribute;
use crate::reaction::On;
use crate::versions::Older;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    not_generic(input)?;
    let Attribute {
        name,
        queue,
        priority,
        timeout_ms,
        soft_timeout_ms,
        retry,
        on,
        ack_when_claimed,
        output,
        version,
        older,
    } = Attribute::of(input)?;
    let queue = option(queue.map(|queue| quote!(#queue)));
    let millis = |ms: u64| quote!(::core::time::Duration::from_millis(#ms));
    let timeout = option(timeout_ms.map(millis));
    let soft_timeout = option(soft_timeout_ms.map(millis));
    let on = on.into_iter().map(|On { code, reaction }| quote!((#code, #reaction)));
    let max_attempts = option(retry.max_attempts.map(|attempts| quote!(#attempts)));
    let retry = option(retry.policy());
    let priority = option(priority.map(|priority| quote!(#priority)));
    let output = output.map_or_else(|| quote!(::upbeat::Unsaid), |output| quote!(::upbeat::Returns<#output>));
    let oldest = older.first().map_or(version, |oldest| oldest.version);
    let read = read(&older);
    let ident = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::upbeat::Task for #ident {
            type Output = #output;
            const NAME: &'static str = #name;
            const QUEUE: ::core::option::Option<&'static str> = #queue;
            const TIMEOUT: ::core::option::Option<::core::time::Duration> = #timeout;
            const SOFT_TIMEOUT: ::core::option::Option<::core::time::Duration> = #soft_timeout;
            const ON: &'static [(&'static str, ::upbeat::reaction::Reaction)] = &[#(#on),*];
            const MAX_ATTEMPTS: ::core::option::Option<u32> = #max_attempts;
            const RETRY: ::core::option::Option<::upbeat::retry::RetryPolicy> = #retry;
            const PRIORITY: ::core::option::Option<u8> = #priority;
            const ACK_WHEN_CLAIMED: bool = #ack_when_claimed;
            const VERSION: u32 = #version;
            const OLDEST: u32 = #oldest;
            #read
        }
    })
}

/// A name stands for one type of arguments, and arguments outlive whoever published them.
fn not_generic(input: &DeriveInput) -> Result<()> {
    if input.generics.params.is_empty() {
        return Ok(());
    }
    let message = "a task's name stands for one type that owns its arguments: it can have neither type parameters nor \
                   lifetimes";
    Err(Error::new(input.generics.span(), message))
}

/// How arguments are read, where there are older versions of them.
fn read(older: &[Older]) -> Option<TokenStream> {
    if older.is_empty() {
        return None;
    }
    let arms = older.iter().map(|Older { version, shape, .. }| {
        // At the type's own place: a `From` that is missing is told there.
        quote_spanned!(shape.span()=> #version => ::upbeat::typed::older::<#shape, Self>(args),)
    });
    Some(quote! {
        fn read(
            version: u32,
            args: &::upbeat::message::Payload,
        ) -> ::core::result::Result<Self, ::upbeat::ArgsError> {
            match version {
                #(#arms)*
                _ => ::upbeat::typed::current(version, args),
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
    fn what_is_said_of_failures_becomes_a_constant() {
        let input = parse_quote! {
            #[task(name = "a", timeout = "30s", soft_timeout = "25s", on(
                card_declined(give_up), busy(retry_after = "30s"), slow(snooze = "1m"), timeout(retry(max_attempts = 2))
            ))]
            struct Charge;
        };
        let written = expand(&input).unwrap().to_string();
        for part in [
            "from_millis (25000u64)",
            "(\"card_declined\" , :: upbeat :: reaction :: Reaction :: GiveUp)",
            "Reaction :: RetryAfter (:: core :: time :: Duration :: from_millis (30000u64))",
            "Reaction :: Snooze (:: core :: time :: Duration :: from_millis (60000u64))",
            "Reaction :: Retry (:: upbeat :: retry :: RetryPolicy { max_attempts : 2u32",
        ] {
            assert!(written.contains(part), "{part} is missing in {written}");
        }
    }

    #[test]
    fn what_makes_no_sense_of_failures_is_refused() {
        let refusal = |on: proc_macro2::TokenStream| {
            let input = parse_quote!(
                #[task(name = "a", timeout = "5s", #on)]
                struct A;
            );
            expand(&input).unwrap_err().to_string()
        };
        for (on, told) in [
            (quote!(on()), "name the codes"),
            (quote!(on(a())), "exactly one of"),
            (quote!(on(a(give_up, snooze = "1m"))), "exactly one of"),
            (quote!(on(a(give_upp))), "did you mean `give_up`?"),
            (quote!(on(a(give_up), a(give_up))), "`a` is said twice"),
            (quote!(on(a::b(give_up))), "an error's code is one word"),
            (quote!(on(a(snooze = "soon"))), "a duration is whole numbers with units"),
            (quote!(soft_timeout = "5s"), "not shorter than `timeout`"),
        ] {
            let refusal = refusal(on);
            assert!(refusal.contains(told), "{refusal}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let input = parse_quote!(
            #[task(name = "a b", queue = "", timeout = "soon", max_attempts = 0, version = 0)]
            struct A;
        );
        let told: Vec<String> =
            expand(&input).unwrap_err().into_iter().map(|error| error.to_string()).collect();
        assert_eq!(told.len(), 5, "{told:?}");
    }
}
