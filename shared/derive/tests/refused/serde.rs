use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Deserialize, Task)]
#[task(name = "a")]
struct NotSerialize;

#[derive(Serialize, Task)]
#[task(name = "a")]
struct NotDeserialize;

fn main() {}
