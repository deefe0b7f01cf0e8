//! What is due, what was missed, and that no occurrence is lost or planned twice.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use upbeat_schedule::{CatchUp, CatchUpPolicy, Plan, SkipReason, SkippedRange, Timetable, TimingSpec, plan};

const GRACE: SignedDuration = SignedDuration::from_secs(60);

fn hourly() -> Timetable {
    cron("0 * * * *")
}

fn cron(text: &str) -> Timetable {
    let spec = TimingSpec { cron: Some(text.into()), ..TimingSpec::default() };
    spec.compile().expect("valid")
}

fn every(text: &str) -> Timetable {
    let spec = TimingSpec { every: Some(text.into()), ..TimingSpec::default() };
    spec.compile().expect("valid")
}

/// A time on one day, with seconds.
fn at(time: &str) -> Timestamp {
    format!("2026-06-01T{time}Z").parse().expect("an instant")
}

fn skipped(from: &str, until: &str, count: u64) -> SkippedRange {
    SkippedRange { from: at(from), until: at(until), count, reason: SkipReason::Misfire }
}

fn plan_at(timetable: &Timetable, now: &str, mode: CatchUp) -> Plan {
    plan(timetable, at("00:00:00"), at(now), mode.into(), GRACE, 100)
}

#[test]
fn what_is_due_in_time_fires_under_every_policy() {
    for mode in [CatchUp::None, CatchUp::Latest, CatchUp::All] {
        assert_eq!(
            plan_at(&hourly(), "01:00:30", mode),
            Plan {
                fire: vec![at("01:00:00")],
                skipped: vec![],
                cursor: at("01:00:30"),
                next: Some(at("02:00:00")),
                complete: true
            }
        );
    }
}

#[test]
fn now_is_included_and_the_cursor_is_not() {
    let plan = plan(&hourly(), at("01:00:00"), at("02:00:00"), CatchUp::Latest.into(), GRACE, 100);
    assert_eq!(plan.fire, [at("02:00:00")]);
}

#[test]
fn an_occurrence_exactly_as_old_as_the_grace_is_in_time() {
    assert_eq!(plan_at(&hourly(), "01:01:00", CatchUp::None).fire, [at("01:00:00")]);
    let late = plan_at(&hourly(), "01:01:01", CatchUp::None);
    assert_eq!((late.fire, late.skipped), (vec![], vec![skipped("01:00:00", "01:00:00", 1)]));
}

#[test]
fn missed_occurrences_follow_the_policy() {
    let none = plan_at(&hourly(), "05:30:00", CatchUp::None);
    assert_eq!((none.fire, none.skipped), (vec![], vec![skipped("01:00:00", "05:00:00", 5)]));

    let latest = plan_at(&hourly(), "05:30:00", CatchUp::Latest);
    assert_eq!(
        (latest.fire, latest.skipped),
        (vec![at("05:00:00")], vec![skipped("01:00:00", "04:00:00", 4)])
    );

    let all = plan_at(&hourly(), "03:30:00", CatchUp::All);
    assert_eq!((all.fire, all.skipped), (vec![at("01:00:00"), at("02:00:00"), at("03:00:00")], vec![]));
}

#[test]
fn the_latest_gives_way_to_one_that_is_due_in_time() {
    let plan = plan_at(&hourly(), "05:00:10", CatchUp::Latest);
    assert_eq!((plan.fire, plan.skipped), (vec![at("05:00:00")], vec![skipped("01:00:00", "04:00:00", 4)]));
}

#[test]
fn within_a_window_only() {
    let within = |mode| CatchUpPolicy { mode, within: Some(SignedDuration::from_hours(2)) };
    let run = |mode, now| plan(&hourly(), at("00:00:00"), at(now), within(mode), GRACE, 100);

    let all = run(CatchUp::All, "05:30:00");
    assert_eq!(
        (all.fire, all.skipped),
        (vec![at("04:00:00"), at("05:00:00")], vec![skipped("01:00:00", "03:00:00", 3)])
    );
    assert_eq!(run(CatchUp::Latest, "05:30:00").fire, [at("05:00:00")]);

    let tiny = CatchUpPolicy { mode: CatchUp::All, within: Some(SignedDuration::from_secs(1)) };
    let plan = plan(&hourly(), at("00:00:00"), at("01:00:30"), tiny, GRACE, 100);
    assert_eq!(plan.fire, [at("01:00:00")], "what is in time is never too old");
}

#[test]
fn a_clock_that_went_back_plans_nothing_and_keeps_the_cursor() {
    let plan = plan(&hourly(), at("05:00:00"), at("03:30:00"), CatchUp::All.into(), GRACE, 100);
    assert_eq!((plan.fire.len(), plan.cursor, plan.complete), (0, at("05:00:00"), true));
    assert_eq!(plan.next, Some(at("06:00:00")));
}

#[test]
fn one_call_is_bounded_and_says_where_it_stopped() {
    let first = plan(&hourly(), at("00:00:00"), at("05:30:00"), CatchUp::All.into(), GRACE, 2);
    assert_eq!(first.fire, [at("01:00:00"), at("02:00:00")]);
    assert_eq!((first.cursor, first.next, first.complete), (at("02:00:00"), Some(at("03:00:00")), false));
    let exactly = plan(&hourly(), at("00:00:00"), at("02:30:00"), CatchUp::All.into(), GRACE, 2);
    assert!(exactly.complete);
    assert_eq!(exactly.cursor, at("02:30:00"));
}

#[test]
fn a_finished_schedule_has_no_next() {
    let once = TimingSpec { at: Some("2026-06-01T01:00:00Z".into()), ..TimingSpec::default() };
    let plan = plan_at(&once.compile().expect("valid"), "09:00:00", CatchUp::Latest);
    assert_eq!((plan.fire, plan.next, plan.complete), (vec![at("01:00:00")], None, true));
}

#[test]
fn a_long_outage_of_a_fast_schedule_is_skipped_in_one_step() {
    let now: Timestamp = "2036-06-01T00:00:00.0005Z".parse().expect("an instant");
    for mode in [CatchUp::None, CatchUp::Latest] {
        let plan = plan(&every("1ms"), at("00:00:00"), now, mode.into(), SignedDuration::ZERO, 3);
        assert!(plan.complete, "{mode:?}");
        let days = 3653 * 86_400_000_u64;
        let expected = if mode == CatchUp::None { (days, 0) } else { (days - 1, 1) };
        assert_eq!((plan.skipped[0].count, plan.fire.len()), expected, "{mode:?}");
    }
}

/// All that was decided, over as many calls as it takes.
fn in_calls(
    timetable: &Timetable,
    (cursor, now): (Timestamp, Timestamp),
    policy: CatchUpPolicy,
    max: usize,
) -> (Vec<Timestamp>, u64) {
    let (mut cursor, mut fired, mut skipped) = (cursor, Vec::new(), 0);
    loop {
        let plan = plan(timetable, cursor, now, policy, GRACE, max);
        fired.extend(plan.fire);
        skipped += plan.skipped.iter().map(|range| range.count).sum::<u64>();
        if plan.complete {
            return (fired, skipped);
        }
        assert!(plan.cursor > cursor, "a plan that is not complete gets on");
        cursor = plan.cursor;
    }
}

/// The policy in one sentence per mode, over the whole list at once.
fn expected(due: &[Timestamp], now: Timestamp, policy: CatchUpPolicy) -> Vec<Timestamp> {
    let fires = |at: &Timestamp| {
        let age = now.duration_since(*at);
        let wanted = match policy.mode {
            CatchUp::None => false,
            CatchUp::Latest => due.last() == Some(at),
            CatchUp::All => true,
        };
        age <= GRACE || (wanted && policy.within.is_none_or(|within| age <= within))
    };
    due.iter().copied().filter(fires).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn every_occurrence_is_accounted_for_once(
        rule in 0..5_usize,
        mode in prop_oneof![Just(CatchUp::None), Just(CatchUp::Latest), Just(CatchUp::All)],
        within in proptest::option::of(0..20_000_i64),
        elapsed in 0..20_000_000_i64,
        offset in 0..10_000_i64,
        max in 1..9_usize,
    ) {
        let timetable = match rule {
            0 => every("97s"),
            1 => every("61s 500ms"),
            2 => cron("*/2 * * * *"),
            3 => cron("7,30 * * * *"),
            _ => TimingSpec { ends: Some("2026-06-01T02:00:00Z".into()), every: Some("3m".into()), ..TimingSpec::default() }.compile().expect("valid"),
        };
        let cursor = at("00:00:00") + SignedDuration::from_secs(offset);
        let now = cursor + SignedDuration::from_millis(elapsed);
        let policy = CatchUpPolicy { mode, within: within.map(SignedDuration::from_secs) };
        let due: Vec<Timestamp> = timetable.after(cursor).take_while(|at| *at <= now).collect();
        let fires = expected(&due, now, policy);
        let (fired, skipped) = in_calls(&timetable, (cursor, now), policy, max);
        prop_assert_eq!(&fired, &fires);
        prop_assert_eq!(skipped, (due.len() - fires.len()) as u64);
    }
}
