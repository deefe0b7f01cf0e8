//! iCalendar files as days off.

use std::fmt::Write as _;

use upbeat_schedule::{Calendar, TimingError};

/// A file with these events, with line ends as the standard wants them.
fn file(events: &[&str]) -> String {
    let mut text = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Example//EN\n".to_owned();
    for event in events {
        let _ = write!(text, "BEGIN:VEVENT\nUID:1@example.com\n{event}\nEND:VEVENT\n");
    }
    (text + "END:VCALENDAR\n").replace('\n', "\r\n")
}

fn days(events: &[&str]) -> Vec<String> {
    let days = Calendar::days_of_ical(&file(events)).expect("valid");
    days.iter().map(ToString::to_string).collect()
}

#[test]
fn all_day_events_are_days_off() {
    assert_eq!(days(&["SUMMARY:Easter Monday\nDTSTART;VALUE=DATE:20260406"]), ["2026-04-06"]);
    assert_eq!(days(&["DTSTART;VALUE=DATE:20260406\nDTEND;VALUE=DATE:20260407"]), ["2026-04-06"]);
    assert_eq!(days(&["DTSTART;VALUE=DATE:20261228\nDTEND;VALUE=DATE:20270101"]), ["2026-12-28/2026-12-31"]);
    assert_eq!(days(&["DTSTART;VALUE=DATE:20261228\nDURATION:P4D"]), ["2026-12-28/2026-12-31"]);
    assert_eq!(days(&["DTSTART;VALUE=DATE:20261228\nDURATION:P1W"]), ["2026-12-28/2027-01-03"]);
}

#[test]
fn yearly_events_are_days_of_every_year() {
    assert_eq!(days(&["DTSTART;VALUE=DATE:20001225\nRRULE:FREQ=YEARLY"]), ["12-25"]);
    assert_eq!(
        days(&[
            "DTSTART;VALUE=DATE:20001225\nDTEND;VALUE=DATE:20001227\nRRULE:FREQ=YEARLY;INTERVAL=1;BYMONTH=12;BYMONTHDAY=25"
        ]),
        ["12-25", "12-26"]
    );
    assert_eq!(
        days(&["DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;COUNT=3"]),
        ["2026-05-01", "2027-05-01", "2028-05-01"]
    );
    assert_eq!(
        days(&["DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY;UNTIL=20320301T000000Z"]),
        ["2024-02-29", "2028-02-29", "2032-02-29"]
    );
}

#[test]
fn folded_lines_a_mark_at_the_beginning_and_other_components_do_no_harm() {
    let text = file(&["SUMMARY:A name that goes on\n  in the next line\nDTSTART;VALUE=DATE:2026\n 0406"]);
    let text = format!("\u{feff}{}", text.replace("PRODID", "X-WR-CALNAME:Days\r\nPRODID"));
    let zone = "BEGIN:VTIMEZONE\r\nTZID:X\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT";
    let text = text.replacen("BEGIN:VEVENT", zone, 1);
    let days = Calendar::days_of_ical(&text).expect("valid");
    assert_eq!(days.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-04-06"]);
}

#[test]
fn a_cancelled_event_is_no_day_off() {
    let kept = "DTSTART;VALUE=DATE:20260406";
    assert_eq!(days(&[kept, "STATUS:CANCELLED\nDTSTART;VALUE=DATE:20260407"]), ["2026-04-06"]);
}

fn refusal(text: &str) -> TimingError {
    Calendar::days_of_ical(text).err().unwrap_or_else(|| panic!("{text} was accepted"))
}

#[test]
fn what_cannot_become_days_off_is_refused() {
    let named = |lines: &str| file(&[&format!("SUMMARY:Thanksgiving\n{lines}")]);
    let day = "DTSTART;VALUE=DATE:20261126";
    let shown = [
        String::new(),
        "hello".into(),
        "BEGIN:VCALENDAR\n".into(),
        file(&[]),
        format!("{0}{0}", named(day)),
        named("DTSTART:20261126T090000Z"),
        named("DTSTART;VALUE=DATE:20260230"),
        named("X:1"),
        named(&format!("{day}\nDTEND;VALUE=DATE:20261125")),
        named(&format!("{day}\nDTEND;VALUE=DATE:20291125")),
        named(&format!("{day}\nDURATION:PT5H")),
        named(&format!("{day}\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH")),
        named(&format!("{day}\nRRULE:FREQ=WEEKLY")),
        named(&format!("{day}\nRRULE:FREQ=YEARLY;INTERVAL=2")),
        named(&format!("{day}\nRRULE:COUNT=3")),
        named(&format!("{day}\nRDATE;VALUE=DATE:20271125")),
        named(&format!("{day}\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20271126")),
        "BEGIN:A\n".repeat(200_000),
    ]
    .iter()
    .fold(String::new(), |mut all, text| {
        let error = refusal(text);
        let at = text.get(error.span.clone()).expect("inside of the text");
        let _ = writeln!(all, "{at:?}: {}\n  help: {}\n", error.message, error.help.unwrap_or_default());
        all
    });
    insta::assert_snapshot!(shown);
}
