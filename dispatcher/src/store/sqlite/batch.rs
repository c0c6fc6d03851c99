//! One batch, one transaction.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use taskgrid_protocol::WallTime;
use taskgrid_protocol::body::Status;

use super::rows::{self, time_text};
use super::{Known, claims, ends, finishes, inserts, prune};
use crate::store::rules;
use crate::store::{Batch, Outcomes, StoreError};

pub(super) const ADDED: &str = "SELECT type, status, timestamp_created FROM tasks WHERE id > ?1";

pub(super) const FIRST_EXPIRY: &str = "\
    SELECT timestamp_expires FROM tasks \
    WHERE timestamp_expires IS NOT NULL AND (status = 'pending' OR status = 'running') \
    ORDER BY timestamp_expires LIMIT 1";

/// A batch under way.
pub(super) struct Work<'c> {
    pub(super) connection: &'c Connection,
    /// For what is due.
    pub(super) now: WallTime,
    pub(super) now_text: String,
    /// For what is stored: never before an earlier one.
    pub(super) stamp: WallTime,
    pub(super) stamp_text: String,
    /// The latest scheduled time of any pending task that is due.
    pub(super) horizon_text: String,
    pub(super) moves: Moves,
    pub(super) known: Known,
}

/// Applies `batch` within the open transaction of `connection`. What is known then holds once that is
/// committed.
pub(super) fn apply(
    connection: &Connection,
    now: WallTime,
    known: Known,
    batch: &Batch,
) -> Result<(Outcomes, Known), StoreError> {
    let mut work = Work::begin(connection, now, known)?;
    let mut outcomes = Outcomes {
        finishes: finishes::finish_all(&mut work, &batch.finishes)?,
        releases: ends::release_all(&mut work, &batch.releases)?,
        cancels: ends::cancel_all(&mut work, &batch.cancels)?,
        retries: ends::retry_all(&mut work, &batch.retries)?,
        expired: if batch.expire { ends::expire(&mut work)? } else { Vec::new() },
        pruned: batch.prune.map(|entry| prune::prune(&work, entry)).transpose()?,
        inserts: inserts::insert_all(&mut work, &batch.inserts)?,
        claims: claims::claim_all(&mut work, &batch.claims)?,
        next_expiry: if batch.expire { next_expiry(connection, now)? } else { None },
        pending: 0,
    };
    let known = work.close()?;
    outcomes.pending = pending(connection)?;
    Ok((outcomes, known))
}

impl<'c> Work<'c> {
    /// Begins a batch, and counts what other programs have inserted since the last one.
    pub(super) fn begin(connection: &'c Connection, now: WallTime, mut known: Known) -> Result<Self, StoreError> {
        let moves = count_added_rows(connection, &mut known)?;
        known.latest = known.latest.max(rules::storable(now));
        let stamp = known.latest;
        let horizon = rules::due_horizon(now, stamp);
        let (now_text, stamp_text, horizon_text) = (time_text(now), time_text(stamp), time_text(horizon));
        Ok(Self { connection, now, now_text, stamp, stamp_text, horizon_text, moves, known })
    }

    /// Writes the counters, once for the whole batch.
    pub(super) fn close(self) -> Result<Known, StoreError> {
        const ADD: &str = "UPDATE counters SET value = value + ?2 WHERE name = ?1";
        const SET: &str = "UPDATE counters SET value = ?2 WHERE name = ?1 AND value <> ?2";
        let mut add = self.connection.prepare_cached(ADD)?;
        for (status, change) in Moves::ALL.iter().zip(self.moves.0) {
            if change != 0 {
                add.execute(params![status.as_str(), change])?;
            }
        }
        self.connection.prepare_cached(SET)?.execute(params![COUNTED_TO, self.known.newest])?;
        Ok(self.known)
    }
}

/// Rows that are newer than the newest known one: other programs have inserted them.
fn count_added_rows(connection: &Connection, known: &mut Known) -> Result<Moves, StoreError> {
    let mut moves = Moves::default();
    let newest = newest(connection)?;
    if newest <= known.newest {
        return Ok(moves);
    }
    let mut statement = connection.prepare_cached(ADDED)?;
    let mut added = statement.query([known.newest])?;
    while let Some(row) = added.next()? {
        let status = rows::status(row, 1)?;
        moves.add(status, 1);
        if status == Status::Pending {
            known.added.insert(rows::task_type(row, 0)?);
        }
        known.latest = known.latest.max(rows::time(row, 2)?);
    }
    known.newest = newest;
    Ok(moves)
}

/// The counter that holds the newest task that the others know of.
pub(super) const COUNTED_TO: &str = "counted_to";

/// The newest row, whoever inserted it.
pub(super) fn newest(connection: &Connection) -> Result<i64, StoreError> {
    let newest = connection.prepare_cached("SELECT max(id) FROM tasks")?.query_row([], |row| row.get(0))?;
    Ok(Option::unwrap_or_default(newest))
}

/// How many tasks are pending, by the counter.
pub(super) fn pending(connection: &Connection) -> Result<u64, StoreError> {
    const READ: &str = "SELECT value FROM counters WHERE name = 'pending'";
    let pending: Option<i64> = connection.prepare_cached(READ)?.query_row([], |row| row.get(0)).optional()?;
    Ok(pending.and_then(|pending| u64::try_from(pending).ok()).unwrap_or_default())
}

/// How long until the first task expires.
pub(super) fn next_expiry(connection: &Connection, now: WallTime) -> Result<Option<Duration>, StoreError> {
    let first = connection.prepare_cached(FIRST_EXPIRY)?.query_row([], |row| rows::time(row, 0)).optional()?;
    Ok(first.map(|first| first.since(now)))
}

/// By how much the tasks of each status have become more or fewer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moves([i64; 5]);

impl Moves {
    pub(super) const ALL: [Status; 5] =
        [Status::Pending, Status::Running, Status::Done, Status::Failed, Status::Cancelled];

    pub(super) fn add(&mut self, status: Status, number: i64) {
        self.0[Self::index(status)] += number;
    }

    pub(super) fn shift(&mut self, from: Status, to: Status) {
        self.add(from, -1);
        self.add(to, 1);
    }

    fn index(status: Status) -> usize {
        match status {
            Status::Pending => 0,
            Status::Running => 1,
            Status::Done => 2,
            Status::Failed => 3,
            Status::Cancelled => 4,
        }
    }
}
