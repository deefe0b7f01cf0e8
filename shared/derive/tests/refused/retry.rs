use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", retry(dealy = "5s"))]
struct Misspelt;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", retry(backoff = "fast"))]
struct Backoff;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", retry(delay = "10m", max_delay = "5m"))]
struct Shrinking;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", max_attempts = 3, retry(max_attempts = 4))]
struct AttemptsTwice;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", retry(delay = "5s", delay = "6s"))]
struct DelayTwice;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", retry = "5s")]
struct RetryAsText;

fn main() {}
