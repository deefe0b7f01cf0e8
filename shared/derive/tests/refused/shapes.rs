use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a")]
enum Generic<T> {
    One(T),
}

#[derive(Serialize, Task)]
#[task(name = "a")]
struct Borrowed<'a> {
    text: &'a str,
}

fn main() {}
