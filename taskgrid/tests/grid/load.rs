//! Many tasks at once.

use crate::processes::Grid;

#[test]
fn ten_thousand_tasks_have_each_the_right_result() {
    let mut grid = Grid::start();
    grid.add_worker(&[]);
    let bench = grid.run(&["bench", "--tasks", "10000", "--in-flight", "128"]);
    assert!(bench.status.success(), "{bench:?}");
    if let Some(rows) = grid.sqlite3("select count(*) >= 10000, count(*) = sum(status = 'done') from tasks") {
        assert_eq!(rows, "1|1");
    }
    if let Some(attempts) = grid.sqlite3("select count(*) from task_attempts") {
        assert_eq!(attempts, "0", "nothing ran twice on a clean network");
    }
}
