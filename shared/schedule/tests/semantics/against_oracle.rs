//! Random expressions in every zone, around changes of clocks and across years, held against the
//! oracle.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use upbeat_schedule::{Fold, Gap, TimingSpec, zone, zone_names};

use crate::generate::rule;
use crate::oracle::Rule;

pub(crate) fn gaps() -> impl Strategy<Value = Gap> {
    prop_oneof![Just(Gap::RunAfter), Just(Gap::Skip)]
}

pub(crate) fn folds() -> impl Strategy<Value = Fold> {
    prop_oneof![Just(Fold::First), Just(Fold::Second), Just(Fold::Both)]
}

/// An instant near a change of clocks of the zone, if it has one near that year.
pub(crate) fn near_a_change(zone: &TimeZone, around: Timestamp, by: SignedDuration) -> Timestamp {
    let change = zone.following(around).next().or_else(|| zone.preceding(around).next());
    change.map_or(around, |change| change.timestamp()).saturating_add(by).expect("no units")
}

/// As far as the oracle can look at this density in reasonable time.
pub(crate) fn reach(rule: &Rule) -> SignedDuration {
    match rule.times_a_day() {
        0..=4 => SignedDuration::from_hours(24 * 300),
        5..=60 => SignedDuration::from_hours(24 * 20),
        61..=1500 => SignedDuration::from_hours(30),
        _ => SignedDuration::from_mins(40),
    }
}

fn check(
    rule: &Rule,
    name: &str,
    (gap, fold): (Gap, Fold),
    (after, until): (Timestamp, Timestamp),
) -> Result<(), TestCaseError> {
    let spec = TimingSpec {
        cron: Some(rule.text.clone()),
        timezone: Some(name.into()),
        gap: Some(gap),
        fold: Some(fold),
        ..TimingSpec::default()
    };
    let zone = zone(name).expect("known");
    let expected = rule.occurrences(&zone, gap, fold, (after, until));
    let Ok(timetable) = spec.compile() else {
        prop_assert!(expected.is_empty(), "`{}` was refused, but fires at {:?}", rule.text, expected[0]);
        return Ok(());
    };
    let found: Vec<Timestamp> = timetable.after(after).take_while(|at| *at <= until).collect();
    prop_assert_eq!(found, expected, "`{}` in {} after {}, {:?}, {:?}", rule.text, name, after, gap, fold);
    Ok(())
}

#[test]
fn random_expressions_near_changes_of_clocks() {
    let names: Vec<&str> = zone_names().collect();
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 2500, failure_persistence: None, ..Config::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
    );
    let years = -2_500_000_000..6_000_000_000_i64;
    let by = -120_000_000_000..10_000_000_000_i64;
    let cases = (rule(), proptest::sample::select(names), gaps(), folds(), years, by);
    let result = runner.run(&cases, |(rule, name, gap, fold, around, by)| {
        let around = Timestamp::from_second(around).expect("in range");
        let by = SignedDuration::from_micros(by);
        let after = near_a_change(&zone(name).expect("known"), around, by);
        check(&rule, name, (gap, fold), (after, after + reach(&rule)))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn every_zone_at_its_changes_of_clocks() {
    let mut runner = TestRunner::deterministic();
    let three_days = SignedDuration::from_hours(72);
    let rules = rule().prop_filter("fires often enough", |rule| rule.times_a_day() < 60);
    for (index, name) in zone_names().enumerate() {
        let zone = zone(name).expect("known");
        let mut after = Timestamp::from_second(-2_500_000_000).expect("in range");
        for step in 0..4_u32 {
            let rule = rules.new_tree(&mut runner).expect("generates").current();
            let skip = 300_000_000 * (1 + i64::from(step)) + 7_919 * i64::try_from(index).expect("small");
            after = near_a_change(
                &zone,
                after + SignedDuration::from_secs(skip),
                SignedDuration::from_hours(-20),
            );
            for (gap, fold) in
                [(Gap::RunAfter, Fold::First), (Gap::Skip, Fold::Second), (Gap::RunAfter, Fold::Both)]
            {
                let found = check(&rule, name, (gap, fold), (after, after + three_days));
                assert!(found.is_ok(), "{found:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(2_000) })]

    #[test]
    fn the_next_is_always_later(rule in rule(), secs in -377_000_000_000..253_000_000_000_i64, nanos in 0..1_000_000_000) {
        let spec = TimingSpec {
            cron: Some(rule.text),
            timezone: Some("Europe/Berlin".into()),
            ..TimingSpec::default()
        };
        let after = Timestamp::new(secs, nanos).expect("in range");
        if let Ok(timetable) = spec.compile() {
            let next = timetable.next(after);
            prop_assert!(next.is_none_or(|next| next > after));
            prop_assert_eq!(next, timetable.next(after), "the same question, the same answer");
        }
    }

    #[test]
    fn any_text_is_accepted_or_refused_but_never_panics(text in "\\PC{0,40}") {
        for spec in [
            TimingSpec { cron: Some(text.clone()), ..TimingSpec::default() },
            TimingSpec { every: Some(text.clone()), ..TimingSpec::default() },
            TimingSpec { at: Some(text.clone()), ..TimingSpec::default() },
            TimingSpec { every: Some("1m".into()), timezone: Some(text.clone()), ..TimingSpec::default() },
            TimingSpec { every: Some("1m".into()), jitter: Some(text.clone()), ..TimingSpec::default() },
            TimingSpec { every: Some("1m".into()), ends: Some(text.clone()), ..TimingSpec::default() },
        ] {
            if let Err(error) = spec.compile() {
                error.render(&text);
                prop_assert!(error.span.end <= text.len(), "{:?}", error);
            }
        }
    }

    #[test]
    fn text_made_of_cron_s_own_letters_never_panics(text in "[-0-9*/,?LW# A-Fa-z@]{0,24}") {
        let spec = TimingSpec { cron: Some(text.clone()), ..TimingSpec::default() };
        match spec.compile() {
            Ok(timetable) => prop_assert!(timetable.next(Timestamp::UNIX_EPOCH).is_none_or(|at| at > Timestamp::UNIX_EPOCH)),
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error),
        }
    }
}
