//! What a source file mentions. Reads tokens, so that comments and strings cannot mislead it. Never reads a file.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The mentions of one file.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Every path of two segments or more, and everything imported, as seen from the crate: `crate::ledger::Claim`,
    /// `std::time::Instant`. Imports are expanded, `self`, `super` and imported names resolved.
    pub(super) paths: BTreeSet<String>,
    /// The names of the macros called.
    pub(super) macros: BTreeSet<String>,
    /// Whether a test is marked to be skipped.
    pub(super) ignores_a_test: bool,
}

impl Source {
    /// Reads the source of `module` (`crate::transport::amqp`).
    pub(super) fn parse(module: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{module} is no Rust: {error}"));
        let mut reader = Reader::default();
        reader.read(&segments(module), tokens);
        reader.finish()
    }

    /// The mentions of `path` and of what lies below it.
    pub(super) fn mentions(&self, path: &str) -> impl Iterator<Item = &String> {
        self.paths.iter().filter(move |it| {
            it.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    }
}

/// The module that a file holds: `shared/src/transport/amqp/mod.rs` is `crate::transport::amqp`.
pub(super) fn module(file: &str) -> String {
    let inside = file.split_once("src/").map_or(file, |(_, inside)| inside);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let names = inside.split('/').filter(|name| !["lib", "main", "mod"].contains(name));
    ["crate"].into_iter().chain(names).collect::<Vec<_>>().join("::")
}

/// A path as it is written, and the module in which it is.
struct Written {
    module: Vec<String>,
    path: Vec<String>,
}

/// Collects what is written first, because a name may be used above its import.
#[derive(Default)]
struct Reader {
    source: Source,
    written: Vec<Written>,
    /// Names that imports and modules introduce, with what they stand for. Scopes are not told apart: a name that means
    /// two things in one file is taken for both.
    names: Vec<(String, Written)>,
}

impl Reader {
    fn read(&mut self, module: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at += self.item(module, &tokens[at..]).max(1);
        }
    }

    /// Reads what stands first, and returns how many tokens it took.
    fn item(&mut self, module: &[String], tokens: &[TokenTree]) -> usize {
        match &tokens[0] {
            TokenTree::Group(group) => {
                self.read(module, group.stream());
                1
            }
            TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(tokens),
            TokenTree::Ident(ident) if ident == "mod" => self.inner_module(module, tokens),
            // `use<'a>` in a bound is no import.
            TokenTree::Ident(ident) if ident == "use" && !is_punct(tokens.get(1), '<') => {
                let end = tokens.iter().position(|token| is_punct(Some(token), ';')).unwrap_or(tokens.len());
                self.import(module, &[], &tokens[1..end]);
                end
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => self.path(module, tokens),
            TokenTree::Literal(_) => 1,
        }
    }

    fn attribute(&mut self, tokens: &[TokenTree]) -> usize {
        let group = tokens[1..].iter().take(2).find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => Some(group),
            _ => None,
        });
        let words: Vec<String> = group.map(|group| flat_words(group.stream())).unwrap_or_default();
        let conditional = words.first().is_some_and(|word| word == "cfg_attr");
        self.source.ignores_a_test |= words.first().is_some_and(|word| word == "ignore");
        self.source.ignores_a_test |= conditional && words.iter().any(|word| word == "ignore");
        // The paths inside are read with the group itself.
        1
    }

    fn inner_module(&mut self, module: &[String], tokens: &[TokenTree]) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(1) else { return 1 };
        let inner = joined(module, [name.to_string()]);
        self.names.push((name.to_string(), Written { module: Vec::new(), path: inner.clone() }));
        let Some(TokenTree::Group(body)) = tokens.get(2) else { return 2 };
        self.read(&inner, body.stream());
        3
    }

    /// Expands the import `prefix::tokens`, where the tokens are a path, a list in braces, a glob or a renaming.
    fn import(&mut self, module: &[String], prefix: &[String], tokens: &[TokenTree]) {
        for tree in tokens.split(|token| is_punct(Some(token), ',')).filter(|tree| !tree.is_empty()) {
            let (path, length) = leading_path(tree);
            let path = joined(prefix, path);
            if let Some(TokenTree::Group(list)) = tree.get(length) {
                let list: Vec<TokenTree> = list.stream().into_iter().collect();
                self.import(module, &path, &list);
                continue;
            }
            // `use a::{self}` imports `a`.
            let path = if path.len() > 1 {
                path.strip_suffix(&["self".to_owned()]).unwrap_or(&path).to_vec()
            } else {
                path
            };
            let name = match tree.get(length..) {
                Some([TokenTree::Ident(keyword), TokenTree::Ident(name)]) if keyword == "as" => {
                    Some(name.to_string())
                }
                _ => path.last().cloned(),
            };
            if let Some(name) = name.filter(|name| path != [name.clone()]) {
                self.names.push((name, Written { module: module.to_vec(), path: path.clone() }));
            }
            self.written.push(Written { module: module.to_vec(), path });
        }
    }

    fn path(&mut self, module: &[String], tokens: &[TokenTree]) -> usize {
        let (path, length) = leading_path(tokens);
        let Some(name) = path.last() else { return 1 };
        if is_punct(tokens.get(length), '!') && matches!(tokens.get(length + 1), Some(TokenTree::Group(_))) {
            self.source.macros.insert(name.clone());
        }
        // A lone name is a variable, a keyword or something whose import was read where it stands.
        if path.len() > 1 {
            self.written.push(Written { module: module.to_vec(), path });
        }
        length
    }

    fn finish(mut self) -> Source {
        for written in &self.written {
            self.source.paths.extend(self.resolve(written, 8).into_iter().map(|path| path.join("::")));
        }
        self.source
    }

    /// The paths that a written one may stand for, as seen from the crate. `depth` ends imports that go in circles.
    fn resolve(&self, written: &Written, depth: usize) -> Vec<Vec<String>> {
        let Written { module, path } = written;
        let [first, rest @ ..] = path.as_slice() else { return Vec::new() };
        match first.as_str() {
            "" => vec![rest.to_vec()],
            "self" => vec![joined(module, rest.to_vec())],
            "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                let parent = &module[..module.len().saturating_sub(ups)];
                vec![joined(parent, path[ups..].to_vec())]
            }
            "crate" => vec![path.clone()],
            name => {
                let known = self.names.iter().filter(|(known, _)| known == name && depth > 0);
                let known: Vec<Vec<String>> = known
                    .flat_map(|(_, target)| self.resolve(target, depth - 1))
                    .map(|target| joined(&target, rest.to_vec()))
                    .collect();
                if known.is_empty() { vec![path.clone()] } else { known }
            }
        }
    }
}

/// The path at the beginning of `tokens`, and how many tokens it takes. An absolute path begins with an empty segment.
fn leading_path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    if is_separator(tokens) {
        path.push(String::new());
        at = 2;
    }
    while let Some(TokenTree::Ident(segment)) = tokens.get(at) {
        path.push(segment.to_string());
        at += 1;
        if !is_separator(&tokens[at..]) {
            break;
        }
        at += 2;
    }
    (path, at)
}

fn is_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(first), TokenTree::Punct(second), ..]
        if first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':')
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn flat_words(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(ident) => vec![ident.to_string()],
        TokenTree::Group(group) => flat_words(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => Vec::new(),
    });
    words.collect()
}

fn joined(prefix: &[String], rest: impl IntoIterator<Item = String>) -> Vec<String> {
    prefix.iter().cloned().chain(rest).collect()
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::parse("crate::transport::amqp", text).paths.into_iter().collect()
    }

    #[test]
    fn imports_are_expanded() {
        assert_eq!(
            paths("use std::{fs, time::{self, Instant as Now}};"),
            ["std::fs", "std::time", "std::time::Instant"]
        );
    }

    #[test]
    fn an_imported_name_stands_for_what_was_imported() {
        assert_eq!(
            paths("fn f() { time::Instant::now(); } use std::time;"),
            ["std::time", "std::time::Instant::now"]
        );
        assert_eq!(paths("use lapin as l; type A = l::Channel;"), ["lapin", "lapin::Channel"]);
    }

    #[test]
    fn relative_paths_are_seen_from_the_crate() {
        assert_eq!(paths("type A = super::Port;"), ["crate::transport::Port"]);
        assert_eq!(paths("mod tests { use super::super::super::ledger; }"), ["crate::ledger"]);
        assert_eq!(paths("mod redis; type A = redis::Store;"), ["crate::transport::amqp::redis::Store"]);
    }

    #[test]
    fn paths_inside_macros_and_attributes_are_seen() {
        assert_eq!(paths("#[derive(clap::Parser)] struct A;"), ["clap::Parser"]);
        assert_eq!(paths("fn f() { select! { x = lapin::wait() => {} } }"), ["lapin::wait"]);
    }

    #[test]
    fn comments_strings_and_fields_are_no_mentions() {
        assert!(
            paths("/// See lapin::Channel.\nfn f() { \"lapin::Channel\"; self.lapin; lapin } // lapin::X")
                .is_empty()
        );
    }

    #[test]
    fn a_file_is_told_its_module() {
        assert_eq!(module("shared/src/transport/amqp/mod.rs"), "crate::transport::amqp");
        assert_eq!(module("shared/schedule/src/lib.rs"), "crate");
        assert_eq!(module("src/cli/dev.rs"), "crate::cli::dev");
    }
}
