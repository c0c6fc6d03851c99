//! What clients were told of their submissions, against the table at rest.

use std::collections::{BTreeMap, BTreeSet};

use taskgrid_client::ErrorCode;
use taskgrid_protocol::{Key, TaskId};

use super::{Course, Verdict};
use crate::options::Profile;
use crate::record::What;

/// I1: every task that was answered "stored" is there, as it was submitted.
pub(super) fn nothing_is_lost(course: &Course<'_>) -> Verdict {
    for told in &course.record.history {
        let What::Stored(number, id) = told.what else { continue };
        let wish = &course.record.wishes[number];
        let Some(row) = course.table.rows.get(&id) else {
            return Err(format!("task {} was said to be stored at {} µs and is not there", id.0, told.at));
        };
        let task = &row.task;
        if task.task_type != wish.task.task_type || task.payload.as_ref() != Some(&wish.task.payload) {
            return Err(format!("task {} is not what was submitted as wish {number}", id.0));
        }
    }
    Ok(())
}

/// I2: a key has one row at most, and all who submitted it heard the same number.
pub(super) fn keys_are_unique(course: &Course<'_>) -> Verdict {
    let mut told: BTreeMap<&Key, TaskId> = BTreeMap::new();
    for told_now in &course.record.history {
        let What::Stored(number, id) = told_now.what else { continue };
        let key = &course.record.wishes[number].key;
        let first = *told.entry(key).or_insert(id);
        if first != id {
            return Err(format!("key {key:?} was said to be task {} and task {}", first.0, id.0));
        }
    }
    let mut rows: BTreeSet<&Key> = BTreeSet::new();
    for row in course.table.rows.values() {
        if let Some(key) = &row.task.key
            && !rows.insert(key)
        {
            return Err(format!("key {key:?} has two rows"));
        }
    }
    Ok(())
}

/// I3: every row is something that a client has begun to submit.
pub(super) fn nothing_is_made_up(course: &Course<'_>) -> Verdict {
    let mut submitted = BTreeSet::new();
    for told in &course.record.history {
        if let What::Submitting(number) = told.what {
            submitted.insert(number);
        }
    }
    for (id, row) in &course.table.rows {
        let is_wanted = submitted.iter().any(|number| {
            let wish = &course.record.wishes[*number];
            row.task.key.as_ref() == Some(&wish.key) && row.task.payload.as_ref() == Some(&wish.task.payload)
        });
        let payload = row.task.payload.as_ref().map_or("", |payload| payload.get());
        let is_plain = row.task.key.is_none() && course.record.plain_posts.contains_key(payload);
        if !is_wanted && !is_plain {
            return Err(format!("task {} is nobody's", id.0));
        }
    }
    Ok(())
}

/// I3, I23: a plain client gets one task at most for each of its datagrams that arrives; on a clean network, where
/// the dispatcher is always there, exactly one.
pub(super) fn plain_tasks_are_as_many_as_datagrams(course: &Course<'_>) -> Verdict {
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    for row in course.table.rows.values().filter(|row| row.task.key.is_none()) {
        *rows.entry(row.task.payload.as_ref().map_or("", |payload| payload.get())).or_default() += 1;
    }
    let is_clean = matches!(course.options.profile, Profile::Clean | Profile::Names | Profile::Clocks);
    for (payload, arrived) in &course.record.plain_posts {
        let stored = rows.get(payload.as_str()).copied().unwrap_or(0);
        if stored > *arrived || (is_clean && stored != 1) {
            return Err(format!("{payload} arrived {arrived} times and became {stored} tasks"));
        }
    }
    Ok(())
}

/// I4: a key whose every submission was definitely refused has no row. (An unknown outcome is neither: I5.)
pub(super) fn refused_is_not_stored(course: &Course<'_>) -> Verdict {
    let mut balance: BTreeMap<&Key, i64> = BTreeMap::new();
    for told in &course.record.history {
        let (number, change) = match told.what {
            What::Submitting(number) => (number, 1),
            What::Refused(number, _) => (number, -1),
            _ => continue,
        };
        *balance.entry(&course.record.wishes[number].key).or_default() += change;
    }
    for (id, row) in &course.table.rows {
        if let Some(key) = &row.task.key
            && balance.get(key) == Some(&0)
        {
            return Err(format!("task {} was refused each time, and is there", id.0));
        }
    }
    Ok(())
}

/// I19: whoever asks for a task that was said to be stored finds it.
pub(super) fn stored_can_be_read(course: &Course<'_>) -> Verdict {
    for told in &course.record.history {
        if let What::NoAnswer(id, ErrorCode::NotFound) = told.what {
            return Err(format!("task {} was said to be stored, and not to be found at {} µs", id.0, told.at));
        }
    }
    Ok(())
}
