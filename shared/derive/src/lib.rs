//! `#[derive(Task)]`: a type that is the arguments of one kind of task. Used through the facade, `upbeat::Task`.

mod attribute;
mod expand;
mod key;
mod reaction;
mod retry;
mod value;
mod versions;

use proc_macro::TokenStream;

/// Says which task a type's values are the arguments of. The type needs serde's `Serialize` and `Deserialize` as well.
///
/// ```text
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(name = "billing.invoice", queue = "billing", timeout = "30s", max_attempts = 5, output = Receipt)]
/// struct Invoice { … }
/// ```
///
/// | key | meaning |
/// |---|---|
/// | `name` | the task's name; the only key that is required |
/// | `queue` | the queue that publishers use; `default` unless told |
/// | `priority` | 0 (last) to 9 (first); 4 unless told |
/// | `timeout` | how long one run may take: `"30s"`, `"1h 30m"` |
/// | `soft_timeout` | how long a run may take before it is told to wind up (`ctx.soft_timeout()`); shorter than `timeout` |
/// | `max_attempts` | how often it may run and fail, the first time included |
/// | `retry` | when it runs again, with the keys of `[tasks.NAME.retry]`: `retry(delay = "10s", backoff = "linear", max_delay = "5m", jitter = "none")` |
/// | `on` | what becomes of failures by their code, with the keys of `[tasks.NAME.on.CODE]`: `on(card_declined(give_up), busy(retry_after = "30s"), timeout(retry(max_attempts = 2)))` |
/// | `ack` | `"claimed"`: acknowledge its deliveries after the claim, for runs of more than half an hour; `"settled"` unless told |
/// | `output` | the type that a run returns; then a handler that returns another is a compile error |
/// | `version` | the version of the arguments' shape, from 1 |
/// | `from` | older versions that can still be read, each with the type of its shape: `from(1 = InvoiceV1)`. That type needs `Deserialize`, and the task's type `From` it |
///
/// A name or a duration that breaks its rules is a compile error at its place.
#[proc_macro_derive(Task, attributes(task))]
pub fn derive_task(input: TokenStream) -> TokenStream {
    let expanded = syn::parse(input).and_then(|input| expand::expand(&input));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
