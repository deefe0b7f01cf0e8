use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Deserialize)]
struct V1;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", from(1 = V1))]
struct FromWithoutVersion;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 2, from(1 = V1, 2 = V1))]
struct NotOlder;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 3, from(1 = V1, 2 = V1, 1 = V1))]
struct SameTwice;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 4, from(1 = V1, 3 = V1))]
struct Gap;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 2, from(0 = V1))]
struct VersionZero;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 2, from(V1))]
struct TypeAlone;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 2, from())]
struct NothingNamed;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = "2")]
struct VersionAsText;

fn main() {}
