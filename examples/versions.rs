//! Arguments change, tasks wait: older versions are read as what they would be now.
//!
//! ```sh
//! cargo run --example versions
//! ```
//!
//! During a rolling deployment old workers park what newer programs publish, until a worker comes that reads it.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use serde::{Deserialize, Serialize};
use upbeat::config::Config;
use upbeat::prelude::*;

/// A field with a default needs no new version, as in serde.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "mail", version = 2, from(1 = MailV1), output = String)]
struct Mail {
    to: Vec<String>,
    #[serde(default)]
    subject: String,
}

/// As it was: kept for as long as such tasks may be waiting.
#[derive(Serialize, Deserialize)]
struct MailV1 {
    recipient: String,
}

impl From<MailV1> for Mail {
    fn from(old: MailV1) -> Self {
        Self { to: vec![old.recipient], subject: String::new() }
    }
}

async fn mail(task: Mail) -> Result<String, Error> {
    Ok(format!("to {}: {:?}", task.to.join(", "), task.subject))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upbeat = App::new().task(mail).up().config(Config::default()).start().await?;
    let client = upbeat.client();

    // What a program of last month published.
    let args = Payload::msgpack(&MailV1 { recipient: "a@example.org".to_owned() })?;
    let old = NewTask::new(TaskName::new("mail")?, args).args_version(1);
    let sent: String = client.publish(old).await?.result().await?;
    println!("{sent}");
    assert_eq!(sent, "to a@example.org: \"\"");

    upbeat.stop().await?;
    Ok(())
}
