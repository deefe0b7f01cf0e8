//! A server of a test's own. Everything it does goes through `tests/servers`, which knows how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

/// The script, found from wherever the tests run.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/servers");

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The oldest RabbitMQ that is fully supported.
    RabbitMq40,
    /// The newest RabbitMQ.
    RabbitMq43,
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::RabbitMq40 => "rabbitmq-4.0",
            Self::RabbitMq43 => "rabbitmq-4.3",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// A server on a port and in a directory of its own. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    folder: TempDir,
    addresses: BTreeMap<String, String>,
}

impl Server {
    /// Starts one.
    pub async fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[]).await
    }

    /// Starts one whose directory holds these files beforehand (see `tests/servers`).
    pub async fn start_with(kind: Kind, files: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("upbeat-server-").expect("a folder can be made");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it lies in the folder"))
                .expect("a folder can be made");
            std::fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {name}: {error}"));
        }
        let mut server = Self { kind, folder, addresses: BTreeMap::new() };
        server.start_again().await;
        server
    }

    /// Starts it where it was stopped or killed: on the same ports, with the same data.
    pub async fn start_again(&mut self) {
        let said = self.script(&["start", self.kind.as_str(), &self.dir()]).await;
        let pairs = said.lines().filter_map(|line| line.split_once('='));
        self.addresses = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// Ends it in good order.
    pub async fn stop(&self) {
        self.script(&["stop", &self.dir()]).await;
    }

    /// Ends a PostgreSQL as `pg_ctl stop -m immediate` does.
    pub async fn stop_immediately(&self) {
        self.script(&["stop", &self.dir(), "immediate"]).await;
    }

    /// Ends it on the spot.
    pub async fn kill(&self) {
        self.script(&["kill", &self.dir()]).await;
    }

    /// `rabbitmqctl`, `psql` or `redis-cli` on it; answers what that printed.
    pub async fn ctl(&self, args: &[&str]) -> String {
        let dir = self.dir();
        self.script(&[&["ctl", dir.as_str()], args].concat()).await
    }

    /// Its address for those who use it.
    pub fn url(&self) -> &str {
        self.address(match self.kind {
            Kind::RabbitMq40 | Kind::RabbitMq43 => "amqp",
            Kind::Postgres => "postgres",
            Kind::Redis => "redis",
        })
    }

    /// A RabbitMQ's or a Redis' address with TLS, if it was given certificates.
    pub fn tls_url(&self) -> &str {
        self.address(match self.kind {
            Kind::RabbitMq40 | Kind::RabbitMq43 => "amqps",
            Kind::Postgres => "postgres",
            Kind::Redis => "rediss",
        })
    }

    /// The address of a RabbitMQ's management API.
    pub fn management(&self) -> &str {
        self.address("management")
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, name: &str) -> &str {
        self.addresses.get(name).unwrap_or_else(|| panic!("{:?} has no address {name}", self.kind))
    }

    fn dir(&self) -> String {
        self.folder.path().to_str().expect("a folder's name is UTF-8").to_owned()
    }

    async fn script(&self, args: &[&str]) -> String {
        let output =
            Command::new(SCRIPT).args(args).stdin(Stdio::null()).stderr(Stdio::piped()).output().await;
        let output = output.unwrap_or_else(|error| panic!("cannot run {SCRIPT}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tests/servers {args:?} failed: {said}{complained}");
        said
    }
}

/// Runs a Python script that has an AMQP client, pika, at hand: its path, then its arguments.
pub async fn python(args: &[&str]) {
    let script =
        std::fs::File::open(args[0]).unwrap_or_else(|error| panic!("cannot read {}: {error}", args[0]));
    // From standard input: the script's folder is not where Python runs.
    let mut command = Command::new(SCRIPT);
    command.args(["python", "-"]).args(&args[1..]).stdin(Stdio::from(script));
    let output = command.output().await.unwrap_or_else(|error| panic!("cannot run {SCRIPT}: {error}"));
    assert!(output.status.success(), "{args:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs docker-compose on a file, for what needs no Docker engine; answers what it printed.
pub async fn compose(file: &Path, args: &[&str]) -> String {
    let mut command = Command::new(SCRIPT);
    command.arg("compose").arg(file).args(args).stdin(Stdio::null());
    let output = command.output().await.unwrap_or_else(|error| panic!("cannot run {SCRIPT}: {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "docker-compose {args:?} failed: {said}{complained}");
    said.into_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that was stopped, or never came up, has nothing to kill.
        let killed = std::process::Command::new(Path::new(SCRIPT)).args(["kill", &self.dir()]).status();
        drop(killed);
    }
}
