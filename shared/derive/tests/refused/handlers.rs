use serde::{Deserialize, Serialize};
use upbeat::{App, Context, Error, Task};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "count", output = u64)]
struct Count;

#[derive(Serialize, Deserialize)]
struct NoTask;

#[derive(Clone)]
struct Database;

async fn another_output(_: Count) -> Result<String, Error> {
    Ok(String::new())
}

async fn no_task(_: NoTask) -> Result<(), Error> {
    Ok(())
}

async fn wants_a_database(_: Count, _: Context<Database>) -> Result<u64, Error> {
    Ok(1)
}

async fn no_result(_: Count) -> u64 {
    1
}

fn not_async(_: Count) -> Result<u64, Error> {
    Ok(1)
}

fn main() {
    App::new().task(another_output);
    App::new().task(no_task);
    App::new().task(wants_a_database);
    App::new().task(no_result);
    App::new().task(not_async);
}
