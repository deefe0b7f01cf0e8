//! A handler that computes: it runs on a thread of its own, and keeps nobody waiting.
//!
//! ```sh
//! cargo run --example blocking
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]
#![allow(clippy::needless_pass_by_value, reason = "a handler is given its task")]

use serde::{Deserialize, Serialize};
use upbeat::config::Config;
use upbeat::prelude::*;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "primes.count", output = u32)]
struct CountPrimes {
    below: u32,
}

/// A plain function. It cannot be dropped, so one that takes long looks now and then whether it should stop.
fn count_primes(task: CountPrimes, ctx: Context) -> Result<u32, Error> {
    let mut count = 0;
    for n in 2..task.below {
        if n % 10_000 == 0 {
            if ctx.is_cancelled() {
                return Err("it was told to stop".into());
            }
            ctx.progress(n.into(), Some(task.below.into()), "counting");
        }
        let divisors = (2..n).take_while(|divisor| divisor * divisor <= n);
        if divisors.filter(|divisor| n % divisor == 0).count() == 0 {
            count += 1;
        }
    }
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = App::new().task_blocking(count_primes);
    let upbeat = app.up().config(Config::default()).start().await?;

    let counted = upbeat.client().publish(CountPrimes { below: 20_000 }).await?.result().await?;
    println!("there are {counted} primes below 20000");
    assert_eq!(counted, 2262);

    upbeat.stop().await?;
    Ok(())
}
