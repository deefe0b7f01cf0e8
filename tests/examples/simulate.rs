//! As many simulated histories as one has time for: `just simulate 1000000`.
//!
//! Prints how far it is, and each seed whose history broke a promise, with how to replay it. Ends with an error if there was one.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use upbeat_tests::simulation::crashes::{self, Path};
use upbeat_tests::simulation::storms;

/// Seeds whose end is shown in full.
const SHOWN: u64 = 5;
/// So many histories take a night, in which there is time for every pair of crashes, too.
const NIGHT: u64 = 100_000;

fn main() -> ExitCode {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|number| number.parse::<u64>().expect("a number of seeds, and where to begin"));
    let (count, from) = (numbers.next().unwrap_or(2000), numbers.next().unwrap_or(0));
    let pairs = numbers.next().unwrap_or(if count >= NIGHT { u64::MAX } else { 0 });
    let (next, failed) = (AtomicU64::new(from), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&next, from + count, &failed));
        }
    });
    if pairs > 0 {
        place_crashes(usize::try_from(pairs).unwrap_or(usize::MAX), &failed);
    }
    let failed = failed.load(Ordering::Relaxed);
    println!("{count} histories, {failed} of them broke a promise");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One crash at every call of every path, and so many pairs of crashes.
fn place_crashes(pairs: usize, failed: &AtomicU64) {
    for path in Path::ALL {
        let mut tried = crashes::one(path);
        let two = crashes::two(path, pairs);
        tried.histories += two.histories;
        tried.wrong.extend(two.wrong);
        println!(
            "{path:?}: {} histories with up to two crashes, {} wrong",
            tried.histories,
            tried.wrong.len()
        );
        failed.fetch_add(tried.wrong.len() as u64, Ordering::Relaxed);
        tried.wrong.iter().take(1).for_each(|wrong| println!("{wrong}"));
    }
}

fn work(next: &AtomicU64, until: u64, failed: &AtomicU64) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= until {
            return;
        }
        if let Err(wrong) = storms::run(seed) {
            let before = failed.fetch_add(1, Ordering::Relaxed);
            let shown = if before < SHOWN { wrong.as_str() } else { wrong.lines().next().unwrap_or("") };
            println!("seed {seed} (UPBEAT_SEED={seed}): {shown}");
        } else if seed % 1000 == 999 {
            println!("up to seed {seed}");
        }
    }
}
