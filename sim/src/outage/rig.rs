//! A store on a drive, beside models that took the same batches.

use rusqlite::Connection;
use taskgrid_dispatcher::store::{
    Answer, Batch, Inserted, MemoryStore, Opened, Outcomes, Query, SqliteStore, Store, StoreError,
};
use taskgrid_protocol::body::ListTasks;
use taskgrid_protocol::{FileId, TaskId, WallTime};

use super::work::{Step, Work};
use crate::vfs::{Drive, Habit};

/// Numbers beyond the highest known one at which nothing may be. One batch makes fewer.
const BEYOND: i64 = 8;

pub(super) struct Rig {
    pub(super) drive: Drive,
    pub(super) work: Work,
    pub(super) store: Option<SqliteStore>,
    /// Another program in the middle of a transaction.
    reader: Option<Connection>,
    /// The disk has failed under the last process.
    pub(super) is_suspect: bool,
    /// What may be in the store: one, or two after a batch whose outcome is unknown. More only where they differ in
    /// nothing that can be seen.
    models: Vec<MemoryStore>,
}

/// What came of a step.
#[derive(Debug)]
pub(super) enum Done {
    Well,
    Failed(StoreError),
}

impl Rig {
    /// An open store without tasks.
    pub(super) fn new(seed: u64, habit: Habit) -> Result<Self, String> {
        let mut rig = Self::unborn(seed, habit);
        rig.start()?;
        Ok(rig)
    }

    /// An empty drive.
    pub(super) fn unborn(seed: u64, habit: Habit) -> Self {
        let models = vec![MemoryStore::default()];
        Self { drive: Drive::new(habit), work: Work::new(seed), store: None, reader: None, is_suspect: false, models }
    }

    /// Does what comes next. An error is a broken promise.
    pub(super) fn step(&mut self) -> Result<Done, String> {
        match self.work.next() {
            Step::Checkpoint { truncate } => {
                Ok(self.store().checkpoint(truncate).map_or_else(Done::Failed, |_| Done::Well))
            }
            Step::Reader => {
                self.reader = if self.reader.is_some() { None } else { Some(self.read()?) };
                Ok(Done::Well)
            }
            Step::Apply(now, batch) => self.apply(now, &batch),
        }
    }

    fn read(&self) -> Result<Connection, String> {
        let begin = |reader: Connection| {
            reader.execute_batch("BEGIN; SELECT count(*) FROM tasks;")?;
            Ok(reader)
        };
        Connection::open(self.drive.database()).and_then(begin).map_err(|error| format!("a reader: {error}"))
    }

    pub(super) fn apply(&mut self, now: WallTime, batch: &Batch) -> Result<Done, String> {
        let store = self.store.as_mut().expect("it is opened first");
        let applied = store.apply(now, batch);
        let after = self.models.iter().cloned().map(|mut model| {
            let outcomes = model.apply(now, batch).expect("memory does not fail");
            (model, without_texts(outcomes))
        });
        match applied {
            Ok(outcomes) => {
                let outcomes = without_texts(outcomes);
                let expected: Vec<_> = after.collect();
                self.models = expected
                    .iter()
                    .filter(|(_, expected)| *expected == outcomes)
                    .map(|(model, _)| model.clone())
                    .collect();
                self.work.learn(&outcomes);
                if self.models.is_empty() {
                    let expected = expected.into_iter().map(|(_, outcomes)| outcomes).collect::<Vec<_>>();
                    return Err(format!("a batch came to {outcomes:?} instead of {expected:?}"));
                }
                Ok(Done::Well)
            }
            // All of it was undone: so says the contract.
            Err(error @ (StoreError::Full(_) | StoreError::Busy(_))) => Ok(Done::Failed(error)),
            Err(error) => {
                let after: Vec<_> = after.map(|(model, outcomes)| (model, newest(&outcomes))).collect();
                self.work.newest = after.iter().map(|(_, newest)| *newest).fold(self.work.newest, i64::max);
                self.models.extend(after.into_iter().map(|(model, _)| model));
                Ok(Done::Failed(error))
            }
        }
    }

    /// The process starts, as the daemon does: it looks at the file, opens it, and finds what must be there. `Ok(false)`: the power went
    /// again meanwhile.
    pub(super) fn start(&mut self) -> Result<bool, String> {
        (self.store, self.reader) = (None, None);
        let opened = self.open();
        if !self.drive.is_on() {
            self.store = None;
            return Ok(false);
        }
        let opened = opened?;
        let models = std::mem::take(&mut self.models).into_iter();
        self.models = models
            .filter_map(|mut model| {
                let expected = model.open(self.work.now, FileId::default()).expect("memory does not fail");
                (expected == opened).then_some(model)
            })
            .collect();
        self.work.reopen(&opened);
        self.compare()?;
        Ok(true)
    }

    fn open(&mut self) -> Result<Opened, String> {
        self.drive.look().map_err(|why| format!("the file was refused: {why}"))?;
        let store = SqliteStore::connect(&self.drive.database()).map_err(|why| format!("cannot connect: {why}"))?;
        let store = self.store.insert(store);
        if std::mem::take(&mut self.is_suspect) {
            store.begin_new_log().map_err(|why| format!("cannot begin a new log: {why}"))?;
        }
        let opened = store.open(self.work.now, FileId::default()).map_err(|why| format!("cannot open: {why}"))?;
        store.check().map_err(|why| format!("the file is damaged: {why}"))?;
        Ok(opened)
    }

    /// Keeps the models that the store is like; there must be one.
    pub(super) fn compare(&mut self) -> Result<(), String> {
        let tasks = (0..self.work.newest + BEYOND).map(|id| Query::Task(TaskId(id)));
        let queries: Vec<_> = tasks.chain([Query::Stats, Query::List(ListTasks::default())]).collect();
        let read = |store: &dyn Store| queries.iter().map(|query| store.read(query)).collect::<Result<Vec<_>, _>>();
        let found: Vec<Answer> = read(self.store()).map_err(|error| format!("cannot read: {error}"))?;
        let mut difference = "other tasks are running or pending".to_owned();
        let models = std::mem::take(&mut self.models).into_iter();
        self.models = models
            .filter(|model| {
                let expected = read(model).expect("memory does not fail");
                let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
                if let Some((found, expected)) = differs {
                    difference = format!("{found:?} instead of {expected:?}");
                }
                differs.is_none()
            })
            .collect();
        if self.models.is_empty() { Err(format!("what was stored is not there: {difference}")) } else { Ok(()) }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().expect("it is opened first")
    }
}

/// The highest number that a batch has made.
pub(super) fn newest(outcomes: &Outcomes) -> i64 {
    let ids = outcomes.inserts.iter().filter_map(|inserted| match inserted {
        Inserted::New { id, .. } => Some(id.0),
        _ => None,
    });
    ids.max().unwrap_or_default()
}

/// Every store has its own words for why a row was refused.
fn without_texts(mut outcomes: Outcomes) -> Outcomes {
    for inserted in &mut outcomes.inserts {
        if let Inserted::Refused(why) = inserted {
            why.clear();
        }
    }
    outcomes
}
