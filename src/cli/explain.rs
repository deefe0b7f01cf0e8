//! `upbeat explain`: the pages about errors, for those who have the program and no checkout of it. Opens nothing.

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::nearest::nearest;

/// Explain an error: what it means, whether anything is lost, what to do
///
/// Takes the name that stands below an error, the kind of a dead task's error, or a message as it was printed. Without
/// any, lists the names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  upbeat explain
  upbeat explain ledger-unavailable
  upbeat explain timed_out
  upbeat explain the ledger is not available")]
pub(crate) struct ExplainCommand {
    /// A name, a kind, or a message
    #[arg(value_name = "ERROR")]
    about: Vec<String>,
}

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    name: &'static str,
    text: &'static str,
}

macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        &[$(Page { name: $name, text: include_str!(concat!("../../docs/errors/", $name, ".md")) }),*]
    };
}

/// Every page, in the order of the alphabet.
const PAGES: &[Page] = pages![
    "args-newer",
    "args-older",
    "arguments-not-json",
    "broker-refuses",
    "broker-unavailable",
    "cannot-listen",
    "commit-elsewhere",
    "commit-refused",
    "commit-stale",
    "commit-unknown",
    "configuration",
    "configuration-file",
    "consumer-lost",
    "data-directory",
    "defect",
    "executor-invalid",
    "export-invalid",
    "file-exists",
    "ledger-newer",
    "ledger-refuses",
    "ledger-unavailable",
    "left-as-it-is",
    "limit-exceeded",
    "members-live",
    "messages-unknown",
    "name-invalid",
    "no-adapter",
    "no-ledger-here",
    "no-result",
    "no-such-member",
    "no-such-schedule",
    "no-such-task",
    "not-ready",
    "publish-invalid",
    "publish-unconfirmed",
    "queue-full",
    "rate-invalid",
    "schedule-conflict",
    "schedule-twice",
    "schedules-differ",
    "task-bad-arguments",
    "task-crashed",
    "task-deadline",
    "task-failed",
    "task-not-succeeded",
    "task-panicked",
    "task-stale",
    "task-timed-out",
    "task-twice",
    "task-undeliverable",
    "task-unknown-name",
    "task-without-handler",
    "timing-invalid",
    "traceparent-invalid",
    "transport-closed",
    "url-invalid",
    "wait-timed-out",
    "worker-options",
];

/// A message must share so many characters with a pattern: less than that says nothing.
const TELLING: usize = 8;

impl ExplainCommand {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let output = &context.output;
        if self.about.is_empty() {
            return PAGES.iter().try_for_each(|page| {
                output.result(
                    || format!("{:<22}{}", page.name, page.title()),
                    || json!({ "name": page.name, "title": page.title() }),
                )
            });
        }
        let about = self.about.join(" ");
        let page = find(&about).ok_or_else(|| unknown(&about))?;
        output.result(
            || page.text.trim_end().to_owned(),
            || json!({ "name": page.name, "title": page.title(), "text": page.text }),
        )
    }
}

impl Page {
    fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// The messages that it explains, `…` in the place of what varies.
    fn messages(&self) -> impl Iterator<Item = &'static str> {
        let block = self.text.split("```").nth(1).unwrap_or_default();
        block.lines().skip(1)
    }
}

/// The page of this name, of this kind, or the one whose messages fit best.
fn find(about: &str) -> Option<Page> {
    let name = about.trim().to_lowercase().replace('_', "-");
    let of_a_task = format!("task-{name}");
    let named = |name: &str| PAGES.iter().find(|page| page.name == name).copied();
    named(&name).or_else(|| named(&of_a_task)).or_else(|| {
        let fit = |page: &Page| page.messages().filter_map(|pattern| shared(pattern, about)).max();
        let best = PAGES.iter().filter_map(|page| Some((fit(page)?, *page))).max_by_key(|(fit, _)| *fit);
        best.map(|(_, page)| page)
    })
}

/// How many characters of a pattern a message has, if it has all of them in their order, and enough; a message that was
/// cut short counts as well.
fn shared(pattern: &str, message: &str) -> Option<usize> {
    let pieces: Vec<&str> = pattern.split('…').map(str::trim).filter(|piece| !piece.is_empty()).collect();
    let mut rest = message;
    let all = pieces.iter().all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    });
    let length: usize = pieces.iter().map(|piece| piece.chars().count()).sum();
    let begun = pieces.iter().any(|piece| piece.contains(message.trim().trim_end_matches('.')));
    let shared = if all {
        length
    } else if begun {
        message.trim().chars().count()
    } else {
        0
    };
    (shared >= TELLING).then_some(shared)
}

fn unknown(about: &str) -> Failure {
    let near = nearest(about, PAGES.iter().map(|page| page.name));
    Failure::usage(format!("nothing here explains `{about}`")).advice(match near {
        Some(near) => format!("did you mean `{near}`? `upbeat explain` lists what there is"),
        None => "`upbeat explain` lists what there is".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_page_of_the_documentation_is_in_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let files = files.map(|name| name.into_string().unwrap().trim_end_matches(".md").to_owned());
        let there: BTreeSet<String> = files.filter(|name| name != "README").collect();
        let known: BTreeSet<String> = PAGES.iter().map(|page| page.name.to_owned()).collect();
        assert_eq!(known, there);
        assert!(PAGES.is_sorted_by_key(|page| page.name));
    }

    #[test]
    fn every_page_says_what_is_lost_and_what_to_do() {
        for page in PAGES {
            assert!(page.text.starts_with("# ") && page.messages().count() > 0, "{}", page.name);
            for part in ["**Is anything lost?** ", "**What to do.** ", "**To see more.** "] {
                assert_eq!(page.text.matches(part).count(), 1, "{}: {part}", page.name);
            }
            let longest = page.text.lines().skip_while(|line| !line.starts_with("```\n"));
            assert!(longest.clone().all(|line| line.chars().count() <= 100), "{} has long lines", page.name);
        }
    }

    #[test]
    fn a_page_is_found_by_its_name_by_a_kind_and_by_a_message() {
        let found = |about: &str| find(about).map(|page| page.name);
        assert_eq!(found("ledger-unavailable"), Some("ledger-unavailable"));
        assert_eq!(found("bad_arguments"), Some("task-bad-arguments"));
        assert_eq!(found("error: the ledger is not available: no such host"), Some("ledger-unavailable"));
        assert_eq!(found("the broker is not available"), Some("broker-unavailable"));
        assert_eq!(found("--args is not JSON: expected value"), Some("arguments-not-json"));
        assert_eq!(found("my dog ate it"), None);
        assert_eq!(found("the"), None);
    }

    #[test]
    fn what_nothing_explains_is_answered_with_what_is_near() {
        let failure = unknown("ledger-unavailble");
        assert!(failure.advice.is_some_and(|advice| advice.contains("`ledger-unavailable`")));
    }
}
