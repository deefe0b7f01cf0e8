use serde::{Deserialize, Serialize};
use upbeat::{Returns, Task, Unsaid, Yields};

#[derive(Serialize, Deserialize)]
struct NoTask;

fn task<T: Task>() {}

fn result<T: Task, R>()
where
    T::Output: Yields<R>,
{
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", output = u64)]
struct Counts;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "b")]
struct Silent;

fn main() {
    task::<NoTask>();
    task::<u32>();
    result::<Counts, u64>();
    result::<Silent, String>();
    result::<Counts, String>();
    let _: Option<(Returns<u64>, Unsaid)> = None;
}
