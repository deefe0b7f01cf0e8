//! `docker-compose.yml`, read as Docker Compose reads it, so that its services can be looked at, and started as processes
//! where there are no containers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::process::Command;

/// What a process gets of the test's environment; see [`crate::harness::World`].
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "UPBEAT_TESTS_RUN"];

/// The services of a file.
#[derive(Clone, Debug, Deserialize)]
pub struct Compose {
    /// By name.
    pub services: BTreeMap<String, Service>,
}

/// One service, as far as it is looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// The image, with its tag.
    pub image: String,
    /// What is appended to the image's entry point.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub environment: BTreeMap<String, Scalar>,
    /// `SOURCE:TARGET[:OPTIONS]`.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// `[ADDRESS:]HOST:CONTAINER`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Only started when asked for.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// How it is asked whether it works.
    pub healthcheck: Option<Healthcheck>,
    /// A name of its own: it can run once only.
    pub container_name: Option<String>,
    /// When it is started again.
    pub restart: Option<String>,
    /// How long it may take to end, as `45s`.
    pub stop_grace_period: Option<String>,
    /// What it waits for.
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    /// How many, and how large.
    pub deploy: Option<Deploy>,
}

/// How a service is asked whether it works.
#[derive(Clone, Debug, Deserialize)]
pub struct Healthcheck {
    /// `CMD` or `CMD-SHELL`, and the command.
    pub test: Vec<String>,
}

/// What a service waits for.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    /// `service_healthy`, `service_started`.
    pub condition: String,
}

/// How many of a service there are.
#[derive(Clone, Debug, Deserialize)]
pub struct Deploy {
    /// One unless told.
    pub replicas: Option<u32>,
}

/// A text, a number or a truth, as a text.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "serde_json::Value")]
pub struct Scalar(pub String);

impl From<serde_json::Value> for Scalar {
    fn from(value: serde_json::Value) -> Self {
        Self(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

impl Compose {
    /// Reads a file's text, its `${NAME:-default}` replaced by these variables.
    pub fn read(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let text = interpolate(text, variable);
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("cannot read the compose file: {error}"))
    }

    /// The service of this name.
    pub fn service(&self, name: &str) -> &Service {
        self.services.get(name).unwrap_or_else(|| panic!("there is no service {name}"))
    }
}

/// What differs between a container and a process on this host.
#[derive(Clone, Debug, Default)]
pub struct Places {
    replacements: Vec<(String, String)>,
}

impl Places {
    /// Nothing differs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where this stands in a variable's value, that is meant: `rabbitmq:5672` is `127.0.0.1:25672`.
    pub fn replace(mut self, inside: impl Into<String>, outside: impl Into<String>) -> Self {
        self.replacements.push((inside.into(), outside.into()));
        self
    }

    fn apply(&self, value: &str) -> String {
        let replace = |value: String, (inside, outside): &(String, String)| value.replace(inside, outside);
        self.replacements.iter().fold(value.to_owned(), replace)
    }
}

impl Service {
    /// Its variables, as a process outside of the container gets them: files that are mounted into the container are
    /// named where they are, `root` being the folder of the compose file.
    pub fn environment_outside(&self, root: &Path, places: &Places) -> BTreeMap<String, String> {
        let mounts = self.mounts(root).into_iter().map(|(target, source)| {
            let source = source.to_str().expect("a path of this project is UTF-8").to_owned();
            (target, source)
        });
        let places = mounts.fold(places.clone(), |places, (target, source)| places.replace(target, source));
        let apply = |(name, value): (&String, &Scalar)| (name.clone(), places.apply(&value.0));
        self.environment.iter().map(apply).collect()
    }

    /// Its command, run by this program in the place of the image's entry point.
    pub fn process(&self, program: &Path, root: &Path, places: &Places) -> Command {
        let args: Vec<&str> = self.command.iter().map(String::as_str).collect();
        self.process_with(&args, program, root, places)
    }

    /// Another command in its environment, as `docker compose run` and health checks have.
    pub fn process_with(&self, args: &[&str], program: &Path, root: &Path, places: &Places) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear();
        for name in INHERITED {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.environment_outside(root, places));
        command
    }

    /// The files of this host that it sees, by where it sees them; volumes are none.
    pub fn mounts(&self, root: &Path) -> BTreeMap<String, PathBuf> {
        let mount = |volume: &String| {
            let mut parts = volume.split(':');
            let (source, target) = (parts.next()?, parts.next()?);
            let source = source.strip_prefix("./")?;
            Some((target.to_owned(), root.join(source)))
        };
        self.volumes.iter().filter_map(mount).collect()
    }
}

/// Replaces `${NAME}` and `${NAME:-default}`; a variable that is empty counts as missing, as in Compose.
fn interpolate(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        let (inside, following) = after.split_once('}').expect("a variable has an end");
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        let value = variable(name).filter(|value| !value.is_empty());
        whole.push_str(&value.unwrap_or_else(|| default.to_owned()));
        rest = following;
    }
    whole.push_str(rest);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
x-common: &common
  image: upbeat:${TAG:-dev}
  environment: &environment
    UPBEAT_BROKER: amqp://upbeat:${PASSWORD:-secret}@rabbitmq:5672/
    UPBEAT_CONFIG: /etc/upbeat/upbeat.toml
services:
  worker:
    <<: *common
    command: ["worker"]
    volumes: ["./deploy/upbeat.toml:/etc/upbeat/upbeat.toml:ro", "data:/data"]
    environment:
      <<: *environment
      UPBEAT_CONCURRENCY: 8
"#;

    #[test]
    fn a_service_is_read_with_what_it_shares_and_with_its_variables() {
        let variable = |name: &str| (name == "PASSWORD").then(|| "other".to_owned());
        let compose = Compose::read(FILE, &variable);
        let worker = compose.service("worker");
        assert_eq!((worker.image.as_str(), &worker.command[..]), ("upbeat:dev", &["worker".to_owned()][..]));
        assert_eq!(worker.environment["UPBEAT_BROKER"].0, "amqp://upbeat:other@rabbitmq:5672/");
        assert_eq!(worker.environment["UPBEAT_CONCURRENCY"].0, "8");
    }

    #[test]
    fn outside_of_the_container_places_are_others() {
        let compose = Compose::read(FILE, &|_| None);
        let places = Places::new().replace("rabbitmq:5672", "127.0.0.1:25672");
        let environment = compose.service("worker").environment_outside(Path::new("/project"), &places);
        assert_eq!(environment["UPBEAT_BROKER"], "amqp://upbeat:secret@127.0.0.1:25672/");
        assert_eq!(environment["UPBEAT_CONFIG"], "/project/deploy/upbeat.toml");
    }
}
