//! The program that runs one suspect: this one.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// How this program is started once more, for one task. It must look first thing whether it was: see
/// [`SuspectChild::enter`](crate::suspect::SuspectChild::enter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspectProgram {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

impl SuspectProgram {
    /// The environment variable that tells a process that it is for one task.
    pub const VARIABLE: &'static str = "UPBEAT_SUSPECT";

    /// This very program, with the arguments that it was started with.
    pub fn this() -> io::Result<Self> {
        let args = std::env::args_os().skip(1).collect();
        // By this name it is the same program even after somebody has put another one, or none, in its place.
        let itself = PathBuf::from("/proc/self/exe");
        let program = if itself.exists() { itself } else { std::env::current_exe()? };
        Ok(Self { program, args })
    }
}
