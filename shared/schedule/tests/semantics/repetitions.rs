//! `repeat`: ISO 8601 repetitions.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span, Timestamp};
use proptest::prelude::*;
use upbeat_schedule::{CatchUp, Fold, Gap, TimingSpec, plan, zone, zone_names};

use crate::against_oracle::near_a_change;

fn repeat(text: &str) -> TimingSpec {
    TimingSpec { repeat: Some(text.into()), ..TimingSpec::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// The next occurrences, as local time with the offset.
fn next(spec: &TimingSpec, from: &str, count: usize) -> Vec<String> {
    let timetable = spec.compile().unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let local =
        |at: Timestamp| at.to_zoned(timetable.zone().clone()).strftime("%Y-%m-%d %H:%M%:z").to_string();
    timetable.after(at(from)).take(count).map(local).collect()
}

#[test]
fn months_are_counted_from_the_start_and_clamped_to_their_ends() {
    assert_eq!(
        next(&repeat("R5/2026-01-31T09:00:00Z/P1M"), "2020-01-01T00:00:00Z", 9),
        [
            "2026-01-31 09:00+00:00",
            "2026-02-28 09:00+00:00",
            "2026-03-31 09:00+00:00",
            "2026-04-30 09:00+00:00",
            "2026-05-31 09:00+00:00"
        ]
    );
}

#[test]
fn the_number_is_how_often_it_fires() {
    for (count, fires) in [("R1", 1), ("R2", 2), ("R7", 7)] {
        for step in ["P1D", "PT36H"] {
            let spec = repeat(&format!("{count}/2026-01-31T09:00:00Z/{step}"));
            assert_eq!(next(&spec, "1990-01-01T00:00:00Z", 20).len(), fires, "{count} {step}");
        }
    }
    for endless in
        ["R/2026-01-31T09:00:00Z/P1M", "R-1/2026-01-31T09:00:00Z/P1M", "r/2026-01-31T09:00:00Z/PT1H"]
    {
        assert_eq!(next(&repeat(endless), "1990-01-01T00:00:00Z", 1), ["2026-01-31 09:00+00:00"]);
        assert_eq!(next(&repeat(endless), "8990-01-01T00:00:00Z", 1).len(), 1);
    }
}

#[test]
fn nothing_fires_before_the_start() {
    for step in ["P1M", "PT5H", "P1D"] {
        let spec = repeat(&format!("R/2026-01-31T09:00:00Z/{step}"));
        assert_eq!(next(&spec, "1926-01-31T09:00:00Z", 1), ["2026-01-31 09:00+00:00"], "{step}");
    }
}

#[test]
fn the_zone_or_offset_of_the_start_is_kept() {
    assert_eq!(
        next(&repeat("R3/2026-03-28T09:00[Europe/Berlin]/P1D"), "2026-01-01T00:00:00Z", 9),
        ["2026-03-28 09:00+01:00", "2026-03-29 09:00+02:00", "2026-03-30 09:00+02:00"]
    );
    assert_eq!(
        next(&repeat("R2/2026-03-28T09:00+01:00/P1D"), "2026-01-01T00:00:00Z", 9),
        ["2026-03-28 09:00+01:00", "2026-03-29 09:00+01:00"]
    );
    assert_eq!(
        next(&repeat("R2/2026-03-28T09:00+01:00[Europe/Berlin]/P1D"), "2026-01-01T00:00:00Z", 9),
        ["2026-03-28 09:00+01:00", "2026-03-29 09:00+02:00"]
    );
    let offset = repeat("R2/2026-03-28T09:00:00+01:00/P1D").compile().expect("valid");
    assert_eq!(offset.zone_name(), "+01:00");
    assert_eq!(offset.describe(), "repeat R2/2026-03-28T09:00:00+01:00/P1D");
}

#[test]
fn a_start_without_a_zone_is_read_in_that_of_the_schedule() {
    let new_york = |text: &str| TimingSpec { timezone: Some("America/New_York".into()), ..repeat(text) };
    assert_eq!(
        next(&new_york("R2/2026-03-07T02:30/P1D"), "2026-01-01T00:00:00Z", 9),
        ["2026-03-07 02:30-05:00", "2026-03-08 03:00-04:00"]
    );
    // A start that the clocks skip is moved; those after it are counted from what was written.
    assert_eq!(
        next(&new_york("R2/2026-03-08T02:30/P1D"), "2026-01-01T00:00:00Z", 9),
        ["2026-03-08 03:00-04:00", "2026-03-09 02:30-04:00"]
    );
    let skipping = TimingSpec { gap: Some(Gap::Skip), ..new_york("R2/2026-03-08T02:30/P1D") };
    assert_eq!(next(&skipping, "2026-01-01T00:00:00Z", 9), ["2026-03-09 02:30-04:00"]);
    let both = TimingSpec { fold: Some(Fold::Both), ..new_york("R1/2026-11-01T01:30/P1D") };
    assert_eq!(next(&both, "2026-01-01T00:00:00Z", 9), ["2026-11-01 01:30-04:00", "2026-11-01 01:30-05:00"]);
    // The same zone twice is no contradiction.
    assert!(new_york("R2/2026-03-07T02:30[America/New_York]/P1D").compile().is_ok());
}

#[test]
fn bounds_cut_a_repetition_and_do_not_move_it() {
    let spec = TimingSpec {
        starts: Some("2026-02-01".into()),
        ends: Some("2026-04-01".into()),
        ..repeat("R9/2026-01-31T09:00:00Z/P1M")
    };
    assert_eq!(next(&spec, "2020-01-01T00:00:00Z", 9), ["2026-02-28 09:00+00:00", "2026-03-31 09:00+00:00"]);
}

#[test]
fn what_is_counted_without_walking_ends_with_the_repetition() {
    let timetable = repeat("R4/2026-01-01T00:00:00Z/PT1H").compile().expect("valid");
    let (cursor, now) = (at("2025-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
    let plan = plan(&timetable, cursor, now, CatchUp::None.into(), SignedDuration::from_secs(60), 10);
    assert_eq!(plan.skipped.iter().map(|range| range.count).sum::<u64>(), 4);
    assert_eq!(plan.skipped.last().map(|range| range.until), Some(at("2026-01-01T03:00:00Z")));
    assert_eq!((plan.next, plan.complete), (None, true));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nth_is_start_plus_n_durations(
        months in 0..30_i32, days in 0..70_i32, day in 0..20_000_i64, count in 1..200_i64,
    ) {
        prop_assume!(months + days > 0);
        let tokyo = zone("Asia/Tokyo").expect("known");
        let start = tokyo.to_datetime(at("1960-01-01T00:30:00Z") + SignedDuration::from_hours(24 * day));
        let nth = |n: i64| -> DateTime { start + Span::new().months(months).days(days) * n };
        let expected: Vec<Timestamp> =
            (0..count).map(|n| tokyo.to_timestamp(nth(n)).expect("in range")).collect();
        let spec = repeat(&format!("R{count}/{start}[Asia/Tokyo]/P{months}M{days}D"));
        let found: Vec<Timestamp> = spec.compile().expect("valid").after(Timestamp::MIN).collect();
        prop_assert_eq!(found, expected);
    }
}

/// A repetition on the wall clock, and the expression that names the same times; the latter is held against the oracle.
fn twins(start: DateTime) -> [(&'static str, String); 4] {
    let (minute, hour) = (start.minute(), start.hour());
    let (day, month) = (start.day().min(28), start.month());
    [
        ("P1D", format!("{minute} {hour} * * *")),
        ("P7D", format!("{minute} {hour} * * {}", start.weekday().to_sunday_zero_offset())),
        ("P1M", format!("{minute} {hour} {day} * *")),
        ("P1Y", format!("{minute} {hour} {day} {month} *")),
    ]
}

#[test]
fn in_every_zone_a_repetition_and_its_expression_agree_on_gaps_and_folds() {
    let mut seed = 1_u64;
    for name in zone_names() {
        let zone = zone(name).expect("known");
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let around = i64::try_from(seed >> 33).expect("31 bits") / 2;
            let around = Timestamp::from_second(around).expect("in range");
            // Minutes around a change of clocks, which both the start and what follows may hit.
            let minutes = i64::try_from(seed >> 20 & 0xFF).expect("8 bits") - 128;
            let start = near_a_change(&zone, around, SignedDuration::from_mins(minutes));
            let start =
                zone.to_datetime(start).with().second(0).subsec_nanosecond(0).build().expect("a time");
            let start = if start.day() > 28 { start.with().day(28).build().expect("a day") } else { start };
            for (step, expression) in twins(start) {
                for (gap, fold) in
                    [(Gap::RunAfter, Fold::First), (Gap::Skip, Fold::Second), (Gap::RunAfter, Fold::Both)]
                {
                    let rules = |spec| TimingSpec { gap: Some(gap), fold: Some(fold), ..spec };
                    let spec = rules(repeat(&format!("R/{start}[{name}]/{step}")));
                    let twin = rules(TimingSpec {
                        cron: Some(expression.clone()),
                        timezone: Some(name.into()),
                        ..TimingSpec::default()
                    });
                    let fires = |spec: &TimingSpec, after| {
                        let timetable = spec.compile().expect("valid");
                        timetable.after(after).take(30).collect::<Vec<_>>()
                    };
                    // The day after the start, since an expression has no start.
                    let after = zone.to_timestamp(start).expect("in range") + SignedDuration::from_hours(50);
                    assert_eq!(fires(&spec, after), fires(&twin, after), "{spec:?}");
                }
            }
        }
    }
}
