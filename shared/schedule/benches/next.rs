//! How long `next` takes: for common rules beside the `cron` crate's own search, and for the worst there are.
//!
//! `cargo bench -p upbeat-schedule --bench next`. Prints a table; asserts nothing, since timings are no tests.

#![allow(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use upbeat_schedule::{Calendar, Gap, OnHoliday, Timetable, TimingSpec};

/// How long each rule is asked.
const EACH: Duration = Duration::from_millis(300);

const ZONE: &str = "Europe/Berlin";

/// Expressions of five fields that people write.
const COMMON: [&str; 8] = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0 9 * * 1-5",
    "0 0 1 * *",
    "0 0 13 * 5",
    "15 14 1 1 *",
];

/// Where a search has far to go.
const FAR: [&str; 7] = [
    "0 0 29 2 *",
    "0 0 29 2 1",
    "0 0 31W 8 1#5",
    "0 0 0 29 2 5L 1970-9999",
    "0 0 0 1 1 * 9999",
    "59 59 23 31 12 7#5 *",
    "30 2 8-14 3 0",
];

fn main() {
    println!("{:48} {:>10} {:>10} {:>10}", "next", "mean", "slowest", "cron's own");
    for text in COMMON {
        row(text, &cron(text), crates_own(text));
    }
    row("every 15m", &TimingSpec { every: Some("15m".into()), ..TimingSpec::default() }, None);
    row("every 1 month", &TimingSpec { every: Some("1 month".into()), ..cron_none() }, None);
    let repeat = Some("R/2026-01-31T09:00:00Z/P1M".to_owned());
    row("R/2026-01-31T09:00:00Z/P1M", &TimingSpec { repeat, ..TimingSpec::default() }, None);
    for on_holiday in [OnHoliday::Skip, OnHoliday::NextBusinessDay] {
        let spec =
            TimingSpec { calendar: Some(office()), on_holiday: Some(on_holiday), ..cron("30 2 * * *") };
        row(&format!("30 2 * * * with days off, {}", on_holiday.as_str()), &spec, None);
    }
    for text in FAR {
        let both = TimingSpec { dom_and_dow: Some(true), ..cron(text) };
        row(&format!("{text} (both days)"), &both, None);
        let moved =
            TimingSpec { calendar: Some(office()), on_holiday: Some(OnHoliday::PreviousBusinessDay), ..both };
        row(&format!("{text} (both days, days off)"), &moved, None);
    }
    // The clocks skip this very hour every year since 2007, so each candidate is found and lost again.
    let lost = TimingSpec {
        dom_and_dow: Some(true),
        timezone: Some("America/New_York".into()),
        gap: Some(Gap::Skip),
        ..cron("30 2 8-14 3 0")
    };
    row("30 2 8-14 3 0, skipped by the clocks every year", &lost, None);
    let lost = TimingSpec { cron: Some("0 30 2 8-14 3 0 2000-9999".into()), ..lost };
    row("the same, years listed", &lost, None);
    let yearly = TimingSpec {
        every: Some("1 year".into()),
        starts: Some("2000-12-31".into()),
        calendar: Some(office()),
        ..cron_none()
    };
    row("every 1 year with days off, skip", &yearly, None);
}

fn cron(text: &str) -> TimingSpec {
    TimingSpec { cron: Some(text.into()), ..cron_none() }
}

fn cron_none() -> TimingSpec {
    TimingSpec { timezone: Some(ZONE.into()), ..TimingSpec::default() }
}

fn office() -> Calendar {
    let days = ["saturday", "sunday", "12-25", "12-26", "01-01", "2026-12-28/2026-12-31", "2027-03-26"];
    let days = days.iter().map(|day| day.parse().expect("a day off")).collect();
    Calendar::new("office", days).expect("valid")
}

fn row(name: &str, spec: &TimingSpec, baseline: Option<Duration>) {
    let timetable = match spec.compile() {
        Ok(timetable) => timetable,
        Err(error) => return println!("{name:48} refused: {}", error.message),
    };
    let (mean, slowest) = measure(&timetable);
    let baseline = baseline.map_or_else(|| "—".to_owned(), |baseline| format!("{baseline:.1?}"));
    println!("{name:48} {:>10} {:>10} {baseline:>10}", format!("{mean:.1?}"), format!("{slowest:.1?}"));
}

/// Instants all over a year, so that no question is the one before.
fn question(n: u64) -> Timestamp {
    const YEAR_SECS: u64 = 365 * 86_400;
    let secs = 1_790_000_000 + n.wrapping_mul(7_919_333) % YEAR_SECS;
    Timestamp::from_second(i64::try_from(secs).expect("small")).expect("in range")
}

/// The mean, and the slowest of single questions, of which each is asked thrice so that a pause of the machine counts for
/// nothing.
fn measure(timetable: &Timetable) -> (Duration, Duration) {
    let (begun, mut asked) = (Instant::now(), 0);
    while begun.elapsed() < EACH {
        for _ in 0..64 {
            black_box(timetable.next(black_box(question(asked.into()))));
            asked += 1;
        }
    }
    let mean = begun.elapsed() / asked;
    let single = |n| {
        let timed = (0..3).map(|_| {
            let begun = Instant::now();
            black_box(timetable.next(black_box(question(n))));
            begun.elapsed()
        });
        timed.min().unwrap_or_default()
    };
    let slowest = (0..400).map(single).max().unwrap_or_default();
    (mean, slowest)
}

/// The same question to the crate that parses the fields for us, in UTC, which is all it is good at.
fn crates_own(text: &str) -> Option<Duration> {
    let schedule = cron::Schedule::from_str(&format!("0 {}", sunday_is_one(text))).ok()?;
    let (begun, mut asked) = (Instant::now(), 0_u32);
    while begun.elapsed() < EACH {
        for _ in 0..64 {
            let after = chrono::DateTime::from_timestamp(question(asked.into()).as_second(), 0)?;
            black_box(schedule.after(black_box(&after)).next());
            asked += 1;
        }
    }
    Some(begun.elapsed() / asked)
}

/// The crate counts Sunday as 1.
fn sunday_is_one(text: &str) -> String {
    let mut fields: Vec<&str> = text.split(' ').collect();
    let weekday = match fields.pop() {
        Some("1-5") => "2-6",
        Some("5") => "6",
        other => other.unwrap_or("*"),
    };
    fields.push(weekday);
    fields.join(" ")
}
