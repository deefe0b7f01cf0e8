use serde::{Deserialize, Serialize};
use upbeat::Task;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", output = Recipt)]
struct OutputOfNoType;

fn main() {}
