//! A disk that is soon full.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::process::Command;
use upbeat_tests::harness::{Process, Said, World};

/// Room for some large tasks.
const SMALL: u64 = 6 * 1024 * 1024;

/// Room for everything that a test does.
const LARGE: u64 = 256 * 1024 * 1024;

/// The world's data directory on a disk of its own; or, where nothing may be mounted, processes whose files may grow only
/// so far. Either way a write fails for want of room, and the program is told so by the system.
pub(super) enum Disk {
    /// A file system in memory, unmounted when this is dropped.
    Mounted(String),
    /// A limit on the size of each file.
    Limited(AtomicU64),
}

impl Disk {
    pub(super) async fn small(world: &World) -> Self {
        let data = world.path("data");
        std::fs::create_dir(&data).expect("a folder can be made");
        let data = data.to_str().expect("a folder's name is UTF-8").to_owned();
        let size = format!("size={SMALL}");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "upbeat-test", &data]).await;
        if mounted { Self::Mounted(data) } else { Self::Limited(SMALL.into()) }
    }

    /// Makes room, also for processes that run already.
    pub(super) async fn make_room(&self, processes: &[&Process]) {
        match self {
            Self::Mounted(data) => {
                let size = format!("remount,size={LARGE}");
                assert!(mount(&["-o", &size, data]).await, "the disk cannot be made larger");
            }
            Self::Limited(limit) => {
                limit.store(LARGE, Ordering::SeqCst);
                for process in processes {
                    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id"));
                    let maximum = getrlimit(Resource::Fsize).maximum;
                    let limit = Rlimit { current: Some(LARGE), maximum };
                    prlimit(pid, Resource::Fsize, limit).expect("our own process' limit can be raised");
                }
            }
        }
    }

    /// What the program is told by the system, and tells its user: SQLite knows a full disk from others that fail, but a
    /// file that may not grow is one of the others.
    pub(super) fn says(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "the disk is full",
            Self::Limited(_) => "the disk reports an error",
        }
    }

    /// Runs a command on this disk.
    pub(super) async fn run(&self, world: &World, args: &[&str]) -> Said {
        world.run_command(self.command(world, args), "").await
    }

    /// Starts a role on this disk.
    pub(super) fn start(&self, world: &World, args: &[&str]) -> Process {
        world.start_command(args, self.command(world, args))
    }

    fn command(&self, world: &World, args: &[&str]) -> Command {
        let command = world.command(args);
        match self {
            Self::Mounted(_) => command,
            Self::Limited(limit) => limited(&command, limit.load(Ordering::SeqCst)),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(data) = self {
            // Lazily: processes of a failed test may still be there.
            let unmounted = std::process::Command::new("umount").args(["--lazy", data]).status();
            assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
        }
    }
}

async fn mount(args: &[&str]) -> bool {
    let mounted = Command::new("mount").args(args).stderr(Stdio::null()).status().await;
    mounted.is_ok_and(|status| status.success())
}

/// The same command, started by a shell that limits it first. The signal that comes with the limit is ignored, as it never
/// comes with a full disk.
fn limited(command: &Command, limit: u64) -> Command {
    let command = command.as_std();
    // The shell counts in blocks of 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$@\"", limit / 512);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}
