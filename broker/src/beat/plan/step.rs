//! What one schedule's cursor does next. Pure: the present instant is passed in, and never planned beyond.

use jiff::{SignedDuration, Timestamp};
use upbeat_schedule::{CatchUp, CatchUpPolicy, Plan, SkipReason, Timetable, plan};
use upbeat_shared::ledger::Advance;
use upbeat_shared::name::Namespace;
use upbeat_shared::occurrence::ScheduleRecord;

use super::occurrence::entry;

/// A cursor further ahead of now than this is from a clock that was set back since.
const FUTURE: SignedDuration = SignedDuration::from_hours(1);

/// What one schedule's cursor does next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// What the ledger is asked to do; `None` if nothing passed.
    pub(super) advance: Option<Advance>,
    /// The first instant after the cursor, once it stands where `advance` puts it.
    pub(super) next: Option<Timestamp>,
    /// Nothing up to now is left to decide.
    pub(super) complete: bool,
}

/// Decides about what passed since the schedule's cursor, at most `max` instants of it.
pub(super) fn step(
    namespace: &Namespace,
    schedule: &ScheduleRecord,
    timetable: &Timetable,
    now: Timestamp,
    max: usize,
) -> Step {
    if is_from_the_future(schedule.cursor, now) {
        let advance = advance(schedule, now);
        return Step { advance: Some(advance), next: timetable.next(now), complete: true };
    }
    let planned = if schedule.definition.paused {
        skip_all(schedule, timetable, now, max)
    } else {
        let grace = SignedDuration::try_from(schedule.definition.grace).unwrap_or(SignedDuration::MAX);
        plan(timetable, schedule.cursor, now, schedule.definition.catch_up, grace, max)
    };
    let Some(to) = last_decided(&planned) else {
        return Step { advance: None, next: planned.next, complete: planned.complete };
    };
    let mut advance = advance(schedule, to);
    let occurrence = |at: &Timestamp| entry(namespace, schedule, timetable, *at, now);
    advance.fire = planned.fire.iter().map(occurrence).collect();
    advance.skipped = planned.skipped;
    Step { advance: Some(advance), next: planned.next, complete: planned.complete }
}

/// The store's clock was set back after this cursor was stored: nothing would fire until time has caught up.
pub(super) fn is_from_the_future(cursor: Timestamp, now: Timestamp) -> bool {
    cursor.duration_since(now) > FUTURE
}

/// An advance that decides nothing but where the cursor stands.
pub(super) fn advance(schedule: &ScheduleRecord, to: Timestamp) -> Advance {
    Advance {
        id: schedule.id.clone(),
        incarnation: schedule.incarnation,
        revision: schedule.revision,
        from: schedule.cursor,
        to,
        fire: Vec::new(),
        skipped: Vec::new(),
    }
}

/// The cursor goes to the last instant that was decided rather than to now: that one has passed by the store's clock
/// too, even if this beat's idea of it is a little ahead.
fn last_decided(plan: &Plan) -> Option<Timestamp> {
    let fired = plan.fire.last().copied();
    fired.max(plan.skipped.last().map(|range| range.until))
}

/// Nothing fires while a schedule is paused, but everything is accounted for.
fn skip_all(schedule: &ScheduleRecord, timetable: &Timetable, now: Timestamp, max: usize) -> Plan {
    // With a grace of less than nothing, what is due at this very instant is missed too.
    let grace = SignedDuration::from_micros(-1);
    let mut plan = plan(timetable, schedule.cursor, now, CatchUpPolicy::from(CatchUp::None), grace, max);
    for range in &mut plan.skipped {
        range.reason = SkipReason::Paused;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::testing::{at, schedule};
    use std::time::Duration;
    use upbeat_shared::id::TaskId;
    use upbeat_shared::ledger::Due;

    fn run(schedule: &ScheduleRecord, now: &str, max: usize) -> Step {
        let timetable = schedule.definition.timing.compile().unwrap();
        step(&Namespace::default(), schedule, &timetable, at(now), max)
    }

    #[test]
    fn what_passed_since_the_cursor_fires_and_the_cursor_goes_to_the_last() {
        let schedule = schedule("every", "10s", "2026-05-01T00:00:00Z");
        let step = run(&schedule, "2026-05-01T00:00:25Z", 100);
        let advance = step.advance.unwrap();
        assert_eq!((advance.from, advance.to), (schedule.cursor, at("2026-05-01T00:00:20Z")));
        assert_eq!((advance.incarnation, advance.revision), (schedule.incarnation, schedule.revision));
        let planned: Vec<_> =
            advance.fire.iter().map(|entry| entry.message.occurrence.clone().unwrap().planned_at).collect();
        assert_eq!(planned, [at("2026-05-01T00:00:10Z"), at("2026-05-01T00:00:20Z")]);
        assert_eq!(advance.skipped, []);
        assert_eq!((step.next, step.complete), (Some(at("2026-05-01T00:00:30Z")), true));
    }

    #[test]
    fn nothing_is_planned_beyond_now() {
        let schedule = schedule("every", "10s", "2026-05-01T00:00:00Z");
        let step = run(&schedule, "2026-05-01T00:00:09.999999Z", 100);
        assert_eq!(step.advance, None);
        assert_eq!(step.next, Some(at("2026-05-01T00:00:10Z")));
    }

    #[test]
    fn an_instant_fires_at_that_very_instant() {
        let schedule = schedule("every", "10s", "2026-05-01T00:00:00Z");
        let advance = run(&schedule, "2026-05-01T00:00:10Z", 100).advance.unwrap();
        assert_eq!(advance.fire.len(), 1);
        assert_eq!(advance.to, at("2026-05-01T00:00:10Z"));
    }

    #[test]
    fn a_long_stretch_is_planned_in_bounded_steps() {
        let mut schedule = schedule("every", "1s", "2026-05-01T00:00:00Z");
        schedule.definition.catch_up = CatchUp::All.into();
        let step = run(&schedule, "2026-05-01T01:00:00Z", 7);
        assert!(!step.complete);
        let advance = step.advance.unwrap();
        assert_eq!(advance.fire.len(), 7);
        assert_eq!(advance.to, at("2026-05-01T00:00:07Z"));
        assert_eq!(step.next, Some(at("2026-05-01T00:00:08Z")));
    }

    #[test]
    fn what_was_missed_is_recorded_as_skipped() {
        let mut schedule = schedule("every", "10s", "2026-05-01T00:00:00Z");
        schedule.definition.catch_up = CatchUp::None.into();
        schedule.definition.grace = Duration::from_secs(15);
        let advance = run(&schedule, "2026-05-01T01:00:00Z", 1000).advance.unwrap();
        assert_eq!(advance.fire.len(), 2);
        assert_eq!(advance.skipped.iter().map(|range| range.count).sum::<u64>(), 358);
        assert!(advance.skipped.iter().all(|range| range.reason == SkipReason::Misfire));
    }

    #[test]
    fn a_paused_schedule_fires_nothing_and_accounts_for_everything() {
        let mut schedule = schedule("cron", "*/10 * * * * *", "2026-05-01T00:00:00Z");
        schedule.definition.paused = true;
        let advance = run(&schedule, "2026-05-01T00:01:00Z", 100).advance.unwrap();
        assert_eq!(advance.fire, []);
        assert_eq!(advance.to, at("2026-05-01T00:01:00Z"));
        assert_eq!(advance.skipped.iter().map(|range| range.count).sum::<u64>(), 6);
        assert!(advance.skipped.iter().all(|range| range.reason == SkipReason::Paused));
    }

    #[test]
    fn a_cursor_from_the_future_is_brought_back_and_fires_nothing() {
        let schedule = schedule("every", "10s", "2026-05-01T02:00:00Z");
        let step = run(&schedule, "2026-05-01T00:59:59Z", 100);
        let advance = step.advance.unwrap();
        assert_eq!((advance.from, advance.to), (schedule.cursor, at("2026-05-01T00:59:59Z")));
        assert_eq!((advance.fire, advance.skipped), (vec![], vec![]));
        assert_eq!(step.next, Some(at("2026-05-01T01:00:00Z")));
    }

    #[test]
    fn a_cursor_a_little_ahead_of_now_never_moves_back() {
        let schedule = schedule("every", "10s", "2026-05-01T02:00:00Z");
        let step = run(&schedule, "2026-05-01T01:00:00Z", 100);
        assert_eq!(step.advance, None);
        assert_eq!(step.next, Some(at("2026-05-01T02:00:10Z")));
    }

    #[test]
    fn jitter_moves_the_due_time_and_neither_the_planned_instant_nor_the_id() {
        let mut schedule = schedule("every", "10s", "2026-05-01T00:00:00Z");
        let plain = run(&schedule, "2026-05-01T00:00:10Z", 100).advance.unwrap();
        schedule.definition.timing.jitter = Some("5s".into());
        let spread = run(&schedule, "2026-05-01T00:00:10Z", 100).advance.unwrap();
        let (plain, spread) = (&plain.fire[0], &spread.fire[0]);
        assert_eq!(plain.message, spread.message);
        let timetable = schedule.definition.timing.compile().unwrap();
        let planned = at("2026-05-01T00:00:10Z");
        let jitter = timetable.jitter_of(schedule.id.as_str(), planned);
        assert!(!jitter.is_zero(), "choose another id, so that this test sees something");
        assert_eq!(spread.due, Due::At(planned + jitter));
        assert_eq!(plain.due, Due::At(planned));
    }

    #[test]
    fn an_occurrence_carries_what_its_template_says() {
        let mut schedule = schedule("every", "10s", "2026-05-01T00:00:00Z");
        let task = &mut schedule.definition.task;
        task.priority = Some(7);
        task.expires_after = Some(Duration::from_secs(60));
        task.deadline_after = Some(Duration::from_secs(90));
        task.timeout = Some(Duration::from_secs(5));
        task.tags = vec!["night".into()];
        task.args = serde_json::json!({"n": 1});
        let planned = at("2026-05-01T00:00:10Z");
        let now = at("2026-05-01T00:00:11Z");
        let message = super::super::occurrence_message(&Namespace::default(), &schedule, planned, Some(now));
        let id = TaskId::from_occurrence(&Namespace::default(), &schedule.id, 3, planned, 0);
        assert_eq!(message.id, id);
        assert_eq!(message.priority.get(), 7);
        assert_eq!(message.expires_at, Some(at("2026-05-01T00:01:10Z")));
        assert_eq!(message.deadline_at, Some(at("2026-05-01T00:01:40Z")));
        assert_eq!(message.timeout, Some(Duration::from_secs(5)));
        assert_eq!(message.tags, ["night"]);
        assert_eq!(message.first_published, Some(now));
        assert_eq!(message.args.to_json(), serde_json::json!({"n": 1}));
        assert_eq!(message.occurrence.unwrap().planned_at, planned);
    }
}
