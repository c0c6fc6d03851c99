//! A grid under load, and what is looked at when a fault has passed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::check::{self, Duplicates, Evidence};
use crate::dice::Dice;
use crate::grid::{Grid, Setup};
use crate::history::{Outcome, Shared};
use crate::load::{self, KEY_CONFLICT, Load, Plan};
use crate::process::{now, within};

/// How long tasks may go on after the last fault: some leases, and the back-off of an unlucky one.
const QUIESCENCE: Duration = Duration::from_secs(150);

pub(crate) struct Scene {
    pub(crate) grid: Grid,
    pub(crate) history: Shared,
    pub(crate) dice: Dice,
    load: Option<Load>,
    loads: usize,
    dir: PathBuf,
}

/// What a campaign has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) faults: usize,
    pub(crate) acknowledged: usize,
    pub(crate) unknown: usize,
    pub(crate) duplicates: Duplicates,
    /// What else is worth a number.
    pub(crate) more: String,
}

impl Scene {
    pub(crate) fn start(dir: &Path, setup: Setup, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let grid = Grid::start(dir, setup, &mut dice);
        Self { grid, history: Shared::default(), dice, load: None, loads: 0, dir: dir.to_owned() }
    }

    /// Returns when the first tasks are acknowledged.
    pub(crate) fn begin_load(&mut self, plan: Plan) {
        self.loads += 1;
        let name = format!("load{}", self.loads);
        let (history, dice) = (self.history.clone(), self.dice.child());
        self.load = Some(Load::start(&name, self.grid.entrance(), plan, history, dice));
        self.some_more(plan.clients);
    }

    /// Returns when this many more tasks are acknowledged.
    pub(crate) fn some_more(&self, tasks: usize) {
        let goal = self.acknowledged() + tasks;
        within(QUIESCENCE, &format!("{tasks} more acknowledged tasks"), || (self.acknowledged() >= goal).then_some(()));
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.history.lock().acknowledged()
    }

    /// Calls that ended without being told that the task is stored, though nothing was wrong with it.
    pub(crate) fn not_accepted(&self) -> usize {
        self.history.lock().count(|outcome| match outcome {
            Outcome::Rejected(code) => code != KEY_CONFLICT,
            Outcome::Unknown => true,
            Outcome::Open | Outcome::Stored { .. } => false,
        })
    }

    pub(crate) fn end_load(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop();
        }
    }

    /// Ends the load, waits until all tasks have ended, and checks everything. All programs must be running.
    pub(crate) fn judge(&mut self, faults: usize) -> Report {
        self.end_load();
        self.grid.relays.lock().healed = true;
        self.wait_for_the_end_of_all_tasks();
        let server = self.grid.dispatcher();
        let unread = self.history.lock().unread();
        let reads = load::read_all(server, unread);
        self.history.lock().reads.extend(reads);
        let (counts, journal) = (load::counts(server), self.grid.journal.read());
        let history = self.history.lock().clone();
        let stored = self.grid.relays.lock().stored.clone();
        let evidence = Evidence::gather(&self.grid.database, history, journal, stored, counts);
        let duplicates = check::all(&evidence);
        Report {
            faults,
            acknowledged: evidence.history.acknowledged(),
            unknown: evidence.history.count(|outcome| *outcome == Outcome::Unknown),
            duplicates,
            more: String::new(),
        }
    }

    fn wait_for_the_end_of_all_tasks(&self) {
        let connection = open(&self.grid.database);
        let mut left = 0;
        let deadline = now() + QUIESCENCE;
        within(2 * QUIESCENCE, "the end of all tasks", || {
            let sql = "select count(*) from tasks where status = 'pending' or status = 'running'";
            left = connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            assert!(
                left == 0 || now() < deadline,
                "I6: {left} tasks have not ended {QUIESCENCE:?} after the last fault"
            );
            (left == 0).then_some(())
        });
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let history = self.history.lock().text();
            // The failure that brought us here is the one to tell.
            let _ = std::fs::write(self.dir.join("history.txt"), history);
        }
    }
}

/// A reader, as any program may be one.
pub(crate) fn open(database: &Path) -> Connection {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

/// Lets time pass between two faults.
pub(crate) fn pass(span: Duration) {
    let deadline = now() + span;
    while let Some(left) = deadline.checked_duration_since(now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
