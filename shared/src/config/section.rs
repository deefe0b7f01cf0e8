//! Reads one table of the file, key by key: flag, environment, file, default, in this order. Notes where each value
//! came from, and every mistake.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::context::Context;
use super::keys::{Key, Keys};
use super::provenance::Origin;
use super::show::Show;
use super::tree::{Field, Node, Value};
use super::value::{At, Fault, Found, nearest};

/// One table while it is read.
pub(super) struct Section<'c, 's> {
    pub(super) cx: &'c mut Context<'s>,
    keys: &'static Keys,
    /// As in the provenance.
    table: String,
    /// What its keys begin with there: `retry.` for a table within the table.
    prefix: String,
    entries: BTreeMap<String, Node>,
    /// Where the keys stand.
    names: BTreeMap<String, Range<usize>>,
    /// Where the values were found that were taken.
    places: BTreeMap<&'static str, At>,
    /// The table's header, or whatever else stands for the table as a whole.
    header: Option<Range<usize>>,
    /// Where its defaults come from.
    fallback: Origin,
}

impl<'c, 's> Section<'c, 's> {
    /// A table that may not be there.
    pub(super) fn new(
        cx: &'c mut Context<'s>,
        keys: &'static Keys,
        table: impl Into<String>,
        content: Option<Node>,
    ) -> Self {
        let header = content.as_ref().map(|content| content.span.clone());
        let content = match content.map(|content| content.value) {
            Some(Value::Table(content)) => content,
            Some(other) => {
                let help = format!("write [{}] above its keys", keys.table);
                cx.fault(header.clone().map(At::Text), unlike_a_table(&other).help(help));
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut section = Self {
            cx,
            keys,
            table: table.into(),
            prefix: String::new(),
            entries: BTreeMap::new(),
            names: BTreeMap::new(),
            places: BTreeMap::new(),
            header,
            fallback: Origin::Default,
        };
        for field in content {
            section.names.insert(field.name.clone(), field.at);
            section.entries.insert(field.name, field.node);
        }
        section
    }

    /// A table within this one, such as `retry`.
    pub(super) fn child(&mut self, key: &'static str, keys: &'static Keys) -> Section<'_, 's> {
        let content = self.entries.remove(key);
        if let Some(content) = &content {
            self.places.insert(key, At::Text(content.span.clone()));
        }
        let mut child = Section::new(self.cx, keys, self.table.clone(), content);
        child.prefix = format!("{}{key}.", self.prefix);
        child
    }

    /// A table within this one that the user has named; `prefix` is what its keys begin with.
    pub(super) fn inner(&mut self, prefix: &str, keys: &'static Keys, content: Node) -> Section<'_, 's> {
        let mut inner = Section::new(self.cx, keys, self.table.clone(), Some(content));
        inner.prefix = format!("{}{prefix}", self.prefix);
        inner
    }

    /// A table of its own beneath the top.
    pub(super) fn table(&mut self, name: &'static str, keys: &'static Keys) -> Section<'_, 's> {
        let content = self.entries.remove(name);
        Section::new(self.cx, keys, name, content)
    }

    /// The tables beneath a name that the user names: each with its name and where that stands.
    pub(super) fn named(&mut self, name: &'static str) -> Vec<Field> {
        let Some(content) = self.entries.remove(name) else { return Vec::new() };
        match content.value {
            Value::Table(fields) => fields,
            other => {
                let help = format!("write [{name}.NAME] above the keys of each");
                self.cx.fault(Some(At::Text(content.span)), unlike_a_table(&other).help(help));
                Vec::new()
            }
        }
    }

    /// The tables of a list.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<Node> {
        let Some(content) = self.entries.remove(name) else { return Vec::new() };
        if let Value::List(items) = content.value {
            return items;
        }
        let fault = Fault::new(format!("there can be several of `{name}`"));
        let help = format!("write [[{name}]], with two brackets, above each");
        self.cx.fault(Some(At::Text(content.span)), fault.help(help));
        Vec::new()
    }

    /// Says where defaults come from, where it is another table.
    pub(super) fn inherits(mut self, from: &'static str) -> Self {
        self.fallback = Origin::Inherited(from);
        self
    }

    /// The value of a key, or its default.
    pub(super) fn get<T: Show>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Found) -> Result<T, Fault>,
    ) -> T {
        self.read(key, Some(&default), read).unwrap_or(default)
    }

    /// The value of a key that may be left out.
    pub(super) fn find<T: Show>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Found) -> Result<T, Fault>,
    ) -> Option<T> {
        self.read(key, None, read)
    }

    /// Whether the file has the key and nobody took it yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The kind of the file's value, if it is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|node| matches!(node.value, Value::Table(_)))
    }

    /// Whether there is a table whose name is no key: mostly a part of a name that should have been in quotes.
    pub(super) fn has_stray_table(&self) -> bool {
        self.entries
            .iter()
            .any(|(name, node)| matches!(node.value, Value::Table(_)) && self.keys.get(name).is_none())
    }

    /// Where a value that was taken stands; the table's header otherwise.
    pub(super) fn place(&self, key: &str) -> Option<At> {
        self.places.get(key).cloned().or_else(|| self.header.clone().map(At::Text))
    }

    /// Whether a value was taken.
    pub(super) fn took(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// A mistake in a value that was taken, or in the table as a whole.
    pub(super) fn fault(&mut self, key: &str, fault: Fault) {
        let at = self.place(key);
        self.cx.fault(at, fault);
    }

    /// Refuses a key that does not belong here, for a reason that depends on other keys.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, help: &str) {
        if self.entries.remove(key).is_some() {
            let span = self.names.get(key).cloned();
            self.cx.fault(span.map(At::Text), Fault::new(message).help(help));
        }
    }

    /// Leaves keys unread whose meaning depends on a mistake that is reported already.
    pub(super) fn forget(&mut self, keys: &[&[&'static str]]) {
        for key in keys.iter().copied().flatten() {
            self.entries.remove(*key);
        }
    }

    /// Everything that is left is unknown.
    pub(super) fn finish(self) {
        for (name, node) in &self.entries {
            let span = self.names.get(name).cloned();
            let fault = self.unknown(name, &node.value);
            self.cx.fault(span.map(At::Text), fault);
        }
    }

    fn unknown(&self, name: &str, value: &Value) -> Fault {
        let table = self.keys.table;
        if table == "tasks.NAME" && matches!(value, Value::Table(_)) {
            let full = format!("{}.{name}", self.table.trim_start_matches("tasks.").trim_matches('"'));
            return Fault::new(format!("a task has no table `{name}`"))
                .help(format!("a name with a dot is written in quotes: [tasks.\"{full}\"]"));
        }
        let tables: &[&str] = if table.is_empty() { &super::keys::TABLES } else { &[] };
        let names: Vec<&'static str> = self.keys.names().chain(tables.iter().copied()).collect();
        let help = match nearest(name, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known here: {}", names.join(", ")),
        };
        Fault::new(format!("unknown key `{}`", super::value::brief(name))).help(help)
    }

    fn read<T: Show>(
        &mut self,
        key: &'static str,
        default: Option<&T>,
        read: impl FnOnce(&Found) -> Result<T, Fault>,
    ) -> Option<T> {
        let Some(found) = self.take(key) else {
            let origin = if default.is_some() { self.fallback.clone() } else { Origin::Default };
            self.note(key, default.map(Show::show), origin);
            return None;
        };
        match read(&found) {
            Ok(value) => {
                let shown = if found.sealed { super::MASK.show() } else { value.show() };
                self.note(key, Some(shown), found.origin);
                Some(value)
            }
            Err(fault) => {
                // Not even a part of what a file of secrets holds is repeated.
                let fault = match (found.sealed, fault.help) {
                    (true, Some(help)) => Fault::new("what this file holds is not accepted").help(help),
                    (true, None) => Fault::new("what this file holds is not accepted"),
                    (false, help) => Fault { help, ..fault },
                };
                self.cx.value_fault(&found, fault);
                None
            }
        }
    }

    fn note(&mut self, key: &str, value: Option<String>, origin: Origin) {
        let key = format!("{}{key}", self.prefix);
        self.cx.note(&self.table, key, value, origin);
    }

    /// The value from the place that wins. The file's is taken in any case, so that it does not count as unknown.
    fn take(&mut self, name: &'static str) -> Option<Found> {
        let key = self.keys.get(name);
        debug_assert!(key.is_some(), "`{name}` is missing in the table of keys");
        let outside = key.and_then(|key| self.outside(key));
        let in_file = self.entries.remove(name).map(|node| self.cx.in_file(node));
        let from_file = self.take_file(name, in_file.is_some(), outside.is_some());
        let found = outside.or(in_file).or(from_file)?;
        self.places.insert(name, found.at.clone());
        Some(found)
    }

    fn outside(&self, key: &Key) -> Option<Found> {
        let outside = key.outside?;
        if let Some(text) = self.cx.flag(outside.flag) {
            return Some(loose(text, At::Flag(outside.flag), Origin::Flag(outside.flag)));
        }
        // An empty variable is what a template of a container leaves of one that nobody set.
        let text = self.cx.env(outside.env).filter(|text| !text.is_empty())?;
        Some(loose(text, At::Environment(outside.env), Origin::Environment(outside.env)))
    }

    /// The content of the file that `…_file` names.
    fn take_file(&mut self, name: &'static str, twice: bool, outdone: bool) -> Option<Found> {
        let file_key = self.keys.names().find(|key| key.strip_suffix("_file") == Some(name))?;
        let path = self.entries.remove(file_key).map(|node| self.cx.in_file(node))?;
        if twice {
            let fault =
                Fault::new(format!("both `{name}` and `{file_key}` are set")).help("keep one of the two");
            self.cx.fault(self.names.get(file_key).cloned().map(At::Text), fault);
            return None;
        }
        if outdone {
            return None;
        }
        match self.read_file(&path) {
            Ok(text) => Some(Found { value: Value::Text(text), sealed: true, ..path }),
            Err(fault) => {
                self.cx.value_fault(&path, fault);
                None
            }
        }
    }

    fn read_file(&self, found: &Found) -> Result<String, Fault> {
        let path: PathBuf = self.cx.resolve(found.filled()?);
        match self.cx.read(&path) {
            Ok(text) if text.trim().is_empty() => Err(Fault::new(format!("{} is empty", path.display()))),
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(Fault::new(format!("cannot read {}: {error}", path.display()))
                .help("paths are relative to the directory of this file")),
        }
    }
}

fn loose(text: String, at: At, origin: Origin) -> Found {
    Found { value: Value::Text(text), at, origin, loose: true, sealed: false }
}

fn unlike_a_table(value: &Value) -> Fault {
    Fault::new(format!("this should be a table, and is {}", value.kind()))
}
