//! The contract's table, row by row: expression, zone, from when, and what comes next, all in local time.

use jiff::Timestamp;
use upbeat_schedule::{Fold, Gap, TimingSpec};

fn spec(cron: &str, timezone: &str) -> TimingSpec {
    TimingSpec { cron: Some(cron.into()), timezone: Some(timezone.into()), ..TimingSpec::default() }
}

/// The next occurrences after a local time, each as local time with its offset.
fn next(spec: &TimingSpec, from: &str, count: usize) -> Vec<String> {
    let timetable = spec.compile().expect("the spec is valid");
    let zone = timetable.zone().clone();
    let from: Timestamp = upbeat_schedule::parse_instant(from, Some(&zone)).expect("an instant");
    let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
    timetable.after(from).take(count).map(local).collect()
}

#[test]
fn a_time_in_a_gap_runs_at_the_first_instant_after_it() {
    assert_eq!(
        next(&spec("30 2 * * *", "America/New_York"), "2026-03-07T12:00", 2),
        ["2026-03-08 03:00:00-04:00", "2026-03-09 02:30:00-04:00"]
    );
}

#[test]
fn a_time_in_a_fold_runs_once_at_the_first() {
    assert_eq!(
        next(&spec("30 1 * * *", "America/New_York"), "2026-10-31T12:00", 2),
        ["2026-11-01 01:30:00-04:00", "2026-11-02 01:30:00-05:00"]
    );
}

#[test]
fn an_interval_runs_in_both_passes_of_a_fold() {
    assert_eq!(
        next(&spec("0 * * * *", "America/New_York"), "2026-11-01T00:10", 3),
        ["2026-11-01 01:00:00-04:00", "2026-11-01 01:00:00-05:00", "2026-11-01 02:00:00-05:00"]
    );
}

#[test]
fn a_gap_of_half_an_hour_ends_at_the_half_hour() {
    assert_eq!(
        next(&spec("15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00", 1),
        ["2026-10-04 02:30:00+11:00"]
    );
}

#[test]
fn a_gap_at_midnight_ends_at_one() {
    assert_eq!(
        next(&spec("0 0 * * *", "America/Sao_Paulo"), "2018-11-03T12:00", 1),
        ["2018-11-04 01:00:00-02:00"]
    );
}

#[test]
fn a_whole_day_can_be_a_gap() {
    assert_eq!(
        next(&spec("0 12 30 * *", "Pacific/Apia"), "2011-12-28T13:00", 1),
        ["2011-12-31 00:00:00+14:00"]
    );
}

#[test]
fn two_restricted_day_fields_are_alternatives() {
    assert_eq!(
        next(&spec("0 0 13 * 5", "UTC"), "2026-02-01T00:00", 3),
        ["2026-02-06 00:00:00+00:00", "2026-02-13 00:00:00+00:00", "2026-02-20 00:00:00+00:00"]
    );
}

#[test]
fn a_day_field_that_starts_with_a_star_is_a_restriction() {
    // The Mondays with an odd date.
    assert_eq!(
        next(&spec("0 0 */2 * 1", "UTC"), "2026-06-01T12:00", 2),
        ["2026-06-15 00:00:00+00:00", "2026-06-29 00:00:00+00:00"]
    );
}

#[test]
fn dom_and_dow_asks_for_both() {
    let both = TimingSpec { dom_and_dow: Some(true), ..spec("0 0 13 * 5", "UTC") };
    assert_eq!(
        next(&both, "2026-02-01T00:00", 2),
        ["2026-02-13 00:00:00+00:00", "2026-03-13 00:00:00+00:00"]
    );
}

#[test]
fn seven_is_sunday() {
    for sunday in ["0 0 * * 7", "0 0 * * 0", "0 0 * * sun", "0 0 * * SUNDAY", "@weekly"] {
        assert_eq!(
            next(&spec(sunday, "UTC"), "2026-02-01T00:00", 2),
            ["2026-02-08 00:00:00+00:00", "2026-02-15 00:00:00+00:00"],
            "{sunday}"
        );
    }
}

#[test]
fn the_leap_day_is_found_over_a_century_without_one() {
    assert_eq!(next(&spec("0 0 29 2 *", "UTC"), "2096-03-01T00:00", 1), ["2104-02-29 00:00:00+00:00"]);
}

#[test]
fn two_times_that_a_gap_moves_to_one_moment_are_one_occurrence() {
    assert_eq!(
        next(&spec("0,15,30,45 2,3 * * *", "America/New_York"), "2026-03-08T01:00", 3),
        ["2026-03-08 03:00:00-04:00", "2026-03-08 03:15:00-04:00", "2026-03-08 03:30:00-04:00"]
    );
}

#[test]
fn fixed_times_follow_the_rule_for_gaps() {
    let after = |gap| {
        let spec = TimingSpec { gap: Some(gap), ..spec("30 2 * * *", "America/New_York") };
        next(&spec, "2026-03-08T00:00", 1)
    };
    assert_eq!(after(Gap::RunAfter), ["2026-03-08 03:00:00-04:00"]);
    assert_eq!(after(Gap::Skip), ["2026-03-09 02:30:00-04:00"]);
}

#[test]
fn fixed_times_follow_the_rule_for_folds() {
    let after = |fold| {
        let spec = TimingSpec { fold: Some(fold), ..spec("30 1 * * *", "America/New_York") };
        next(&spec, "2026-11-01T00:00", 2)
    };
    let (first, second, day_after) =
        ("2026-11-01 01:30:00-04:00", "2026-11-01 01:30:00-05:00", "2026-11-02 01:30:00-05:00");
    assert_eq!(after(Fold::First), [first, day_after]);
    assert_eq!(after(Fold::Second), [second, day_after]);
    assert_eq!(after(Fold::Both), [first, second]);
}

#[test]
fn intervals_follow_elapsed_time_whatever_the_rules_say() {
    for gap in [Gap::RunAfter, Gap::Skip] {
        for fold in [Fold::First, Fold::Second, Fold::Both] {
            for cron in ["*/30 * * * *", "0/30 0/1 * * *", "0,30 * * * *", "*/30 0-23 * * *"] {
                let spec = TimingSpec { gap: Some(gap), fold: Some(fold), ..spec(cron, "America/New_York") };
                assert_eq!(
                    next(&spec, "2026-03-08T01:15", 2),
                    ["2026-03-08 01:30:00-05:00", "2026-03-08 03:00:00-04:00"],
                    "{cron}"
                );
                assert_eq!(
                    next(&spec, "2026-11-01T00:45", 5),
                    [
                        "2026-11-01 01:00:00-04:00",
                        "2026-11-01 01:30:00-04:00",
                        "2026-11-01 01:00:00-05:00",
                        "2026-11-01 01:30:00-05:00",
                        "2026-11-01 02:00:00-05:00"
                    ],
                    "{cron}"
                );
            }
        }
    }
}

#[test]
fn an_interval_never_runs_for_a_time_that_a_gap_removed() {
    assert_eq!(
        next(&spec("*/30 2 * * *", "America/New_York"), "2026-03-08T00:00", 1),
        ["2026-03-09 02:00:00-04:00"]
    );
}

#[test]
fn all_values_written_out_are_fixed_times_and_run_once_in_a_fold() {
    assert_eq!(
        next(&spec("0 0-23 * * *", "America/New_York"), "2026-11-01T00:10", 2),
        ["2026-11-01 01:00:00-04:00", "2026-11-01 02:00:00-05:00"]
    );
}
