//! The brokers that the tests run on: one of each version that matters, started by `tests/run`.

use std::fmt;

use upbeat_shared::config::ServiceUrl;

/// A version of RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The oldest that is supported.
    V4_0,
    /// Where quorum queues count and cancel otherwise.
    V4_3,
}

impl Version {
    /// Where its broker takes connections.
    pub fn url(self) -> ServiceUrl {
        url(&format!("UPBEAT_TEST_AMQP_{self}_URL"))
    }

    /// Where its management API answers, with a user who may do everything.
    pub fn management(self) -> ServiceUrl {
        url(&format!("UPBEAT_TEST_AMQP_{self}_MANAGEMENT_URL"))
    }
}

/// As in the names of the variables.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4_0 => "4_0",
            Self::V4_3 => "4_3",
        })
    }
}

fn url(variable: &str) -> ServiceUrl {
    let url = std::env::var(variable);
    let url = url.unwrap_or_else(|_| panic!("{variable} is not set: run tests/run, which starts RabbitMQ"));
    url.parse().unwrap_or_else(|error| panic!("{variable} is no URL: {error}"))
}
