//! The README's commands, run as they are written, and its configuration, read as it is written.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::process::Command;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Process, Said, World, eventually};

use super::scene::PATIENCE;

const README: &str = include_str!("../../README.md");

/// Stands for cargo: `cargo run --release --` is what the README says, and a release build would take minutes. Everything
/// after it reaches the program that was built for this suite, through a shell, as it was typed. The shell makes way for
/// the program, so that a signal reaches that.
const CARGO: &str = r#"
cargo() {
    if [ "$1 $2 $3" != "run --release --" ]; then
        echo "not a command of the README: cargo $*" >&2
        exit 99
    fi
    shift 3
    exec "$UPBEAT_BUILT" "$@"
}
"#;

/// A directory without anything of ours in it, as a fresh clone is one as far as the program looks.
struct Clone {
    world: World,
    listen: String,
}

impl Clone {
    fn new() -> Self {
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
        world.remove("upbeat.toml");
        // The quickstart has an address of its own, which somebody else on this machine may have taken.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let listen = free.local_addr().expect("it is bound").to_string();
        Self { world, listen }
    }

    /// A line of the README, as a shell gets it.
    fn line(&self, line: &str) -> Command {
        let made = self.world.command(&[]);
        let made = made.as_std();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{CARGO}{line}")]).env_clear();
        command.envs(made.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env_remove("UPBEAT_CONFIG").current_dir(self.world.path(""));
        command.env("UPBEAT_BUILT", env!("CARGO_BIN_EXE_upbeat")).env("UPBEAT_LISTEN", &self.listen);
        command
    }

    async fn run(&self, line: &str) -> Said {
        self.world.run_command(self.line(line), "").await
    }

    fn start(&self, line: &str) -> Process {
        self.world.start_command(&[line], self.line(line))
    }
}

/// The lines of the README's blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = README;
    while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
        let (block, following) = after.split_once("\n```").expect("a block has an end");
        blocks.push(block.to_owned());
        rest = following;
    }
    blocks
}

/// Every command of the README, in its order. A new one fails the test until it is met here.
fn commands() -> Vec<String> {
    blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_of_the_readmes_production_exists() {
    let clone = Clone::new();
    let block = blocks("bash").remove(0);
    let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("upbeat ")).collect();
    assert!(commands.len() > 4, "{block}");
    for command in commands {
        let command = command.split(" #").next().unwrap_or(command);
        // With its options: what does not exist is refused before the help is shown.
        let said = clone.run(&format!("cargo run --release -- {command} --help")).await.ok();
        assert!(said.out.contains("Usage:"), "{said:#?}");
    }
}

#[tokio::test]
async fn every_command_of_the_readme_does_what_it_says() {
    let clone = Clone::new();
    let commands = commands();
    let [up, tests, hello, flaky, tasks, schedules, later, workers, doctor] = &commands[..] else {
        panic!("other commands than this test knows: {commands:#?}");
    };
    let running = clone.start(up);
    running.says("Upbeat", PATIENCE).await;
    running.says("is running", PATIENCE).await;

    // That one runs everything, this test included.
    assert_eq!(tests, "tests/run");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(tests);
    let mode = script.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "it can be executed");

    let said = clone.run(hello).await.ok();
    assert!(said.out.contains("Hello, you!") && said.out.contains("succeeded"), "{said:#?}");
    let id = clone.run(flaky).await.ok().id();
    let listed = clone.run(tasks).await.ok();
    assert!(listed.out.contains("hello") && listed.out.contains(&id.to_string()), "{listed:#?}");
    let listed = clone.run(schedules).await.ok();
    for schedule in ["machine-report", "ping", "nightly"] {
        assert!(listed.out.contains(schedule), "{listed:#?}");
    }
    let once = clone.run(later).await.ok().id();
    assert_eq!(clone.run(later).await.ok().id(), once, "however often you repeat this line");
    let listed = clone.run(workers).await.ok();
    assert_eq!(listed.out.lines().count(), 2, "a head and a worker: {listed:#?}");
    clone.run(doctor).await.ok();

    let show = format!("cargo run --release -- tasks show {id} --json");
    let shown = async |field: &str| {
        let said = clone.run(&show).await.ok();
        let task: serde_json::Value = serde_json::from_str(&said.out).expect("one object");
        task[field].clone()
    };
    let succeeded = TaskState::Succeeded.as_str();
    eventually("the flaky one succeeds", PATIENCE, async || shown("state").await == succeeded).await;
    assert_eq!(shown("attempts").await, 2, "it failed twice before");
    running.stop().await;
}

#[tokio::test]
async fn what_the_readme_says_of_a_kill_is_so() {
    let clone = Clone::new();
    clone.run("cargo run --release -- init").await.ok();
    clone.run("cargo run --release -- config check").await.ok();
    let hold = "\n[ledger]\nlease = \"2s\"\n[tasks.hold]\ncommand = [\"sh\", \"-c\", \"touch begun; while [ ! -e go ]; do sleep 0.1; done\"]\n";
    clone.world.write("upbeat.toml", hold);
    let mut up = clone.start("cargo run --release -- up");
    let id = clone.run("cargo run --release -- publish hold").await.ok().id();
    eventually("the task runs", PATIENCE, async || clone.world.path("begun").exists()).await;
    up.kill().await;
    clone.world.write("go", "");

    let again = clone.start("cargo run --release -- up");

    let show = format!("cargo run --release -- tasks show {id}");
    let succeeded = async || clone.run(&show).await.out.contains("succeeded");
    eventually("it ran again", PATIENCE, succeeded).await;
    let shown = clone.run(&show).await.ok();
    assert!(shown.out.contains("1 worker lost while it ran"), "{shown:#?}");
    again.stop().await;
}

#[tokio::test]
async fn the_readmes_configuration_is_one() {
    let clone = Clone::new();
    let [toml] = blocks("toml").try_into().expect("there is one");
    clone.world.write("upbeat.toml", &toml);
    let said = clone.run("cargo run --release -- config check").await.ok();
    assert!(said.out.contains("1 task, 1 schedule"), "{said:#?}");
    clone.run("cargo run --release -- schedules check upbeat.toml").await.ok();
}
