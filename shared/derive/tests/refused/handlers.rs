use serde::{Deserialize, Serialize};
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "a", output = u64)]
struct Count;

#[derive(Serialize, Deserialize)]
struct NoTask;

#[derive(Clone)]
struct Database;

struct NoError;

async fn another_output(_: Count) -> Result<String, Error> {
    Ok(String::new())
}

async fn another_state(_: Count, _: Context<Database>) -> Result<u64, Error> {
    Ok(1)
}

async fn no_task(_: NoTask) -> Result<u64, Error> {
    Ok(1)
}

async fn no_error(_: Count) -> Result<u64, NoError> {
    Ok(1)
}

async fn no_result(_: Count) -> u64 {
    1
}

fn not_async(_: Count) -> Result<u64, Error> {
    Ok(1)
}

async fn nothing() -> Result<u64, Error> {
    Ok(1)
}

fn main() {
    App::new().task(another_output);
    App::new().task(another_state);
    App::new().task(no_task);
    App::new().task(no_error);
    App::new().task(no_result);
    App::new().task(not_async);
    App::new().task(nothing);
}
