//! What a person is shown when a timing is refused.

use std::fmt::Write as _;

use upbeat_schedule::TimingSpec;

fn refusal(spec: &TimingSpec) -> String {
    let error = spec.compile().err().unwrap_or_else(|| panic!("{spec:?} was accepted"));
    error.render(spec.text_of(error.field))
}

fn all(specs: impl IntoIterator<Item = TimingSpec>) -> String {
    specs.into_iter().fold(String::new(), |mut all, spec| {
        let _ = writeln!(all, "{}", refusal(&spec));
        all
    })
}

#[test]
fn expressions_that_cannot_be_read() {
    let texts = [
        "",
        "   ",
        "0",
        "0 0 * *",
        "0 0 0 1 1 * 2026 extra words",
        "0 61 * * *",
        "0 24 * * *",
        "60 * * * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "0 0 * Foo *",
        "0 0 * * mondy",
        "0 0 * * MON-FRY",
        "0 0 * * 1-",
        "0 0 * * 1,,2",
        "0 0 10-5 * *",
        "0 0 0 1 1 * 2030-2026",
        "0 0 0 1 1 * 26",
        "0 0 0 1 1 * 10000",
        "*/60 * * * *",
        "*/0 * * * *",
        "5/x * * * *",
        "5/ * * * *",
        "0 */24 * * *",
        "** * * * *",
        "*5 * * * *",
        "? * * * *",
        "0 0 ?/2 * *",
        "H * * * *",
        "0 0 W * *",
        "0 0 1-5W * *",
        "0 0 L-31 * *",
        "0 0 L5 * *",
        "0 0 * * L",
        "0 0 * * 5#6",
        "0 0 * * #3",
        "0 0 * * XL",
        "-1 0 * * *",
        "1.5 0 * * *",
        "99999999999 0 * * *",
        "0 0 ² * *",
        "@dayly",
        "@reboot",
        "@",
        "@every",
        "@every soon",
        "@everyday",
        "TZ=Europe/Berlin 0 0 * * *",
        "CRON_TZ=Europe/Berlin 0 0 * * * * *",
    ];
    let specs = texts.map(|text| TimingSpec { cron: Some(text.into()), ..TimingSpec::default() });
    let shown = all(specs);
    insta::assert_snapshot!(shown);
}

#[test]
fn expressions_that_never_fire() {
    let both =
        |cron: &str| TimingSpec { cron: Some(cron.into()), dom_and_dow: Some(true), ..TimingSpec::default() };
    let plain = |cron: &str| TimingSpec { dom_and_dow: None, ..both(cron) };
    let shown = all([
        plain("0 0 30 2 *"),
        plain("0 0 31 4,6,SEP,11 *"),
        plain("0 0 30W FEB *"),
        plain("0 0 0 29 2 * 2027"),
        plain("0 0 0 29 2 * 2100,2200"),
        plain("0 0 */30 2 5#5"),
        both("0 0 1 * 1#2"),
        both("0 0 29 2 5#1,4#3"),
        TimingSpec {
            timezone: Some("America/New_York".into()),
            gap: Some(upbeat_schedule::Gap::Skip),
            ..plain("0 30 2 8 3 * 2026")
        },
        TimingSpec { ends: Some("2030-01-01".into()), ..plain("0 0 0 1 6 * 2030") },
        TimingSpec { starts: Some("2031-01-01".into()), ..plain("0 0 0 1 6 * 2030") },
        TimingSpec {
            starts: Some("2031-01-01".into()),
            ends: Some("2030-01-01".into()),
            ..plain("0 0 * * *")
        },
        TimingSpec {
            at: Some("2026-01-01T00:00:00Z".into()),
            ends: Some("2025-01-01".into()),
            ..TimingSpec::default()
        },
    ]);
    insta::assert_snapshot!(shown);
}

#[test]
fn everything_else_that_is_refused() {
    let none = TimingSpec::default();
    let every = |text: &str| TimingSpec { every: Some(text.into()), ..TimingSpec::default() };
    let at = |text: &str| TimingSpec { at: Some(text.into()), ..TimingSpec::default() };
    let zoned = |name: &str| TimingSpec { timezone: Some(name.into()), ..every("1m") };
    let new_york = |text: &str| TimingSpec { timezone: Some("America/New_York".into()), ..at(text) };
    let shown = all([
        none.clone(),
        TimingSpec { cron: Some("@daily".into()), ..every("1m") },
        TimingSpec { dom_and_dow: Some(true), ..every("1m") },
        every(""),
        every("90"),
        every("soon"),
        every("0s"),
        every("-5m"),
        every("5m ago"),
        every("100us"),
        every("1ns"),
        every("1h 500ns"),
        every("99999999999999h"),
        every("P0D"),
        zoned("Europe/Berlim"),
        zoned("Berlin"),
        zoned("Nowhere"),
        zoned("+02:00"),
        zoned("EST5"),
        at("2026-02-30T00:00:00Z"),
        at("2026-01-31"),
        at("tomorrow"),
        at(""),
        at("2026-01-31T09:00[Europe/Berlim]"),
        at("2026-01-31T09:00+05:00[Europe/Berlin]"),
        at("2026-01-31T25:00:00Z"),
        at("2026-01-31T23:59:61Z"),
        at("10000-01-01T00:00:00Z"),
        at("9999-12-31T23:59:59Z"),
        TimingSpec { gap: Some(upbeat_schedule::Gap::Skip), ..new_york("2026-03-08T02:30") },
        TimingSpec { fold: Some(upbeat_schedule::Fold::Both), ..new_york("2026-11-01T01:30") },
        TimingSpec { jitter: Some("1d".into()), ..every("1m") },
        TimingSpec { jitter: Some("x".into()), ..every("1m") },
        TimingSpec { starts: Some("x".into()), ..every("1m") },
        TimingSpec { ends: Some("9999-12-31".into()), ..every("1m") },
    ]);
    insta::assert_snapshot!(shown);
}

#[test]
fn repetitions_that_are_refused() {
    let repeat = |text: &str| TimingSpec { repeat: Some(text.into()), ..TimingSpec::default() };
    let berlin = |text: &str| TimingSpec { timezone: Some("Europe/Berlin".into()), ..repeat(text) };
    let shown = all([
        repeat(""),
        repeat("P1M"),
        repeat("R5"),
        repeat("R5/P1M"),
        repeat("R5/2026-01-31T09:00:00Z"),
        repeat("R0/2026-01-31T09:00:00Z/P1M"),
        repeat("R-2/2026-01-31T09:00:00Z/P1M"),
        repeat("R5x/2026-01-31T09:00:00Z/P1M"),
        repeat("R99999999999/2026-01-31T09:00:00Z/P1M"),
        repeat("R5/2026-01-31/P1M"),
        repeat("R5/2026-02-30T09:00:00Z/P1M"),
        repeat("R5/2026-01-31T09:00[Europe/Berlim]/P1M"),
        repeat("R5/2026-01-31T09:00:00Z/2026-02-28T09:00:00Z"),
        repeat("R5/P1M/2026-02-28T09:00:00Z"),
        repeat("R5/2026-01-31T09:00:00Z/"),
        repeat("R5/2026-01-31T09:00:00Z/P0D"),
        repeat("R5/2026-01-31T09:00:00Z/-P1D"),
        repeat("R5/2026-01-31T09:00:00Z/monthly"),
        berlin("R5/2026-01-31T09:00:00Z/P1M"),
        berlin("R5/2026-01-31T09:00:00[Asia/Tokyo]/P1M"),
        TimingSpec { gap: Some(upbeat_schedule::Gap::Skip), ..berlin("R1/2026-03-29T02:30/P1D") },
        TimingSpec { gap: Some(upbeat_schedule::Gap::Skip), ..berlin("R1/2026-03-29T02:30/PT1H") },
        TimingSpec { ends: Some("2026-01-01".into()), ..repeat("R5/2026-01-31T09:00:00Z/P1M") },
        TimingSpec { cron: Some("@daily".into()), ..repeat("R5/2026-01-31T09:00:00Z/P1M") },
    ]);
    insta::assert_snapshot!(shown);
}

#[test]
fn calendars_that_are_refused() {
    let calendar = |days: &[&str]| {
        let days = days.iter().map(|day| day.parse().expect("a day off")).collect();
        Some(upbeat_schedule::Calendar::new("office", days).expect("valid"))
    };
    let weekend = || TimingSpec { calendar: calendar(&["sat", "sun"]), ..TimingSpec::default() };
    let moved = Some(upbeat_schedule::OnHoliday::NextBusinessDay);
    let shown = all([
        TimingSpec { cron: Some("0 9 * * *".into()), on_holiday: moved, ..TimingSpec::default() },
        TimingSpec { cron: Some("0 9 * * 0,6".into()), ..weekend() },
        TimingSpec { cron: Some("0 9 25 12 *".into()), calendar: calendar(&["12-25"]), ..weekend() },
        TimingSpec { every: Some("1 week".into()), starts: Some("2026-11-28".into()), ..weekend() },
        TimingSpec { every: Some("168h".into()), starts: Some("2026-11-28".into()), ..weekend() },
        TimingSpec {
            every: Some("1 year".into()),
            starts: Some("2026-12-25".into()),
            calendar: calendar(&["12-25"]),
            ..weekend()
        },
        TimingSpec { every: Some("15m".into()), on_holiday: moved, ..weekend() },
        TimingSpec { cron: Some("@every 15m".into()), on_holiday: moved, ..weekend() },
        TimingSpec { repeat: Some("R/2026-01-31T09:00:00Z/PT15M".into()), on_holiday: moved, ..weekend() },
        TimingSpec { every: Some("1 day 1h".into()), ..weekend() },
        TimingSpec { at: Some("2026-11-28T09:00".into()), ..weekend() },
        TimingSpec {
            cron: Some("0 9 * * *".into()),
            ends: Some("1969-12-31".into()),
            starts: Some("1969-12-31".into()),
            calendar: calendar(&["1969-12-31"]),
            ..weekend()
        },
    ]);
    insta::assert_snapshot!(shown);
}

#[test]
fn days_off_that_are_refused() {
    let mut shown = String::new();
    for text in [
        "",
        "satturday",
        "nonsense",
        "13-01",
        "02-30",
        "2026-02-30",
        "2026-01-01T00:00",
        "12-24/12-26",
        "2026-12-31/2026-12-28",
        "2026-01-01/2028-01-01",
        "2026-01-01/soon",
        "2026",
    ] {
        let error = text.parse::<upbeat_schedule::DayOff>().expect_err(text);
        let _ = writeln!(shown, "{}", error.in_field("days_off").render(text));
    }
    let all = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(|day| day.parse().expect("a day off"));
    let never = upbeat_schedule::Calendar::new("always", all.to_vec()).expect_err("no working day");
    let _ = writeln!(shown, "{}", never.render(""));
    let years =
        ["2026-03-01/2027-02-01", "2027-02-02/2027-12-31"].map(|days| days.parse().expect("days off"));
    let never = upbeat_schedule::Calendar::new("sabbatical", years.to_vec()).expect_err("no working day");
    let _ = writeln!(shown, "{}", never.render(""));
    let many = (0..5001).map(|_| "sat".parse().expect("a day off")).collect();
    let _ =
        writeln!(shown, "{}", upbeat_schedule::Calendar::new("many", many).expect_err("too many").render(""));
    insta::assert_snapshot!(shown);
}
