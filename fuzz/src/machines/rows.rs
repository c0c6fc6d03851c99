//! What must hold of a table whenever nobody is writing to it.

use std::collections::{BTreeMap, BTreeSet};

use taskgrid_dispatcher::store::{Answer, MemoryStore, Query, Store};
use taskgrid_protocol::TaskId;
use taskgrid_protocol::body::{ListTasks, Status, StatusCounts, TaskView};
use taskgrid_protocol::limits::LIST_MAX;

/// The rows as they were when somebody looked last.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) by_id: BTreeMap<TaskId, TaskView>,
}

impl Rows {
    /// Looks at the table again.
    pub(super) fn look(&mut self, store: &MemoryStore) {
        let rows = read_all(store);
        check_counts(store, &rows);
        let mut keys = BTreeSet::new();
        for row in &rows {
            check_row(row);
            assert!(row.key.as_ref().is_none_or(|key| keys.insert(key.clone())), "{:?} names two tasks", row.key);
            if let Some(before) = self.by_id.get(&row.id).filter(|before| before.status == Status::Done) {
                assert_eq!(before, row, "what is done stays as it is");
            }
        }
        assert!(rows.len() >= self.by_id.len(), "no row vanishes");
        self.by_id = rows.into_iter().map(|row| (row.id, row)).collect();
    }
}

fn read_all(store: &MemoryStore) -> Vec<TaskView> {
    let mut rows = Vec::new();
    loop {
        let before = rows.last().map(|row: &TaskView| row.id);
        let list = ListTasks { before, limit: Some(LIST_MAX), ..ListTasks::default() };
        let Ok(Answer::List(page, more)) = store.read(&Query::List(list)) else { panic!("a list is read") };
        rows.extend(page);
        if !more {
            assert!(rows.is_sorted_by(|newer, older| newer.id > older.id), "each once, the newest first");
            return rows;
        }
    }
}

fn check_counts(store: &MemoryStore, rows: &[TaskView]) {
    let Ok(Answer::Stats(counts)) = store.read(&Query::Stats) else { panic!("the counts are read") };
    let count = |status: Status| rows.iter().filter(|row| row.status == status).count() as u64;
    let counted = StatusCounts {
        pending: count(Status::Pending),
        running: count(Status::Running),
        done: count(Status::Done),
        failed: count(Status::Failed),
        cancelled: count(Status::Cancelled),
    };
    assert_eq!(counts, counted);
}

fn check_row(row: &TaskView) {
    assert!(row.attempt <= row.max_attempts, "an attempt too many: {row:?}");
    assert_eq!(row.timestamp_completed.is_some(), row.status.is_ended(), "{row:?}");
    let times = [Some(row.timestamp_created), row.timestamp_dispatched, row.timestamp_completed];
    assert!(times.into_iter().flatten().is_sorted(), "{row:?}");
    assert_eq!(row.result_bytes.is_some(), row.status == Status::Done, "{row:?}");
    match row.status {
        Status::Running => {
            assert!(row.assigned_worker.is_some() && row.timestamp_dispatched.is_some() && row.attempt > 0, "{row:?}");
        }
        Status::Failed => assert!(row.error.is_some(), "{row:?}"),
        Status::Done => assert!(row.error.is_none(), "{row:?}"),
        Status::Pending | Status::Cancelled => {}
    }
}
