//! Leases: each new, committed before it is used, and renewed only while it is current.

use std::collections::{BTreeMap, BTreeSet};

use taskgrid_client::Status;
use taskgrid_protocol::{Lease, TaskId};

use super::{Course, Verdict};
use crate::options::{Micros, SECOND};
use crate::record::Step;

/// How long after a commit an answer may still be of the time before it: longer than it takes to report.
const REPORTED_WITHIN: Micros = SECOND;

/// When a lease was current: its task, from …, to ….
type Tenure = (TaskId, Micros, Option<Micros>);

fn tenures<'a>(course: &Course<'a>) -> Result<BTreeMap<&'a Lease, Tenure>, String> {
    let mut tenures: BTreeMap<&Lease, Tenure> = BTreeMap::new();
    for (id, rows) in &course.record.rows {
        let mut current: Option<&Lease> = None;
        for row in rows {
            let now = row.task.lease.as_ref().filter(|_| row.task.status == Status::Running);
            if now == current {
                continue;
            }
            if let Some(tenure) = current.and_then(|lease| tenures.get_mut(lease)) {
                tenure.2 = Some(row.at);
            }
            if let Some(lease) = now
                && let Some(before) = tenures.insert(lease, (*id, row.at, None))
            {
                return Err(format!("lease {lease:?} was issued for task {} and for task {}", before.0.0, id.0));
            }
            current = now;
        }
    }
    Ok(tenures)
}

/// I10: no lease is issued twice, and none leaves before it stands in the table.
pub(super) fn leases_are_committed_first(course: &Course<'_>) -> Verdict {
    let tenures = tenures(course)?;
    for (lease, (sent, task)) in &course.record.wire.handed {
        match tenures.get(lease) {
            Some((id, from, _)) if id == task && from <= sent => {}
            Some(_) | None => {
                return Err(format!("TASK {} left at {sent} µs with a lease that was not committed", task.0));
            }
        }
    }
    Ok(())
}

/// I11: whatever comes twice, a worker process starts an attempt once.
pub(super) fn a_process_starts_a_lease_once(course: &Course<'_>) -> Verdict {
    let mut started = BTreeSet::new();
    for ran in course.record.journal.iter().filter(|ran| ran.what == Step::Start) {
        if let Some(lease) = &ran.lease
            && !started.insert((ran.worker, lease))
        {
            return Err(format!("task {} was started twice under lease {lease:?}", ran.task.0));
        }
    }
    Ok(())
}

/// I12: a heartbeat is not told that a lease is fine which is not the current one. (Where a worker has said
/// that it still runs a task under an older lease, that one stands for the current one: R22.)
pub(super) fn only_the_current_lease_is_renewed(course: &Course<'_>) -> Verdict {
    let tenures = tenures(course)?;
    for (at, lease) in &course.record.wire.renewed {
        let stands_for = course.record.wire.held_for.get(lease);
        let names = std::iter::once(lease).chain(stands_for.into_iter().flatten());
        let is_current = names.clone().any(|name| {
            let tenure = tenures.get(name);
            tenure.is_some_and(|(_, from, to)| from <= at && to.is_none_or(|to| *at <= to + REPORTED_WITHIN))
        });
        if !is_current {
            return Err(format!("lease {lease:?} was renewed at {at} µs and was not current"));
        }
    }
    Ok(())
}
