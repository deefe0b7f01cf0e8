//! The container stack's commands and environments, run as processes of this host, on the embedded file in the place of
//! its servers.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use upbeat_tests::compose::{Compose, Places};
use upbeat_tests::harness::{Process, World};

use super::scene::PATIENCE;

/// The stack, and where what it names is found here.
struct Stack {
    world: World,
    compose: Compose,
}

impl Stack {
    fn new() -> Self {
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
        let file = std::fs::read_to_string(root().join("docker-compose.yml")).expect("it is there");
        Self { world, compose: Compose::read(&file, &|_| None) }
    }

    /// A service's own command, or another one in its environment; each role on a port of its own.
    fn command(&self, service: &str, args: Option<&[&str]>, listen: &str) -> Command {
        let service = self.compose.service(service);
        let places = Places::new().replace("0.0.0.0:8321", listen);
        let program = program();
        let mut command = match args {
            Some(args) => service.process_with(args, &program, root(), &places),
            None => service.process(&program, root(), &places),
        };
        command
            .current_dir(self.world.path(""))
            .env("UPBEAT_BROKER", "embedded")
            .env("UPBEAT_LEDGER", "embedded");
        command
    }

    fn start(&self, service: &str, listen: &str) -> Process {
        self.world.start_command(&[service], self.command(service, None, listen))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_upbeat").into()
}

/// An address that nobody listens at.
fn free() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    free.local_addr().expect("it is bound").to_string()
}

#[tokio::test]
async fn the_stacks_commands_do_what_they_are_there_for() {
    let stack = Stack::new();
    let (beat_at, worker_at) = (free(), free());
    let beat = stack.start("beat", &beat_at);
    beat.says("serving health and metrics", PATIENCE).await;
    let worker = stack.start("worker", &worker_at);
    worker.says("the worker is ready", PATIENCE).await;

    let cli = async |args: &[&str]| stack.world.run_command(stack.command("cli", Some(args), ""), "").await;
    let said = cli(&["publish", "hello", "--args", r#"{"name": "stack"}"#, "--wait"]).await.ok();
    assert!(said.out.contains("Hello, stack!"), "{said:#?}");
    let said = cli(&["schedules", "list"]).await.ok();
    assert!(said.out.contains("load") && said.out.contains("nightly"), "{said:#?}");

    for (service, listen) in [("beat", &beat_at), ("worker", &worker_at)] {
        let check = stack.compose.service(service).healthcheck.clone().expect("it has one");
        assert_eq!(check.test[..2], ["CMD", "upbeat"], "{service}");
        let args: Vec<&str> = check.test[2..].iter().map(String::as_str).collect();
        let asked = stack.command(service, Some(&args), listen);
        stack.world.run_command(asked, "").await.ok();
        let nobody = stack.command(service, Some(&args), &free());
        stack.world.run_command(nobody, "").await.failed(3);
    }
    worker.stop().await;
    beat.stop().await;
}
