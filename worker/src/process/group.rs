//! A program with what it has started, as far as the system can hold them together.

pub(crate) use system::Group;

#[cfg(unix)]
mod system {
    use rustix::process::{Pid, Signal, kill_process_group};
    use tokio::process::{Child, Command};

    /// A process group; killed when dropped, whoever is left in it.
    pub(crate) struct Group(Option<Pid>);

    impl Group {
        /// Makes the program the leader of a group of its own.
        pub(crate) fn lead(command: &mut Command) {
            command.process_group(0);
        }

        /// The group that a child leads: its number is the child's.
        pub(crate) fn led_by(child: &Child) -> Self {
            let id = child.id().and_then(|id| i32::try_from(id).ok());
            Self(id.and_then(Pid::from_raw))
        }

        /// Asks all of it to end.
        pub(crate) fn ask(&self, _leader: &mut Child) {
            self.signal(Signal::TERM);
        }

        /// Ends all of it.
        pub(crate) fn kill(&self, _leader: &mut Child) {
            self.signal(Signal::KILL);
        }

        fn signal(&self, signal: Signal) {
            if let Some(group) = self.0 {
                // An error means that nobody is left in it.
                let _ = kill_process_group(group, signal);
            }
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            self.signal(Signal::KILL);
        }
    }
}

#[cfg(not(unix))]
mod system {
    use tokio::process::{Child, Command};

    /// The program alone: what it has started goes on without it. It is killed when it is dropped.
    pub(crate) struct Group;

    impl Group {
        pub(crate) fn lead(_command: &mut Command) {}

        pub(crate) fn led_by(_child: &Child) -> Self {
            Self
        }

        /// Ends it: there is no way to ask.
        pub(crate) fn ask(&self, leader: &mut Child) {
            self.kill(leader);
        }

        pub(crate) fn kill(&self, leader: &mut Child) {
            // An error means that it has ended.
            let _ = leader.start_kill();
        }
    }
}
