//! `#[derive(Task)]`: a type that is the arguments of one kind of task. Used through the facade, `upbeat::Task`.

mod attribute;
mod expand;

use proc_macro::TokenStream;

/// Says which task a type's values are the arguments of.
///
/// `#[task(name = "billing.invoice", queue = "billing", timeout = "30s", max_attempts = 5)]`; only `name` is required. A
/// name or a duration that breaks its rules is a compile error at its place.
#[proc_macro_derive(Task, attributes(task))]
pub fn derive_task(input: TokenStream) -> TokenStream {
    let expanded = syn::parse(input).and_then(|input| expand::expand(&input));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
