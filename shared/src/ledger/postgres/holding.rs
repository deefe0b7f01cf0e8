//! What the schema holds, for the doctor.

use super::error::Fault;
use super::row::instant;
use super::session::{Patience, Session, Work};
use crate::ledger::holding::{COUNTED, Holding, Part};

/// Counts what each part holds, up to a bound, and asks how much room it takes.
pub(super) struct Holdings;

/// Tables, and what finds the oldest row.
const PARTS: [(Part, &[&str], Option<&str>); 5] = [
    (Part::Tasks, &["task"], Some("select t.recorded_at from task t order by t.row limit 1")),
    (Part::Details, &["detail", "outcome"], None),
    (
        Part::Occurrences,
        &["occurrence"],
        Some("select o.until_at from occurrence o order by o.until_at limit 1"),
    ),
    (Part::UniqueKeys, &["unique_window"], None),
    (Part::Members, &["member"], None),
];

impl Work for Holdings {
    const CALL: &'static str = "holdings";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<Holding>;

    async fn run(&self, session: &mut Session) -> Result<Vec<Holding>, Fault> {
        let mut holdings = Vec::with_capacity(PARTS.len());
        for (part, tables, oldest) in PARTS {
            let sizes: Vec<String> =
                tables.iter().map(|table| format!("pg_total_relation_size('{table}'::regclass)")).collect();
            let sql = format!(
                "select (select count(*) from (select {} limit {COUNTED}) c) as count, {} as bytes, ({}) as oldest",
                source(part, tables[0]),
                sizes.join(" + "),
                oldest.unwrap_or("null::bigint")
            );
            let row = session.query_one(&sql, &[]).await?;
            holdings.push(Holding {
                part,
                count: row.try_get::<_, i64>("count")?.unsigned_abs(),
                bytes: Some(row.try_get::<_, i64>("bytes")?.unsigned_abs()),
                oldest: row.try_get::<_, Option<i64>>("oldest")?.map(instant),
            });
        }
        Ok(holdings)
    }
}

/// Where a part's rows come from; keys are held by tasks, too.
fn source(part: Part, table: &str) -> String {
    if part == Part::UniqueKeys {
        return "from task t where t.holds is not null union all select from unique_window".to_owned();
    }
    format!("from {table}")
}
