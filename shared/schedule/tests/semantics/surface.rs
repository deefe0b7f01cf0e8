//! What the rest of the product sees: names, notation, jitter, and how fast an answer comes.

use jiff::{SignedDuration, Timestamp};
use upbeat_schedule::{
    CatchUp, CatchUpPolicy, Fold, Gap, SkipReason, Timetable, TimingSpec, parse_instant, zone, zone_names,
};

fn cron(text: &str, zone: Option<&str>) -> TimingSpec {
    TimingSpec { cron: Some(text.into()), timezone: zone.map(Into::into), ..TimingSpec::default() }
}

#[test]
fn a_spec_keeps_its_notation() {
    let spec = TimingSpec {
        gap: Some(Gap::RunAfter),
        fold: Some(Fold::Both),
        ..cron("0 0 * * *", Some("Europe/Berlin"))
    };
    let json = r#"{"cron":"0 0 * * *","timezone":"Europe/Berlin","gap":"run_after","fold":"both"}"#;
    assert_eq!(serde_json::to_string(&spec).expect("serializes"), json);
    assert_eq!(serde_json::from_str::<TimingSpec>(json).expect("deserializes"), spec);
    // Flattened into a schedule, a spec meets fields that are not its own.
    let among_others = r#"{"task":"report","cron":"0 0 * * *"}"#;
    assert!(serde_json::from_str::<TimingSpec>(among_others).is_ok());
}

#[test]
fn policies_keep_their_notation() {
    let json = |policy| serde_json::to_string(&policy).expect("serializes");
    assert_eq!(json(CatchUpPolicy::default()), r#"{"mode":"latest"}"#);
    let within = CatchUpPolicy { mode: CatchUp::All, within: Some(SignedDuration::from_hours(6)) };
    assert_eq!(json(within), r#"{"mode":"all","within":"PT6H"}"#);
    assert_eq!(
        serde_json::from_str::<CatchUpPolicy>(r#"{"within":"6h","mode":"all"}"#).expect("deserializes"),
        within
    );
    assert_eq!(serde_json::to_string(&SkipReason::Misfire).expect("serializes"), r#""misfire""#);
}

#[test]
fn a_timetable_describes_itself() {
    let describe = |spec: TimingSpec| spec.compile().expect("valid").describe();
    assert_eq!(describe(cron(" 30  2 * * *", Some("europe/berlin"))), "cron 30 2 * * * Europe/Berlin");
    assert_eq!(describe(cron("@daily", None)), "cron @daily UTC");
    assert_eq!(describe(cron("@every 90s", None)), "every 90s");
    let every = |text: &str| TimingSpec { every: Some(text.into()), ..TimingSpec::default() };
    assert_eq!(describe(every("15m")), "every 15m");
    assert_eq!(describe(every("1 month")), "every 1 month UTC");
    let at = TimingSpec { at: Some("2026-01-31T09:00:00+01:00".into()), ..TimingSpec::default() };
    assert_eq!(describe(at), "at 2026-01-31T08:00:00Z");
}

#[test]
fn jitter_delays_within_its_window_and_none_without() {
    let planned: Timestamp = "2026-01-31T09:00:00Z".parse().expect("an instant");
    let plain = cron("@daily", None).compile().expect("valid");
    assert_eq!(plain.jitter_of("report", planned), SignedDuration::ZERO);
    let spread = TimingSpec { jitter: Some("10m".into()), ..cron("@daily", None) }.compile().expect("valid");
    let delay = spread.jitter_of("report", planned);
    assert!(delay.is_positive() && delay < SignedDuration::from_mins(10));
    assert_eq!(delay, spread.clone().jitter_of("report", planned));
    assert_eq!(spread.next(planned), plain.next(planned), "the planned instant stays");
}

#[test]
fn a_timetable_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<Timetable>();
}

#[test]
fn instants_are_read_with_and_without_a_zone() {
    let berlin = zone("Europe/Berlin").expect("known");
    for (text, expected) in [
        ("2026-07-01T09:00:00Z", "2026-07-01T09:00:00Z"),
        ("2026-07-01T09:00:00-07:00", "2026-07-01T16:00:00Z"),
        ("2026-07-01T09:00[America/New_York]", "2026-07-01T13:00:00Z"),
        ("2026-07-01T09:00-04:00[America/New_York]", "2026-07-01T13:00:00Z"),
        ("2026-07-01T09:00", "2026-07-01T07:00:00Z"),
        ("2026-03-29T02:30", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
    ] {
        assert_eq!(parse_instant(text, Some(&berlin)).expect(text).to_string(), expected, "{text}");
    }
    let error = parse_instant("2026-07-01T09:00", None).expect_err("no zone");
    assert!(error.to_string().contains("[Europe/Berlin]"), "{error}");
}

#[test]
fn no_zone_has_irregular_changes_after_2100() {
    // The search relies on it: after 2100 the calendar's cycle of 400 years repeats in every zone.
    const CYCLE_SECS: i64 = 146_097 * 86_400;
    for name in zone_names() {
        let zone = zone(name).expect("known");
        let changes = |from: &str| -> Vec<(i64, i32)> {
            let from: Timestamp = from.parse().expect("an instant");
            let until = from + SignedDuration::from_hours(24 * 365 * 30);
            let following = zone.following(from).take_while(|change| change.timestamp() < until);
            following.map(|change| (change.timestamp().as_second(), change.offset().seconds())).collect()
        };
        let later: Vec<(i64, i32)> =
            changes("2500-01-01T00:00:00Z").iter().map(|(at, offset)| (at - CYCLE_SECS, *offset)).collect();
        assert_eq!(changes("2100-01-01T00:00:00Z"), later, "{name}");
    }
}

#[test]
fn a_search_that_finds_little_ends() {
    let both = |text: &str, gap| TimingSpec {
        dom_and_dow: Some(true),
        gap: Some(gap),
        ..cron(text, Some("America/New_York"))
    };
    let from: Timestamp = "2026-03-09T00:00:00Z".parse().expect("an instant");
    let slow = [
        // Since 2007 the clocks skip this very hour every year, so the search finds a candidate and loses it again.
        both("30 2 8-14 3 0", Gap::Skip),
        both("0 30 2 8-14 3 0 2000-9999", Gap::Skip),
        both("* 2 8-14 3 SUN", Gap::RunAfter),
        both("0 0 29 2 1", Gap::Skip),
        both("0 0 0 29 2 5L 1970-9999", Gap::Skip),
        cron("0 0 0 1 1 * 9999", Some("Africa/Casablanca")),
        cron("0 0 31W 8 6#5", Some("Australia/Lord_Howe")),
    ];
    for spec in slow {
        let timetable = spec.compile().expect("valid");
        // How long it takes is a benchmark's matter; that it ends, with an instant after the one it was asked for or
        // none, is ours.
        assert!(timetable.next(from).is_none_or(|next| next > from), "{spec:?}");
    }
}
