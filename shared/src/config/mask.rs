//! Which parts of a text are secret. Masks too much rather than too little.

use std::ops::Range;

use super::tree::{Node, Value};

/// Names of keys whose values are not shown, whatever table they are in.
const SECRET: [&str; 7] = ["secret", "password", "passwd", "token", "apikey", "credential", "authorization"];
/// Tables whose values are not shown.
const SECRET_TABLES: [&str; 2] = ["headers", "env"];

/// Whether a key's value should be hidden. Also true for a misspelt `secret`, since mistakes are shown with their line.
pub(super) fn is_secret(key: &str) -> bool {
    let plain = key.to_ascii_lowercase().replace(['_', '-'], "");
    if plain.ends_with("file") {
        return false;
    }
    SECRET.iter().any(|secret| plain.contains(secret)) || strsim::damerau_levenshtein(&plain, "secret") <= 2
}

/// The text with `*` for each character of a secret, so that lines and columns stay. The tables of a broken text are
/// incomplete: there, whatever follows the name of a secret is hidden too.
pub(super) fn masked(text: &str, tree: &Node, broken: bool) -> String {
    let mut secrets = Vec::new();
    in_tree(tree, false, &mut secrets);
    if broken {
        by_assignment(text, &mut secrets);
    }
    in_urls(text, &mut secrets);
    let mut hidden = vec![false; text.len()];
    for span in secrets {
        if text.get(span.clone()).is_some_and(is_reference) {
            continue;
        }
        if let Some(bytes) = hidden.get_mut(span) {
            bytes.fill(true);
        }
    }
    text.char_indices()
        .map(|(at, c)| if hidden[at] && !matches!(c, '\n' | '\r' | '"' | '\'') { '*' } else { c })
        .collect()
}

/// Where a URL's passwords lie: that of the user, and those in its query.
pub(super) fn passwords(url: &str) -> Vec<Range<usize>> {
    let Some(start) = url.find("://").map(|at| at + 3) else { return Vec::new() };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let user = url[start..end].rfind('@').and_then(|at| {
        let colon = url[start..start + at].find(':')?;
        Some(start + colon + 1..start + at)
    });
    let mut found: Vec<_> = user.into_iter().collect();
    let mut at = url[end..].find('?').map_or(url.len(), |at| end + at + 1);
    for pair in url[at..].split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && is_secret(name)
        {
            let value_at = at + name.len() + 1;
            found.push(value_at..value_at + value.len());
        }
        at += pair.len() + 1;
    }
    found
}

/// `${NAME}`: what it stands for is secret, its name is not.
fn is_reference(text: &str) -> bool {
    let inside = text.trim_matches(['"', '\'']).strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn in_tree(node: &Node, secret: bool, secrets: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Table(fields) => {
            for field in fields {
                let secret = secret || is_secret(&field.name) || SECRET_TABLES.contains(&field.name.as_str());
                in_tree(&field.node, secret, secrets);
            }
        }
        Value::List(items) => items.iter().for_each(|item| in_tree(item, secret, secrets)),
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            if secret {
                secrets.push(node.span.clone());
            }
        }
    }
}

/// What follows the name of a secret on its line, and everything in tables of secrets.
fn by_assignment(text: &str, secrets: &mut Vec<Range<usize>>) {
    let mut line_start = 0;
    let mut in_secret_table = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            in_secret_table = SECRET_TABLES.iter().any(|table| words(line).any(|word| word == *table));
        }
        let secret = line.match_indices('=').find(|(at, _)| {
            let key = words(&line[..*at]).last().unwrap_or_default();
            in_secret_table || is_secret(key) || SECRET_TABLES.contains(&key)
        });
        if let Some((at, _)) = secret {
            secrets.push(line_start + at + 1..line_start + line.len());
        }
        line_start += line.len();
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).filter(|word| !word.is_empty())
}

/// Passwords in URLs, also in those that are written wrongly: everything from the user's colon to the last `@`.
fn in_urls(text: &str, secrets: &mut Vec<Range<usize>>) {
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let end = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
            .map_or(text.len(), |at| start + at);
        secrets.extend(passwords(&text[at..end]).into_iter().map(|span| span.start + at..span.end + at));
        let user = text[start..end].rfind('@').map(|at| start + at);
        if let Some(user) = user
            && let Some(colon) = text[start..user].find(':')
        {
            secrets.push(start + colon + 1..user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (table, errors) = toml::de::DeTable::parse_recoverable(text);
        masked(text, &Node::of_file(table.get_ref()), !errors.is_empty())
    }

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        assert_eq!(shown("secret = \"abc\""), "secret = \"***\"");
        assert_eq!(
            shown("headers = { Authorization = \"Bearer x\", A = 'b' }"),
            "headers = { Authorization = \"********\", A = '*' }"
        );
        assert_eq!(shown("[x.env]\nKEY = \"ab\" # c"), "[x.env]\nKEY = \"**\" # c");
        assert_eq!(shown("url = \"amqp://u:p@h/v\""), "url = \"amqp://u:*@h/v\"");
        assert_eq!(
            shown("url = \"postgres://h/d?password=abc&x=1\""),
            "url = \"postgres://h/d?password=***&x=1\""
        );
    }

    #[test]
    fn secrets_are_masked_in_text_that_is_no_toml() {
        assert_eq!(shown("[a\nsecret = \"abc"), "[a\nsecret =*\"***");
        assert_eq!(shown("a = \nsecrt = \"abc\""), "a = \nsecrt =*\"***\"");
        assert_eq!(shown("a = \"amqp://u:p/q@h"), "a = \"amqp://u:***@h");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "secret = '${SECRET}'",
            "url = 'amqp://u:${PW}@mq'",
            "secret_file = \"/run/x\"",
            "listen = \"127.0.0.1:80\"",
            "http = \"http://h:80/x\"",
            "[tasks.x]",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
