//! Other programs read and write the table while it is in use.

use std::collections::BTreeSet;

use taskgrid_protocol::body::{ListTasks, Status};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::{FileId, Json, TaskId};

use super::{File, NOW, name, success, task};
use crate::store::{Answer, Batch, Prune, Query, Rest, Retention, Store};

fn ended_error(file: &File, id: TaskId) -> String {
    let Answer::Result(Some(ended)) = file.store.read(&Query::Result(id)).unwrap() else { panic!("{id} exists") };
    ended.error.unwrap().code
}

#[test]
fn a_row_that_a_shell_inserts_is_a_task() {
    let mut file = File::new();
    file.post();
    file.shell().execute("INSERT INTO tasks (type, payload) VALUES ('by.hand', '[1, 2]')", []).unwrap();
    assert_eq!(file.store.added_types().unwrap(), BTreeSet::from([name("by.hand")]));
    assert_eq!(file.store.added_types().unwrap(), BTreeSet::new(), "told once");
    let claim = crate::store::Claim { task_type: name("by.hand"), slots: Vec::new() };
    let outcomes = file.apply(&Batch { inserts: vec![task("a")], claims: vec![claim], ..Batch::default() });
    assert_eq!(outcomes.claims[0].rest, Rest::Ready);
    assert_eq!(file.counts(), [3, 0, 0, 0, 0], "it is counted");
}

#[test]
fn a_batch_between_two_questions_does_not_hide_added_rows() {
    let mut file = File::new();
    file.shell().execute("INSERT INTO tasks (type, payload) VALUES ('by.hand', '1')", []).unwrap();
    file.post();
    assert_eq!(file.store.added_types().unwrap(), BTreeSet::from([name("by.hand")]));
    assert_eq!(file.store.added_types().unwrap(), BTreeSet::new());
}

#[test]
fn rows_inserted_while_nobody_looked_are_found_at_the_start() {
    let (directory, path) = File::new().close();
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute("INSERT INTO tasks (type, payload) VALUES ('by.hand', '1')", []).unwrap();
    drop(shell);
    let mut store = crate::store::SqliteStore::connect(&path).unwrap();
    assert_eq!(store.open(NOW, FileId::default()).unwrap().pending_types, [name("by.hand")]);
    assert_eq!(store.added_types().unwrap(), BTreeSet::new(), "the start has named them");
    let file = File { directory, store };
    assert_eq!(file.counts(), [1, 0, 0, 0, 0]);
}

#[test]
fn rows_that_a_shell_deletes_are_no_longer_counted() {
    let mut file = File::new();
    let id = file.post();
    let claimed = file.claim(1);
    let lease = claimed.tasks[0].1.lease.clone().unwrap();
    file.apply(&Batch { finishes: vec![success(id, &lease)], ..Batch::default() });
    file.post();
    assert_eq!(file.counts(), [1, 0, 1, 0, 0]);
    file.shell().execute("DELETE FROM tasks WHERE status = 'done'", []).unwrap();
    assert_eq!(file.counts(), [1, 0, 0, 0, 0]);
    let shell = file.shell();
    shell.execute("INSERT INTO tasks (type, payload) VALUES ('a', '1')", []).unwrap();
    shell.execute("DELETE FROM tasks WHERE id = (SELECT max(id) FROM tasks)", []).unwrap();
    file.post();
    assert_eq!(file.counts(), [2, 0, 0, 0, 0], "a row that was never counted is not counted off");
}

#[test]
fn ids_are_not_used_again_after_a_delete() {
    let mut file = File::new();
    file.post();
    file.post();
    file.shell().execute("DELETE FROM tasks WHERE id = 2", []).unwrap();
    let mut file = file.restart();
    assert_eq!(file.post(), TaskId(3));
}

#[test]
fn counters_that_were_deleted_are_counted_anew() {
    let mut file = File::new();
    file.post();
    file.post();
    file.claim(1);
    file.shell().execute("DELETE FROM counters", []).unwrap();
    assert_eq!(file.restart().counts(), [1, 1, 0, 0, 0]);
}

#[test]
fn mistakes_in_an_insert_are_told_at_once() {
    let file = File::new();
    let shell = file.shell();
    let wrong = [
        "INSERT INTO tasks (type, payload) VALUES ('a', 'no JSON')",
        "INSERT INTO tasks (type, payload) VALUES ('../a', '1')",
        "INSERT INTO tasks (type, payload) VALUES ('', '1')",
        "INSERT INTO tasks (type, payload, status) VALUES ('a', '1', 'waiting')",
        "INSERT INTO tasks (type, payload, status) VALUES ('a', '1', 'running')",
        "INSERT INTO tasks (type, payload, status) VALUES ('a', '1', 'done')",
        "INSERT INTO tasks (type, payload, priority) VALUES ('a', '1', 101)",
        "INSERT INTO tasks (type, payload, max_attempts) VALUES ('a', '1', 0)",
        "INSERT INTO tasks (type, payload, timestamp_scheduled) VALUES ('a', '1', '2026-11-24 03:30')",
        "INSERT INTO tasks (id, type, payload) VALUES (9223372036854775807, 'a', '1')",
        "INSERT INTO tasks (type, payload, request_key) VALUES ('a', '1', '')",
    ];
    for sql in wrong {
        let error = shell.execute(sql, []).expect_err(sql).to_string();
        assert!(error.contains("constraint failed"), "{sql}: {error}");
    }
}

#[test]
fn a_spoilt_payload_fails_its_task_and_no_other() {
    let mut file = File::new();
    let shell = file.shell();
    shell.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    let spoilt = ["'no JSON'", "'\"\\ud800\"'", "'1e999999'", "CAST(x'22FF22' AS TEXT)", "''"];
    for payload in spoilt {
        shell.execute(&format!("INSERT INTO tasks (type, payload) VALUES ('a', {payload})"), []).unwrap();
    }
    let good = file.post();
    let claimed = file.claim(1);
    assert_eq!(claimed.tasks.iter().map(|(_, running)| running.id).collect::<Vec<_>>(), [good]);
    assert_eq!(claimed.rest, Rest::Empty);
    for id in 1..=5 {
        assert_eq!(file.status(TaskId(id)), Some(Status::Failed));
        assert_eq!(ended_error(&file, TaskId(id)), task_code::BAD_PAYLOAD);
        let Answer::Task(Some(task)) = file.store.read(&Query::Task(TaskId(id))).unwrap() else { panic!("it exists") };
        assert_eq!(task.0.payload, Some(Json::null()), "what is no JSON is shown as null");
    }
    assert_eq!(file.counts(), [0, 1, 0, 5, 0]);
}

#[test]
fn a_payload_spoilt_while_its_task_runs_fails_it_at_the_next_start() {
    let mut file = File::new();
    let id = file.post();
    file.claim(1);
    let shell = file.shell();
    shell.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE tasks SET payload = '{'").unwrap();
    drop(shell);
    let (directory, path) = file.close();
    let mut store = crate::store::SqliteStore::connect(&path).unwrap();
    assert_eq!(store.open(NOW, FileId::default()).unwrap().running, []);
    let file = File { directory, store };
    assert_eq!(ended_error(&file, id), task_code::BAD_PAYLOAD);
    assert_eq!(file.counts(), [0, 0, 0, 1, 0]);
}

#[test]
fn times_that_do_not_exist_do_no_harm() {
    let mut file = File::new();
    let sql = "INSERT INTO tasks (type, payload, timestamp_created, timestamp_scheduled)
        VALUES ('a', '1', '2026-02-31T29:00:00.000Z', '2026-02-31T29:00:00.000Z')";
    file.shell().execute(sql, []).unwrap();
    assert_eq!(file.claim(1).tasks.len(), 1);
}

#[test]
fn the_views_show_what_they_say() {
    let mut file = File::new();
    let done = file.post();
    let lease = file.claim(1).tasks[0].1.lease.clone().unwrap();
    file.apply(&Batch { finishes: vec![success(done, &lease)], ..Batch::default() });
    let running = file.post();
    file.claim(1);
    let mut expiring = task("a");
    expiring.expires = Some(std::time::Duration::ZERO);
    file.apply(&Batch { inserts: vec![expiring], ..Batch::default() });
    file.apply(&Batch { expire: true, ..Batch::default() });
    let ready = file.post();
    let mut delayed = task("b");
    delayed.delay = Some(std::time::Duration::from_secs(3600 * 24 * 365 * 50));
    file.apply(&Batch { inserts: vec![delayed], ..Batch::default() });
    let shell = file.shell();
    let ids = |view: &str| -> Vec<i64> {
        let mut statement = shell.prepare(&format!("SELECT id FROM {view}")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(
        (ids("running_tasks"), ids("ready_tasks"), ids("failed_tasks")),
        (vec![running.0], vec![ready.0], vec![3])
    );
    let summary =
        "SELECT group_concat(type || pending || running || done || failed || cancelled, ' ') FROM type_summary";
    let summary: String = shell.query_row(summary, [], |row| row.get(0)).unwrap();
    assert_eq!(summary, "a11110 b10000");
    let code: String = shell.query_row("SELECT error_code FROM failed_tasks", [], |row| row.get(0)).unwrap();
    assert_eq!(code, task_code::EXPIRED);
}

/// The trigger passes over rows that the counters do not know of yet, so these wait for the next batch.
#[test]
fn an_old_task_of_another_program_is_deleted_once_it_is_counted() {
    let mut file = File::new();
    file.post();
    let insert = "INSERT INTO tasks (type, status, timestamp_created, timestamp_completed, payload, result)
                  VALUES ('a', 'done', '2020-01-01T00:00:00.000Z', '2020-01-01T00:00:00.000Z', '1', '2')";
    file.shell().execute_batch(insert).unwrap();
    let retention = Retention { done: Some(std::time::Duration::from_secs(86_400)), failed: None };
    let prune = Batch { prune: Some(Prune { after: TaskId(1), retention }), ..Batch::default() };
    assert_eq!(file.apply(&prune).pruned.unwrap().deleted, 0);
    assert_eq!(file.counts(), [1, 0, 1, 0, 0]);
    assert_eq!(file.apply(&prune).pruned.unwrap().deleted, 1);
    assert_eq!(file.counts(), [1, 0, 0, 0, 0]);
    assert_eq!(file.restart().counts(), [1, 0, 0, 0, 0]);
}

/// After a restore the numbers leap by a million, and `list` showed nothing of what was before.
#[test]
fn a_list_goes_on_where_numbers_have_a_gap() {
    let file = File::new();
    let rows =
        "INSERT INTO tasks (id, type, payload) VALUES (5, 'old', '1'), (2000000, 'new', '2'), (5000000, 'new', '3')";
    file.shell().execute_batch(rows).unwrap();
    let listed = |filter: ListTasks| {
        let Answer::List(tasks, more) = file.store.read(&Query::List(filter)).unwrap() else { panic!("it is a list") };
        (tasks.iter().map(|task| task.id.0).collect::<Vec<_>>(), more)
    };
    assert_eq!(listed(ListTasks::default()), (vec![5_000_000, 2_000_000, 5], false));
    assert_eq!(listed(ListTasks { before: Some(TaskId(2_000_000)), ..ListTasks::default() }), (vec![5], false));
    assert_eq!(listed(ListTasks { task_type: Some(name("old")), ..ListTasks::default() }), (vec![5], false));
    assert_eq!(listed(ListTasks { limit: Some(1), ..ListTasks::default() }), (vec![5_000_000], true));
}
