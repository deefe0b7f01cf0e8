//! The text of the file, its tables, and the places in it. Never knows what a key means, but for which are secret.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::env::expand;
use super::error::{Place, TextPlace};
use super::mask;
use super::tree::{Node, Value};
use super::value::{Fault, brief};

/// A larger file is no configuration.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// How much of a line is shown.
const MAX_SHOWN: usize = 140;
/// How many mistakes in the grammar are reported; later ones are mostly echoes of the first.
const MAX_SYNTAX: usize = 3;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Document {
    path: PathBuf,
    text: String,
    /// The text with secrets masked: as many characters, in the same lines.
    shown: String,
    /// Where values were replaced by the environment's.
    expanded: Vec<Range<usize>>,
}

/// A mistake, and where in the text it is.
pub(super) type Misplaced = (Range<usize>, Fault);

impl Document {
    /// Parses a file, and replaces `${NAME}` in its strings.
    pub(super) fn parse(
        path: PathBuf,
        text: String,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> (Self, Node, Vec<Misplaced>) {
        let mut document = Self { path, text: String::new(), shown: String::new(), expanded: Vec::new() };
        let (table, syntax) = DeTable::parse_recoverable(&text);
        let mut tree = Node::of_file(table.get_ref());
        document.shown = mask::masked(&text, &tree, !syntax.is_empty());
        let mut faults = grammar(&text, &syntax);
        document.text = text;
        if faults.is_empty() {
            document.expand(&mut tree, env, &mut faults);
        }
        (document, tree, faults)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the file is relative to the file's directory.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().map_or_else(|| PathBuf::from(path), |parent| parent.join(path))
    }

    /// Whether a value holds something from the environment.
    pub(super) fn is_expanded(&self, span: &Range<usize>) -> bool {
        self.expanded.contains(span)
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let at = self.text.floor_char_boundary(at.min(self.text.len()));
        1 + self.text[..at].bytes().filter(|b| *b == b'\n').count()
    }

    /// The bytes of a part of a string's text; of the whole value if the file does not hold the text as it is.
    pub(super) fn within(&self, value: Range<usize>, text: &str, part: Range<usize>) -> Range<usize> {
        let raw = self.text.get(value.clone()).unwrap_or_default();
        let verbatim = raw.len() == text.len() + 2 && raw.get(1..raw.len() - 1) == Some(text);
        if !verbatim || part.end > text.len() {
            return value;
        }
        value.start + 1 + part.start..value.start + 1 + part.end
    }

    /// What a person is shown of a place.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let end = self.text.floor_char_boundary(span.end.clamp(start, self.text.len()));
        // What ends before it began is the end of a file or line: the place just behind the last character.
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |at| start + at);
        let before = self.text[line_start..start].chars().count();
        let width = self.text[start..end.min(line_end)].chars().count().max(1);
        let line = self.line(start);
        let shown = self.shown.lines().nth(line - 1).unwrap_or_default();
        let cut = if before + width > MAX_SHOWN { before.saturating_sub(MAX_SHOWN / 4) } else { 0 };
        let text: String = shown.chars().skip(cut).take(MAX_SHOWN).map(visible).collect();
        let room = (text.chars().count() + 1).saturating_sub(before - cut).max(1);
        Place::Text(TextPlace {
            path: self.path.clone(),
            line,
            column: before + 1,
            width: width.min(room),
            text,
            cut,
        })
    }

    fn expand(&mut self, node: &mut Node, env: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<Misplaced>) {
        match &mut node.value {
            Value::Text(text) => match expand(text, env) {
                Ok(Cow::Borrowed(_)) => {}
                Ok(Cow::Owned(expanded)) => {
                    *text = expanded;
                    self.expanded.push(node.span.clone());
                }
                Err(fault) => {
                    let part = self.within(node.span.clone(), text, fault.span);
                    faults.push((part, Fault::new(fault.message).help(fault.help)));
                }
            },
            Value::List(items) => {
                for item in items {
                    self.expand(item, env, faults);
                }
            }
            Value::Table(fields) => {
                for field in fields {
                    self.expand(&mut field.node, env, faults);
                }
            }
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }
}

/// Mistakes against TOML itself, without those that are echoes of the one before.
fn grammar(text: &str, errors: &[toml::de::Error]) -> Vec<Misplaced> {
    let mut faults: Vec<Misplaced> = Vec::new();
    for error in errors {
        let is_echo = error.message() == "duplicate key" && !faults.is_empty();
        if faults.len() < MAX_SYNTAX && !is_echo {
            faults.push(explain(text, error));
        }
    }
    faults
}

/// In words for those who do not know the grammar by heart.
fn explain(text: &str, error: &toml::de::Error) -> Misplaced {
    let span = error.span().unwrap_or(0..0);
    let word = text.get(span.clone()).unwrap_or_default();
    let line_start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    let fault = match error.message() {
        "duplicate key" if line.starts_with('[') => {
            Fault::new(format!("the table {} is written twice", brief(line)))
                .help("join the two, or rename one")
        }
        "duplicate key" => Fault::new(format!("`{}` is set twice", brief(word))).help("keep one of the two"),
        message if message.starts_with("string values must be quoted") => {
            Fault::new("there is no value here that TOML knows")
                .help("texts are written in quotes: key = \"text\"")
        }
        message if message.starts_with("invalid basic string, expected") => {
            Fault::new("this text has no closing quote")
                .help("a text of several lines is written in \"\"\" or '''")
        }
        message => Fault::new(format!("this is no TOML: {message}")),
    };
    (span, fault)
}

/// A tab or an escape sequence must neither shift the underline nor reach a terminal.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
