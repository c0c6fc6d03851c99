//! Acknowledged is stored, refused is not, and a key is one task.

use std::collections::{BTreeMap, BTreeSet};

use super::{Complaints, Evidence};
use crate::history::{Outcome, Post};

fn stored(evidence: &Evidence) -> impl Iterator<Item = (&Post, i64)> {
    evidence.history.posts.iter().filter_map(|post| match post.outcome {
        Outcome::Stored { task, .. } => Some((post, task)),
        _ => None,
    })
}

/// I1.
pub(super) fn no_acknowledged_task_is_lost(evidence: &Evidence, complaints: &mut Complaints) {
    for (post, task) in stored(evidence) {
        match evidence.rows.get(&task) {
            None => {
                complaints.add("I1", format_args!("task {task} with key {} was acknowledged and is lost", post.key))
            }
            Some(row) if row.payload != post.payload || row.task_type != post.task_type => complaints
                .add("I1", format_args!("task {task}: {} was posted and {} is stored", post.payload, row.payload)),
            Some(row) if row.key.as_ref() != Some(&post.key) => {
                complaints
                    .add("I1", format_args!("task {task} was acknowledged for key {}, not {:?}", post.key, row.key));
            }
            Some(_) => {}
        }
    }
}

/// I2, and that no number was given twice (I16).
pub(super) fn one_row_a_key_and_one_key_a_row(evidence: &Evidence, complaints: &mut Complaints) {
    let mut rows = BTreeMap::new();
    for (task, key) in evidence.rows.iter().filter_map(|(task, row)| Some((task, row.key.as_ref()?))) {
        if let Some(other) = rows.insert(key, task) {
            complaints.add("I2", format_args!("key {key} is that of tasks {other} and {task}"));
        }
    }
    let (mut by_key, mut by_task) = (BTreeMap::new(), BTreeMap::new());
    for (post, task) in stored(evidence) {
        if let Some(other) = by_key.insert(&post.key, task).filter(|other| *other != task) {
            complaints.add("I2", format_args!("key {} was answered with {other} and with {task}", post.key));
        }
        if let Some(other) = by_task.insert(task, &post.key).filter(|other| **other != post.key) {
            complaints.add("I16", format_args!("number {task} was given to keys {other} and {}", post.key));
        }
    }
}

/// I3.
pub(super) fn no_task_that_nobody_posted(evidence: &Evidence, complaints: &mut Complaints) {
    let posted: BTreeSet<(&str, &str)> =
        evidence.history.posts.iter().map(|post| (post.key.as_str(), post.payload.as_str())).collect();
    for (task, row) in &evidence.rows {
        if !row.key.as_ref().is_some_and(|key| posted.contains(&(key.as_str(), row.payload.as_str()))) {
            complaints.add("I3", format_args!("nobody posted task {task} with key {:?} and {}", row.key, row.payload));
        }
    }
}

/// I4.
pub(super) fn nothing_of_what_was_refused(evidence: &Evidence, complaints: &mut Complaints) {
    let mut refused = BTreeMap::new();
    for post in &evidence.history.posts {
        let only = refused.entry(&post.key).or_insert(true);
        *only &= matches!(post.outcome, Outcome::Rejected(_));
    }
    for (task, row) in &evidence.rows {
        if row.key.as_ref().is_some_and(|key| refused.get(key) == Some(&true)) {
            complaints.add("I4", format_args!("task {task} is stored, and its post was refused"));
        }
    }
}

/// I6.
pub(super) fn every_task_has_ended(evidence: &Evidence, complaints: &mut Complaints) {
    for (task, row) in evidence.rows.iter().filter(|(_, row)| !row.has_ended()) {
        complaints.add("I6", format_args!("task {task} is still {}", row.status));
    }
    for post in evidence.history.posts.iter().filter(|post| post.outcome == Outcome::Open) {
        complaints.add("I6", format_args!("the client that posted {} waits for ever", post.key));
    }
}

/// I16: what a client posts after an answer has a higher number than what was answered.
pub(super) fn numbers_rise_with_time(evidence: &Evidence, complaints: &mut Complaints) {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for post in &evidence.history.posts {
        // A key that was posted before may have been stored then, whatever its client was told.
        let first = known.insert(&post.key);
        let Outcome::Stored { task, .. } = post.outcome else { continue };
        let before = newest.entry(&post.client).or_default();
        if first && task <= *before {
            complaints.add("I16", format_args!("task {task} was posted after {before} was acknowledged"));
        }
        *before = task.max(*before);
    }
}
