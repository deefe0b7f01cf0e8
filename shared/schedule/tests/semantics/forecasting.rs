//! The load of the minutes to come.

use jiff::{SignedDuration, Timestamp};
use upbeat_schedule::{Forecast, Timetable, TimingSpec, forecast};

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn schedules(specs: &[(&str, TimingSpec)]) -> Vec<(String, Timetable)> {
    let compiled = specs.iter().map(|(id, spec)| ((*id).to_owned(), spec.compile().expect("valid")));
    compiled.collect()
}

fn cron(text: &str) -> TimingSpec {
    TimingSpec { cron: Some(text.into()), ..TimingSpec::default() }
}

fn every(text: &str) -> TimingSpec {
    TimingSpec { every: Some(text.into()), ..TimingSpec::default() }
}

fn look(schedules: &[(String, Timetable)], minutes: usize) -> Forecast {
    let named: Vec<_> = schedules.iter().map(|(id, timetable)| (id.as_str(), timetable)).collect();
    forecast(&named, at("2026-01-01T00:00:30Z"), minutes)
}

#[test]
fn each_minute_has_what_is_due_in_it() {
    let all = schedules(&[("a", cron("*/15 * * * *")), ("b", every("20s")), ("c", cron("10 * * * * *"))]);
    let forecast = look(&all, 60);
    assert_eq!(forecast.from, at("2026-01-01T00:00:00Z"));
    for (index, tasks) in forecast.minutes.iter().enumerate() {
        // Three of 20 s, one at second 10, and the quarters of the hour.
        assert_eq!(*tasks, 4 + u64::from(index % 15 == 0), "{index}");
    }
    assert_eq!(forecast.total(), 60 * 4 + 4);
    assert_eq!((forecast.peak(), forecast.stampedes.len()), (5, 0));
}

#[test]
fn a_step_of_a_millisecond_is_counted_and_not_walked() {
    let forecast = look(&schedules(&[("a", every("1ms"))]), 24 * 60);
    assert_eq!(forecast.total(), 24 * 3600 * 1000);
    assert_eq!(forecast.left_out, [] as [&str; 0]);
}

#[test]
fn bounds_of_a_step_are_kept() {
    let bounded = TimingSpec {
        starts: Some("2026-01-01T00:01:30Z".into()),
        ends: Some("2026-01-01T00:02:10Z".into()),
        ..every("10s")
    };
    assert_eq!(look(&schedules(&[("a", bounded)]), 5).minutes, [0, 3, 2, 0, 0]);
}

#[test]
fn jitter_is_part_of_the_forecast_and_reaches_over_its_beginning() {
    let spread = TimingSpec { jitter: Some("10m".into()), ..cron("55 23 * * *") };
    let many: Vec<(String, Timetable)> =
        (0..600).map(|n| (format!("job-{n}"), spread.compile().expect("valid"))).collect();
    let forecast = look(&many, 10);
    // Planned five minutes before midnight, about half of them are due after it.
    assert!((220..380).contains(&forecast.total()), "{}", forecast.total());
    assert!(forecast.minutes[5..].iter().all(|tasks| *tasks == 0));
}

#[test]
fn a_stampede_is_named_with_those_who_make_it_and_what_would_spread_it() {
    let mut all: Vec<(String, Timetable)> =
        (0..100).map(|n| (format!("nightly-{n}"), cron("0 2 * * *").compile().expect("valid"))).collect();
    let spread = TimingSpec { jitter: Some("5m".into()), ..cron("0 2 * * *") };
    all.extend(schedules(&[("often", every("30s")), ("spread", spread), ("other", cron("30 9 * * *"))]));
    let forecast = look(&all, 24 * 60);
    let [stampede] = forecast.stampedes.as_slice() else { panic!("{:?}", forecast.stampedes) };
    assert_eq!(stampede.at, at("2026-01-01T02:00:00Z"));
    assert!((102..=103).contains(&stampede.tasks));
    assert_eq!(stampede.schedules.len(), 100);
    assert!(stampede.schedules.iter().all(|id| id.starts_with("nightly-")));
    assert_eq!(stampede.jitter, SignedDuration::from_mins(17));
}

#[test]
fn the_busiest_stampedes_are_named_and_the_others_counted() {
    let hourly: Vec<(String, Timetable)> =
        (0..20).map(|n| (format!("hourly-{n}"), cron("@hourly").compile().expect("valid"))).collect();
    let forecast = look(&hourly, 24 * 60);
    assert_eq!((forecast.stampedes.len(), forecast.more_stampedes), (10, 14));
}
