//! `${NAME}` inside of strings: replaced by the environment's value. Never touches a `$` before anything else than
//! `{` and `$`, so that commands keep their own variables.

use std::borrow::Cow;
use std::ops::Range;

/// A place in the text that cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EnvFault {
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: &'static str,
}

const FORMS: &str = "write `${NAME}` or `${NAME:-default}`; `$$` stands for a `$`";

/// Replaces every `${NAME}`, `${NAME:-default}` and `$$`. What is inserted is not looked at again.
///
/// As in a shell, the default of `:-` is taken for a variable that is not set or empty.
pub(super) fn expand<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, EnvFault> {
    if !text.contains("$$") && !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let at = text.len() - rest.len() + dollar;
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let Some(end) = inside.find('}') else {
                return Err(EnvFault {
                    span: at..text.len(),
                    message: "this `${` has no `}`".into(),
                    help: FORMS,
                });
            };
            let value = lookup(&inside[..end], env).map_err(|(message, help)| EnvFault {
                span: at..at + end + 3,
                message,
                help,
            })?;
            expanded.push_str(&value);
            rest = &inside[end + 1..];
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    Ok(Cow::Owned(expanded))
}

fn lookup(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, (String, &'static str)> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        let shown: String = name.chars().take(40).collect();
        return Err((format!("`{shown}` is no name of an environment variable"), FORMS));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            "set it, or give a default: `${NAME:-default}`; `$$` stands for a `$`",
        )),
    }
}

fn is_name(name: &str) -> bool {
    let start = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    start && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "HOST" => Some("mq".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${HOST}".to_owned()),
            _ => None,
        };
        expand(text, &env).map(Cow::into_owned).map_err(|fault| text[fault.span].to_owned())
    }

    #[test]
    fn variables_are_replaced_and_defaults_stand_in_for_empty_ones() {
        assert_eq!(with("amqp://${HOST}:${PORT:-5672}/").unwrap(), "amqp://mq:5672/");
        assert_eq!(with("[${EMPTY}] [${EMPTY:-x}] [${NONE:-}]").unwrap(), "[] [x] []");
    }

    #[test]
    fn other_dollars_are_left_to_the_command() {
        assert_eq!(with("echo $HOME $1 costs 5$").unwrap(), "echo $HOME $1 costs 5$");
        assert_eq!(with("echo $${HOME} $$$$").unwrap(), "echo ${HOME} $$");
    }

    #[test]
    fn what_is_inserted_is_not_replaced_again() {
        assert_eq!(with("${TRICK}").unwrap(), "${HOST}");
    }

    #[test]
    fn faults_name_their_place() {
        assert_eq!(with("a ${NONE} b").unwrap_err(), "${NONE}");
        assert_eq!(with("é ${a b}").unwrap_err(), "${a b}");
        assert_eq!(with("x ${HOST").unwrap_err(), "${HOST");
        assert_eq!(with("${}").unwrap_err(), "${}");
    }
}
