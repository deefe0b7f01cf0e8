//! Jobs of a crontab as a piece of configuration. Pure.

use std::fmt::Write as _;

use super::table::{CommandJob, Table};

/// The tasks and schedules, beneath what was not understood.
pub(super) fn toml(table: &Table, file: &str) -> String {
    let mut text = format!("# Imported from {}.\n", plain(file));
    text.push_str("# Cron runs nothing again that it missed, so neither do these: `catch_up` decides.\n");
    if !table.remarks.is_empty() {
        text.push_str("#\n# To look at, since it is not understood or means something else here:\n");
    }
    for remark in &table.remarks {
        let _ = writeln!(
            text,
            "#\n#   line {}: {}\n#     {}",
            remark.line,
            plain(&remark.text),
            plain(&remark.message)
        );
    }
    for job in &table.jobs {
        text.push('\n');
        text.push_str(&one(job));
    }
    text
}

fn one(job: &CommandJob) -> String {
    let key = quoted(&job.id);
    let argv: Vec<String> = job.argv.iter().map(|word| quoted(&escaped(word))).collect();
    let mut text = format!("# Line {}.\n[tasks.{key}]\ncommand = [{}]\n", job.line, argv.join(", "));
    if !job.env.is_empty() {
        let pairs: Vec<String> =
            job.env.iter().map(|(name, value)| format!("{name} = {}", quoted(&escaped(value)))).collect();
        let _ = writeln!(text, "env = {{ {} }}", pairs.join(", "));
    }
    if let Some(cwd) = &job.cwd {
        let _ = writeln!(text, "cwd = {}", quoted(&escaped(cwd)));
    }
    let _ = write!(
        text,
        "\n[[schedule]]\nid = {key}\ntask = {key}\ncron = {}\ntimezone = {}\ncatch_up = \"none\"\n",
        quoted(&job.cron),
        quoted(&job.zone)
    );
    text
}

/// Shell variables stay the shell's: the configuration would replace `${NAME}` itself.
fn escaped(text: &str) -> String {
    if text.contains("${") || text.contains("$$") { text.replace('$', "$$") } else { text.to_owned() }
}

/// A text as TOML writes it. JSON's escapes are among TOML's, but for the one character that JSON leaves as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// What stands in a comment has one line, and nothing that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use upbeat_shared::config::{Config, ExecutorConfig, Overrides, Sources, load};
    use upbeat_shared::name::TaskName;

    use super::super::line::Form;
    use super::*;

    /// The text as the program would read it.
    fn config(toml: &str) -> Config {
        let read = |path: &Path| match path.to_str() {
            Some("upbeat.toml") => Ok(toml.to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let sources = Sources { flags: Overrides::default(), env: &|_| None, read: &read, known: &[] };
        load(sources).unwrap_or_else(|errors| panic!("{errors}\n{toml}")).config
    }

    /// Program and arguments of a task.
    fn argv(config: &Config, name: &str) -> Vec<String> {
        let task = &config.tasks[&TaskName::new(name).unwrap()];
        match &task.executor {
            ExecutorConfig::Command { program, args, .. } => [vec![program.clone()], args.clone()].concat(),
            other => panic!("{other:?}"),
        }
    }

    fn import(text: &str, form: Form, stem: &str) -> (Table, Config) {
        let table = Table::read(text, form, stem, "Europe/Berlin");
        let config = config(&toml(&table, "a\nfile"));
        (table, config)
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let (_, config) = import(
            "A=it's \"${x}\" $$ \u{7f}\\\n*/5 9-17 * * mon-fri echo \"$HOME\" ${A:-b} $$ 'c' \\n\n0 0 * * * cat%one%\\%two\n",
            Form::User,
            "mine",
        );
        assert_eq!(argv(&config, "mine-1"), ["/bin/sh", "-c", "echo \"$HOME\" ${A:-b} $$ 'c' \\n"]);
        let read = argv(&config, "mine-2");
        assert_eq!(read[3..], ["/bin/sh", "cat", "one\n%two\n"]);
        let timing = &config.schedules[0].definition.timing;
        assert_eq!(timing.cron.as_deref(), Some("*/5 9-17 * * mon-fri"));
        assert_eq!(timing.timezone.as_deref(), Some("Europe/Berlin"));
        let task = &config.tasks[&TaskName::new("mine-1").unwrap()];
        let ExecutorConfig::Command { env, .. } = &task.executor else { panic!("{task:?}") };
        assert_eq!(env["A"].expose(), "it's \"${x}\" $$ \u{7f}\\");
    }

    /// Crontabs as packages of Debian bring them, with how many lines of theirs run something at some time.
    const OF_PACKAGES: [(&str, &str, usize); 14] = [
        ("amavisd-new", include_str!("../../../shared/schedule/tests/crontabs/amavisd-new"), 2),
        ("anacron", include_str!("../../../shared/schedule/tests/crontabs/anacron"), 1),
        ("awstats", include_str!("../../../shared/schedule/tests/crontabs/awstats"), 2),
        ("cacti", include_str!("../../../shared/schedule/tests/crontabs/cacti"), 1),
        ("certbot", include_str!("../../../shared/schedule/tests/crontabs/certbot"), 1),
        ("crontab", include_str!("../../../shared/schedule/tests/crontabs/crontab"), 4),
        ("e2scrub_all", include_str!("../../../shared/schedule/tests/crontabs/e2scrub_all"), 2),
        ("logcheck", include_str!("../../../shared/schedule/tests/crontabs/logcheck"), 1),
        ("mdadm", include_str!("../../../shared/schedule/tests/crontabs/mdadm"), 1),
        ("munin", include_str!("../../../shared/schedule/tests/crontabs/munin"), 4),
        ("ntpsec", include_str!("../../../shared/schedule/tests/crontabs/ntpsec"), 1),
        ("php", include_str!("../../../shared/schedule/tests/crontabs/php"), 1),
        ("sysstat", include_str!("../../../shared/schedule/tests/crontabs/sysstat"), 2),
        ("tiger", include_str!("../../../shared/schedule/tests/crontabs/tiger"), 1),
    ];

    #[test]
    fn crontabs_of_debian_s_packages_become_schedules() {
        for (name, text, jobs) in OF_PACKAGES {
            let (table, config) = import(text, Form::System, name);
            assert_eq!((table.jobs.len(), config.schedules.len()), (jobs, jobs), "{name}");
            for job in &table.jobs {
                assert_eq!(argv(&config, &job.id), job.argv, "{name}");
                // Word for word what stands in the crontab, but for `\%`.
                let line = text.lines().nth(job.line - 1).unwrap().replace("\\%", "%");
                assert!(line.ends_with(&job.argv[2]), "{name}: {line}");
            }
            let others =
                table.remarks.iter().filter(|remark| !remark.message.starts_with("cron runs this as"));
            assert!(
                others
                    .clone()
                    .all(|remark| remark.text.starts_with("MAILTO") || remark.text.starts_with("@reboot")),
                "{name}: {:?}",
                others.collect::<Vec<_>>()
            );
        }
    }
}
