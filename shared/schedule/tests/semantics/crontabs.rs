//! Lines of crontabs as packages of Debian bring them, held against what cron itself does with them: each minute, it
//! compares the clock with the bits of five fields.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use upbeat_schedule::TimingSpec;

const OF_PACKAGES: [&str; 14] = [
    include_str!("../crontabs/amavisd-new"),
    include_str!("../crontabs/anacron"),
    include_str!("../crontabs/awstats"),
    include_str!("../crontabs/cacti"),
    include_str!("../crontabs/certbot"),
    include_str!("../crontabs/crontab"),
    include_str!("../crontabs/e2scrub_all"),
    include_str!("../crontabs/logcheck"),
    include_str!("../crontabs/mdadm"),
    include_str!("../crontabs/munin"),
    include_str!("../crontabs/ntpsec"),
    include_str!("../crontabs/php"),
    include_str!("../crontabs/sysstat"),
    include_str!("../crontabs/tiger"),
];

/// Where crontabs are mostly misread.
const SUBTLE: [&str; 12] = [
    "0 0 13 * 5",
    "0 0 */2 * 1",
    "0 0 1,15 * 0",
    "0 0 * * 7",
    "0 12 1-7 * 1-5/2",
    "0 12 1-31/5 * */3",
    "5,35 */7 * jan-mar,DEC sun,Wed",
    "0-59/13 3-5 28-31 2,3 *",
    "59 23 29 2 *",
    "1 1 31 * 6",
    "*/45 * 10 * *",
    "00 08 09 * *",
];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// An entry as cron keeps it.
struct Entry {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    days: Vec<bool>,
    months: Vec<bool>,
    weekdays: Vec<bool>,
    /// Either day field begins with a star.
    star: bool,
}

impl Entry {
    fn read(line: &str) -> Self {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..5] else { panic!("{line}") };
        let mut weekdays = bits(weekday, 0, 7, &WEEKDAYS);
        // Sunday is both.
        (weekdays[0], weekdays[7]) = (weekdays[0] || weekdays[7], weekdays[0] || weekdays[7]);
        Self {
            minutes: bits(minute, 0, 59, &[]),
            hours: bits(hour, 0, 23, &[]),
            days: bits(day, 1, 31, &[]),
            months: bits(month, 1, 12, &MONTHS),
            weekdays,
            star: day.starts_with('*') || weekday.starts_with('*'),
        }
    }

    fn runs(&self, at: DateTime) -> bool {
        let has = |bits: &[bool], number: i8| bits[usize::from(number.unsigned_abs())];
        let day = has(&self.days, at.day());
        let weekday = has(&self.weekdays, at.weekday().to_sunday_zero_offset());
        has(&self.minutes, at.minute())
            && has(&self.hours, at.hour())
            && has(&self.months, at.month())
            && (if self.star { day && weekday } else { day || weekday })
    }
}

fn bits(field: &str, low: usize, high: usize, names: &[&str]) -> Vec<bool> {
    let mut bits = vec![false; high + 1];
    let number = |text: &str| {
        let by_name = names.iter().position(|name| text.eq_ignore_ascii_case(name)).map(|at| at + low);
        by_name.unwrap_or_else(|| text.parse().expect("a number or a name"))
    };
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((first, last)) => (number(first), number(last)),
            None => (number(range), number(range)),
        };
        for number in (first..=last).step_by(step.parse().expect("a step")) {
            bits[number] = true;
        }
    }
    bits
}

/// The lines that run something at some time.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let is_entry = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit() || c == '*');
    text.lines().map(str::trim_start).filter(is_entry)
}

#[test]
fn crontabs_run_when_cron_runs_them() {
    let all = OF_PACKAGES.into_iter().flat_map(lines).chain(SUBTLE);
    let from: Timestamp = "2027-11-20T00:00:00Z".parse().expect("an instant");
    let mut seen = 0;
    for line in all {
        let entry = Entry::read(line);
        let text = line.split_whitespace().take(5).collect::<Vec<_>>().join(" ");
        let timetable = TimingSpec { cron: Some(text.clone()), ..TimingSpec::default() }.compile();
        let mut next = timetable.as_ref().expect("valid").next(from);
        // More than half a year, with a 29th of February.
        for minute in 1..300_000_i64 {
            let at = from + SignedDuration::from_mins(minute);
            if entry.runs(TimeZone::UTC.to_datetime(at)) {
                assert_eq!(next, Some(at), "{text}");
                next = timetable.as_ref().expect("valid").next(at);
            }
        }
        let end = from + SignedDuration::from_mins(299_999);
        assert!(next.is_none_or(|next| next > end), "{text} fires at {next:?}, and cron does not");
        seen += 1;
    }
    assert_eq!(seen, 24 + SUBTLE.len());
}
