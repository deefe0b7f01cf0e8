//! What all tables share while they are read: the sources, and what was found out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::{ConfigError, ConfigErrors, Place, Warning};
use super::provenance::{Entry, Origin, Provenance};
use super::sources::{KnownTask, Sources};
use super::tree::Node;
use super::value::{At, Fault, Found, Spot};

/// A file full of mistakes is reported up to here.
const MAX_ERRORS: usize = 50;

/// The sources, and what was found out about them.
pub(super) struct Context<'s> {
    sources: Sources<'s>,
    flags: BTreeMap<&'static str, String>,
    document: Option<Document>,
    faults: Vec<(Option<At>, Fault)>,
    warnings: Vec<(Option<At>, String)>,
    entries: Vec<Entry>,
}

impl<'s> Context<'s> {
    pub(super) fn new(sources: Sources<'s>, document: Option<Document>) -> Self {
        Self {
            flags: sources.flags.texts(),
            sources,
            document,
            faults: Vec::new(),
            warnings: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.sources.env)(name)
    }

    pub(super) fn flag(&self, name: &str) -> Option<String> {
        self.flags.get(name).cloned()
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<String> {
        (self.sources.read)(path)
    }

    /// Tasks that are handlers of this very program.
    pub(super) fn known(&self) -> &'s [KnownTask] {
        self.sources.known
    }

    /// A path as the file means it.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.document.as_ref().map_or_else(|| PathBuf::from(path), |document| document.resolve(path))
    }

    /// The file's path, for schedules to name their source.
    pub(super) fn file(&self) -> Option<&Path> {
        self.document.as_ref().map(Document::path)
    }

    /// The line of a byte of the file, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.document.as_ref().map_or(0, |document| document.line(at))
    }

    /// A value of the file.
    pub(super) fn in_file(&self, node: Node) -> Found {
        let span = node.span;
        let (path, line, loose) = match &self.document {
            Some(document) => {
                (document.path().to_owned(), document.line(span.start), document.is_expanded(&span))
            }
            None => (PathBuf::new(), 0, false),
        };
        Found {
            value: node.value,
            at: At::Text(span),
            origin: Origin::File { path, line },
            loose,
            sealed: false,
        }
    }

    pub(super) fn fault(&mut self, at: Option<At>, fault: Fault) {
        self.faults.push((at, fault));
    }

    /// A mistake in a value, or in a part of it.
    pub(super) fn value_fault(&mut self, found: &Found, fault: Fault) {
        self.text_fault(found.at.clone(), found.text().unwrap_or_default(), fault);
    }

    /// As `value_fault`, for a value of which only text and place are known.
    pub(super) fn text_fault(&mut self, at: At, text: &str, fault: Fault) {
        let at = match (&fault.spot, at, &self.document) {
            (Spot::Part(part), At::Text(span), Some(document)) => {
                At::Text(document.within(span, text, part.clone()))
            }
            (Spot::Bytes(bytes), At::Text(_), _) => At::Text(bytes.clone()),
            (_, at, _) => at,
        };
        self.fault(Some(at), fault);
    }

    pub(super) fn warn(&mut self, at: Option<At>, message: impl Into<String>) {
        self.warnings.push((at, message.into()));
    }

    pub(super) fn note(&mut self, table: &str, key: String, value: Option<String>, origin: Origin) {
        self.entries.push(Entry { table: table.to_owned(), key, value, origin });
    }

    /// Writes down what a value became that depends on other tables.
    pub(super) fn amend(&mut self, table: &str, key: &str, value: String) {
        let entry = self.entries.iter_mut().find(|entry| entry.table == table && entry.key == key);
        if let Some(entry) = entry {
            entry.value = Some(value);
        }
    }

    /// Whether it is the file that says what a value is.
    pub(super) fn is_from_file(&self, table: &str, key: &str) -> bool {
        let entry = self.entries.iter().find(|entry| entry.table == table && entry.key == key);
        entry.is_some_and(|entry| matches!(entry.origin, Origin::File { .. }))
    }

    /// How many mistakes were found so far.
    pub(super) fn faults(&self) -> usize {
        self.faults.len()
    }

    /// What was found out, or every mistake in the order of flags, environment and file.
    pub(super) fn finish(mut self) -> Result<(Provenance, Vec<Warning>), ConfigErrors> {
        if self.faults.is_empty() {
            let warnings = std::mem::take(&mut self.warnings);
            let warnings = warnings
                .into_iter()
                .map(|(at, message)| Warning { place: self.place(at), message })
                .collect();
            return Ok((Provenance::new(self.entries), warnings));
        }
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|(at, _)| match at {
            Some(At::Text(span)) => (1, span.start),
            Some(At::Environment(_) | At::Flag(_)) | None => (0, 0),
        });
        let left_out = faults.len().saturating_sub(MAX_ERRORS);
        faults.truncate(MAX_ERRORS);
        let errors = faults
            .into_iter()
            .map(|(at, fault)| ConfigError {
                place: self.place(at),
                message: fault.message,
                help: fault.help,
            })
            .collect();
        Err(ConfigErrors::new(errors, left_out))
    }

    fn place(&self, at: Option<At>) -> Place {
        match (at, &self.document) {
            (Some(At::Text(span)), Some(document)) => document.place(&span),
            (Some(At::Environment(name)), _) => Place::Environment(name),
            (Some(At::Flag(name)), _) => Place::Flag(name),
            (_, document) => Place::File(
                document.as_ref().map_or_else(PathBuf::new, |document| document.path().to_owned()),
            ),
        }
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest holds texts before they are masked.
        f.debug_struct("Context").field("faults", &self.faults).finish_non_exhaustive()
    }
}
