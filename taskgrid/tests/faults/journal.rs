//! What handlers have done, as they wrote it down themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A type whose handler keeps a journal, and ends at once.
pub(crate) const SHORT: &str = "journal";

/// The same, and takes long enough to be in the way of most faults.
pub(crate) const LONG: &str = "journal-long";

/// A line is shorter than a page, and the file is opened for appending, so lines of several processes do not mix.
const HANDLER: &str = r#"#!/bin/sh
echo "start $TASKGRID_TASK_ID $TASKGRID_LEASE $PPID" >>JOURNAL
read -r payload
WORK
echo "end $TASKGRID_TASK_ID $TASKGRID_LEASE $PPID" >>JOURNAL
printf '{"ran":%s}' "$payload"
"#;

/// What those handlers are to return.
pub(crate) fn result_of(payload: &str) -> String {
    format!("{{\"ran\":{payload}}}")
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) started: bool,
    pub(crate) task: i64,
    pub(crate) lease: String,
    /// The process number of the worker.
    pub(crate) worker: String,
}

pub(crate) struct Journal {
    pub(crate) handlers: PathBuf,
    file: PathBuf,
}

impl Journal {
    /// Puts the handlers into a directory of their own.
    pub(crate) fn new(dir: &Path) -> Self {
        let journal = Self { handlers: dir.join("handlers"), file: dir.join("journal.txt") };
        fs::create_dir(&journal.handlers).unwrap();
        for (name, work) in [(SHORT, ""), (LONG, "sleep 1")] {
            let script = HANDLER.replace("JOURNAL", journal.file.to_str().unwrap()).replace("WORK", work);
            let path = journal.handlers.join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        journal
    }

    pub(crate) fn read(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("the journal says '{line}'"))).collect()
    }
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let started = match words.next()? {
        "start" => true,
        "end" => false,
        _ => return None,
    };
    let task = words.next()?.parse().ok()?;
    Some(Entry { started, task, lease: words.next()?.to_owned(), worker: words.next()?.to_owned() })
}
