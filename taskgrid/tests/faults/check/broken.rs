//! Checks the checkers: each sees what it is there to see.

use super::{AttemptRow, Evidence, Row, look};
use crate::history::{End, History, Outcome, Read};
use crate::journal::{Entry, SHORT, result_of};

const PAYLOAD: &str = "\"abc\"";

/// What is done to sound evidence.
type Spoil = fn(&mut Evidence);

const BREAKS: &[(&str, Spoil)] = &[
    ("I1", |e| drop(e.rows.remove(&1))),
    ("I1", |e| row(e).payload = "\"abd\"".to_owned()),
    ("I2", |e| second(e, |_| {})),
    ("I2", |e| {
        second(e, |row| row.key = None);
        post(e, "client", "key", Outcome::Stored { task: 2, duplicate: true });
    }),
    ("I3", |e| row(e).key = None),
    ("I3", |e| second(e, |row| row.key = Some("other".to_owned()))),
    ("I4", |e| {
        second(e, |row| row.key = Some("refused".to_owned()));
        post(e, "client", "refused", Outcome::Rejected("no".to_owned()));
    }),
    ("I6", |e| row(e).status = "running".to_owned()),
    ("I6", |e| post(e, "client", "other", Outcome::Open)),
    ("I8", |e| e.history.reads.push(Read { task: 1, end: End::Done("null".to_owned()) })),
    ("I8", |e| e.history.reads.push(Read { task: 1, end: End::Failed("FAILED".to_owned()) })),
    ("I8", |e| row(e).result = None),
    ("I9", |e| row(e).result = Some("null".to_owned())),
    ("I9", |e| e.journal.truncate(1)),
    ("I10", |e| e.attempts.push(AttemptRow { task: 2, ..attempt("lease") })),
    ("I10", |e| e.attempts.extend([attempt("older"), attempt("older")])),
    ("I10", |e| e.attempts.extend((0..6).map(|n| attempt(&n.to_string())))),
    ("I10", |e| e.journal.push(Entry { lease: "forged".to_owned(), ..e.journal[0].clone() })),
    ("I11", |e| e.journal.push(e.journal[0].clone())),
    ("I14", |e| e.stored.push((1, "other".to_owned()))),
    ("I15", |e| row(e).completed = Some("2026-01-01T00:00:00.999Z".to_owned())),
    ("I15", |e| second(e, |row| row.created = "2025-12-31T23:59:59.999Z".to_owned())),
    ("I16", |e| post(e, "client", "other", Outcome::Stored { task: 1, duplicate: false })),
    ("I17", |e| e.counts[0].1 += 1),
    ("I18", |e| e.damage.push("row 1 missing from index".to_owned())),
    ("I18", |e| e.wal_bytes = 1 << 30),
];

/// Panics unless each break is seen; returns how many there were.
pub(crate) fn all_are_seen() -> usize {
    let (complaints, duplicates) = look(&sound());
    assert!(complaints.0.is_empty(), "nothing is wrong here: {complaints}");
    assert_eq!(duplicates.total(), 0);
    for (number, (invariant, spoil)) in BREAKS.iter().enumerate() {
        let mut evidence = sound();
        spoil(&mut evidence);
        let (complaints, _) = look(&evidence);
        assert!(complaints.has(invariant), "break {number} of {invariant} was not seen: {complaints}");
    }
    duplicates_are_counted();
    BREAKS.len()
}

fn duplicates_are_counted() {
    let mut evidence = sound();
    evidence.attempts.push(AttemptRow { outcome: "lease_lost".to_owned(), ..attempt("older") });
    evidence.journal.insert(0, Entry { lease: "older".to_owned(), ..evidence.journal[0].clone() });
    let (complaints, duplicates) = look(&evidence);
    assert!(complaints.0.is_empty(), "a second run is no breach: {complaints}");
    assert_eq!(duplicates.to_string(), "1 of 1 run twice (by cause: lease_lost 1)");
}

/// One task that went well.
fn sound() -> Evidence {
    let started = Entry { started: true, task: 1, lease: "lease".to_owned(), worker: "42".to_owned() };
    let ended = Entry { started: false, ..started.clone() };
    let result = result_of(PAYLOAD);
    let row = Row {
        task_type: SHORT.to_owned(),
        status: "done".to_owned(),
        attempt: 1,
        max_attempts: 5,
        lease: Some("lease".to_owned()),
        key: Some("key".to_owned()),
        created: "2026-01-01T00:00:00.000Z".to_owned(),
        dispatched: Some("2026-01-01T00:00:01.000Z".to_owned()),
        completed: Some("2026-01-01T00:00:02.000Z".to_owned()),
        payload: PAYLOAD.to_owned(),
        result: Some(result.clone()),
        error_code: None,
    };
    let mut evidence = Evidence {
        history: History::default(),
        journal: vec![started, ended],
        stored: vec![(1, "lease".to_owned())],
        counts: vec![("done", 1)],
        rows: [(1, row)].into(),
        ..Evidence::default()
    };
    post(&mut evidence, "client", "key", Outcome::Stored { task: 1, duplicate: false });
    evidence.history.reads.push(Read { task: 1, end: End::Done(result) });
    evidence
}

fn row(evidence: &mut Evidence) -> &mut Row {
    evidence.rows.get_mut(&1).unwrap()
}

/// Puts a task into the table beside the first, with a difference.
fn second(evidence: &mut Evidence, change: impl FnOnce(&mut Row)) {
    let mut row = row(evidence).clone();
    change(&mut row);
    evidence.rows.insert(2, row);
}

fn post(evidence: &mut Evidence, client: &str, key: &str, outcome: Outcome) {
    let place = evidence.history.invoke(client, key, SHORT, PAYLOAD);
    evidence.history.posts[place].outcome = outcome;
}

fn attempt(lease: &str) -> AttemptRow {
    AttemptRow {
        task: 1,
        charged: true,
        lease: Some(lease.to_owned()),
        outcome: "failed".to_owned(),
        dispatched: "2026-01-01T00:00:01.000Z".to_owned(),
        ended: "2026-01-01T00:00:02.000Z".to_owned(),
    }
}
