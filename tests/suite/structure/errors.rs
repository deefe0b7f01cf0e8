//! Every error that a user can meet has a page, and every page speaks of errors that there are.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::{files, none};

const FOLDER: &str = "docs/errors/";
const INDEX: &str = "docs/errors/README.md";

/// Errors without a page of their own, with the reason.
const INSIDE: [(&str, &str); 4] = [
    ("SqliteError", "it reaches users as a LedgerError or a TransportError"),
    ("Fault", "it never leaves the beat"),
    ("RunFailed", "it tells a test what became of its task"),
    ("Unsound", "it tells a test what its simulation broke"),
];

/// What one source file says of errors.
#[derive(Debug, Default)]
struct Spoken {
    /// Every text in it, `…` in the place of what is filled in.
    texts: Vec<String>,
    /// The types that derive `Error`, with the message of each variant that has one of its own.
    errors: BTreeMap<String, Vec<(String, String)>>,
    /// What `fn page` of a type says of each variant; under an empty name what it says of all.
    pages: BTreeMap<String, Vec<(String, String)>>,
    /// The pages that the command line names.
    named: Vec<String>,
}

impl Spoken {
    fn read(text: &str) -> Self {
        let mut spoken = Self::default();
        spoken.tokens(&text.parse::<TokenStream>().expect("it is Rust").into_iter().collect::<Vec<_>>(), "");
        spoken
    }

    fn tokens(&mut self, tokens: &[TokenTree], owner: &str) {
        let mut derives_error = false;
        let mut message = None;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Literal(literal) => self.texts.extend(text_of(&literal.to_string())),
                TokenTree::Group(group) if is_attribute(tokens, at) => {
                    let attribute = group.stream().to_string();
                    derives_error |= attribute.starts_with("derive") && attribute.contains("Error");
                    message = message_of(group).or(message);
                    self.tokens(&trees(group), owner);
                }
                TokenTree::Ident(word) if (word == "enum" || word == "struct") && derives_error => {
                    let name = tokens.get(at + 1).map(ToString::to_string).unwrap_or_default();
                    let body = tokens[at..].iter().find_map(braces);
                    let of_variants = body.filter(|_| word == "enum").map(|body| messages_of_variants(&body));
                    let whole = message.take().map(|text| vec![(String::new(), text)]);
                    self.errors.insert(name, whole.or(of_variants).unwrap_or_default());
                    derives_error = false;
                }
                TokenTree::Ident(word) if word == "page" && is_word(tokens.get(at.wrapping_sub(1)), "fn") => {
                    let body = tokens[at..].iter().find_map(braces).expect("a function has a body");
                    self.pages.insert(owner.to_owned(), arms(&body));
                }
                TokenTree::Ident(word) if word == "page" && at > 0 && tokens[at - 1].to_string() == "." => {
                    if let Some(TokenTree::Group(given)) = tokens.get(at + 1) {
                        self.named.extend(text_of(&given.stream().to_string()));
                    }
                }
                // What only tests say is said to nobody.
                TokenTree::Group(_) if at > 0 && is_word(tokens.get(at - 1), "tests") => {}
                TokenTree::Group(group) => {
                    self.tokens(&trees(group), implemented(&tokens[..at]).as_deref().unwrap_or(owner));
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

fn trees(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

fn is_attribute(tokens: &[TokenTree], at: usize) -> bool {
    at > 0 && tokens[at - 1].to_string() == "#"
}

fn braces(token: &TokenTree) -> Option<Vec<TokenTree>> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(trees(group)),
        _ => None,
    }
}

/// The type whose `impl` block begins after these tokens.
fn implemented(before: &[TokenTree]) -> Option<String> {
    let [.., keyword, name] = before else { return None };
    is_word(Some(keyword), "impl").then(|| name.to_string())
}

/// The text of `error("…")`; nothing of a transparent error.
fn message_of(attribute: &Group) -> Option<String> {
    let [TokenTree::Ident(word), TokenTree::Group(inside), ..] = &trees(attribute)[..] else { return None };
    let first = trees(inside).into_iter().next()?;
    (word == "error").then(|| text_of(&first.to_string())).flatten()
}

fn messages_of_variants(body: &[TokenTree]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut message = None;
    for (at, token) in body.iter().enumerate() {
        match token {
            TokenTree::Group(group) if is_attribute(body, at) => message = message_of(group).or(message),
            TokenTree::Ident(variant) => {
                found.extend(message.take().map(|text| (variant.to_string(), text)));
            }
            _ => {}
        }
    }
    found
}

/// `Self::Variant(…) => "page"` for each variant, or one page for all.
fn arms(body: &[TokenTree]) -> Vec<(String, String)> {
    let branches = body.iter().position(|token| is_word(Some(token), "match"));
    let Some(inside) = branches.and_then(|at| body[at..].iter().find_map(braces)) else {
        return texts(body).into_iter().map(|page| (String::new(), page)).collect();
    };
    let mut found = Vec::new();
    let mut variants: Vec<String> = Vec::new();
    for (at, token) in inside.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if at >= 3 && is_word(inside.get(at - 3), "Self") => {
                variants.push(word.to_string());
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => variants.clear(),
            TokenTree::Literal(literal) => {
                let page = text_of(&literal.to_string()).expect("a page's name is a text");
                found.extend(variants.drain(..).map(|variant| (variant, page.clone())));
            }
            _ => {}
        }
    }
    found
}

/// Every text among these tokens.
fn texts(tokens: &[TokenTree]) -> Vec<String> {
    let of = |token: &TokenTree| match token {
        TokenTree::Group(group) => texts(&trees(group)),
        other => text_of(&other.to_string()).into_iter().collect(),
    };
    tokens.iter().flat_map(of).collect()
}

/// A string literal as it is printed, `…` in the place of what is filled in.
fn text_of(literal: &str) -> Option<String> {
    let literal = literal.trim_end_matches(',').trim();
    let text = match literal.strip_prefix('r') {
        Some(raw) => raw.trim_matches('#').strip_prefix('"')?.strip_suffix('"')?.to_owned(),
        None => unescaped(literal.strip_prefix('"')?.strip_suffix('"')?),
    };
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('{') {
        shown.push_str(&rest[..at]);
        match rest[at..].find('}') {
            _ if rest[at..].starts_with("{{") => {
                shown.push('{');
                rest = &rest[at + 2..];
            }
            Some(end) => {
                shown.push('…');
                rest = &rest[at + end + 1..];
            }
            None => break,
        }
    }
    shown.push_str(rest);
    Some(shown)
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            // The line goes on where the next one begins.
            Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// The messages that a page explains.
fn explained(page: &str) -> Vec<&str> {
    page.split("```").nth(1).unwrap_or_default().lines().skip(1).collect()
}

/// What is wrong between sources and pages (by name).
fn violations(sources: &[Spoken], pages: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for source in sources {
        let named = source.named.iter().chain(source.pages.values().flatten().map(|(_, page)| page));
        for page in named.filter(|page| !page.contains(' ')) {
            used.insert(page);
            if !pages.contains_key(page) {
                found.push(format!("there is no page {FOLDER}{page}.md: write it, and list it in {INDEX} and src/cli/explain.rs"));
            }
        }
        for (error, messages) in &source.errors {
            if INSIDE.iter().any(|(inside, _)| inside == error) {
                continue;
            }
            let Some(arms) = source.pages.get(error) else {
                found.push(format!(
                    "{error} has no `fn page`, which names the page in {FOLDER} that explains it"
                ));
                continue;
            };
            found.extend(
                messages
                    .iter()
                    .filter_map(|(variant, message)| unexplained(error, variant, message, arms, pages)),
            );
        }
    }
    found.extend(
        pages
            .keys()
            .filter(|page| !used.contains(page.as_str()))
            .map(|page| format!("{FOLDER}{page}.md explains an error that nothing names any more")),
    );
    let texts: Vec<&String> = sources.iter().flat_map(|source| &source.texts).collect();
    for (name, page) in pages {
        let gone = explained(page).into_iter().filter(|message| !is_said(message, &texts));
        found.extend(gone.map(|message| format!("{FOLDER}{name}.md: nothing says «{message}» any more")));
    }
    found
}

/// A message of a variant that its page does not show.
fn unexplained(
    error: &str,
    variant: &str,
    message: &str,
    arms: &[(String, String)],
    pages: &BTreeMap<String, String>,
) -> Option<String> {
    let page = arms.iter().find(|(of, _)| of == variant || of.is_empty()).map(|(_, page)| page)?;
    let text = pages.get(page)?;
    // A message that is all filled in has its words elsewhere.
    let says_something = message.chars().any(char::is_alphabetic);
    (says_something && !explained(text).contains(&message))
        .then(|| format!("{FOLDER}{page}.md does not show what {error}::{variant} says: {message}"))
}

/// Whether a text of the program says this; `kind: …` is put together from two.
fn is_said(message: &str, texts: &[&String]) -> bool {
    texts.iter().any(|text| text.contains(message))
        || message.strip_suffix(": …").is_some_and(|kind| texts.iter().any(|text| *text == kind))
}

fn pages() -> BTreeMap<String, String> {
    let files = files::markdown().into_iter().filter(|file| file.starts_with(FOLDER) && file != INDEX);
    files
        .map(|file| {
            let name = file.trim_start_matches(FOLDER).trim_end_matches(".md").to_owned();
            (name, files::read(&file))
        })
        .collect()
}

fn sources() -> Vec<Spoken> {
    files::program().iter().map(|file| Spoken::read(&files::read(file))).collect()
}

#[test]
fn every_error_has_a_page_that_shows_its_message() {
    none(&violations(&sources(), &pages()));
}

#[test]
fn the_index_lists_every_page_once() {
    let index = files::read(INDEX);
    let wrong = pages().into_keys().filter(|page| index.matches(&format!("]({page}.md)")).count() != 1);
    none(&wrong.map(|page| format!("{INDEX} should list {page} once")).collect::<Vec<_>>());
}

#[test]
fn an_error_without_a_page_and_a_page_without_an_error_are_found() {
    let source = r#"
        #[derive(Debug, thiserror::Error)]
        pub enum AError {
            #[error("it is {0}, not \
                     {1}")]
            Odd(u32, u32),
            #[error(transparent)]
            Other(#[from] BError),
        }
        impl AError {
            pub fn page(&self) -> &'static str {
                match self {
                    Self::Odd(..) => "odd",
                    Self::Other(error) => error.page(),
                }
            }
        }
    "#;
    let page = |text: &str| BTreeMap::from([("odd".to_owned(), format!("# Odd\n\n```text\n{text}\n```\n"))]);
    let of = |source: &str, pages: &BTreeMap<String, String>| violations(&[Spoken::read(source)], pages);

    none(&of(source, &page("it is …, not …")));
    assert_eq!(of(source, &BTreeMap::new()).len(), 1, "no page");
    assert_eq!(of(source, &page("it is …")).len(), 1, "a part of the message is not the message");
    assert_eq!(of(source, &page("it was …, not …")).len(), 2, "neither shown nor said");
    let without = source.split("impl AError").next().unwrap();
    assert_eq!(of(without, &BTreeMap::new()).len(), 1, "no `fn page`");
    assert_eq!(of(without, &page("it is …, not …")).len(), 2, "and nobody names the page");
    assert_eq!(of(r#"fn f() { Failure::failed("no").page("gone"); }"#, &BTreeMap::new()).len(), 1);
}
