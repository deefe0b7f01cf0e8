//! `upbeat config reference`: what every key of the configuration takes, and what it is for. Reads no configuration.

use clap::Args;
use serde_json::{Value, json};
use upbeat_shared::config::{Described, DescribedTable, reference};

use super::context::Context;
use super::failure::Failure;
use super::nearest::nearest;
use super::words::wrapped;

/// Lines no longer than this are read with ease, and fit on most terminals.
const WIDTH: usize = 100;

/// Print what every key takes, its default, and what it is for
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  upbeat config reference
  upbeat config reference worker
  upbeat config reference worker.grace
  upbeat config reference retry --json")]
pub(super) struct ReferenceCommand {
    /// Only this table, or this key
    #[arg(value_name = "TABLE|KEY")]
    about: Option<String>,
}

impl ReferenceCommand {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let all = reference();
        let tables = match &self.about {
            None => all,
            Some(word) => Some(matching(&all, word))
                .filter(|found| !found.is_empty())
                .ok_or_else(|| unknown(&all, word))?,
        };
        if context.output.is_json() {
            let keys = tables.iter().flat_map(|table| table.keys.iter().map(|key| to_json(table, key)));
            return keys.into_iter().try_for_each(|key| context.output.object(&key));
        }
        let texts: Vec<String> = tables.iter().map(to_text).collect();
        context.output.line(texts.join("\n\n"))
    }
}

/// What a word names: a table, a key with its table, or every key of this name.
fn matching(all: &[DescribedTable], word: &str) -> Vec<DescribedTable> {
    let word = word.trim_matches(['[', ']']);
    let is_table = |table: &DescribedTable| {
        !table.table.is_empty()
            && (table.table == word || table.table.split_once('.').is_some_and(|(first, _)| first == word))
    };
    if all.iter().any(is_table) {
        return all.iter().filter(|table| is_table(table)).cloned().collect();
    }
    let only = |table: &DescribedTable, is_meant: &dyn Fn(&Described) -> bool| {
        let keys: Vec<Described> = table.keys.iter().filter(|key| is_meant(key)).cloned().collect();
        let mut table = table.clone();
        table.keys = keys;
        table
    };
    let tables = all.iter().map(|table| only(table, &|key| table.path(key) == word || key.key == word));
    tables.filter(|table| !table.keys.is_empty()).collect()
}

fn unknown(all: &[DescribedTable], word: &str) -> Failure {
    let paths: Vec<String> =
        all.iter().flat_map(|table| table.keys.iter().map(|key| table.path(key))).collect();
    let keys = all.iter().flat_map(|table| table.keys.iter().map(|key| key.key));
    let names = all.iter().map(|table| table.table).chain(keys).chain(paths.iter().map(String::as_str));
    let advice = match nearest(word, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`upbeat config reference` prints all of them".to_owned(),
    };
    Failure::usage(format!("the configuration has no table and no key `{word}`")).advice(advice)
}

fn to_json(table: &DescribedTable, key: &Described) -> Value {
    json!({
        "key": table.path(key),
        "takes": plain(&key.takes),
        "default": key.default,
        "variable": key.env,
        "flag": key.flag,
        "meaning": key.meaning,
    })
}

fn to_text(table: &DescribedTable) -> String {
    let heading = match table.table {
        "" => "The top of the file".to_owned(),
        "schedule" => "[[schedule]]".to_owned(),
        table => format!("[{table}]"),
    };
    let keys = table.keys.iter().map(|key| {
        let meaning = wrapped(key.meaning, WIDTH - 6).join("\n      ");
        format!("\n\n  {}: {}\n      {meaning}", key.key, short(key))
    });
    let about = wrapped(table.about, WIDTH).join("\n");
    format!("{heading}\n{about}{}", keys.collect::<String>())
}

/// What it takes, and what holds without it, on one line.
fn short(key: &Described) -> String {
    let default = match &key.default {
        Some(default) => format!("; default {default}"),
        None if key.unset == "—" => String::new(),
        None => format!("; default: {}", plain(key.unset)),
    };
    let outside = match (key.env, key.flag) {
        (Some(env), Some(flag)) => format!("; {env}, {flag}"),
        _ => String::new(),
    };
    format!("{}{default}{outside}", plain(&key.takes))
}

/// Without the marks that are for a page.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(word: &str) -> Vec<String> {
        let tables = matching(&reference(), word);
        tables.iter().flat_map(|table| table.keys.iter().map(|key| table.path(key))).collect()
    }

    #[test]
    fn a_word_names_a_table_a_key_or_every_key_of_a_name() {
        assert_eq!(found("worker.grace"), ["worker.grace"]);
        assert_eq!(found("namespace"), ["namespace"]);
        assert_eq!(found("lease"), ["ledger.lease"]);
        assert_eq!(found("tls_ca"), ["broker.tls_ca", "ledger.tls_ca"]);
        assert!(found("[worker]").contains(&"worker.concurrency".to_owned()));
        assert!(found("tasks").contains(&"tasks.NAME.http.url".to_owned()));
        assert_eq!(found("nothing"), [""; 0]);
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        let failure = unknown(&reference(), "worker.concurency");
        assert_eq!(failure.advice.as_deref(), Some("did you mean `worker.concurrency`?"));
    }

    #[test]
    fn a_key_says_what_it_takes_and_where_else_it_can_be_set() {
        let tables = matching(&reference(), "worker.concurrency");
        insta::assert_snapshot!(to_text(&tables[0]), @r"
        [worker]
        How tasks become work.

          concurrency: number; default 64; UPBEAT_CONCURRENCY, --concurrency
              How many tasks run at once; from 1 to 65,536.
        ");
    }
}
