//! Results: whose they are, and that they stay.

use taskgrid_client::Status;
use taskgrid_client::machine::End;
use taskgrid_protocol::TaskId;

use super::{Course, Verdict};
use crate::record::{Step, What};
use crate::workload;

/// I8: a done task has a result, no other has, and every reader saw the one that is there at rest.
pub(super) fn results_never_change(course: &Course<'_>) -> Verdict {
    for (id, row) in &course.table.rows {
        if (row.task.status == Status::Done) != row.task.result.is_some() {
            return Err(format!("task {} is {:?} with result {:?}", id.0, row.task.status, row.task.result));
        }
    }
    for told in &course.record.history {
        let What::Ended(id, end) = &told.what else { continue };
        let Some(row) = course.table.rows.get(id) else { continue };
        let is_kept = match end {
            End::Done(result) => row.task.result.as_ref() == Some(result),
            End::Failed(_) => row.task.status == Status::Failed || is_retried(course, *id),
            End::Cancelled => row.task.status == Status::Cancelled || is_retried(course, *id),
        };
        if !is_kept {
            return Err(format!("a reader saw {end:?} of task {}, which is {:?} at rest", id.0, row.task));
        }
    }
    Ok(())
}

fn is_retried(course: &Course<'_>, id: TaskId) -> bool {
    course.record.history.iter().any(|told| matches!(told.what, What::Retrying(task) if task == id))
}

/// I9: a result came out of a handler that ran for this task, and is what the payload asks for.
pub(super) fn results_are_of_handlers(course: &Course<'_>) -> Verdict {
    for (id, row) in &course.table.rows {
        let (Some(result), Some(payload)) = (&row.task.result, &row.task.payload) else { continue };
        if *result != workload::expected(payload) {
            return Err(format!("task {} has the result {} of another payload", id.0, result.get()));
        }
        let ran = course
            .record
            .journal
            .iter()
            .any(|ran| ran.task == *id && matches!(&ran.what, Step::End(Ok(returned)) if returned == result));
        if !ran {
            return Err(format!("task {} has a result that no handler returned", id.0));
        }
    }
    Ok(())
}

/// I14: when "Result stored" leaves, the attempt is over in the table; and a success that was first is the
/// result at rest.
pub(super) fn stored_results_are_stored(course: &Course<'_>) -> Verdict {
    for kept in &course.record.wire.stored {
        let rows = course.record.rows.get(&kept.task);
        let row = rows.and_then(|rows| rows.iter().rev().find(|row| row.at <= kept.at));
        let Some(row) = row else {
            return Err(format!("a result of task {} was stored, which is not there", kept.task.0));
        };
        let is_running = row.task.status == Status::Running;
        if is_running && kept.lease.is_some() && row.task.lease == kept.lease {
            return Err(format!(
                "a result of task {} was said to be stored while its attempt still stood",
                kept.task.0
            ));
        }
        let at_rest = course.table.rows.get(&kept.task).and_then(|row| row.task.result.as_ref());
        if let Some(result) = &kept.result
            && !kept.duplicate
            && at_rest != Some(result)
        {
            return Err(format!("the result of task {} was said to be stored, and is {at_rest:?}", kept.task.0));
        }
    }
    Ok(())
}
