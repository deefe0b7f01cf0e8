//! Random expressions, each as text and as what it means.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::oracle::{MonthDay, Rule, WeekDay};

/// A field: its text, the numbers it names, and how it starts.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    text: String,
    numbers: BTreeSet<u32>,
    open: bool,
    star: bool,
}

fn plain(text: String, numbers: impl IntoIterator<Item = u32>) -> Field {
    Field { text, numbers: numbers.into_iter().collect(), open: false, star: false }
}

/// From `start` to `end`, over the field's end if need be.
fn turn(start: u32, end: u32, min: u32, max: u32) -> Vec<u32> {
    let mut numbers = vec![start];
    let mut number = start;
    while number != end {
        number = if number == max { min } else { number + 1 };
        numbers.push(number);
    }
    numbers
}

fn single(min: u32, max: u32) -> BoxedStrategy<Field> {
    (min..=max).prop_map(|n| plain(n.to_string(), [n])).boxed()
}

fn list(min: u32, max: u32) -> BoxedStrategy<Field> {
    let numbers = proptest::collection::vec(min..=max, 2..5);
    numbers
        .prop_map(|numbers| {
            let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
            plain(words.join(","), numbers)
        })
        .boxed()
}

fn range(min: u32, max: u32, wraps: bool) -> BoxedStrategy<Field> {
    (min..=max, min..=max, 1..=(max - min), any::<bool>())
        .prop_map(move |(a, b, step, stepped)| {
            let (start, end) = if wraps { (a, b) } else { (a.min(b), a.max(b)) };
            let numbers = turn(start, end, min, max);
            if stepped {
                plain(format!("{start}-{end}/{step}"), numbers.into_iter().step_by(step as usize))
            } else {
                plain(format!("{start}-{end}"), numbers)
            }
        })
        .boxed()
}

fn open(min: u32, max: u32) -> BoxedStrategy<Field> {
    let from = (min..=max, 1..=(max - min)).prop_map(move |(start, step)| Field {
        open: true,
        ..plain(format!("{start}/{step}"), (start..=max).step_by(step as usize))
    });
    prop_oneof![star(min, max), from].boxed()
}

fn star(min: u32, max: u32) -> BoxedStrategy<Field> {
    (1..=(max - min))
        .prop_map(move |step| {
            let text = if step == 1 { "*".into() } else { format!("*/{step}") };
            let numbers = (min..=max).step_by(step as usize).collect();
            Field { text, numbers, open: true, star: true }
        })
        .boxed()
}

fn clock(min: u32, max: u32) -> BoxedStrategy<Field> {
    prop_oneof![
        4 => single(min, max),
        2 => list(min, max),
        2 => range(min, max, true),
        1 => open(min, max),
    ]
    .boxed()
}

fn everything(min: u32, max: u32) -> BoxedStrategy<Field> {
    Just(Field { text: "*".into(), numbers: (min..=max).collect(), open: true, star: true }).boxed()
}

fn month_days() -> impl Strategy<Value = (String, bool, Vec<MonthDay>)> {
    let dates = prop_oneof![
        6 => everything(1, 31),
        2 => single(1, 31),
        1 => list(1, 31),
        1 => range(1, 31, false),
        1 => star(1, 31),
    ];
    let dates = dates.prop_map(|field| (field.text, field.star, vec![MonthDay::Dates(field.numbers)]));
    let special = prop_oneof![
        Just(("L".to_owned(), MonthDay::Last)),
        Just(("LW".to_owned(), MonthDay::LastWeekday)),
        (1..=27_u32).prop_map(|n| (format!("L-{n}"), MonthDay::BeforeLast(n))),
        (1..=31_u32).prop_map(|n| (format!("{n}W"), MonthDay::Near(n))),
        (1..=31_u32).prop_map(|n| (n.to_string(), MonthDay::Dates([n].into()))),
    ];
    let specials = proptest::collection::vec(special, 1..4).prop_map(|days| {
        let (words, days): (Vec<_>, Vec<_>) = days.into_iter().unzip();
        (words.join(","), false, days)
    });
    prop_oneof![3 => dates, 2 => specials]
}

fn week_days() -> impl Strategy<Value = (String, bool, Vec<WeekDay>)> {
    let days = prop_oneof![
        6 => everything(0, 6),
        2 => single(0, 6),
        1 => list(0, 6),
        1 => range(0, 6, true),
        1 => star(0, 6),
    ];
    let days = days.prop_map(|field| (field.text, field.star, vec![WeekDay::Days(field.numbers)]));
    let special = prop_oneof![
        (0..=6_u32, 1..=5_u32).prop_map(|(day, nth)| (format!("{day}#{nth}"), WeekDay::Nth(day, nth))),
        (0..=6_u32).prop_map(|day| (format!("{day}L"), WeekDay::Last(day))),
        Just(("Fri".to_owned(), WeekDay::Days([5].into()))),
        Just(("7".to_owned(), WeekDay::Days([0].into()))),
    ];
    let specials = proptest::collection::vec(special, 1..4).prop_map(|days| {
        let (words, days): (Vec<_>, Vec<_>) = days.into_iter().unzip();
        (words.join(","), false, days)
    });
    prop_oneof![3 => days, 2 => specials]
}

fn months() -> BoxedStrategy<Field> {
    prop_oneof![4 => everything(1, 12), 1 => single(1, 12), 1 => list(1, 12), 1 => range(1, 12, true)].boxed()
}

/// Expressions of five and six fields.
pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let second = proptest::option::weighted(0.3, clock(0, 59));
    (second, clock(0, 59), clock(0, 23), month_days(), months(), week_days()).prop_map(
        |(second, minute, hour, (dom, dom_star, of_month), month, (dow, dow_star, of_week))| {
            let seconds = second.as_ref().map_or_else(String::new, |field| format!("{} ", field.text));
            let interval = minute.open || hour.open || second.as_ref().is_some_and(|field| field.open);
            Rule {
                text: format!("{seconds}{} {} {dom} {} {dow}", minute.text, hour.text, month.text),
                seconds: second.map_or_else(|| [0].into(), |field| field.numbers),
                minutes: minute.numbers,
                hours: hour.numbers,
                months: month.numbers,
                of_month,
                of_week,
                both: dom_star || dow_star,
                interval,
            }
        },
    )
}
