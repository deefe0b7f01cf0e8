//! The scripts: one a call, each run by its digest, and sent again to a server that does not know it.

use redis::{Cmd, Script};

/// Microseconds since 1970, as the server's clock says. The same throughout a script.
pub(super) const SERVER_TIME: &str =
    "(function() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end)()";

const RUNS: &str = include_str!("lua/runs.lua");
const ROWS: &str = concat!(include_str!("lua/rows.lua"), include_str!("lua/limits.lua"));
const ADMIT: &str = include_str!("lua/admit.lua");
const ENTRIES: &str = include_str!("lua/entries.lua");
const AGAIN: &str = include_str!("lua/again.lua");
const VERDICTS: &str = include_str!("lua/verdicts.lua");
const RECORDS: &str = include_str!("lua/records.lua");
const SCHEDULES: &str = include_str!("lua/schedules.lua");

/// What a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Of a step in a task's life.
    Short,
    /// Of what looks at or changes many rows.
    Long,
}

macro_rules! calls {
    ($($call:ident: $name:literal, $patience:ident, $parts:expr;)+) => {
        /// What the server can be asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Call {
            $(#[doc = concat!("`", $name, "`")] $call,)+
        }

        impl Call {
            const ALL: &[Self] = &[$(Self::$call,)+];

            /// In metrics.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$call => $name,)+ }
            }

            pub(super) fn patience(self) -> Patience {
                match self { $(Self::$call => Patience::$patience,)+ }
            }

            fn parts(self) -> &'static [&'static str] {
                match self { $(Self::$call => &$parts,)+ }
            }
        }
    };
}

calls! {
    Now: "now", Short, ["return NOW\n"];
    Settle: "settle", Short, [ROWS, RUNS, VERDICTS, ENTRIES, include_str!("lua/settle.lua")];
    Release: "release", Short, [ROWS, RUNS, VERDICTS, ENTRIES, include_str!("lua/release.lua")];
    Claim: "claim", Short, [ROWS, ADMIT, include_str!("lua/claim.lua")];
    LineUp: "line_up", Short, [ROWS, ENTRIES, include_str!("lua/line_up.lua")];
    Heartbeat: "heartbeat", Short, [ROWS, include_str!("lua/heartbeat.lua")];
    Cancels: "cancels", Short, [ROWS, include_str!("lua/cancels.lua")];
    Mine: "mine", Short, [ROWS, include_str!("lua/mine.lua")];
    Add: "add", Short, [ROWS, ENTRIES, include_str!("lua/add.lua")];
    Due: "due", Short, [ROWS, include_str!("lua/due.lua")];
    Mark: "mark", Short, [ROWS, include_str!("lua/mark.lua")];
    Postpone: "postpone", Short, [ROWS, include_str!("lua/postpone.lua")];
    Park: "park", Short, [ROWS, include_str!("lua/park.lua")];
    Reap: "reap", Long, [ROWS, RUNS, include_str!("lua/reap.lua")];
    Act: "act", Long, [ROWS, AGAIN, include_str!("lua/act.lua")];
    Edit: "edit", Long, [ROWS, AGAIN, include_str!("lua/edit.lua")];
    Get: "get", Long, [ROWS, RUNS, RECORDS, include_str!("lua/get.lua")];
    List: "list", Long, [ROWS, RUNS, RECORDS, include_str!("lua/list.lua")];
    Restore: "restore", Long, [ROWS, include_str!("lua/restore.lua")];
    RestoreSchedule: "restore_schedule", Long, [ROWS, SCHEDULES, include_str!("lua/restore_schedule.lua")];
    Windows: "windows", Long, [ROWS, include_str!("lua/windows.lua")];
    RestoreWindows: "restore_windows", Long, [ROWS, include_str!("lua/restore_windows.lua")];
    Queues: "queues", Long, [ROWS, include_str!("lua/queues.lua")];
    Standings: "standings", Long, [ROWS, include_str!("lua/standings.lua")];
    Members: "members", Long, [ROWS, include_str!("lua/members.lua")];
    Holdings: "holdings", Long, [ROWS, include_str!("lua/holdings.lua")];
    Mend: "mend", Long, [ROWS, include_str!("lua/mend.lua")];
    Purge: "purge", Long, [ROWS, include_str!("lua/purge.lua")];
    Snapshot: "snapshot", Long, [ROWS, SCHEDULES, include_str!("lua/snapshot.lua")];
    FindSchedules: "schedules", Long, [ROWS, SCHEDULES, include_str!("lua/find_schedules.lua")];
    Put: "put", Short, [ROWS, SCHEDULES, include_str!("lua/put.lua")];
    Remove: "remove", Long, [ROWS, SCHEDULES, include_str!("lua/remove.lua")];
    Advance: "advance", Short, [ROWS, SCHEDULES, ENTRIES, include_str!("lua/advance.lua")];
    Occurrences: "occurrences", Long, [ROWS, include_str!("lua/occurrences.lua")];
    Lease: "lease", Short, [ROWS, include_str!("lua/lease.lua")];
    GiveUp: "give_up", Short, [ROWS, include_str!("lua/give_up.lua")];
}

/// The scripts of one ledger.
pub(super) struct Scripts(Vec<Source>);

/// One script, as the server gets it.
struct Source {
    text: String,
    digest: String,
}

impl Scripts {
    /// `now` is Lua that answers the store's time.
    pub(super) fn new(now: &str) -> Self {
        let source = |call: &Call| {
            let text = format!("local P = KEYS[1]\nlocal NOW = {now}\n{}", call.parts().concat());
            Source { digest: Script::new(&text).get_hash().to_owned(), text }
        };
        Self(Call::ALL.iter().map(source).collect())
    }

    /// Begins a call. All keys begin with `prefix`, whose hash tag tells a cluster where they are.
    pub(super) fn begin(&self, call: Call, prefix: &str) -> Args {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.source(call).digest).arg(1).arg(prefix);
        Args { call, command }
    }

    /// Makes the server know a script.
    pub(super) fn load(&self, call: Call) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.source(call).text);
        command
    }

    fn source(&self, call: Call) -> &Source {
        &self.0[call as usize]
    }
}

/// A call and its arguments.
pub(super) struct Args {
    pub(super) call: Call,
    pub(super) command: Cmd,
}

impl Args {
    /// One more.
    pub(super) fn push(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.command.arg(bytes.as_ref());
        self
    }

    /// A number, as text.
    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        self.command.arg(number);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_script_of_its_own() {
        let scripts = Scripts::new(SERVER_TIME);
        let mut digests: Vec<_> = scripts.0.iter().map(|source| &source.digest).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), Call::ALL.len());
        for (at, call) in Call::ALL.iter().enumerate() {
            assert_eq!(*call as usize, at, "{}", call.name());
        }
    }
}
