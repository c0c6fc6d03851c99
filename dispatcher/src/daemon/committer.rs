//! The thread that owns the writing connection: group commit, and the checkpoints between.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use taskgrid_protocol::{Timestamp, WallTime};
use taskgrid_runtime::{Clock, wall_time};
use tokio::sync::{mpsc, oneshot};

use super::copier::Copier;
use crate::machine::Event;
use crate::store::{Batch, Pruned, SqliteStore, Store, StoreError, Wal};

/// How often committed pages move from the write-ahead log into the file. A checkpoint syncs twice; once a
/// second that is not felt, and the log stays short.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// From so many entries on the log is copied by another thread, and only what came meanwhile by this one. Copying those
/// of a second at full load took 50 to 90 ms, in which nothing was committed; this many take about 3.
const COPIED_BESIDE_FROM: u64 = 4_000;

/// Above this the log is emptied even under load, which makes the writer wait for readers.
const WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Above this something is wrong: a reader that does not end, or a disk that does not keep up.
const WAL_ALARM_BYTES: u64 = 256 * 1024 * 1024;

/// How often that is said.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// How often it is complained about a lock that another program holds, and about a full disk, which the log of
/// the dispatcher may share.
const COMPLAIN_EVERY: Duration = Duration::from_secs(5);

/// How often it is told how many tasks were deleted.
const TELL_OF_DELETED_EVERY: Duration = Duration::from_secs(60);

/// A difference between the two clocks that is worth a line in the log (R29).
const JUMP: Duration = Duration::from_secs(10);

/// Starts the thread. It ends when the sender is dropped, or at once when the disk fails: then it reports
/// the error and answers nothing more (R8).
pub(super) fn spawn(
    store: SqliteStore,
    clock: Clock,
    events: mpsc::Sender<Event>,
    full: SyncSender<()>,
    failed: oneshot::Sender<StoreError>,
) -> std::io::Result<(SyncSender<Box<Batch>>, JoinHandle<()>)> {
    // The machine hands out one batch at a time.
    let (sender, batches) = sync_channel(1);
    let committer = Committer {
        copier: Copier::spawn(store.clone())?,
        store,
        clock,
        events,
        full,
        written: false,
        entries: 0,
        checkpointed: clock.now(),
        alarm: LogAlarm(Seldom::every(ALARM_EVERY)),
        locked: Seldom::every(COMPLAIN_EVERY),
        no_space: Seldom::every(COMPLAIN_EVERY),
        deleted: 0,
        tidied: Seldom::every(TELL_OF_DELETED_EVERY),
        wall: None,
    };
    let thread = std::thread::Builder::new().name("committer".to_owned()).spawn(move || {
        if let Err(error) = committer.run(&batches) {
            // Nobody listens any more when the dispatcher has stopped already.
            let _ = failed.send(error);
        }
    })?;
    Ok((sender, thread))
}

/// Whether a line about what lasts is due again.
#[derive(Debug)]
struct Seldom {
    every: Duration,
    told: Option<Timestamp>,
}

impl Seldom {
    fn every(every: Duration) -> Self {
        Self { every, told: None }
    }

    /// Whether to tell it now; taken for told then.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = self.told.is_none_or(|at| now.since(at) >= self.every);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

/// Whether a log has grown too long, which is worth a line now and then.
#[derive(Debug)]
struct LogAlarm(Seldom);

impl LogAlarm {
    fn rings(&mut self, now: Timestamp, bytes: u64) -> bool {
        bytes > WAL_ALARM_BYTES && self.0.is_due(now)
    }
}

struct Committer {
    store: SqliteStore,
    copier: Copier,
    clock: Clock,
    events: mpsc::Sender<Event>,
    /// Asks for room on a full disk.
    full: SyncSender<()>,
    /// Whether there is something to checkpoint.
    written: bool,
    /// Entries since the last checkpoint.
    entries: u64,
    checkpointed: Timestamp,
    alarm: LogAlarm,
    locked: Seldom,
    no_space: Seldom,
    /// Tasks that are no longer kept, deleted since that was told.
    deleted: u64,
    tidied: Seldom,
    /// What both clocks showed last.
    wall: Option<(Timestamp, WallTime)>,
}

impl Committer {
    fn run(mut self, batches: &Receiver<Box<Batch>>) -> Result<(), StoreError> {
        loop {
            match batches.recv_timeout(CHECKPOINT_EVERY) {
                Ok(batch) => {
                    let event = self.commit(batch)?;
                    let copied = self.poll_copier()?;
                    if self.events.blocking_send(event).is_err() {
                        return Ok(());
                    }
                    self.look_after_log(copied)?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.finish_copy()?;
                    self.look_for_added_rows()?;
                    self.checkpoint(true)?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.finish_copy()?;
                    return self.checkpoint(true);
                }
            }
        }
    }

    /// Whether a copy of the log has just ended. Where it has failed with the disk, nobody is answered any more (R8).
    fn poll_copier(&mut self) -> Result<bool, StoreError> {
        let Some(copied) = self.copier.poll() else { return Ok(false) };
        self.trust_copy(copied)?;
        Ok(true)
    }

    fn finish_copy(&mut self) -> Result<(), StoreError> {
        let copied = self.copier.finish();
        self.trust_copy(copied)
    }

    fn trust_copy(&self, copied: Result<(), StoreError>) -> Result<(), StoreError> {
        let copied = copied.or_else(passing);
        if let Err(StoreError::Unavailable(_)) = copied {
            // What the disk has failed at is what is to be told.
            let _ = self.store.keep_log();
        }
        copied
    }

    /// Between two batches: once a second the log is copied into the file, beside the work if it is long. `copied`: that
    /// has just been done, and what came meanwhile is left.
    fn look_after_log(&mut self, copied: bool) -> Result<(), StoreError> {
        if copied {
            return self.checkpoint(false);
        }
        if self.copier.is_busy() || self.clock.now().since(self.checkpointed) < CHECKPOINT_EVERY {
            return Ok(());
        }
        self.look_for_added_rows()?;
        if self.entries < COPIED_BESIDE_FROM {
            return self.checkpoint(false);
        }
        self.copier.begin();
        Ok(())
    }

    fn commit(&mut self, batch: Box<Batch>) -> Result<Event, StoreError> {
        loop {
            let now = self.wall_time();
            match self.store.apply(now, &batch) {
                Ok(outcomes) => {
                    self.written = true;
                    self.entries += batch.entries();
                    if let Some(pruned) = outcomes.pruned {
                        self.tell_of_deleted(pruned);
                    }
                    return Ok(Event::Committed(batch, outcomes));
                }
                Err(StoreError::Full(error)) => {
                    if self.no_space.is_due(self.clock.now()) {
                        tracing::error!("the disk is full, new tasks are refused until there is space: {error}");
                    }
                    // An error means that it is being made already, or that nobody can.
                    let _ = self.full.try_send(());
                    return Ok(Event::DiskFull(batch));
                }
                Err(StoreError::Busy(error)) => {
                    if self.locked.is_due(self.clock.now()) {
                        tracing::warn!("another program holds the lock on the database, waiting for it: {error}");
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deleting goes on in small steps for hours, and is told once a minute.
    fn tell_of_deleted(&mut self, pruned: Pruned) {
        self.deleted += pruned.deleted as u64;
        if self.deleted > 0 && self.tidied.is_due(self.clock.now()) {
            tracing::info!("ended tasks deleted by --retain-done and --retain-failed: {}", self.deleted);
            self.deleted = 0;
        }
    }

    /// Rows may come into the table by other means. Without any, looking costs one seek and writes nothing.
    fn look_for_added_rows(&mut self) -> Result<(), StoreError> {
        match self.store.added_types() {
            Ok(types) if types.is_empty() => Ok(()),
            Ok(types) => {
                // Nobody listens any more when the dispatcher has stopped already.
                let _ = self.events.blocking_send(Event::Added(types));
                Ok(())
            }
            Err(error) => passing(error),
        }
    }

    fn checkpoint(&mut self, idle: bool) -> Result<(), StoreError> {
        self.checkpointed = self.clock.now();
        self.entries = 0;
        if !self.written {
            return Ok(());
        }
        let copied = copy_log(idle, |truncate| self.store.checkpoint(truncate))?;
        // Nobody listens any more when the dispatcher has stopped already.
        let _ = self.events.blocking_send(Event::Checkpointed(self.clock.now().since(self.checkpointed)));
        let Some(wal) = copied else { return Ok(()) };
        // An idle log that could not be emptied is tried again.
        self.written = !(idle && wal.bytes == 0);
        if self.alarm.rings(self.checkpointed, wal.bytes) {
            tracing::error!(
                "the log of the database has grown to {} MiB and cannot be emptied: another program has had it open \
                 for reading for a long time, or the disk does not keep up",
                wal.bytes >> 20
            );
        }
        Ok(())
    }

    fn wall_time(&mut self) -> WallTime {
        let (now, wall) = (self.clock.now(), wall_time());
        if let Some((then, wall_then)) = self.wall {
            let expected = wall_then + now.since(then);
            if wall.since(expected) > JUMP || expected.since(wall) > JUMP {
                tracing::warn!("the wall clock has jumped; leases are not affected, due times and retention are");
            }
        }
        self.wall = Some((now, wall));
        wall
    }
}

/// A checkpoint, which truncates the log when there is time for it or when it is too long. `None`: a reader
/// stands in the way, or there is no space; the next one may fare better.
fn copy_log(
    idle: bool,
    mut checkpoint: impl FnMut(bool) -> Result<Wal, StoreError>,
) -> Result<Option<Wal>, StoreError> {
    let copied = match checkpoint(idle) {
        Ok(wal) if !idle && wal.bytes > WAL_BYTES_MAX => checkpoint(true),
        copied => copied,
    };
    match copied {
        Ok(wal) => Ok(Some(wal)),
        Err(error) => passing(error).map(|()| None),
    }
}

/// The next checkpoint may fare better.
fn passing(error: StoreError) -> Result<(), StoreError> {
    match error {
        StoreError::Busy(_) | StoreError::Full(_) => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_too_long_is_told_once_a_minute() {
        let mut alarm = LogAlarm(Seldom::every(ALARM_EVERY));
        let told = (0..180).filter(|second| {
            let now = Timestamp::ZERO + Duration::from_secs(*second);
            alarm.rings(now, WAL_ALARM_BYTES) || alarm.rings(now, WAL_ALARM_BYTES + 1)
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 60, 120]);
    }

    /// A log above 64 MiB is copied and then, in a second step, truncated. Where that second step found the disk
    /// full, the dispatcher stopped with exit code 70, in place of going on until there is space (R33).
    #[test]
    fn a_disk_that_is_full_when_a_long_log_is_truncated_does_not_stop_the_dispatcher() {
        let failing = |error: fn(String) -> StoreError| {
            let mut calls = Vec::new();
            let copied = copy_log(false, |truncate| {
                calls.push(truncate);
                if truncate { Err(error("no".to_owned())) } else { Ok(Wal { bytes: WAL_BYTES_MAX + 1, left: 0 }) }
            });
            assert_eq!(calls, [false, true]);
            copied
        };
        assert!(matches!(failing(StoreError::Full), Ok(None)));
        assert!(matches!(failing(StoreError::Busy), Ok(None)));
        assert!(matches!(failing(StoreError::Unavailable), Err(StoreError::Unavailable(_))), "a failed disk does");
    }

    /// What waits for space is tried twice a second, and each time a line went into the log, which often lies on
    /// the disk that is full. Now it is one every five seconds, as about a lock that another program holds.
    #[test]
    fn a_full_disk_is_complained_about_every_five_seconds() {
        let mut no_space = Seldom::every(COMPLAIN_EVERY);
        let tried = (0..24).map(|half| Timestamp::ZERO + Duration::from_millis(500) * half);
        let told = tried.filter(|now| no_space.is_due(*now)).map(|now| now.since(Timestamp::ZERO).as_secs());
        assert_eq!(told.collect::<Vec<_>>(), [0, 5, 10]);
    }
}
