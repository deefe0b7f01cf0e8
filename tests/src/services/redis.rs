//! The Redis server that all tests share.

use upbeat_shared::config::ServiceUrl;

/// Where it is. Its user may do everything; it keeps nothing on disk.
///
/// # Panics
///
/// If nobody said where: a test that needs a server must not pass without one.
pub fn url() -> ServiceUrl {
    let url = std::env::var("UPBEAT_TEST_REDIS_URL");
    let url = url.expect("UPBEAT_TEST_REDIS_URL is not set: run tests/run, which starts Redis");
    url.parse().expect("UPBEAT_TEST_REDIS_URL is a URL")
}
