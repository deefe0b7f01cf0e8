//! Days off: what is skipped, what is moved, and how it is accounted for.

use jiff::civil::{Date, Weekday};
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use upbeat_schedule::{
    Calendar, CatchUp, DayOff, OnHoliday, Plan, SkipReason, TimingSpec, plan, zone, zone_names,
};

use crate::against_oracle::{folds, gaps, near_a_change, reach};
use crate::generate::rule;
use crate::oracle::{DaysOff, Rule};

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn calendar(days: &[&str]) -> Calendar {
    let days = days.iter().map(|day| day.parse().expect("a day off")).collect();
    Calendar::new("office", days).expect("valid")
}

/// A rule in Berlin that follows a calendar.
fn office(days: &[&str], on_holiday: OnHoliday) -> TimingSpec {
    TimingSpec {
        timezone: Some("Europe/Berlin".into()),
        calendar: Some(calendar(days)),
        on_holiday: Some(on_holiday),
        ..TimingSpec::default()
    }
}

fn cron(text: &str, base: TimingSpec) -> TimingSpec {
    TimingSpec { cron: Some(text.into()), ..base }
}

fn every(text: &str, base: TimingSpec) -> TimingSpec {
    TimingSpec { every: Some(text.into()), ..base }
}

/// The next occurrences, as local time.
fn next(spec: &TimingSpec, from: &str, count: usize) -> Vec<String> {
    let timetable = spec.compile().unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let local = |at: Timestamp| at.to_zoned(timetable.zone().clone()).strftime("%a %m-%d %H:%M").to_string();
    timetable.after(at(from)).take(count).map(local).collect()
}

const WEEKEND: [&str; 2] = ["saturday", "sunday"];

#[test]
fn a_day_off_is_skipped() {
    let spec =
        cron("0 9 * * *", office(&["saturday", "sunday", "12-25", "2026-12-28/2026-12-30"], OnHoliday::Skip));
    assert_eq!(
        next(&spec, "2026-12-23T12:00:00Z", 3),
        ["Thu 12-24 09:00", "Thu 12-31 09:00", "Fri 01-01 09:00"]
    );
}

#[test]
fn what_falls_on_a_day_off_moves_to_the_next_or_the_previous_business_day() {
    // The 15th of August 2026 is a Saturday, that of November a Sunday.
    let next_day = cron("0 9 15 * *", office(&WEEKEND, OnHoliday::NextBusinessDay));
    assert_eq!(
        next(&next_day, "2026-08-01T00:00:00Z", 4),
        ["Mon 08-17 09:00", "Tue 09-15 09:00", "Thu 10-15 09:00", "Mon 11-16 09:00"]
    );
    let day_before = cron("0 9 15 * *", office(&WEEKEND, OnHoliday::PreviousBusinessDay));
    assert_eq!(
        next(&day_before, "2026-08-01T00:00:00Z", 4),
        ["Fri 08-14 09:00", "Tue 09-15 09:00", "Thu 10-15 09:00", "Fri 11-13 09:00"]
    );
}

#[test]
fn a_move_crosses_months_and_years() {
    let days = ["saturday", "sunday", "01-01", "2026-12-31"];
    let next_day = cron("0 9 L 12 *", office(&days, OnHoliday::NextBusinessDay));
    // Thursday the 31st and New Year are off, the 2nd and 3rd are a weekend.
    assert_eq!(next(&next_day, "2026-12-01T00:00:00Z", 1), ["Mon 01-04 09:00"]);
    assert_eq!(next(&next_day, "2026-12-31T12:00:00Z", 1), ["Mon 01-04 09:00"]);
    let day_before = cron("0 9 1 1 *", office(&days, OnHoliday::PreviousBusinessDay));
    assert_eq!(next(&day_before, "2026-12-01T00:00:00Z", 1), ["Wed 12-30 09:00"]);
    // A year that is named moves out of itself, and is the only one.
    let once = cron("0 0 9 31 12 * 2026", office(&days, OnHoliday::NextBusinessDay));
    assert_eq!(next(&once, "2020-12-01T00:00:00Z", 9), ["Mon 01-04 09:00"]);
    let once = cron("0 0 9 1 1 * 2027", office(&days, OnHoliday::PreviousBusinessDay));
    assert_eq!(next(&once, "2020-12-01T00:00:00Z", 9), ["Wed 12-30 09:00"]);
}

#[test]
fn days_off_of_centuries_to_come_do_not_end_a_search() {
    let days: Vec<String> = (2026..=2700).map(|year| format!("{year}-01-01")).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    let spec = cron("0 9 1 1 *", office(&days, OnHoliday::Skip));
    let next = spec.compile().expect("valid").next(at("2026-01-01T00:00:00Z"));
    assert_eq!(next, Some(at("2701-01-01T08:00:00Z")));
}

#[test]
fn two_that_end_up_on_one_moment_are_one_occurrence() {
    let spec = cron("0 9 * * 6,0,1", office(&WEEKEND, OnHoliday::NextBusinessDay));
    assert_eq!(next(&spec, "2026-11-24T00:00:00Z", 2), ["Mon 11-30 09:00", "Mon 12-07 09:00"]);
}

#[test]
fn a_time_that_was_moved_is_the_rule_s_own_and_not_that_of_the_day_it_left() {
    // On Sunday the 29th of March the clocks skip 02:30; on Monday they do not.
    let spec = cron("30 2 29 * *", office(&WEEKEND, OnHoliday::NextBusinessDay));
    assert_eq!(next(&spec, "2026-03-28T00:00:00Z", 1), ["Mon 03-30 02:30"]);
}

#[test]
fn steps_on_the_calendar_are_moved_and_do_not_lose_their_rhythm() {
    let monthly = |on_holiday| TimingSpec {
        starts: Some("2026-01-31T09:00".into()),
        ..every("1 month", office(&WEEKEND, on_holiday))
    };
    // The 31st of January and the 28th of February 2026 are Saturdays, the 31st of May a Sunday.
    assert_eq!(
        next(&monthly(OnHoliday::NextBusinessDay), "2026-01-01T00:00:00Z", 5),
        ["Mon 02-02 09:00", "Mon 03-02 09:00", "Tue 03-31 09:00", "Thu 04-30 09:00", "Mon 06-01 09:00"]
    );
    assert_eq!(
        next(&monthly(OnHoliday::PreviousBusinessDay), "2026-02-01T00:00:00Z", 4),
        ["Fri 02-27 09:00", "Tue 03-31 09:00", "Thu 04-30 09:00", "Fri 05-29 09:00"]
    );
    assert_eq!(
        next(&monthly(OnHoliday::Skip), "2026-01-01T00:00:00Z", 2),
        ["Tue 03-31 09:00", "Thu 04-30 09:00"]
    );
}

#[test]
fn elapsed_time_rests_on_days_off_and_keeps_its_rhythm() {
    let spec = every("7h", office(&WEEKEND, OnHoliday::Skip));
    let timetable = spec.compile().expect("valid");
    let found: Vec<Timestamp> = timetable.after(at("2026-11-24T00:00:00Z")).take(200).collect();
    let weekday = |at: &Timestamp| timetable.zone().to_datetime(*at).weekday();
    assert!(found.iter().all(|at| at.as_second() % (7 * 3600) == 0));
    assert!(found.iter().all(|at| !matches!(weekday(at), Weekday::Saturday | Weekday::Sunday)));
    let plain = every("7h", TimingSpec::default()).compile().expect("valid");
    let all = plain.after(at("2026-11-24T00:00:00Z")).take_while(|at| Some(at) <= found.last());
    assert_eq!(all.filter(|at| !matches!(weekday(at), Weekday::Saturday | Weekday::Sunday)).count(), 200);
}

#[test]
fn a_single_instant_is_moved() {
    let once =
        |on_holiday| TimingSpec { at: Some("2026-12-26T09:00".into()), ..office(&WEEKEND, on_holiday) };
    assert_eq!(next(&once(OnHoliday::NextBusinessDay), "2020-01-01T00:00:00Z", 9), ["Mon 12-28 09:00"]);
    assert_eq!(next(&once(OnHoliday::PreviousBusinessDay), "2020-01-01T00:00:00Z", 9), ["Fri 12-25 09:00"]);
    assert!(once(OnHoliday::Skip).compile().is_err());
}

fn plan_all(spec: &TimingSpec, cursor: &str, now: &str, catch_up: CatchUp) -> Plan {
    let timetable = spec.compile().expect("valid");
    plan(&timetable, at(cursor), at(now), catch_up.into(), SignedDuration::from_secs(60), 1000)
}

#[test]
fn days_off_are_accounted_for() {
    let spec = cron("0 9 * * *", office(&WEEKEND, OnHoliday::Skip));
    let plan = plan_all(&spec, "2026-11-26T12:00:00Z", "2026-12-01T12:00:00Z", CatchUp::All);
    assert_eq!(
        plan.fire,
        [at("2026-11-27T08:00:00Z"), at("2026-11-30T08:00:00Z"), at("2026-12-01T08:00:00Z")]
    );
    let skipped: Vec<_> =
        plan.skipped.iter().map(|range| (range.from, range.until, range.count, range.reason)).collect();
    assert_eq!(skipped, [(at("2026-11-28T08:00:00Z"), at("2026-11-29T08:00:00Z"), 2, SkipReason::Calendar)]);
}

#[test]
fn a_day_off_is_looked_at_when_it_comes() {
    let spec = cron("0 9 * * *", office(&WEEKEND, OnHoliday::Skip));
    let friday = plan_all(&spec, "2026-11-27T00:00:00Z", "2026-11-27T12:00:00Z", CatchUp::All);
    assert_eq!(friday.next, Some(at("2026-11-28T08:00:00Z")));
    let saturday = plan_all(&spec, "2026-11-27T12:00:00Z", "2026-11-28T12:00:00Z", CatchUp::All);
    assert_eq!((saturday.fire.len(), saturday.skipped.len()), (0, 1));
    assert_eq!(saturday.cursor, at("2026-11-28T12:00:00Z"));
}

#[test]
fn a_day_off_does_not_take_the_place_of_the_latest_that_was_missed() {
    let spec = cron("0 9 * * *", office(&WEEKEND, OnHoliday::Skip));
    let plan = plan_all(&spec, "2026-11-25T12:00:00Z", "2026-11-29T12:00:00Z", CatchUp::Latest);
    assert_eq!(plan.fire, [at("2026-11-27T08:00:00Z")]);
    let reasons: Vec<_> = plan.skipped.iter().map(|range| (range.count, range.reason)).collect();
    assert_eq!(reasons, [(1, SkipReason::Misfire), (2, SkipReason::Calendar)]);
}

#[test]
fn what_was_missed_and_what_was_off_are_told_apart() {
    let daily = cron("0 9 * * *", office(&WEEKEND, OnHoliday::Skip));
    let reasons = |spec, cursor, now| {
        let plan = plan_all(spec, cursor, now, CatchUp::None);
        assert_eq!(plan.fire, []);
        plan.skipped.iter().map(|range| (range.count, range.reason)).collect::<Vec<_>>()
    };
    let found = reasons(&daily, "2026-11-25T12:00:00Z", "2026-11-29T12:00:00Z");
    assert_eq!(found, [(2, SkipReason::Misfire), (2, SkipReason::Calendar)]);
    // Midnight in Berlin is 23:00 UTC.
    let hourly = every("1h", office(&WEEKEND, OnHoliday::Skip));
    let found = reasons(&hourly, "2026-11-27T12:30:00Z", "2026-11-30T12:30:00Z");
    assert_eq!(found, [(10, SkipReason::Misfire), (48, SkipReason::Calendar), (14, SkipReason::Misfire)]);
}

#[test]
fn elapsed_time_accounts_for_its_days_off_however_it_is_planned() {
    let spec = every("90m", office(&WEEKEND, OnHoliday::Skip));
    let timetable = spec.compile().expect("valid");
    let (start, now) = (at("2026-11-25T00:00:00Z"), at("2026-12-08T00:00:00Z"));
    for max in [1, 7, 10_000] {
        let (mut cursor, mut fired, mut skipped) = (start, 0, 0);
        loop {
            let step = plan(&timetable, cursor, now, CatchUp::All.into(), SignedDuration::ZERO, max);
            fired += step.fire.len();
            skipped += step.skipped.iter().map(|range| range.count).sum::<u64>();
            assert!(step.skipped.iter().all(|range| range.reason == SkipReason::Calendar));
            cursor = step.cursor;
            if step.complete {
                break;
            }
        }
        assert_eq!((fired, skipped), (13 * 16 - 64, 64), "{max}");
    }
}

#[test]
fn a_calendar_keeps_its_notation() {
    let spec = cron("0 9 * * *", office(&["sunday", "12-25"], OnHoliday::NextBusinessDay));
    let json = r#"{"cron":"0 9 * * *","timezone":"Europe/Berlin","calendar":{"name":"office","days_off":["sunday","12-25"]},"on_holiday":"next_business_day"}"#;
    assert_eq!(serde_json::to_string(&spec).expect("serializes"), json);
    assert_eq!(serde_json::from_str::<TimingSpec>(json).expect("deserializes"), spec);
    assert!(serde_json::from_str::<TimingSpec>(&json.replace("12-25", "12-35")).is_err());
}

fn days_off() -> impl Strategy<Value = Vec<DayOff>> {
    let weekdays = [Weekday::Monday, Weekday::Wednesday, Weekday::Saturday, Weekday::Sunday];
    let yearly = (1..=12_i8, 1..=28_i8).prop_map(|(month, day)| DayOff::Yearly { month, day });
    let dates = (1960..2110_i16, 1..=12_i8, 1..=28_i8, 0..40_i64).prop_map(|(year, month, day, length)| {
        let first = Date::constant(year, month, day);
        DayOff::Dates { first, last: first + length.days() }
    });
    let day = prop_oneof![
        2 => proptest::sample::select(weekdays.to_vec()).prop_map(DayOff::Weekly),
        3 => yearly,
        3 => dates,
    ];
    proptest::collection::vec(day, 1..9)
}

fn moves() -> impl Strategy<Value = OnHoliday> {
    let all = [OnHoliday::Skip, OnHoliday::NextBusinessDay, OnHoliday::PreviousBusinessDay];
    proptest::sample::select(all.to_vec())
}

/// What the calendar makes of the days that a rule names, in a spec and for the oracle.
fn check(
    rule: &Rule,
    off: &DaysOff,
    spec: &TimingSpec,
    (after, until): (Timestamp, Timestamp),
) -> Result<(), TestCaseError> {
    let zone = zone(spec.timezone.as_deref().expect("set")).expect("known");
    let runs = |date: Date| off.runs(date, &|date| rule.has_date(date));
    let (gap, fold) = (spec.gap.unwrap_or_default(), spec.fold.unwrap_or_default());
    let expected = rule.occurrences_on(&runs, &zone, gap, fold, (after, until));
    let Ok(timetable) = spec.compile() else {
        prop_assert!(expected.is_empty(), "{spec:?} was refused, but fires at {:?}", expected[0]);
        return Ok(());
    };
    let found: Vec<Timestamp> = timetable.after(after).take_while(|at| *at <= until).collect();
    prop_assert_eq!(found, expected, "{:?} after {}", spec, after);
    Ok(())
}

#[test]
fn random_expressions_with_random_days_off_in_every_zone() {
    let names: Vec<&str> = zone_names().collect();
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 2500, failure_persistence: None, ..Config::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]),
    );
    let years = -300_000_000..4_400_000_000_i64;
    let by = -400_000_000_000..10_000_000_000_i64;
    let cases =
        (rule(), proptest::sample::select(names), gaps(), folds(), (days_off(), moves()), (years, by));
    let result = runner.run(&cases, |(rule, name, gap, fold, (days, on_holiday), (around, by))| {
        let around = Timestamp::from_second(around).expect("in range");
        let after = near_a_change(&zone(name).expect("known"), around, SignedDuration::from_micros(by));
        let spec = TimingSpec {
            cron: Some(rule.text.clone()),
            timezone: Some(name.into()),
            gap: Some(gap),
            fold: Some(fold),
            calendar: Some(Calendar::new("random", days.clone()).expect("valid")),
            on_holiday: Some(on_holiday),
            ..TimingSpec::default()
        };
        check(&rule, &DaysOff { days, on_holiday }, &spec, (after, after + reach(&rule)))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn steps_with_random_days_off_are_the_moved_steps(
        months in 0..4_i32, days in 0..20_i32, start in 0..30_000_i64, skip in 0..4_000_i64,
        off in days_off(), on_holiday in moves(),
    ) {
        prop_assume!(months + days > 0);
        let tokyo = zone("Asia/Tokyo").expect("known");
        let anchor = tokyo.to_datetime(at("1960-01-01T00:30:00Z") + SignedDuration::from_hours(24 * start));
        let days_off = DaysOff { days: off.clone(), on_holiday };
        let after = at("1960-01-01T00:30:00Z") + SignedDuration::from_hours(24 * (start + skip));
        let mut expected: Vec<Timestamp> = Vec::new();
        for n in 0..9_000_i64 {
            let civil = anchor + jiff::Span::new().months(months).days(days) * n;
            let mut day = civil.date();
            let by = if on_holiday == OnHoliday::PreviousBusinessDay { -1 } else { 1 };
            while days_off.is_off(day) && on_holiday != OnHoliday::Skip {
                day += by.days();
            }
            let instant = tokyo.to_timestamp(day.to_datetime(civil.time())).expect("in range");
            if !days_off.is_off(day) && instant > after && expected.last() != Some(&instant) {
                expected.push(instant);
            }
            if expected.len() == 20 {
                break;
            }
        }
        let spec = TimingSpec {
            repeat: Some(format!("R/{anchor}[Asia/Tokyo]/P{months}M{days}D")),
            calendar: Some(Calendar::new("random", off).expect("valid")),
            on_holiday: Some(on_holiday),
            ..TimingSpec::default()
        };
        let found: Vec<Timestamp> = match spec.compile() {
            Ok(timetable) => timetable.after(after).take(expected.len()).collect(),
            Err(error) => {
                prop_assert!(expected.is_empty(), "{}", error);
                Vec::new()
            }
        };
        prop_assert_eq!(found, expected);
    }
}
