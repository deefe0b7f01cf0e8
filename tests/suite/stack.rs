//! The container stack: its file is understood by docker-compose, and its commands, in its environments, do what they are
//! there for. They run as processes of this host, on a RabbitMQ and a Postgres set up as the stack's images set theirs up.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use upbeat_tests::compose::{Compose, Places};
use upbeat_tests::harness::{Process, World};
use upbeat_tests::services::{self, Kind, Server};

use super::scene::PATIENCE;

/// The stack, its servers, and where what it names is found here.
struct Stack {
    world: World,
    compose: Compose,
    rabbitmq: Server,
    postgres: Server,
}

impl Stack {
    async fn new() -> Self {
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
        let file = std::fs::read_to_string(root().join("docker-compose.yml")).expect("it is there");
        let compose = Compose::read(&file, &|_| None);
        let (rabbitmq, postgres) =
            tokio::join!(Server::start(Kind::RabbitMq43), Server::start(Kind::Postgres));
        let variable = |service: &str, name: &str| compose.service(service).environment[name].0.clone();
        let user = variable("rabbitmq", "RABBITMQ_DEFAULT_USER");
        let password = variable("rabbitmq", "RABBITMQ_DEFAULT_PASS");
        rabbitmq.ctl(&["-q", "add_user", &user, &password]).await;
        rabbitmq.ctl(&["-q", "set_permissions", &user, ".*", ".*", ".*"]).await;
        rabbitmq.ctl(&["-q", "set_user_tags", &user, "administrator"]).await;
        let database = format!("create database {}", variable("postgres", "POSTGRES_DB"));
        postgres.ctl(&["-c", &database]).await;
        Self { world, compose, rabbitmq, postgres }
    }

    /// A service's own command, or another one in its environment; each role on a port of its own.
    fn command(&self, service: &str, args: Option<&[&str]>, listen: &str) -> Command {
        let service = self.compose.service(service);
        let places = Places::new()
            .replace("0.0.0.0:8321", listen)
            .replace("rabbitmq:5672", address(self.rabbitmq.url()))
            .replace("postgres:5432", address(self.postgres.url()));
        let program = program();
        let mut command = match args {
            Some(args) => service.process_with(args, &program, root(), &places),
            None => service.process(&program, root(), &places),
        };
        command.current_dir(self.world.path("")).env("RABBITMQ_MANAGEMENT", self.rabbitmq.management());
        command
    }

    fn start(&self, service: &str, listen: &str) -> Process {
        self.world.start_command(&[service], self.command(service, None, listen))
    }
}

/// `host:port` of a URL.
fn address(url: &str) -> &str {
    let authority = url.split_once("://").expect("a URL").1.split('/').next().expect("it has a host");
    authority.rsplit('@').next().expect("it has a host")
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
    let stack = Stack::new().await;
    let (beat_at, worker_at) = (free(), free());
    // Two beats, as the file says, and workers scaled to three.
    let beat = stack.start("beat", &beat_at);
    let more = [stack.start("beat", &free()), stack.start("worker", &free()), stack.start("worker", &free())];
    beat.says("serving health and metrics", PATIENCE).await;
    let worker = stack.start("worker", &worker_at);
    worker.says("the worker is ready", PATIENCE).await;

    let cli = async |args: &[&str]| stack.world.run_command(stack.command("cli", Some(args), ""), "").await;
    let said = cli(&["publish", "hello", "--args", r#"{"name": "stack"}"#, "--wait"]).await.ok();
    assert!(said.out.contains("Hello, stack!"), "{said:#?}");
    let said = cli(&["schedules", "list"]).await.ok();
    assert!(said.out.contains("load") && said.out.contains("nightly"), "{said:#?}");
    let said = cli(&["workers", "list", "--all", "--json"]).await.ok();
    assert_eq!(said.out.matches("\"healthy\"").count(), 5, "{said:#?}");
    let said = cli(&["queues", "list", "--json"]).await.ok();
    let queue: serde_json::Value =
        serde_json::from_str(said.out.lines().next().expect("a queue")).expect("JSON");
    assert!(queue["unacknowledged"].is_number(), "the management API tells: {queue:#}");

    for (service, listen) in [("beat", &beat_at), ("worker", &worker_at)] {
        let check = stack.compose.service(service).healthcheck.clone().expect("it has one");
        assert_eq!(check.test[..2], ["CMD", "upbeat"], "{service}");
        let args: Vec<&str> = check.test[2..].iter().map(String::as_str).collect();
        let asked = stack.command(service, Some(&args), listen);
        stack.world.run_command(asked, "").await.ok();
        let nobody = stack.command(service, Some(&args), &free());
        stack.world.run_command(nobody, "").await.failed(3);
    }
    for member in more.into_iter().chain([worker, beat]) {
        member.stop().await;
    }
}

#[tokio::test]
async fn docker_compose_understands_the_file() {
    let said =
        services::compose(&root().join("docker-compose.yml"), &["--profile", "cli", "config", "--quiet"])
            .await;
    assert_eq!(said.trim(), "");
    let services = services::compose(&root().join("docker-compose.yml"), &["config", "--services"]).await;
    let mut services: Vec<&str> = services.lines().collect();
    services.sort_unstable();
    assert_eq!(services, ["beat", "postgres", "rabbitmq", "worker"]);
}

#[tokio::test]
async fn the_stack_on_redis_has_redis_in_place_of_postgres() {
    let on_redis = ["-f", "/srv/deploy/docker-compose.redis.yml"];
    let ask = async |command: &[&str]| {
        services::compose(&root().join("docker-compose.yml"), &[&on_redis, command].concat()).await
    };
    let services = ask(&["config", "--services"]).await;
    let mut services: Vec<&str> = services.lines().collect();
    services.sort_unstable();
    assert_eq!(services, ["beat", "rabbitmq", "redis", "worker"]);

    let config = ask(&["--profile", "cli", "config"]).await;
    // What the services are made of is shown behind them.
    let (services, _) = config.split_once("\nx-").expect("the file has parts that services share");
    assert!(!services.contains("postgres"), "something still waits for Postgres:\n{services}");
    assert_eq!(services.matches("UPBEAT_LEDGER: redis://").count(), 3, "{services}");
}
