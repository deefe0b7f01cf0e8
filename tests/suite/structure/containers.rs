//! The container stack: what its services may be, and that it fits the program.

use std::path::Path;
use std::process::Stdio;

use upbeat_shared::schedule;
use upbeat_tests::compose::{Compose, Places, Service};

use super::{files, none};

const FILE: &str = "docker-compose.yml";

/// Services that run this program, other than the command line.
const ROLES: [&str; 2] = ["beat", "worker"];

/// What a worker needs beside its grace: to stop what did not finish, to settle, and to leave.
const AFTER_GRACE_SECONDS: i64 = 8;

fn read(text: &str) -> Compose {
    Compose::read(text, &|_| None)
}

/// What is wrong with a stack, by rules that need nothing but its file.
fn violations(text: &str) -> Vec<String> {
    let compose = read(text);
    let mut found = passwords(text);
    for (name, service) in &compose.services {
        found.extend(service_violations(name, service));
    }
    found.extend(impatience(compose.service("worker")));
    found
}

fn service_violations(name: &str, service: &Service) -> Vec<String> {
    let mut found = Vec::new();
    let mut unless = |holds: bool, text: String| {
        if !holds {
            found.push(text);
        }
    };
    let on_demand = service.profiles.iter().any(|profile| profile == "cli");
    unless(service.healthcheck.is_some() || on_demand, format!("{name} has no health check"));
    unless(is_pinned(&service.image), format!("{name}: {} names no major version", service.image));
    for port in &service.ports {
        unless(port.starts_with("127.0.0.1:"), format!("{name} is open to others at {port}"));
    }
    for (other, dependency) in &service.depends_on {
        let healthy = dependency.condition == "service_healthy";
        unless(healthy, format!("{name} does not wait until {other} is healthy"));
    }
    if ROLES.contains(&name) {
        unless(
            service.container_name.is_none(),
            format!("{name} has a name of its own and cannot be scaled"),
        );
        unless(service.ports.is_empty(), format!("{name} has a port of the host and cannot be scaled"));
        unless(service.restart.is_some(), format!("{name} is not started again"));
        let asks = service
            .healthcheck
            .as_ref()
            .is_some_and(|check| check.test.ends_with(&["healthcheck".to_owned()]));
        unless(asks, format!("{name} is not asked whether it is able to work"));
    }
    found
}

/// Ours is built here, and has no version.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    image == "upbeat:dev" || tag.starts_with(|first: char| first.is_ascii_digit())
}

/// Passwords that cannot be replaced without a change of the file.
fn passwords(text: &str) -> Vec<String> {
    let settings = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let literal = settings.filter(|line| {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        let is_password = key.ends_with("PASSWORD") || key.ends_with("PASS");
        let in_url = value.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        let in_url = in_url.and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
        [is_password.then_some(value), in_url]
            .into_iter()
            .flatten()
            .any(|password| !password.starts_with("${"))
    });
    literal.map(|line| format!("a password that cannot be replaced: {line}")).collect()
}

/// Docker kills what has not ended by then.
fn impatience(worker: &Service) -> Option<String> {
    let seconds = |text: &str| schedule::parse_duration(text).expect("a duration").as_secs();
    let patience = worker.stop_grace_period.as_deref().map_or(10, seconds);
    let grace = worker.environment.get("UPBEAT_GRACE").map_or(25, |grace| seconds(&grace.0));
    let needs = grace + AFTER_GRACE_SECONDS;
    (patience < needs)
        .then(|| format!("the worker is killed after {patience} s and needs {needs} s to drain"))
}

/// The variables that the configuration knows, by its documentation.
fn known_variables() -> Vec<String> {
    let page = files::read("docs/configuration.md");
    let mut variables: Vec<String> = page
        .lines()
        .filter_map(|line| line.split('|').nth(2))
        .filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'))
        .filter(|name| name.starts_with("UPBEAT_"))
        .map(str::to_owned)
        .collect();
    variables.push("UPBEAT_CONFIG".to_owned());
    variables
}

#[test]
fn the_stack_keeps_its_rules() {
    none(&violations(&files::read(FILE)));
}

#[test]
fn a_stack_that_breaks_a_rule_is_found() {
    let sound = files::read(FILE);
    let planted = [
        ("    healthcheck: *healthcheck\n", ""),
        ("    command: [\"worker\"]\n", "    command: [\"worker\"]\n    container_name: worker\n"),
        ("    command: [\"worker\"]\n", "    command: [\"worker\"]\n    ports: [\"127.0.0.1:8321:8321\"]\n"),
        ("    stop_grace_period: 45s\n", "    stop_grace_period: 37s\n"),
        ("    stop_grace_period: 45s\n", ""),
        ("image: rabbitmq:4-management", "image: rabbitmq:management"),
        ("image: postgres:17", "image: postgres"),
        ("      - 127.0.0.1:${POSTGRES_PORT:-5432}:5432", "      - ${POSTGRES_PORT:-5432}:5432"),
        ("POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-upbeat-development}", "POSTGRES_PASSWORD: hunter2"),
        ("upbeat:${RABBITMQ_PASSWORD:-upbeat-development}@", "upbeat:hunter2@"),
        ("      condition: service_healthy", "      condition: service_started"),
    ];
    for (line, instead) in planted {
        assert!(sound.contains(line), "{line:?} is not in {FILE} any more");
        assert!(!violations(&sound.replace(line, instead)).is_empty(), "{line:?} → {instead:?}");
    }
}

#[test]
fn every_variable_that_the_stack_sets_is_one_that_the_configuration_knows() {
    let known = known_variables();
    assert!(known.len() > 8, "{known:?}");
    let compose = read(&files::read(FILE));
    let names = compose
        .services
        .iter()
        .flat_map(|(service, it)| it.environment.keys().map(move |name| (service, name)));
    let unknown: Vec<String> = names
        .filter(|(_, name)| name.starts_with("UPBEAT_") && !known.contains(name))
        .map(|(service, name)| format!("{service} sets {name}, which nothing reads"))
        .collect();

    none(&unknown);
}

#[test]
fn what_can_be_replaced_in_the_stack_stands_in_its_example() {
    let example = files::read(".env.example");
    let in_example: Vec<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'))
        .collect();
    let mut in_stack: Vec<String> = files::read(FILE)
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once(":-"))
        .map(|(name, _)| name.to_owned())
        .collect();
    in_stack.sort();
    in_stack.dedup();
    let mut sorted = in_example.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, in_stack);
}

#[test]
fn the_stacks_configuration_is_one() {
    let compose = read(&files::read(FILE));
    for name in ["beat", "worker", "cli"] {
        let service = compose.service(name);
        for source in service.mounts(files::root()).values() {
            assert!(source.is_file(), "{name} mounts {}, which is no file", source.display());
        }
        let program = Path::new(env!("CARGO_BIN_EXE_upbeat"));
        let command = service.process_with(&["config", "check"], program, files::root(), &Places::new());
        let output = command.into_std().stdin(Stdio::null()).output().expect("the program can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains("warning"), "{name}: {said}");
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_is_told_to_drain() {
    let dockerfile = files::read("Dockerfile");
    let last = |instruction: &str| {
        dockerfile
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(instruction).map(str::trim))
            .unwrap_or_default()
    };
    let user: u32 =
        last("USER ").split(':').next().unwrap_or_default().parse().expect("a number, for Kubernetes");
    assert_ne!(user, 0);
    assert_eq!(last("STOPSIGNAL "), "SIGTERM");
    assert_eq!(last("ENTRYPOINT "), "[\"upbeat\"]");
    let bases = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    // An image from scratch has no version.
    let named =
        bases.map(|line| line.split(' ').next().unwrap_or_default()).filter(|base| *base != "scratch");
    for base in named {
        let tag = base.split_once(':').map_or("", |(_, tag)| tag);
        assert!(!tag.is_empty() && tag != "latest", "{base} names no version");
    }
}
