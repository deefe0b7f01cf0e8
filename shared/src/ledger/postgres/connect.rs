//! Connections: how they are made, bounded, and found dead.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresOptions;
use super::error::{Fault, chain};
use super::schema::SchemaName;
use crate::config::TlsFiles;

/// How long a new connection may take, its TLS and its password included.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a call waits for a connection to be free.
const FREE: Duration = Duration::from_secs(4);

/// A pool of connections to one schema. Opens none yet.
pub(super) fn pool(options: &PostgresOptions, schema: &SchemaName) -> Result<Pool, Fault> {
    let config = config(options)?;
    let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let tls = match config.get_ssl_mode() {
        // Certificates that nobody will look at need not be readable.
        SslMode::Disable => None,
        // A machine without certificates knows no server: there is nothing to prefer.
        SslMode::Prefer => tls(&options.tls).ok(),
        _ => Some(tls(&options.tls)?),
    };
    let manager = match tls {
        None => Manager::from_config(config, tokio_postgres::NoTls, recycle),
        Some(tls) => Manager::from_config(config, tls, recycle),
    };
    let set_up = settings(schema);
    Pool::builder(manager)
        .max_size(usize::try_from(options.connections.max(1)).unwrap_or(usize::MAX))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(FREE), create: Some(CONNECT), recycle: Some(CONNECT) })
        .post_create(Hook::async_fn(move |client, _| {
            let set_up = set_up.clone();
            Box::pin(async move { client.batch_execute(&set_up).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(|error| Fault::Invalid(chain(&error)))
}

/// Certificate chain and host name are always checked where TLS is used.
fn tls(files: &TlsFiles) -> Result<MakeRustlsConnect, Fault> {
    Ok(MakeRustlsConnect::new(crate::tls::client_config(files).map_err(Fault::Invalid)?))
}

fn config(options: &PostgresOptions) -> Result<Config, Fault> {
    let mut config = Config::from_str(options.url.expose())
        .map_err(|error| Fault::Invalid(format!("the ledger's URL {}: {}", options.url, chain(&error))))?;
    if config.get_application_name().is_none() {
        config.application_name(&options.name);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    // A server that vanished without a word is noticed in seconds, not in hours.
    config
        .tcp_user_timeout(Duration::from_secs(5))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(3))
        .keepalives_retries(3);
    Ok(config)
}

/// What every connection is told first.
fn settings(schema: &SchemaName) -> String {
    format!(
        "set search_path = {schema};
         -- A plan made for an empty table must be good for a large one: indexes, and loops over them.
         set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off;
         set plan_cache_mode = force_generic_plan; set jit = off;
         set statement_timeout = '20s'; set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '30s';
         set client_connection_check_interval = '1s'; set client_min_messages = warning;
         set default_transaction_isolation = 'read committed';
         -- A commit that was answered must not be forgotten; how many standbys must have it is the server's setting.
         select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'",
        schema = schema.quoted()
    )
}

/// Where it is, without secrets: host, port and database.
pub(super) fn address(options: &PostgresOptions) -> String {
    let Ok(config) = config(options) else { return options.url.to_string() };
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let port = config.get_ports().get(at).or(config.get_ports().first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or("its default database");
    format!("{}/{database}", hosts.join(","))
}
