//! Limits of queues, tasks and keys, as they are written.

use super::World;
use super::refusals::refuses;
use crate::limit::{LimitPolicy, Rate};

#[test]
fn each_group_of_tasks_has_limits_of_its_own() {
    let config = World::with(
        "[queues.mail]\nrunning = 50\n[tasks.send]\ncommand = ['x']\nrunning = 5\nrate = '100/1s'\n\
         [tasks.send.per_key]\nrunning = 1\nrate = '10/1m'\nburst = 20\n",
    )
    .config();
    let rate = |text: &str| text.parse::<Rate>().unwrap();
    let send = &config.tasks[&"send".parse().unwrap()];
    assert_eq!(config.queues[&"mail".parse().unwrap()].limit, LimitPolicy::default().running(50));
    assert_eq!(send.limit, LimitPolicy::default().running(5).rate(rate("100/1s")));
    let per_key = LimitPolicy::default().running(1).rate(rate("10/1m").with_burst(20));
    assert_eq!(send.limit_per_key, per_key);
}

#[test]
fn a_text_that_is_no_rate_is_refused() {
    refuses(
        "[queues.mail]\nrate = '10 a minute'\n",
        "\
error: this is no rate
 --> upbeat.toml:2:8
  |
2 | rate = '10 a minute'
  |        ^^^^^^^^^^^^^
  = write so many starts in a time, such as \"10/1m\"
",
    );
}

#[test]
fn a_burst_without_a_rate_is_refused() {
    refuses(
        "[tasks.send]\ncommand = ['x']\n[tasks.send.per_key]\nburst = 3\n",
        "\
error: this is a burst of no rate
 --> upbeat.toml:4:9
  |
4 | burst = 3
  |         ^
  = set `rate` too, or remove this key
",
    );
}

#[test]
fn a_limit_that_lets_nothing_run_is_refused() {
    refuses(
        "[queues.mail]\nrunning = 0\n",
        "\
error: this number is out of range
 --> upbeat.toml:2:11
  |
2 | running = 0
  |           ^
  = it goes from 1 to 1000000
",
    );
}
