//! A crontab as jobs, each with what its surroundings say of it. Pure.

use std::collections::BTreeMap;

use upbeat_shared::schedule::TimingSpec;

use super::line::{Form, Job, Line};

/// Jobs of one crontab, at most.
const MOST_JOBS: usize = 10_000;

/// A crontab that was read.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) jobs: Vec<CommandJob>,
    /// What was not understood, or means something else to a worker.
    pub(super) remarks: Vec<Remark>,
}

/// A job as a schedule and a command task, which share a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommandJob {
    pub(super) id: String,
    pub(super) line: usize,
    pub(super) cron: String,
    pub(super) zone: String,
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
}

/// Something that a person has to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) message: String,
}

/// Runs a command through a shell, with something to read: `$1` is the command, `$2` what it reads.
const WITH_STDIN: &str = "printf '%s' \"$2\" | \"$0\" -c \"$1\"";

/// Variables that mean something to a cron, and what to do instead.
const CRON_S_OWN: [(&str, &str); 8] = [
    (
        "MAILTO",
        "no mail is sent: a command's output is kept with its task, and `[hooks]` tells of dead tasks",
    ),
    ("MAILFROM", "no mail is sent: a command's output is kept with its task"),
    ("CONTENT_TYPE", "no mail is sent: a command's output is kept with its task"),
    ("CONTENT_TRANSFER_ENCODING", "no mail is sent: a command's output is kept with its task"),
    (
        "RANDOM_DELAY",
        "some crons delay the lines below by up to so many minutes: set `jitter` on their schedules",
    ),
    ("START_HOURS_RANGE", "it is anacron's: choose the hours in the schedules"),
    ("LOGNAME", "a command runs as the worker's user"),
    ("USER", "a command runs as the worker's user"),
];

impl Table {
    pub(super) fn read(text: &str, form: Form, stem: &str, zone: &str) -> Self {
        let mut reader = Reader {
            table: Self { jobs: Vec::new(), remarks: Vec::new() },
            shell: "/bin/sh".into(),
            env: BTreeMap::new(),
            home: None,
            stem,
            zone,
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            match Line::read(line, form) {
                Line::Empty => {}
                Line::Variable(name, value) => reader.variable(number, line, name, value),
                Line::Job(job) => reader.job(number, line, job),
                Line::Wrong(why) => reader.remark(number, line, why),
            }
        }
        reader.table
    }
}

struct Reader<'s> {
    table: Table,
    shell: String,
    /// What the lines so far give to commands.
    env: BTreeMap<String, String>,
    home: Option<String>,
    stem: &'s str,
    zone: &'s str,
}

impl Reader<'_> {
    fn variable(&mut self, number: usize, line: &str, name: &str, value: String) {
        if let Some((_, why)) = CRON_S_OWN.iter().find(|(own, _)| *own == name) {
            return self.remark(number, line, format!("{name} is not understood: {why}"));
        }
        match name {
            "CRON_TZ" => self.remark(
                number,
                line,
                format!(
                    "CRON_TZ is not understood: some crons read the lines below by the clocks of `{value}`, Debian's \
                     does not; if yours does, set `timezone = \"{value}\"` on their schedules"
                ),
            ),
            "SHELL" => self.shell = value,
            "HOME" => self.home = Some(value),
            name if name.starts_with("UPBEAT_") => {
                self.remark(number, line, format!("{name} is not understood: `UPBEAT_` is the worker's own"));
            }
            name => {
                self.env.insert(name.to_owned(), value);
            }
        }
    }

    fn job(&mut self, number: usize, line: &str, job: Job<'_>) {
        if job.when.eq_ignore_ascii_case("@reboot") {
            let why = "@reboot names no time: publish the task from whatever starts the machine's services";
            return self.remark(number, line, why);
        }
        let spec = TimingSpec { cron: Some(job.when.clone()), ..TimingSpec::default() };
        if let Err(error) = spec.compile() {
            return self.remark(number, line, format!("`{}` is not understood: {error}", job.when));
        }
        if self.table.jobs.len() == MOST_JOBS {
            return self.remark(number, line, format!("a file is read up to its {MOST_JOBS}th job"));
        }
        if let Some(user) = job.user {
            let why =
                format!("cron runs this as {user}; a worker runs it as its own user, so start one as {user}");
            self.remark(number, line, why);
        }
        let argv = match job.stdin {
            None => vec![self.shell.clone(), "-c".into(), job.command],
            Some(input) => {
                vec!["/bin/sh".into(), "-c".into(), WITH_STDIN.into(), self.shell.clone(), job.command, input]
            }
        };
        self.table.jobs.push(CommandJob {
            id: format!("{}-{}", self.stem, self.table.jobs.len() + 1),
            line: number,
            cron: job.when,
            zone: self.zone.to_owned(),
            argv,
            env: self.env.clone(),
            cwd: self.home.clone(),
        });
    }

    fn remark(&mut self, line: usize, text: &str, message: impl Into<String>) {
        self.table.remarks.push(Remark { line, text: text.trim().to_owned(), message: message.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table::read(text, Form::User, "mine", "Europe/Berlin")
    }

    #[test]
    fn variables_hold_for_the_lines_below_them() {
        let table = table("0 1 * * * first\nSHELL=/bin/bash\nPATH=/opt/bin\nHOME=/srv\n0 2 * * * second\n");
        let [first, second] = table.jobs.as_slice() else { panic!("{table:?}") };
        assert_eq!(
            (first.id.as_str(), &first.argv[..]),
            ("mine-1", &["/bin/sh".into(), "-c".into(), "first".into()][..])
        );
        assert!(first.env.is_empty() && first.cwd.is_none());
        assert_eq!(second.argv[0], "/bin/bash");
        assert_eq!(second.env.get("PATH").map(String::as_str), Some("/opt/bin"));
        assert_eq!((second.cwd.as_deref(), second.line), (Some("/srv"), 5));
        assert_eq!(table.remarks, []);
    }

    #[test]
    fn what_is_not_understood_is_listed_with_its_line() {
        let table = table(
            "MAILTO=ops\nCRON_TZ=Asia/Tokyo\nRANDOM_DELAY=5\nUPBEAT_X=1\n@reboot start\n61 * * * * late\n0 0 30 2 * never\n\
             nonsense\n0 0 * * * works\n",
        );
        assert_eq!(table.jobs.len(), 1);
        let lines: Vec<usize> = table.remarks.iter().map(|remark| remark.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8]);
        let said = |line: usize| &table.remarks[line - 1].message;
        assert!(said(2).contains("timezone = \"Asia/Tokyo\""), "{}", said(2));
        assert!(said(6).contains("61 is not a minute"), "{}", said(6));
        assert!(said(7).contains("February"), "{}", said(7));
    }
}
