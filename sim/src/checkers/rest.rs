//! What follows once the world has healed.

use std::collections::BTreeMap;

use taskgrid_protocol::TaskId;

use super::{Course, Verdict};
use crate::options::{MILLI, Micros, Profile, SECOND};
use crate::record::What;
use crate::world::Ending;

/// A result that is not answered is sent again within 30 s, so its last copy leaves within this time.
const QUIET_AFTER: Micros = 45 * SECOND;

/// How soon a healed grid answers a submission.
const ANSWERED_WITHIN: Micros = 15 * SECOND;

/// I6: every task ends, and every client learns what it wanted to know.
pub(super) fn everything_ends(course: &Course<'_>) -> Verdict {
    match course.ending {
        Ending::Rest(_) => Ok(()),
        Ending::Over => Err("the time was over".to_owned()),
        Ending::Endless => Err("the processes talk without end".to_owned()),
        Ending::Unrest => {
            let open = course.table.rows.iter().filter(|(_, row)| !row.task.status.is_ended());
            let open: Vec<_> = open.map(|(id, row)| (id.0, row.task.status)).collect();
            Err(format!("long after all faults these tasks have not ended, or clients do not know of it: {open:?}"))
        }
    }
}

/// At rest no task, result or submission travels any more.
pub(super) fn nothing_goes_on(course: &Course<'_>) -> Verdict {
    let Ending::Rest(since) = course.ending else { return Ok(()) };
    let last = course.record.wire.last_work;
    if last > since + QUIET_AFTER {
        return Err(format!("all was at rest at {since} µs, and work was still sent at {last} µs"));
    }
    Ok(())
}

/// I20, as far as a world shows it.
pub(super) fn nothing_talks_without_end(course: &Course<'_>) -> Verdict {
    if course.ending == Ending::Endless { Err("the processes talk without end".to_owned()) } else { Ok(()) }
}

/// I18.
pub(super) fn the_file_is_sound(course: &Course<'_>) -> Verdict {
    course.fault.clone().map_or(Ok(()), Err)
}

/// Where nothing is lost, whoever waits for a task hears of its end as fast as datagrams travel (R10a).
pub(super) fn waiters_hear_at_once(course: &Course<'_>) -> Verdict {
    if !matches!(course.options.profile, Profile::Clean | Profile::Clocks) {
        return Ok(());
    }
    let within = 6 * course.options.net.delay.1 + 100 * MILLI;
    let mut waiting: BTreeMap<(usize, TaskId), Micros> = BTreeMap::new();
    for told in &course.record.history {
        match &told.what {
            What::Waiting(task) => {
                waiting.entry((told.client.0, *task)).or_insert(told.at);
            }
            What::Ended(task, _) => {
                let Some(since) = waiting.remove(&(told.client.0, *task)) else { continue };
                let rows = course.record.rows.get(task);
                let ended = rows.and_then(|rows| rows.iter().rev().find(|row| row.task.status.is_ended()));
                let Some(ended) = ended.filter(|row| row.at <= told.at) else { continue };
                if told.at > since.max(ended.at) + within {
                    return Err(format!(
                        "task {} ended at {} µs; who waited since {since} µs heard of it at {} µs",
                        task.0, ended.at, told.at
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// I21: a submission to a healed grid is answered soon, unless it has to wait for room among the pending tasks.
pub(super) fn answers_come_soon(course: &Course<'_>) -> Verdict {
    if course.options.max_pending.is_some() {
        return Ok(());
    }
    let Some(healed) = course.record.healed else { return Ok(()) };
    let mut asked: BTreeMap<usize, Micros> = BTreeMap::new();
    for told in course.record.history.iter().filter(|told| told.at >= healed) {
        match told.what {
            What::Submitting(wish) => {
                asked.entry(wish).or_insert(told.at);
            }
            What::Stored(wish, _) | What::Refused(wish, _) => {
                let Some(since) = asked.remove(&wish) else { continue };
                if told.at > since + ANSWERED_WITHIN {
                    return Err(format!("wish {wish} was submitted at {since} µs and answered at {} µs", told.at));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
