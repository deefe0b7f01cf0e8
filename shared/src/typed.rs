//! Tasks as Rust types: the arguments' type says which task they are for.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that is the arguments of one kind of task. Usually derived, with `#[derive(Task)]`.
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// The task's name; it follows the rules of [`TaskName`](crate::name::TaskName).
    const NAME: &'static str;
    /// The queue that publishers use; `default` unless told.
    const QUEUE: Option<&'static str>;
    /// How long one run may take; the worker's setting unless told.
    const TIMEOUT: Option<Duration>;
    /// How often it may run and fail, the first time included; the worker's setting unless told.
    const MAX_ATTEMPTS: Option<u32>;
}
