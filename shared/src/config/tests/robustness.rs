//! No file makes the program panic, however it is mangled.

use proptest::prelude::*;

use super::*;
use crate::config::TEMPLATE;

fn files() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(TEMPLATE), Just(include_str!("../../../../examples/quickstart.toml")), Just(SMALL)]
}

const SMALL: &str = "data = 'd'\n[broker]\nurl = 'amqp://u:p@h:1/v'\n[worker]\nqueues = { a = 1 }\nretry = { delay = '1s' }\n\
    [http]\nlisten = '[::1]:1'\n[limits]\nbody = '1KiB'\ndepth = 3\n[queues.a]\nweight = 3\n[tasks.'é']\ncommand = ['a', '${X:-é}']\n[tasks.t]\nhttp = \
    { url = 'http://h', secret = 's' }\n[[schedule]]\nid = 'i'\ntask = 't'\ncron = '* * * * *'\nargs = { a = [1, [2, [3]]] }\n";

const PIECES: [&str; 16] = [
    "\"",
    "'",
    "'''",
    "[",
    "]]",
    "{",
    "}",
    "= ",
    "\n",
    "\u{1b}[31m",
    "é",
    "${",
    "99999999999999999999",
    "nan",
    "#",
    "\0",
];

proptest! {
    #[test]
    fn a_mangled_file_is_read_or_refused(
        file in files(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..30, 0_usize..PIECES.len()), 1..6),
    ) {
        let mut text = file.to_owned();
        for (at, length, piece) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, PIECES[piece]);
        }
        if let Err(errors) = World::with(&text).load() {
            let shown = errors.to_string();
            prop_assert!(errors.iter().next().is_some());
            prop_assert!(!shown.contains('\u{1b}'), "{shown}");
        }
    }

    #[test]
    fn values_of_any_kind_are_read_or_refused(
        key in prop::sample::select(every_key()),
        value in prop::sample::select(vec![
            "0", "-1", "1.5", "inf", "true", "''", "'x'", "[]", "[1]", "['a', 2]", "{}", "{ a = 1 }", "{ a = 'b' }", "1979-05-27", "07:32:00",
            "170141183460469231731687303715884105727", "'${X}'", "'1 month'", "'-5s'", "'9999999999999999h'", "'R5/x'", "[[[[]]]]",
        ]),
    ) {
        let (table, name) = key;
        let text = match table {
            "" => format!("{name} = {value}\n"),
            "retry" => format!("[worker.retry]\n{name} = {value}\n"),
            "schedule.catch_up" => format!("[[schedule]]\ncatch_up.{name} = {value}\n"),
            "schedule" => format!("[[schedule]]\n{name} = {value}\n"),
            table => format!("[{table}]\n{name} = {value}\n"),
        };
        if let Err(errors) = World::with(&text).load() {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

fn every_key() -> Vec<(&'static str, &'static str)> {
    let tables = crate::config::keys::ALL;
    tables.iter().flat_map(|table| table.names().map(|name| (table.table, name))).collect()
}
