//! Ended tasks go (R4).
//!
//! The table is walked by id, some rows a batch. An index by the time of the end would find them at once, but
//! every task would have to enter it on its way, whether or not anything is ever deleted.

use rusqlite::{OptionalExtension, params};
use taskgrid_protocol::{TaskId, WallTime};

use super::batch::{COUNTED_TO, Work};
use super::rows;
use crate::store::rules::Cutoffs;
use crate::store::{PRUNE_BYTES_MAX, PRUNE_LOOKS, PRUNE_MAX, Prune, Pruned, StoreError};

pub(super) const WALK: &str = "\
    SELECT id, status, timestamp_created, timestamp_completed, \
        octet_length(payload) + coalesce(octet_length(result), 0) \
    FROM tasks NOT INDEXED \
    WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";

/// A trigger takes the attempts along, and the task out of the counters.
pub(super) const DELETE: &str = "DELETE FROM tasks WHERE id = ?1";

pub(super) fn prune(work: &Work<'_>, prune: Prune) -> Result<Pruned, StoreError> {
    let cutoffs = Cutoffs::new(work.now, prune.retention);
    let Some(last) = cutoffs.last() else {
        return Ok(Pruned { deleted: 0, reached: prune.after, more: false });
    };
    let (old, reached, more) = old(work, prune.after, cutoffs, last)?;
    let mut delete = work.connection.prepare_cached(DELETE)?;
    for id in &old {
        delete.execute([id])?;
    }
    Ok(Pruned { deleted: old.len(), reached, more })
}

/// The tasks to delete, how far that is, and whether there may be more behind.
fn old(
    work: &Work<'_>,
    after: TaskId,
    cutoffs: Cutoffs,
    last: WallTime,
) -> Result<(Vec<i64>, TaskId, bool), StoreError> {
    let limit = i64::try_from(PRUNE_LOOKS).unwrap_or(i64::MAX);
    let mut walk = work.connection.prepare_cached(WALK)?;
    let mut rows = walk.query(params![after.0, counted_to(work)?, limit])?;
    let (mut old, mut reached, mut looks, mut bytes) = (Vec::new(), after, 0, 0);
    while let Some(row) = rows.next()? {
        if rows::time(row, 2)? > last {
            return Ok((old, reached, false));
        }
        let (id, ended) = (row.get(0)?, rows::optional_time(row, 3)?);
        (reached, looks) = (TaskId(id), looks + 1);
        if cutoffs.of(rows::status(row, 1)?).zip(ended).is_some_and(|(by, ended)| ended <= by) {
            old.push(id);
            bytes += rows::count(row, 4)?;
        }
        if old.len() == PRUNE_MAX || bytes >= PRUNE_BYTES_MAX as u64 {
            return Ok((old, reached, true));
        }
    }
    Ok((old, reached, looks == PRUNE_LOOKS))
}

/// The newest task that the counters in the table know of: the trigger passes over what is newer, which other
/// programs have inserted since.
fn counted_to(work: &Work<'_>) -> Result<i64, StoreError> {
    const READ: &str = "SELECT value FROM counters WHERE name = ?1";
    let counted_to = work.connection.prepare_cached(READ)?.query_row([COUNTED_TO], |row| row.get(0)).optional()?;
    Ok(counted_to.unwrap_or_default())
}
