//! One line of a crontab, as cron reads it. Pure; never knows the lines around it.

/// Who wrote the crontab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A user: lines name no user.
    User,
    /// The system: the word before the command is a user.
    System,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// Nothing, or a comment.
    Empty,
    /// A variable for the commands below it.
    Variable(&'t str, String),
    /// A command, and when it runs.
    Job(Job<'t>),
    /// Anything else, with the reason.
    Wrong(&'static str),
}

/// A command, and when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job<'t> {
    /// Five fields, or a word such as `@daily`.
    pub(super) when: String,
    /// In a system's crontab.
    pub(super) user: Option<&'t str>,
    pub(super) command: String,
    /// What the command reads: what stands behind the first `%`.
    pub(super) stdin: Option<String>,
}

impl<'t> Line<'t> {
    pub(super) fn read(line: &'t str, form: Form) -> Self {
        // Cron takes spaces and tabs for blanks, and nothing else.
        let text = line.trim_start_matches(BLANKS).trim_end_matches(['\r', '\n']);
        if text.trim_matches(BLANKS).is_empty() || text.starts_with('#') {
            return Self::Empty;
        }
        if let Some((name, value)) = variable(text) {
            return Self::Variable(name, value);
        }
        match job(text, form) {
            Ok(job) => Self::Job(job),
            Err(why) => Self::Wrong(why),
        }
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// `NAME = value`: blanks around the sign and quotes around the value belong to neither.
fn variable(text: &str) -> Option<(&str, String)> {
    let (name, value) = text.split_once('=')?;
    let name = unquoted(name.trim_matches(BLANKS));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (name, unquoted(value.trim_matches(BLANKS)).to_owned()))
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

fn job(text: &str, form: Form) -> Result<Job<'_>, &'static str> {
    let fields = if text.starts_with('@') { 1 } else { 5 };
    let mut rest = text;
    let mut when = Vec::new();
    for _ in 0..fields {
        let (word, after) = word(rest).ok_or("there are fewer fields than a line has, and no command")?;
        when.push(word);
        rest = after;
    }
    let user = match form {
        Form::User => None,
        Form::System => {
            let (user, after) = word(rest).ok_or("there is no user, and no command")?;
            rest = after;
            Some(user)
        }
    };
    let (command, stdin) = split_stdin(rest.trim_start_matches(BLANKS));
    if command.trim().is_empty() {
        return Err(match form {
            Form::User => "there is no command",
            Form::System => "there is no command: in a system's crontab, the word before it is a user",
        });
    }
    Ok(Job { when: when.join(" "), user, command, stdin })
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(BLANKS);
    let end = text.find(BLANKS).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The first `%` ends the command, each of the others is a line end of what it reads; `\%` is a `%`.
fn split_stdin(text: &str) -> (String, Option<String>) {
    let (mut command, mut stdin) = (String::new(), None::<String>);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = c == '\\' && chars.peek() == Some(&'%');
        if c == '%' {
            match &mut stdin {
                None => stdin = Some(String::new()),
                Some(input) => input.push('\n'),
            }
            continue;
        }
        let c = if escaped { chars.next().unwrap_or(c) } else { c };
        stdin.as_mut().unwrap_or(&mut command).push(c);
    }
    // Cron ends the last line.
    if let Some(input) = stdin.as_mut().filter(|input| !input.ends_with('\n')) {
        input.push('\n');
    }
    (command, stdin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str, form: Form) -> Job<'_> {
        match Line::read(line, form) {
            Line::Job(job) => job,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_user_s_line_has_five_fields_and_a_command() {
        let job = job("  */5\t* * * 1-5   echo  'a  b' # not a comment", Form::User);
        assert_eq!(job.when, "*/5 * * * 1-5");
        assert_eq!((job.user, job.stdin), (None, None));
        assert_eq!(job.command, "echo  'a  b' # not a comment");
    }

    #[test]
    fn a_system_s_line_names_a_user() {
        let job = job("@daily root run-parts /etc/cron.daily", Form::System);
        assert_eq!((job.when.as_str(), job.user), ("@daily", Some("root")));
        assert_eq!(job.command, "run-parts /etc/cron.daily");
    }

    #[test]
    fn a_percent_sign_begins_what_the_command_reads() {
        let job = job(r"0 0 * * * date +\%d; mail -s 100\% joe%Dear Joe,%%it is \%late%", Form::User);
        assert_eq!(job.command, "date +%d; mail -s 100% joe");
        assert_eq!(job.stdin.as_deref(), Some("Dear Joe,\n\nit is %late\n"));
        let without_an_end = Line::read("0 0 * * * cat%one%two", Form::User);
        assert!(matches!(without_an_end, Line::Job(job) if job.stdin.as_deref() == Some("one\ntwo\n")));
    }

    #[test]
    fn variables_are_told_from_commands() {
        let variable = |text| match Line::read(text, Form::User) {
            Line::Variable(name, value) => Some((name, value)),
            _ => None,
        };
        assert_eq!(variable("MAILTO=root"), Some(("MAILTO", "root".into())));
        assert_eq!(variable(" PATH = /bin:/usr/bin "), Some(("PATH", "/bin:/usr/bin".into())));
        assert_eq!(variable("MAILTO=\"\""), Some(("MAILTO", String::new())));
        assert_eq!(variable("\"A\" = ' b '"), Some(("A", " b ".into())));
        assert_eq!(variable("0 0 * * * A=1 run"), None);
    }

    #[test]
    fn what_is_no_line_is_told_why() {
        for (line, form) in [
            ("0 0 * *", Form::User),
            ("0 0 * * *", Form::User),
            ("@daily", Form::User),
            ("0 0 * * * root", Form::System),
            ("0 0 * * * %text", Form::User),
        ] {
            assert!(matches!(Line::read(line, form), Line::Wrong(_)), "{line}");
        }
        for line in ["", "   \t", "# comment", "  # comment"] {
            assert_eq!(Line::read(line, Form::User), Line::Empty);
        }
    }
}
