//! Start, idle and memory: of the real binary, and of a worker with 10,000 sleeping tasks.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use upbeat::native;
use upbeat::task::TaskState;
use upbeat::worker::Registry;

use super::report;
use super::throughput::World;

/// The word that makes this benchmark a worker with sleeping tasks.
pub(crate) const SLEEPERS: &str = "sleepers";

const SLEEPING: usize = 10_000;

/// How long an idle process is watched.
const WATCH: Duration = Duration::from_secs(10);

pub(crate) fn measure() {
    let (mut child, ready) = start_up();
    report::against("`upbeat up` until ready, empty directory", ready.as_secs_f64() * 1e3, "ms", 200.0);
    // Idle is after the start: let its burst pass.
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu_seconds(child.id());
    std::thread::sleep(WATCH);
    let used = (cpu_seconds(child.id()) - before) / WATCH.as_secs_f64() * 100.0;
    report::against("idle, CPU", used, "% of a core", 1.0);
    report::against("idle, resident memory", status_mib(child.id(), "VmRSS"), "MiB", 40.0);
    stop(&mut child);
    let mut sleepers = Command::new(std::env::current_exe().expect("this program's path"))
        .arg(SLEEPERS)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let output = std::io::read_to_string(sleepers.stdout.take().expect("a pipe")).expect("a number");
    sleepers.wait().expect("an end");
    let mib = output.trim().parse().expect("a number");
    report::against("10,000 sleeping tasks in one worker, peak memory", mib, "MiB", 200.0);
}

/// Starts `upbeat up` on an empty configuration, and waits until it says that it is ready.
fn start_up() -> (Child, Duration) {
    let directory = super::directory("bench-up");
    std::fs::write(directory.join("upbeat.toml"), "[http]\nlisten = \"127.0.0.1:0\"\n")
        .expect("a small file");
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_upbeat"))
        .arg("up")
        .current_dir(&directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
    // The first line is printed when every role is ready.
    lines.next().expect("a line").expect("text");
    let ready = started.elapsed();
    // Somebody has to read on, or it would stand still on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, ready)
}

fn stop(child: &mut Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our own child");
    child.wait().expect("an end");
}

pub(crate) fn be_a_sleeping_worker() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let world = World::open(&super::directory("bench-sleepers")).await;
        let mut registry = Registry::new();
        let sleep = native("sleep", |_: String, _run| async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(())
        });
        registry.add(sleep).expect("one task");
        let stop = CancellationToken::new();
        let concurrency = u32::try_from(SLEEPING).expect("a small number");
        let worker = tokio::spawn(world.worker(registry, concurrency).run(stop.clone()));
        world.publish("sleep", SLEEPING).await;
        world.until(TaskState::Running, SLEEPING).await;
        println!("{:.1}", status_mib(std::process::id(), "VmHWM"));
        worker.abort();
    });
}

/// A field of `/proc/PID/status`, in MiB.
fn status_mib(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field of Linux");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of kB");
    kib / 1024.0
}

/// User and system time so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a living process");
    // The name, in brackets, may hold spaces: count from its end.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}
