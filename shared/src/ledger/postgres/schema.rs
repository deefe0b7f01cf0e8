//! The ledger's tables and functions: one Postgres schema a namespace, brought up to date by migrations.
//!
//! During a rolling upgrade, programs of two versions work on one store. So each version of the schema names the oldest
//! program that can still work with it (`reads_from`), and the functions that programs call carry in their names the version of
//! what they take and answer: an older program keeps finding those that it calls, for as long as it may work.
//!
//! Tables change step by step. Functions are dropped and made anew for the newest tables, but for the three that others call:
//! those are replaced.

use async_trait::async_trait;
use deadpool_postgres::Pool;

use super::PostgresLedger;
use super::error::Fault;
use super::holding::Holdings;
use super::session::{Patience, Session, Work, perform};
use crate::ledger::holding::Holding;
use crate::ledger::{LedgerError, Schema, SchemaStatus, TransactionHome};
use crate::name::Namespace;

/// One step: the version that it leads to, the oldest program version that can work with it, and what it does to the tables.
struct Migration {
    version: u32,
    reads_from: u32,
    tables: &'static str,
}

/// Every version since the first; a released one never changes.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, reads_from: 1, tables: include_str!("sql/tables_1.sql") },
    Migration { version: 2, reads_from: 2, tables: include_str!("sql/tables_2.sql") },
];

/// Made anew for the newest tables, whatever was there before.
const FUNCTIONS: &[&str] = &[
    include_str!("sql/functions.sql"),
    include_str!("sql/limits.sql"),
    include_str!("sql/claim.sql"),
    include_str!("sql/run.sql"),
    include_str!("sql/settle.sql"),
    include_str!("sql/agenda.sql"),
    include_str!("sql/change.sql"),
    include_str!("sql/transaction.sql"),
    include_str!("sql/unique.sql"),
    include_str!("sql/publish.sql"),
];

/// The newest.
pub(super) const KNOWN: u32 = 2;

/// Postgres 15, as it numbers its versions.
const OLDEST_SERVER: i32 = 150_000;

/// Names in Postgres are cut beyond this.
const MAX_NAME: usize = 63;

/// The name of a namespace's schema.
#[derive(Clone, Debug)]
pub(super) struct SchemaName(String);

impl SchemaName {
    /// `upbeat` for the default namespace, `upbeat_NAMESPACE` for every other.
    pub(super) fn of(namespace: &Namespace) -> Result<Self, Fault> {
        let name = if *namespace == Namespace::default() {
            "upbeat".to_owned()
        } else {
            format!("upbeat_{namespace}")
        };
        if name.len() > MAX_NAME {
            return Err(Fault::Invalid(format!(
                "the namespace {namespace} would need a Postgres schema named {name}, which is longer than {MAX_NAME} \
                 bytes; choose a namespace of at most {} characters",
                MAX_NAME - "upbeat_".len()
            )));
        }
        Ok(Self(name))
    }

    /// As it stands in a statement. Names of namespaces hold no quotes.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Every migration as SQL text for this namespace, for a user who applies it by hand: a transaction a version, those that
/// the store has left out, and one for the functions.
pub fn migrations_sql(namespace: &Namespace) -> String {
    match SchemaName::of(namespace) {
        Ok(schema) => {
            let transaction = |body: String| format!("begin;\n{body}\ncommit;\n");
            let step = |migration| format!("{}\n{}", preparation(&schema), tables(migration, &schema));
            let steps: String = MIGRATIONS.iter().map(|migration| transaction(step(migration))).collect();
            steps + &transaction(functions(&schema))
        }
        Err(fault) => format!("-- {}\n", LedgerError::from(fault)),
    }
}

/// What every migration begins with; harmless if it was done before.
fn preparation(schema: &SchemaName) -> String {
    let schema = schema.quoted();
    format!(
        "create schema if not exists {schema};
create table if not exists {schema}.schema_version (
    version integer primary key, reads_from integer not null, applied_at timestamptz not null default now());"
    )
}

fn tables(migration: &Migration, schema: &SchemaName) -> String {
    let Migration { version, reads_from, tables } = migration;
    let schema = schema.quoted();
    let body = tables.replace("{schema}", &schema);
    format!(
        "{body}\ninsert into {schema}.schema_version (version, reads_from) values ({version}, {reads_from});"
    )
}

fn functions(schema: &SchemaName) -> String {
    FUNCTIONS.concat().replace("{schema}", &schema.quoted())
}

/// The server's version, as a number and as it says it.
struct Server;

impl Work for Server {
    const CALL: &'static str = "schema";
    type Answer = (i32, String);

    async fn run(&self, session: &mut Session) -> Result<(i32, String), Fault> {
        let sql = "select current_setting('server_version_num')::integer, current_setting('server_version')";
        let row = session.query_one(sql, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

/// The newest version that is there, and the oldest program that can work with it.
struct Find<'a>(&'a SchemaName);

impl Work for Find<'_> {
    const CALL: &'static str = "schema";
    type Answer = (u32, u32);

    async fn run(&self, session: &mut Session) -> Result<(u32, u32), Fault> {
        find(session, self.0).await
    }
}

async fn find(session: &Session, schema: &SchemaName) -> Result<(u32, u32), Fault> {
    // By a query, not by `to_regclass`: that one may remember what was there before somebody else's migration.
    let there = "select from pg_catalog.pg_tables where schemaname = $1 and tablename = 'schema_version'";
    if session.query(there, &[&schema.as_str()]).await?.is_empty() {
        return Ok((0, 0));
    }
    let table = format!("{}.schema_version", schema.quoted());
    let newest = format!("select version, reads_from from {table} order by version desc limit 1");
    let rows = session.query(&newest, &[]).await?;
    let Some(row) = rows.first() else { return Ok((0, 0)) };
    let number = |column| Ok::<_, Fault>(u32::try_from(row.try_get::<_, i32>(column)?).unwrap_or(0));
    Ok((number(0)?, number(1)?))
}

/// Applies what is missing, in one transaction.
struct Up<'a>(&'a SchemaName);

impl Work for Up<'_> {
    const CALL: &'static str = "migrate";
    const PATIENCE: Patience = Patience::Migration;
    type Answer = Vec<u32>;

    async fn run(&self, session: &mut Session) -> Result<Vec<u32>, Fault> {
        session.begin().await?;
        session.batch("set local statement_timeout = 0; set local lock_timeout = 0").await?;
        // One at a time: whoever comes second finds it done.
        let lock = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
        session.query(lock, &[&self.0.as_str()]).await?;
        let (found, reads_from) = find(session, self.0).await?;
        if found > KNOWN && reads_from > KNOWN {
            return Err(Fault::Newer { found, known: KNOWN });
        }
        let missing: Vec<_> = MIGRATIONS.iter().filter(|migration| migration.version > found).collect();
        if !missing.is_empty() {
            session.batch(&preparation(self.0)).await?;
            for migration in &missing {
                session.batch(&tables(migration, self.0)).await?;
            }
            session.batch(&functions(self.0)).await?;
        }
        session.commit().await?;
        Ok(missing.iter().map(|migration| migration.version).collect())
    }
}

/// Drops the schema with all that is in it.
pub(super) async fn remove(pool: &Pool, schema: &SchemaName) -> Result<(), Fault> {
    perform(pool, &Remove(schema)).await
}

struct Remove<'a>(&'a SchemaName);

impl Work for Remove<'_> {
    const CALL: &'static str = "remove";
    const PATIENCE: Patience = Patience::Long;
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), Fault> {
        session.batch(&format!("drop schema if exists {} cascade", self.0.quoted())).await
    }
}

impl PostgresLedger {
    /// Brings the schema to this program's version if it is behind; refuses one that this program cannot work with.
    pub(super) async fn bring_up(&self) -> Result<(), Fault> {
        let (number, server) = perform(&self.pool, &Server).await?;
        if number < OLDEST_SERVER {
            return Err(Fault::Invalid(format!("this is Postgres {server}; 15 or later is needed")));
        }
        let _ = self.server.set(server);
        let (found, reads_from) = perform(&self.pool, &Find(&self.schema)).await?;
        if found > KNOWN && reads_from > KNOWN {
            return Err(Fault::Newer { found, known: KNOWN });
        }
        if found >= KNOWN {
            return Ok(());
        }
        match perform(&self.pool, &Up(&self.schema)).await {
            Ok(versions) if versions.is_empty() => Ok(()),
            Ok(versions) => {
                tracing::info!(
                    schema = self.schema.as_str(),
                    ?versions,
                    "the ledger's schema was brought up to date"
                );
                Ok(())
            }
            Err(fault) if fault.is_forbidden() => Err(Fault::Invalid(format!(
                "the schema {} is at version {found} of {KNOWN}, and this user may not change that ({}): run `upbeat \
                 migrate` as a user who may, or apply what `upbeat migrate --print-sql` prints",
                self.schema.quoted(),
                LedgerError::from(fault)
            ))),
            Err(fault) => Err(fault),
        }
    }
}

#[async_trait]
impl Schema for PostgresLedger {
    async fn status(&self) -> Result<SchemaStatus, LedgerError> {
        let (found, _) = perform(&self.pool, &Find(&self.schema)).await?;
        Ok(SchemaStatus { found, known: KNOWN })
    }

    async fn up(&self) -> Result<Vec<u32>, LedgerError> {
        Ok(perform(&self.pool, &Up(&self.schema)).await?)
    }

    async fn holdings(&self) -> Result<Vec<Holding>, LedgerError> {
        Ok(perform(&self.pool, &Holdings).await?)
    }

    fn describe(&self) -> String {
        let server = self.server.get().map_or("", String::as_str);
        let version = server.split(' ').next().unwrap_or_default();
        format!("Postgres {version} at {}, schema {}", self.address, self.schema.as_str())
    }

    fn transactions(&self) -> TransactionHome {
        TransactionHome::Postgres { schema: self.schema.quoted() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_a_schema_of_its_own() {
        let name = |text: &str| SchemaName::of(&Namespace::new(text).unwrap()).map(|name| name.quoted());
        assert_eq!(name("default").unwrap(), "\"upbeat\"");
        assert_eq!(name("Team-1").unwrap(), "\"upbeat_Team-1\"");
        assert_eq!(name(&"x".repeat(56)).unwrap().len(), 63 + 2);
        let Err(Fault::Invalid(message)) = name(&"x".repeat(57)) else { panic!("it is too long") };
        assert!(message.contains("at most 56 characters"), "{message}");
    }

    #[test]
    fn the_printed_migrations_name_the_schema_and_leave_nothing_open() {
        let sql = migrations_sql(&Namespace::new("team").unwrap());
        assert!(sql.contains("create table \"upbeat_team\".task"));
        assert!(!sql.contains("{schema}"), "a place was left open");
        assert_eq!(sql.matches("begin;\n").count(), MIGRATIONS.len() + 1);
    }

    #[test]
    fn versions_count_up_to_the_known_one() {
        let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=KNOWN).collect::<Vec<_>>());
        assert!(MIGRATIONS.iter().all(|migration| migration.reads_from <= migration.version));
    }
}
