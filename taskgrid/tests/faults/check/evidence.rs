//! What the checkers look at.

use std::collections::BTreeMap;
use std::path::Path;

use crate::history::History;
use crate::journal::Entry;
use crate::scene::open;

#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) history: History,
    pub(crate) journal: Vec<Entry>,
    /// Tasks and leases of which a worker was told "Result stored", where a relay has listened.
    pub(crate) stored: Vec<(i64, String)>,
    /// The dispatcher's own count of tasks, by status.
    pub(crate) counts: Vec<(&'static str, i64)>,
    pub(crate) rows: BTreeMap<i64, Row>,
    pub(crate) attempts: Vec<AttemptRow>,
    /// What SQLite says of the file, if not that it is sound.
    pub(crate) damage: Vec<String>,
    pub(crate) wal_bytes: u64,
}

/// A row of `tasks`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) task_type: String,
    pub(crate) status: String,
    pub(crate) attempt: i64,
    pub(crate) max_attempts: i64,
    pub(crate) lease: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) created: String,
    pub(crate) dispatched: Option<String>,
    pub(crate) completed: Option<String>,
    pub(crate) payload: String,
    pub(crate) result: Option<String>,
    pub(crate) error_code: Option<String>,
}

impl Row {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "done" | "failed" | "cancelled")
    }
}

/// A row of `task_attempts`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttemptRow {
    pub(crate) task: i64,
    pub(crate) charged: bool,
    pub(crate) lease: Option<String>,
    pub(crate) outcome: String,
    pub(crate) dispatched: String,
    pub(crate) ended: String,
}

impl Evidence {
    pub(crate) fn gather(
        database: &Path,
        history: History,
        journal: Vec<Entry>,
        stored: Vec<(i64, String)>,
        counts: Vec<(&'static str, i64)>,
    ) -> Self {
        let wal = std::fs::metadata(database.with_extension("db-wal"));
        let wal_bytes = wal.map_or(0, |wal| wal.len());
        Self { history, journal, stored, counts, wal_bytes, ..Self::default() }.with_table(database)
    }

    fn with_table(self, database: &Path) -> Self {
        let connection = open(database);
        let mut attempts = connection
            .prepare("select task_id, charged, lease, outcome, timestamp_dispatched, timestamp_ended from task_attempts order by id")
            .unwrap();
        let attempts = attempts.query_map([], attempt).unwrap().map(Result::unwrap).collect();
        let query = |pragma| -> Vec<String> {
            let mut statement = connection.prepare(pragma).unwrap();
            let lines = statement.query_map([], |row| row.get(0)).unwrap();
            lines.map(Result::unwrap).collect()
        };
        let mut damage = query("select integrity_check from pragma_integrity_check where integrity_check <> 'ok'");
        damage.extend(query("select 'no task for ' || \"table\" || ' row ' || rowid from pragma_foreign_key_check"));
        Self { rows: rows(database), attempts, damage, ..self }
    }
}

/// The table of tasks.
fn rows(database: &Path) -> BTreeMap<i64, Row> {
    let connection = open(database);
    let mut statement = connection
        .prepare(
            "select id, type, status, attempt, max_attempts, lease, request_key, timestamp_created,
                    timestamp_dispatched, timestamp_completed, payload, result, error_code from tasks",
        )
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, task(row)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn task(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        task_type: row.get(1)?,
        status: row.get(2)?,
        attempt: row.get(3)?,
        max_attempts: row.get(4)?,
        lease: row.get(5)?,
        key: row.get(6)?,
        created: row.get(7)?,
        dispatched: row.get(8)?,
        completed: row.get(9)?,
        payload: row.get(10)?,
        result: row.get(11)?,
        error_code: row.get(12)?,
    })
}

fn attempt(row: &rusqlite::Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        task: row.get(0)?,
        charged: row.get(1)?,
        lease: row.get(2)?,
        outcome: row.get(3)?,
        dispatched: row.get(4)?,
        ended: row.get(5)?,
    })
}
