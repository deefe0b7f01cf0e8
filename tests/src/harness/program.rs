//! The test binary as a program: started again, it becomes what one of its tests makes of it. So tests have programs with tasks
//! of their own without a binary for each.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;

use tokio::process::Command;

use super::World;

/// What the program is called with, as JSON.
const ARGS: &str = "UPBEAT_TEST_PROGRAM";

/// In a test that is none but a way in: where the process was started to be the program, runs it and ends the process.
///
/// # Panics
///
/// If the variable that tells so holds no list of texts.
pub fn enter(main: impl FnOnce(Vec<String>) -> ExitCode) {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<String> = serde_json::from_str(&args).expect("a list of texts");
    let ended = main(std::iter::once("upbeat".to_owned()).chain(args).collect());
    std::process::exit(i32::from(ended != ExitCode::SUCCESS));
}

/// Writes a line into the journal of the program's world, in one write: several processes append to the file.
///
/// # Panics
///
/// If it cannot be written.
pub fn note(line: impl fmt::Display) {
    // A program runs in its world's folder.
    static JOURNAL: LazyLock<File> = LazyLock::new(|| {
        let file = OpenOptions::new().append(true).create(true).open(World::JOURNAL);
        file.expect("the journal can be opened")
    });
    (&*JOURNAL).write_all(format!("{line}\n").as_bytes()).expect("the journal can be written");
}

impl World {
    /// The file in the world's folder to which programs [`note`].
    pub const JOURNAL: &str = "journal";

    /// The command line of this test binary as a program, that which the test of this full name [`enter`]s.
    pub fn program(&self, entry: &str, args: &[&str]) -> Command {
        let this = std::env::current_exe().expect("a program knows where it is");
        let mut command = self.command_of(&this, &[entry, "--exact", "--nocapture"]);
        command.env(ARGS, serde_json::to_string(args).expect("texts are JSON"));
        command
    }
}
