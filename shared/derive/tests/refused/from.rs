use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Deserialize)]
struct V1;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", version = 2, from(1 = V1))]
struct WithoutFrom;

struct Opaque;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "b", version = 2, from(1 = Opaque))]
struct OfOpaque;

impl From<Opaque> for OfOpaque {
    fn from(_: Opaque) -> Self {
        Self
    }
}

fn main() {}
