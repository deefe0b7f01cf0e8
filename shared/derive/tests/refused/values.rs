use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a b", queue = "", timeout = "soon", max_attempts = 0, priority = 10, ack = "later", version = 0)]
struct AllAtOnce;

#[derive(Serialize, Deserialize, Task)]
#[task(name = billing)]
struct NoText;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", timeout = 30)]
struct NoUnit;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", timeout = "0s")]
struct NoTime;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", max_attempts = 5000000000)]
struct TooOften;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", output = "Receipt")]
struct OutputAsText;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", priority = "high")]
struct PriorityAsText;

fn main() {}
