//! No statement of the hot path walks over rows that it does not want, however many there are.

use rusqlite::Connection;

use super::super::{batch, claims, ends, finishes, inserts, opening, prune};
use super::File;

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_statement_is_a_seek() {
    let file = File::new();
    let writer = file.store.writer.get().unwrap();
    let statements = [
        claims::LEVEL,
        claims::DUE,
        claims::TAKE,
        ends::FIND,
        ends::END_ATTEMPT,
        ends::FORGET_UNCHARGED,
        ends::LOST_WORKERS,
        ends::REQUEUE,
        ends::FAIL,
        ends::CANCEL,
        ends::RETRY,
        ends::EXPIRED,
        finishes::WIN,
        finishes::RECORD,
        finishes::PAST,
        finishes::FORGET,
        finishes::KEEP,
        &inserts::INSERT,
        inserts::FIND,
        batch::ADDED,
        batch::FIRST_EXPIRY,
        opening::RUNNING,
        opening::NEXT_TYPE,
        prune::WALK,
        prune::DELETE,
    ];
    for sql in statements {
        let plan = plan(&writer, sql);
        let bad = plan.iter().find(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        assert_eq!(bad, None, "{sql}: {plan:#?}");
    }
}
