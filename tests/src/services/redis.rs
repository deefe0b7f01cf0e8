//! The Redis servers that all tests share: one of each kind that matters, started by `tests/run`.

use upbeat_shared::config::ServiceUrl;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The oldest Redis that is supported.
    Redis7,
    /// What tests use that are about no version.
    Redis8,
    /// The other branch of the family.
    Valkey,
}

impl Version {
    /// Where it is. Its user may do everything; it keeps nothing on disk.
    ///
    /// # Panics
    ///
    /// If nobody said where: a test that needs a server must not pass without one.
    pub fn url(self) -> ServiceUrl {
        let variable = match self {
            Self::Redis7 => "UPBEAT_TEST_REDIS_7_URL",
            Self::Redis8 => "UPBEAT_TEST_REDIS_URL",
            Self::Valkey => "UPBEAT_TEST_VALKEY_URL",
        };
        let url = std::env::var(variable);
        let url = url.unwrap_or_else(|_| panic!("{variable} is not set: run tests/run, which starts Redis"));
        url.parse().unwrap_or_else(|error| panic!("{variable} is no URL: {error}"))
    }
}
