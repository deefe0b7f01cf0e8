//! What the embedded adapters reach on this machine, beside a raw baseline in the same run.
//!
//! `cargo bench --bench embedded`; `-- --tasks 20000` for a shorter one. Prints a table; asserts nothing, since timings are
//! no tests. Data lies under the target directory, on the disk that the project is on.

#![allow(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::cast_precision_loss, reason = "rates are printed with few digits")]

mod footprint;
mod raw;
mod report;
mod throughput;

use std::path::PathBuf;

/// What the command line asked for.
struct Options {
    tasks: usize,
    only: Option<String>,
}

impl Options {
    fn from_args() -> Self {
        let mut options = Self { tasks: 100_000, only: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--tasks" => {
                    options.tasks = args.next().and_then(|n| n.parse().ok()).unwrap_or(options.tasks);
                }
                // Cargo says it to every benchmark.
                "--bench" => {}
                name => options.only = Some(name.to_owned()),
            }
        }
        options
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

/// An empty directory on the project's disk.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("the benchmark's own directory can be removed");
    }
    std::fs::create_dir_all(&path).expect("the benchmark's own directory can be made");
    path
}

fn main() {
    let options = Options::from_args();
    if options.only.as_deref() == Some(footprint::SLEEPERS) {
        return footprint::be_a_sleeping_worker();
    }
    println!("embedded, 256-byte no-op tasks, {} of them, SQLite {}", options.tasks, raw::version());
    if options.wants("throughput") {
        let raw = raw::rows_per_second(options.tasks);
        println!("{:<52} {raw:>10.0} /s", "raw SQLite: row inserted, updated, deleted");
        throughput::measure(options.tasks, raw);
    }
    if options.wants("footprint") {
        footprint::measure();
    }
}
