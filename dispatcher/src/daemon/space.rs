//! The thread that looks how much space is left, and keeps some in reserve (R33).

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::machine::Event;

/// How often it looks. New tasks fill at most some 100 MB in this time, and a disk that fills all the same is
/// what the ballast is for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is kept in reserve: room for some 10,000 results of usual size, and for the log to be copied into the
/// file and emptied.
const BALLAST_BYTES: u64 = 16 * 1024 * 1024;

/// With less than this the ballast is given up already at the start: opening a database writes a log and its
/// index.
const START_MIN: u64 = 1024 * 1024;

/// A file that does nothing but take up room, until that is needed.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Beside the database, so on its disk.
    pub(super) fn beside(database: &Path) -> Self {
        let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        let mut path = database.into_os_string();
        path.push(".ballast");
        Self { path: path.into() }
    }

    fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() == BALLAST_BYTES)
    }

    /// Gives its room to others. Says whether there was any.
    fn release(&self) -> bool {
        let was_there = self.is_there();
        match fs::remove_file(&self.path) {
            Ok(()) => was_there,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!("cannot remove {}: {error}", self.path.display());
                false
            }
        }
    }

    /// Takes room up again. What is there of an interrupted start is made anew.
    fn build(&self) -> std::io::Result<()> {
        let built = File::create(&self.path).and_then(|file| fill(&file));
        if built.is_err() {
            self.release();
        }
        built
    }
}

/// A file that merely had this length would take up no room.
fn fill(mut file: &File) -> std::io::Result<()> {
    const BLOCK: usize = 64 * 1024;
    #[cfg(target_os = "linux")]
    if rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES).is_ok() {
        return Ok(());
    }
    for _ in 0..BALLAST_BYTES / BLOCK as u64 {
        file.write_all(&[0; BLOCK])?;
    }
    Ok(())
}

/// The bytes that are free beside `database` for who is not root; `None`: it cannot be found out.
fn free_beside(database: &Path) -> Option<u64> {
    let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match rustix::fs::statvfs(directory) {
        Ok(found) => Some(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => {
            tracing::debug!("cannot find out how much space is free in {}: {error}", directory.display());
            None
        }
    }
}

/// Makes room for a start on a full disk.
pub(super) fn make_room(database: &Path) {
    let ballast = Ballast::beside(database);
    if free_beside(&ballast.path).is_some_and(|free| free < START_MIN) && ballast.release() {
        tracing::warn!("the disk is full: {} was given up so that the dispatcher can start", ballast.path.display());
    }
}

/// Starts the thread. Whoever finds the disk full says so through the sender; when that is dropped, the
/// thread ends.
pub(super) fn spawn(database: &Path, min_free: u64, events: mpsc::Sender<Event>) -> std::io::Result<SyncSender<()>> {
    // One word is enough, however often it is said.
    let (full, is_full) = sync_channel(1);
    let mut watch = Watch { ballast: Ballast::beside(database), min_free, was_low: false };
    std::thread::Builder::new().name("space".to_owned()).spawn(move || {
        loop {
            let Some(free) = free_beside(&watch.ballast.path) else { return };
            watch.look(free);
            if events.blocking_send(Event::FreeSpace(free)).is_err() {
                return;
            }
            match is_full.recv_timeout(LOOK_EVERY) {
                Ok(()) => watch.make_room(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok(full)
}

/// What the thread knows.
#[derive(Debug)]
struct Watch {
    ballast: Ballast,
    min_free: u64,
    /// So that the operator is told of a change, not every second.
    was_low: bool,
}

impl Watch {
    /// Rebuilds the ballast if that leaves enough, and tells the operator.
    fn look(&mut self, free: u64) {
        let is_low = free < self.min_free;
        if is_low && !self.was_low {
            tracing::error!(
                "{} MiB are free on the disk of the database, new tasks are refused below {} MiB (--min-free)",
                free >> 20,
                self.min_free >> 20
            );
        } else if !is_low && self.was_low {
            tracing::info!("there is space again, new tasks are taken");
        }
        self.was_low = is_low;
        if free >= self.min_free.saturating_add(BALLAST_BYTES) && !self.ballast.is_there() {
            match self.ballast.build() {
                Ok(()) => tracing::debug!("{} is in reserve", self.ballast.path.display()),
                Err(error) => tracing::warn!("cannot keep {} in reserve: {error}", self.ballast.path.display()),
            }
        }
    }

    fn make_room(&self) {
        if self.ballast.release() {
            tracing::warn!("the disk is full: {} was given up for results", self.ballast.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn watch(dir: &tempfile::TempDir) -> Watch {
        let ballast = Ballast::beside(&dir.path().join("tasks.db"));
        Watch { ballast, min_free: 64 * MIB, was_low: false }
    }

    #[test]
    fn the_ballast_is_built_where_there_is_room_and_takes_up_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir);
        watch.look(80 * MIB - 1);
        assert!(!watch.ballast.is_there(), "it would leave less than new tasks need");
        watch.look(80 * MIB);
        assert!(watch.ballast.is_there());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let blocks = fs::metadata(dir.path().join("tasks.db.ballast")).unwrap().blocks();
            assert!(blocks * 512 >= BALLAST_BYTES, "a hole is no reserve");
        }
    }

    #[test]
    fn it_is_released_once_and_rebuilt_when_there_is_room_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir);
        watch.look(100 * MIB);
        watch.make_room();
        assert!(!watch.ballast.is_there());
        watch.make_room();
        watch.look(16 * MIB);
        assert!(!watch.ballast.is_there(), "what it has given up it does not take back at once");
        watch.look(100 * MIB);
        assert!(watch.ballast.is_there());
    }

    #[test]
    fn half_a_ballast_is_built_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir);
        fs::write(dir.path().join("tasks.db.ballast"), "interrupted").unwrap();
        watch.look(100 * MIB);
        assert!(watch.ballast.is_there());
    }

    #[test]
    fn who_finds_the_disk_full_gets_the_room_and_the_machine_hears_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (events, mut reported) = mpsc::channel(8);
        let full = spawn(&dir.path().join("tasks.db"), 0, events).unwrap();
        assert!(matches!(reported.blocking_recv(), Some(Event::FreeSpace(free)) if free > 0));
        full.send(()).unwrap();
        // It is rebuilt at once, since there is enough; the report that follows says that both has happened.
        assert!(matches!(reported.blocking_recv(), Some(Event::FreeSpace(_))));
        drop(full);
        while reported.blocking_recv().is_some() {}
    }
}
