//! Processes of the program, to be killed, stopped and continued at will.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::process::{Child, Command};

use super::eventually;

/// A process that runs until it is told to end. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a command whose output goes to a file.
    pub(super) fn start(name: String, log: PathBuf, mut command: Command) -> Self {
        let out = File::create(&log).expect("a log can be made");
        let err = out.try_clone().expect("a file has more than one handle");
        command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, log, child }
    }

    /// What it was started as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name))
    }

    /// Ends it on the spot, as a crash does.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended(Duration::from_secs(10)).await;
    }

    /// Freezes it: it lives, and does nothing. Every thread of it stands still when this returns.
    ///
    /// It may hold the lock of an embedded file now: [`super::Queue::freeze`] sees to that.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        waitpid(Some(self.pid()), WaitOptions::UNTRACED).expect("a child's stop can be waited for");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end, as an init system does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Asks it to end, and waits until it has; fails the test if it does not end well.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.ended(Duration::from_secs(30)).await;
        assert!(status.success(), "{} ended with {status}\n{}", self.name, self.log());
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(within, self.child.wait()).await;
        let ended =
            ended.unwrap_or_else(|_| panic!("{} has not ended within {within:?}\n{}", self.name, self.log()));
        ended.expect("a child can be waited for")
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// How long it has used a processor so far.
    pub fn busy(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        // After the name, which is in parentheses, user and system time are the 12th and 13th field: see proc(5).
        let fields = stat.rsplit_once(')').expect("it has a name").1;
        let ticks =
            fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        Duration::from_millis(ticks.sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Waits until it has said this.
    pub async fn says(&self, text: &str, within: Duration) {
        let what = format!("{} says {text:?}", self.name);
        eventually(&what, within, async || self.log().contains(text)).await;
    }

    fn pid(&self) -> Pid {
        let id = i32::try_from(self.id()).expect("a process id");
        Pid::from_raw(id).expect("a process id is not 0")
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }
}

/// A log as far as it was written.
pub(super) fn read(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
