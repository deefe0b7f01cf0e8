use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Serialize, Deserialize, Task)]
#[task(nam = "a")]
struct Misspelt;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", colour = "red")]
struct Unknown;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", queue = "a", name = "b")]
struct Twice;

#[derive(Serialize, Deserialize, Task)]
#[task(queue = "a")]
struct Nameless;

#[derive(Serialize, Deserialize, Task)]
struct Bare;

#[derive(Serialize, Deserialize, Task)]
#[task]
struct Empty;

#[derive(Serialize, Deserialize, Task)]
#[task("billing.invoice")]
struct OnlyText;

#[derive(Serialize, Deserialize, Task)]
#[task(name)]
struct WithoutValue;

fn main() {}
