//! Rules in plain English, and the reason of each shift.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use upbeat_schedule::{Calendar, Fold, Gap, OnHoliday, TimingSpec, explain};

use crate::against_oracle::{folds, gaps};
use crate::generate::rule;

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn cron(text: &str, zone: &str) -> TimingSpec {
    TimingSpec { cron: Some(text.into()), timezone: Some(zone.into()), ..TimingSpec::default() }
}

fn every(text: &str) -> TimingSpec {
    TimingSpec { every: Some(text.into()), ..TimingSpec::default() }
}

fn repeat(text: &str) -> TimingSpec {
    TimingSpec { repeat: Some(text.into()), ..TimingSpec::default() }
}

fn office(days: &[&str], on_holiday: OnHoliday, base: TimingSpec) -> TimingSpec {
    let days = days.iter().map(|day| day.parse().expect("a day off")).collect();
    TimingSpec {
        calendar: Some(Calendar::new("office", days).expect("valid")),
        on_holiday: Some(on_holiday),
        ..base
    }
}

/// The next fires with their reasons, a line each.
fn fires(spec: &TimingSpec, from: &str, count: usize) -> Vec<String> {
    let explained = explain(spec, None, at(from), count).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let line = |fire: &upbeat_schedule::Fire| {
        let at = fire.at.strftime("%a %Y-%m-%d %H:%M%:z").to_string();
        assert_eq!(fire.at.timestamp(), fire.utc);
        fire.reason().map_or(at.clone(), |reason| format!("{at} {reason}"))
    };
    explained.fires.iter().map(line).collect()
}

#[test]
fn expressions_are_said_in_plain_english() {
    let texts = [
        "30 2 * * *",
        "0 9,17 * * 1-5",
        "0 0 1 * *",
        "0 0 1,15 * *",
        "@daily",
        "@hourly",
        "@weekly",
        "@yearly",
        "* * * * *",
        "*/15 * * * *",
        "*/7 * * * *",
        "5 * * * *",
        "0 */2 * * *",
        "*/10 9-17 * * MON-FRI",
        "0-10 6 * * *",
        "0,30 8-18 * * *",
        "15 14 1 * *",
        "0 22 * * 1-5",
        "23 0-20/2 * * *",
        "5 4 * * sun",
        "0 0 13 * 5",
        "0 0 */2 * 1",
        "0 0 L * *",
        "0 0 L-3 * *",
        "0 0 LW * *",
        "0 0 15W * *",
        "0 0 * * 5#3",
        "0 0 * * 5L",
        "0 0 1-7 * *",
        "0 9 * JAN,JUL *",
        "0 9 1 NOV-FEB *",
        "* * * * * *",
        "*/10 * * * * *",
        "30 0 9 * * *",
        "0 0 9 1 1 * 2027",
        "0 0 9 1 1 * 2027-2030",
        "10/20 * * * *",
        "0 8 22-31/3 * 6,0",
        "0 0 * * FRI,L-1#2,1L",
        "59 23 31 12 ?",
        "*/5 22-2 * * *",
        "1-59/2 * * * *",
        "0 0,6,12,18 * * *",
    ];
    let mut shown = String::new();
    for text in texts {
        match explain(&cron(text, "Europe/Berlin"), None, Timestamp::UNIX_EPOCH, 0) {
            Ok(explained) => {
                let rule = explained.rule.replace(", by the clocks of Europe/Berlin", "");
                let rule = rule.replace(" It follows elapsed time through changes of the clocks.", "");
                let _ = writeln!(shown, "{text:24} {rule}");
            }
            Err(error) => {
                let _ = writeln!(shown, "{text:24} ! {error}");
            }
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn everything_else_is_said_in_plain_english() {
    let berlin = |spec: TimingSpec| TimingSpec { timezone: Some("Europe/Berlin".into()), ..spec };
    let specs = [
        every("15m"),
        every("1h 30m"),
        every("250ms"),
        every("1 day"),
        berlin(every("P1M")),
        berlin(every("P1Y2M10D")),
        every("2 weeks"),
        every("1 day 5h"),
        cron("@every 90s", "UTC"),
        repeat("R5/2026-01-31T09:00:00Z/P1M"),
        repeat("R/2026-01-31T09:00[Europe/Berlin]/P1W"),
        repeat("R1/2026-01-31T09:00:30+02:00/PT15M"),
        TimingSpec { at: Some("2026-01-31T09:00".into()), ..berlin(TimingSpec::default()) },
        cron("0 * * * *", "Europe/Berlin"),
        cron("0 * * * *", "UTC"),
        TimingSpec { gap: Some(Gap::Skip), fold: Some(Fold::Both), ..cron("30 2 * * *", "Europe/Berlin") },
        TimingSpec { fold: Some(Fold::Second), ..cron("30 2 * * *", "Europe/Berlin") },
        TimingSpec { dom_and_dow: Some(true), ..cron("0 9 13 * 5", "UTC") },
        office(&["sunday"], OnHoliday::Skip, cron("0 9 * * *", "UTC")),
        office(&["sunday"], OnHoliday::NextBusinessDay, cron("0 9 * * *", "UTC")),
        office(&["sunday"], OnHoliday::PreviousBusinessDay, cron("0 9 * * *", "UTC")),
        TimingSpec {
            starts: Some("2026-01-01".into()),
            ends: Some("2026-12-31".into()),
            jitter: Some("5m".into()),
            ..cron("0 9 * * *", "Europe/Berlin")
        },
        TimingSpec { ends: Some("2026-12-31T12:00:30".into()), ..every("1h") },
    ];
    let shown = specs.iter().fold(String::new(), |mut shown, spec| {
        let _ = writeln!(shown, "{}", explain(spec, None, Timestamp::UNIX_EPOCH, 0).expect("valid").rule);
        shown
    });
    insta::assert_snapshot!(shown);
}

#[test]
fn a_gap_and_a_fold_are_given_as_reasons() {
    assert_eq!(
        fires(&cron("30 2 * * *", "America/New_York"), "2026-03-07T17:00:00Z", 2),
        [
            "Sun 2026-03-08 03:00-04:00 gap: the clocks skip 02:30 that day; it runs right after",
            "Mon 2026-03-09 02:30-04:00"
        ]
    );
    assert_eq!(
        fires(&cron("30 1 * * *", "America/New_York"), "2026-10-31T16:00:00Z", 2),
        [
            "Sun 2026-11-01 01:30-04:00 fold: the clocks show 01:30 twice that day; this is the first time",
            "Mon 2026-11-02 01:30-05:00"
        ]
    );
    assert_eq!(
        fires(&cron("0 * * * *", "America/New_York"), "2026-11-01T04:10:00Z", 3),
        [
            "Sun 2026-11-01 01:00-04:00 fold: the clocks show 01:00 twice that day; this is the first time",
            "Sun 2026-11-01 01:00-05:00 fold: the clocks show 01:00 twice that day; this is the second time",
            "Sun 2026-11-01 02:00-05:00"
        ]
    );
    // A day that a zone left out.
    assert_eq!(
        fires(&cron("0 12 30 * *", "Pacific/Apia"), "2011-12-29T00:00:00Z", 1),
        ["Sat 2011-12-31 00:00+14:00 gap: the clocks skip 12:00 that day; it runs right after"]
    );
    // What would run then anyway was not moved.
    assert_eq!(
        fires(&cron("30 2,3 * * *", "America/New_York"), "2026-03-07T17:00:00Z", 2),
        [
            "Sun 2026-03-08 03:00-04:00 gap: the clocks skip 02:30 that day; it runs right after",
            "Sun 2026-03-08 03:30-04:00"
        ]
    );
    assert_eq!(
        fires(&cron("0,30 2,3 * * *", "America/New_York"), "2026-03-07T17:00:00Z", 1),
        ["Sun 2026-03-08 03:00-04:00"]
    );
    let steps = TimingSpec {
        timezone: Some("America/New_York".into()),
        starts: Some("2026-03-07T02:30".into()),
        ..every("1 day")
    };
    assert_eq!(
        fires(&steps, "2026-03-07T00:00:00Z", 2),
        [
            "Sat 2026-03-07 02:30-05:00",
            "Sun 2026-03-08 03:00-04:00 gap: the clocks skip 02:30 that day; it runs right after"
        ]
    );
    let once = TimingSpec {
        at: Some("2026-03-08T02:30".into()),
        timezone: Some("America/New_York".into()),
        ..TimingSpec::default()
    };
    assert_eq!(
        fires(&once, "2026-03-07T00:00:00Z", 2),
        ["Sun 2026-03-08 03:00-04:00 gap: the clocks skip 02:30 that day; it runs right after"]
    );
}

#[test]
fn a_day_off_is_given_as_the_reason() {
    let days = ["saturday", "sunday", "2026-12-28"];
    let spec = office(&days, OnHoliday::NextBusinessDay, cron("0 9 26,30 * *", "UTC"));
    assert_eq!(
        fires(&spec, "2026-12-01T00:00:00Z", 2),
        [
            "Tue 2026-12-29 09:00+00:00 calendar: moved from Saturday 2026-12-26, a day off of office",
            "Wed 2026-12-30 09:00+00:00"
        ]
    );
    let spec = office(&days, OnHoliday::PreviousBusinessDay, repeat("R2/2026-12-28T09:00:00Z/P1M"));
    assert_eq!(
        fires(&spec, "2026-12-01T00:00:00Z", 2),
        [
            "Fri 2026-12-25 09:00+00:00 calendar: moved from Monday 2026-12-28, a day off of office",
            "Thu 2027-01-28 09:00+00:00"
        ]
    );
}

#[test]
fn a_short_month_is_given_as_the_reason() {
    assert_eq!(
        fires(&repeat("R3/2026-01-31T09:00:00Z/P1M"), "2026-01-01T00:00:00Z", 9),
        [
            "Sat 2026-01-31 09:00+00:00",
            "Sat 2026-02-28 09:00+00:00 clamped: this month has no 31st",
            "Tue 2026-03-31 09:00+00:00"
        ]
    );
    let spec =
        office(&["saturday", "sunday"], OnHoliday::NextBusinessDay, repeat("R2/2026-01-31T09:00:00Z/P1M"));
    assert_eq!(
        fires(&spec, "2026-01-01T00:00:00Z", 9)[1],
        "Mon 2026-03-02 09:00+00:00 clamped: this month has no 31st; \
         calendar: moved from Saturday 2026-02-28, a day off of office"
    );
}

#[test]
fn jitter_is_a_reason_for_a_schedule_and_leaves_the_planned_instant() {
    let spec = TimingSpec { jitter: Some("10m".into()), ..cron("@daily", "UTC") };
    let explained = explain(&spec, Some("report"), at("2026-01-01T12:00:00Z"), 1).expect("valid");
    let fire = &explained.fires[0];
    assert_eq!(fire.utc, at("2026-01-02T00:00:00Z"));
    let by = spec.compile().expect("valid").jitter_of("report", fire.utc);
    assert_eq!(fire.due, fire.utc + by);
    assert_eq!(fire.reason(), Some(format!("jitter: runs {by:#} later")));
    let unnamed = explain(&spec, None, at("2026-01-01T12:00:00Z"), 1).expect("valid");
    assert_eq!((unnamed.fires[0].due, unnamed.fires[0].reason()), (fire.utc, None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn what_a_rule_does_not_name_has_a_reason(
        rule in rule(), gap in gaps(), fold in folds(), from in -300_000_000..4_000_000_000_i64, moved in 0..3_u8,
    ) {
        let plain = TimingSpec { gap: Some(gap), fold: Some(fold), ..cron(&rule.text, "America/New_York") };
        let spec = match moved {
            0 => plain,
            1 => office(&["saturday", "sunday", "12-25"], OnHoliday::NextBusinessDay, plain),
            _ => office(&["saturday", "sunday", "12-25"], OnHoliday::PreviousBusinessDay, plain),
        };
        let from = Timestamp::from_second(from).expect("in range");
        let Ok(explained) = explain(&spec, None, from, 20) else { return Ok(()) };
        prop_assert!(explained.rule.ends_with('.') && !explained.rule.contains("  "), "{}", explained.rule);
        for fire in &explained.fires {
            let kinds: Vec<&str> = fire.shifts.iter().map(upbeat_schedule::Shift::kind).collect();
            let civil = fire.at.datetime();
            let named_day = rule.has_date(civil.date());
            let named = named_day && rule.has_time(civil.time());
            prop_assert_eq!(!named, kinds.contains(&"gap") || kinds.contains(&"calendar"), "{:?} {:?}", &spec, fire);
            let repeated = [-3600, 3600].into_iter().any(|by| {
                let other = fire.at.timestamp() + SignedDuration::from_secs(by);
                fire.at.time_zone().to_datetime(other) == civil
            });
            prop_assert_eq!(repeated, kinds.contains(&"fold"), "{:?} {:?}", &spec, fire);
        }
    }
}
