//! The cron dialect: what may be written, and what it is the same as.

use jiff::Timestamp;
use upbeat_schedule::TimingSpec;

fn spec(cron: &str) -> TimingSpec {
    TimingSpec { cron: Some(cron.into()), ..TimingSpec::default() }
}

fn next(spec: &TimingSpec, from: &str, count: usize) -> Vec<String> {
    let timetable = spec.compile().unwrap_or_else(|error| panic!("{spec:?}: {error}"));
    let from: Timestamp = from.parse().expect("an instant");
    timetable.after(from).take(count).map(|at| at.to_string()).collect()
}

#[test]
fn these_are_the_same() {
    let same = [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 JAN *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 0 * * *"),
        (" @hourly ", "0 * * * *"),
        ("0 0 * * *", "0 0 0 * * * *"),
        ("\t0  0 * *\t* ", "0 0 * * *"),
        ("0 0 ? * ?", "0 0 * * *"),
        ("0 0 ? * MON", "0 0 * * 1"),
        ("0 0 * jan,FEB,December *", "0 0 * 1,2,12 *"),
        ("0 0 * * mon-FRI", "0 0 * * 1-5"),
        ("0 0 * * Tues,thurs,Thur", "0 0 * * 2,4"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * 7-2", "0 0 * * 0,1,2"),
        ("0 0 * * FRI-MON", "0 0 * * 5,6,0,1"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ("0 0 * * 1/2", "0 0 * * 1,3,5"),
        ("0 0 * * MON/2", "0 0 * * 1,3,5"),
        ("0 0 * * 7/3", "0 0 * * 0,3,6"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-4/2 * * *", "0 22,0,2,4 * * *"),
        ("50-10/5 0 * * *", "50,55,0,5,10 0 * * *"),
        ("0 0 1 NOV-FEB *", "0 0 1 1,2,11,12 *"),
        ("0 0 1 sept *", "0 0 1 9 *"),
        ("*/15 0 * * *", "0,15,30,45 0 * * *"),
        ("5/20 0 * * *", "5,25,45 0 * * *"),
        ("10-40/15 0 * * *", "10,25,40 0 * * *"),
        ("5-5 0 * * *", "5 0 * * *"),
        ("0,0,1,0-2 0 * * *", "0-2 0 * * *"),
        ("00 007 * * *", "0 7 * * *"),
        ("0 0 l * *", "0 0 L * *"),
        ("0 0 lw * *", "0 0 LW * *"),
        ("0 0 15w * *", "0 0 15W * *"),
        ("0 0 * * FRI#3", "0 0 * * 5#3"),
        ("0 0 * * fril", "0 0 * * 5L"),
        ("0 0 * * 7L", "0 0 * * 0L"),
        ("0 0 * * 7#2", "0 0 * * SUN#2"),
        ("0 0 0 1 1 * 2030-2034/2", "0 0 0 1 1 * 2030,2032,2034"),
        ("0 0 0 1 1 * 9990/4", "0 0 0 1 1 * 9990,9994,9998"),
    ];
    for (written, meant) in same {
        let from = "2024-01-31T00:00:00Z";
        assert_eq!(next(&spec(written), from, 60), next(&spec(meant), from, 60), "{written} and {meant}");
    }
}

#[test]
fn last_nearest_and_nth_days() {
    let cases: [(&str, &[&str]); 14] = [
        ("0 0 L * *", &["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ("0 0 L-1 2 *", &["2026-02-27", "2027-02-27", "2028-02-28"]),
        ("0 0 LW * *", &["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("0 0 15W * *", &["2026-01-15", "2026-02-16", "2026-03-16", "2026-04-15", "2026-05-15"]),
        // The first is a Sunday in February, March and November: the nearest is the 2nd, not in the month before.
        ("0 0 1W * *", &["2026-01-01", "2026-02-02", "2026-03-02"]),
        // 1 August 2026 is a Saturday.
        ("0 0 1W 8 *", &["2026-08-03", "2027-08-02"]),
        // 31 May 2026 is a Sunday; months without a 31st are passed over.
        ("0 0 31W * *", &["2026-01-30", "2026-03-31", "2026-05-29", "2026-07-31"]),
        ("0 0 L,15 * *", &["2026-01-15", "2026-01-31", "2026-02-15", "2026-02-28"]),
        ("0 0 * * 5#3", &["2026-01-16", "2026-02-20", "2026-03-20"]),
        ("0 0 * * 5L", &["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("0 0 * * 0#5", &["2026-03-29", "2026-05-31", "2026-08-30"]),
        ("0 0 * * 1#1,3#2", &["2026-01-05", "2026-01-14", "2026-02-02"]),
        // Either of the two day fields.
        ("0 0 L * 5#1", &["2026-01-02", "2026-01-31", "2026-02-06", "2026-02-28"]),
        ("0 0 13 * 5L", &["2026-01-13", "2026-01-30", "2026-02-13", "2026-02-27"]),
    ];
    for (cron, expected) in cases {
        let found = next(&spec(cron), "2025-12-31T12:00:00Z", expected.len());
        let dates: Vec<&str> = found.iter().map(|at| at.trim_end_matches("T00:00:00Z")).collect();
        assert_eq!(dates, expected, "{cron}");
    }
}

#[test]
fn a_star_in_either_day_field_makes_it_both() {
    let first_fridays = "0 0 1-7 * */5";
    // */5 is Sunday and Friday, among the first seven days only.
    assert_eq!(
        next(&spec(first_fridays), "2026-01-31T00:00:00Z", 3),
        ["2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z", "2026-03-01T00:00:00Z"]
    );
    // A list is restricted, whatever comes after its first character.
    assert_eq!(
        next(&spec("0 0 1,*/10 * 1"), "2026-02-01T12:00:00Z", 3),
        ["2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z", "2026-02-11T00:00:00Z"]
    );
}

#[test]
fn seconds_come_first_and_years_last() {
    assert_eq!(
        next(&spec("15,45 59 23 31 12 * 2030,2032"), "2026-01-01T00:00:00Z", 9),
        ["2030-12-31T23:59:15Z", "2030-12-31T23:59:45Z", "2032-12-31T23:59:15Z", "2032-12-31T23:59:45Z"]
    );
}

#[test]
fn instants_have_whole_seconds_and_come_strictly_after() {
    for (from, expected) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
        ("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:01Z"),
        ("2026-01-01T00:00:00.999999999Z", "2026-01-01T00:00:01Z"),
        ("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:59Z"),
        ("1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z"),
        ("0001-02-28T23:59:59Z", "0001-03-01T00:00:00Z"),
        ("-000001-12-31T23:59:59Z", "0000-01-01T00:00:00Z"),
    ] {
        assert_eq!(next(&spec("* * * * * *"), from, 1), [expected], "{from}");
    }
}

#[test]
fn every_is_a_macro_too() {
    assert_eq!(
        next(&spec("@every 90s"), "2026-01-01T00:00:00Z", 2),
        ["2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z"]
    );
    assert_eq!(next(&spec("@Every 1 month"), "2026-01-15T00:00:00Z", 1), ["2026-02-01T00:00:00Z"]);
}
