//! `every` and `at`, `starts` and `ends`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use proptest::prelude::*;
use upbeat_schedule::{Fold, Gap, TimingSpec, zone};

fn every(text: &str) -> TimingSpec {
    TimingSpec { every: Some(text.into()), ..TimingSpec::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// The next occurrences, as local time with the offset.
fn next(spec: &TimingSpec, from: &str, count: usize) -> Vec<String> {
    let timetable = spec.compile().unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let local =
        |at: Timestamp| at.to_zoned(timetable.zone().clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
    timetable.after(at(from)).take(count).map(local).collect()
}

#[test]
fn elapsed_steps_are_counted_from_the_epoch() {
    assert_eq!(
        next(&every("15m"), "2026-01-01T00:07:00Z", 2),
        ["2026-01-01 00:15:00+00:00", "2026-01-01 00:30:00+00:00"]
    );
    // 7 hours do not divide a day, and every beat still agrees.
    let sevenths = every("7h").compile().expect("valid");
    for after in ["2026-01-01T00:00:00Z", "1960-01-01T00:00:00Z"] {
        let next = sevenths.next(at(after)).expect("there is one");
        assert_eq!(next.as_second() % (7 * 3600), 0);
    }
}

#[test]
fn nanoseconds_before_the_epoch_are_rounded_down() {
    let next = every("1ms").compile().expect("valid").next(at("1969-12-31T23:59:59.9999995Z"));
    assert_eq!(next, Some(Timestamp::UNIX_EPOCH));
}

#[test]
fn elapsed_steps_are_counted_from_the_start_and_the_start_is_one() {
    let spec = TimingSpec { starts: Some("2026-01-01T00:07:00Z".into()), ..every("15m") };
    assert_eq!(
        next(&spec, "2020-01-01T00:00:00Z", 2),
        ["2026-01-01 00:07:00+00:00", "2026-01-01 00:22:00+00:00"]
    );
    assert_eq!(next(&spec, "2026-01-01T00:07:00Z", 1), ["2026-01-01 00:22:00+00:00"]);
}

#[test]
fn months_are_clamped_to_their_end_and_never_accumulate() {
    let spec = TimingSpec { starts: Some("2026-01-31T09:00:00Z".into()), ..every("P1M") };
    assert_eq!(
        next(&spec, "2026-01-01T00:00:00Z", 5),
        [
            "2026-01-31 09:00:00+00:00",
            "2026-02-28 09:00:00+00:00",
            "2026-03-31 09:00:00+00:00",
            "2026-04-30 09:00:00+00:00",
            "2026-05-31 09:00:00+00:00"
        ]
    );
    let leap = TimingSpec { starts: Some("2096-02-29T00:00:00Z".into()), ..every("1 year") };
    assert_eq!(
        next(&leap, "2102-06-01T00:00:00Z", 3),
        ["2103-02-28 00:00:00+00:00", "2104-02-29 00:00:00+00:00", "2105-02-28 00:00:00+00:00"]
    );
}

#[test]
fn a_day_is_a_step_on_the_calendar_and_24_hours_are_elapsed_time() {
    let berlin = |text| TimingSpec {
        timezone: Some("Europe/Berlin".into()),
        starts: Some("2026-03-28T02:30".into()),
        ..every(text)
    };
    assert_eq!(
        next(&berlin("1d"), "2026-03-28T12:00:00Z", 2),
        ["2026-03-29 03:00:00+02:00", "2026-03-30 02:30:00+02:00"]
    );
    let skipping = TimingSpec { gap: Some(Gap::Skip), ..berlin("P1D") };
    assert_eq!(next(&skipping, "2026-03-28T12:00:00Z", 1), ["2026-03-30 02:30:00+02:00"]);
    assert_eq!(
        next(&berlin("24h"), "2026-03-28T12:00:00Z", 2),
        ["2026-03-29 03:30:00+02:00", "2026-03-30 03:30:00+02:00"]
    );
    let autumn =
        |fold| TimingSpec { fold: Some(fold), starts: Some("2026-10-24T02:30".into()), ..berlin("1d") };
    let (first, second) = ("2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00+01:00");
    assert_eq!(next(&autumn(Fold::First), "2026-10-24T12:00:00Z", 1), [first]);
    assert_eq!(next(&autumn(Fold::Second), "2026-10-24T12:00:00Z", 1), [second]);
    assert_eq!(next(&autumn(Fold::Both), "2026-10-24T12:00:00Z", 2), [first, second]);
}

#[test]
fn a_start_in_the_second_pass_of_a_fold_is_an_occurrence() {
    let spec = TimingSpec {
        timezone: Some("America/New_York".into()),
        starts: Some("2026-11-01T01:30:00-05:00".into()),
        ..every("1 day")
    };
    assert_eq!(
        next(&spec, "2026-01-01T00:00:00Z", 2),
        ["2026-11-01 01:30:00-05:00", "2026-11-02 01:30:00-05:00"]
    );
}

#[test]
fn calendar_steps_without_a_start_are_counted_from_the_local_midnight_of_the_epoch() {
    let spec = TimingSpec { timezone: Some("Asia/Tokyo".into()), ..every("1 week") };
    // The epoch was a Thursday.
    assert_eq!(next(&spec, "2026-01-01T00:00:00Z", 1), ["2026-01-08 00:00:00+09:00"]);
}

#[test]
fn an_instant_fires_once() {
    let spec = TimingSpec { at: Some("2026-01-31T09:00:00+01:00".into()), ..TimingSpec::default() };
    let timetable = spec.compile().expect("valid");
    assert_eq!(timetable.next(Timestamp::MIN), Some(at("2026-01-31T08:00:00Z")));
    assert_eq!(timetable.next(at("2026-01-31T08:00:00Z")), None);
}

#[test]
fn an_instant_is_read_in_the_schedule_s_zone_by_its_rules() {
    let new_york = |text: &str, fold| {
        let spec = TimingSpec {
            at: Some(text.into()),
            timezone: Some("America/New_York".into()),
            fold,
            ..TimingSpec::default()
        };
        spec.compile().expect("valid").next(Timestamp::MIN).expect("once").to_string()
    };
    assert_eq!(new_york("2026-03-08T02:30", None), "2026-03-08T07:00:00Z");
    assert_eq!(new_york("2026-11-01T01:30", None), "2026-11-01T05:30:00Z");
    assert_eq!(new_york("2026-11-01T01:30", Some(Fold::Second)), "2026-11-01T06:30:00Z");
    assert_eq!(new_york("2026-07-01 09:00[Europe/Berlin]", None), "2026-07-01T07:00:00Z");
}

#[test]
fn a_leap_second_and_nanoseconds_have_an_answer() {
    let once = |text: &str| {
        let spec = TimingSpec { at: Some(text.into()), ..TimingSpec::default() };
        spec.compile().expect("valid").next(Timestamp::MIN).expect("once").to_string()
    };
    assert_eq!(once("2016-12-31T23:59:60Z"), "2016-12-31T23:59:59Z");
    assert_eq!(once("2026-01-01T00:00:00.123456789Z"), "2026-01-01T00:00:00.123456Z");
    assert_eq!(once("1969-07-20T20:17:40Z"), "1969-07-20T20:17:40Z");
}

#[test]
fn bounds_are_included_and_a_date_is_its_whole_day() {
    let spec = TimingSpec {
        cron: Some("0 0,12 * * *".into()),
        timezone: Some("Europe/Berlin".into()),
        starts: Some("2026-03-28".into()),
        ends: Some("2026-03-29".into()),
        ..TimingSpec::default()
    };
    assert_eq!(
        next(&spec, "2020-01-01T00:00:00Z", 9),
        [
            "2026-03-28 00:00:00+01:00",
            "2026-03-28 12:00:00+01:00",
            "2026-03-29 00:00:00+01:00",
            "2026-03-29 12:00:00+02:00"
        ]
    );
    let to_the_instant = TimingSpec { ends: Some("2026-03-28T12:00".into()), ..spec };
    assert_eq!(next(&to_the_instant, "2026-03-28T00:00:00Z", 9), ["2026-03-28 12:00:00+01:00"]);
}

#[test]
fn time_has_an_end_and_a_beginning() {
    for spec in [
        every("1ms"),
        every("100000h"),
        every("1 day"),
        every("7 months"),
        TimingSpec {
            every: Some("19000 years".into()),
            starts: Some("-009000-01-01T00:00:00Z".into()),
            ..TimingSpec::default()
        },
        TimingSpec { cron: Some("* * * * * *".into()), every: None, ..every("") },
        TimingSpec {
            cron: Some("0 0 29 2 *".into()),
            every: None,
            timezone: Some("Pacific/Apia".into()),
            ..every("")
        },
    ] {
        let timetable = spec.compile().unwrap_or_else(|error| panic!("{spec:?}: {error}"));
        assert!(timetable.next(Timestamp::MIN).is_some(), "{spec:?}");
        assert_eq!(timetable.next(Timestamp::MAX), None, "{spec:?}");
        let near_the_end = Timestamp::MAX.saturating_sub(SignedDuration::from_hours(26)).expect("no units");
        assert!(timetable.next(near_the_end).is_none_or(|next| next > near_the_end));
    }
}

/// Every n from the start on, by jiff's own arithmetic on the wall clock.
fn walk(zone: &TimeZone, anchor: DateTime, step: Span, count: i64) -> Vec<Timestamp> {
    let nth = |n: i64| anchor.checked_add(step.checked_mul(n).expect("small")).expect("in range");
    // A zone without gaps and folds in these years: the oracle for those is elsewhere.
    (0..count).map(|n| zone.to_timestamp(nth(n)).expect("in range")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nth_occurrence_is_start_plus_n_steps(
        months in 0..30_i32, days in 0..70_i32, hours in 0..50_i32,
        day in 0..20_000_i64, n in 0..300_usize,
    ) {
        prop_assume!(months + days > 0);
        let tokyo = zone("Asia/Tokyo").expect("known");
        let anchor = at("1960-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day);
        let expected = walk(&tokyo, tokyo.to_datetime(anchor), Span::new().months(months).days(days).hours(hours), 301);
        let spec = TimingSpec {
            timezone: Some("Asia/Tokyo".into()),
            starts: Some(anchor.to_string()),
            ..every(&format!("{months}mo {days}d {hours}h"))
        };
        let timetable = spec.compile().expect("valid");
        prop_assert_eq!(timetable.next(expected[n]), Some(expected[n + 1]));
        prop_assert_eq!(timetable.next(expected[n + 1] - SignedDuration::from_nanos(1)), Some(expected[n + 1]));
    }

    #[test]
    fn elapsed_steps_are_exact(
        step in 1_000..4_000_000_000_000_i64, start in -60_000_000_000_000_000..60_000_000_000_000_000_i64,
        after in -60_000_000_000_000_000_000..60_000_000_000_000_000_000_i128,
    ) {
        let starts = Timestamp::from_microsecond(start).expect("in range");
        let spec = TimingSpec { starts: Some(starts.to_string()), ..every(&format!("{step}us")) };
        let after = Timestamp::from_nanosecond(after).expect("in range");
        let next = spec.compile().expect("valid").next(after).expect("there is one");
        prop_assert!(next > after && next >= starts);
        prop_assert_eq!((next.as_microsecond() - start) % step, 0);
        let before = next - SignedDuration::from_micros(step);
        prop_assert!(before <= after || before < starts);
    }
}
