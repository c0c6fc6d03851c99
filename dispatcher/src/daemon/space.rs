//! The thread that looks how much space is left, and keeps some in reserve (R33).

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use taskgrid_protocol::Timestamp;
use taskgrid_runtime::Clock;
use tokio::sync::mpsc;

use crate::machine::Event;

/// How often it looks. New tasks fill at most some 100 MB in this time, and a disk that fills all the same is
/// what the ballast is for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is kept in reserve: room for some 10,000 results of usual size, and for the log to be copied into the
/// file and emptied.
const BALLAST_BYTES: u64 = 16 * 1024 * 1024;

/// How long no ballast is made after the disk was found full, or after one could not be made. What waits for
/// room is tried twice a second, so it has used by then what it needs; and where a quota says no while the disk
/// has space, that is told once a minute.
const REST: Duration = Duration::from_secs(60);

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
pub(super) fn spawn(
    database: &Path,
    min_free: u64,
    clock: Clock,
    events: mpsc::Sender<Event>,
) -> std::io::Result<SyncSender<()>> {
    // One word is enough, however often it is said.
    let (full, is_full) = sync_channel(1);
    let mut watch = Watch::new(database, min_free);
    std::thread::Builder::new().name("space".to_owned()).spawn(move || {
        loop {
            let free = free_beside(&watch.ballast.path);
            watch.look(clock.now(), free);
            // What is unknown refuses nobody: a disk that is full says so itself.
            if events.blocking_send(Event::FreeSpace(free.unwrap_or(u64::MAX))).is_err() {
                return;
            }
            match is_full.recv_timeout(LOOK_EVERY) {
                Ok(()) => watch.make_room(clock.now()),
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
    told: Space,
    /// No ballast is made before then.
    rests_until: Timestamp,
}

/// What was seen of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Enough,
    Low,
    Unknown,
}

impl Watch {
    fn new(database: &Path, min_free: u64) -> Self {
        let ballast = Ballast::beside(database);
        Self { ballast, min_free, told: Space::Enough, rests_until: Timestamp::ZERO }
    }

    /// Tells the operator what has changed, and makes the ballast where that leaves enough.
    fn look(&mut self, now: Timestamp, free: Option<u64>) {
        self.tell(free);
        // Twice its size, also where new tasks may take the last byte: else it would take back at once what it
        // has just given to results.
        let enough = self.min_free.max(BALLAST_BYTES).saturating_add(BALLAST_BYTES);
        if free.is_some_and(|free| free >= enough) && now >= self.rests_until && !self.ballast.is_there() {
            match self.ballast.build() {
                Ok(()) => tracing::debug!("{} is in reserve", self.ballast.path.display()),
                Err(error) => {
                    tracing::warn!("cannot keep {} in reserve: {error}", self.ballast.path.display());
                    self.rests_until = now + REST;
                }
            }
        }
    }

    fn tell(&mut self, free: Option<u64>) {
        let seen = match free {
            Some(free) if free < self.min_free => Space::Low,
            Some(_) => Space::Enough,
            None => Space::Unknown,
        };
        match (self.told, seen) {
            (told, seen) if told == seen => {}
            (_, Space::Low) => tracing::error!(
                "{} MiB are free on the disk of the database, new tasks are refused below {} MiB (--min-free)",
                free.unwrap_or_default() >> 20,
                self.min_free >> 20
            ),
            (_, Space::Unknown) => tracing::warn!(
                "cannot find out how much space is free beside {}; new tasks are taken until the disk is full",
                self.ballast.path.display()
            ),
            (Space::Unknown, _) => tracing::info!("how much space is free is known again"),
            _ => tracing::info!("there is space again, new tasks are taken"),
        }
        self.told = seen;
    }

    fn make_room(&mut self, now: Timestamp) {
        self.rests_until = now + REST;
        if self.ballast.release() {
            tracing::warn!("the disk is full: {} was given up for results", self.ballast.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const START: Timestamp = Timestamp::ZERO;

    fn watch(dir: &tempfile::TempDir, min_free: u64) -> Watch {
        Watch::new(&dir.path().join("tasks.db"), min_free)
    }

    #[test]
    fn the_ballast_is_built_where_there_is_room_and_takes_up_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir, 64 * MIB);
        watch.look(START, Some(80 * MIB - 1));
        assert!(!watch.ballast.is_there(), "it would leave less than new tasks need");
        watch.look(START, Some(80 * MIB));
        assert!(watch.ballast.is_there());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let blocks = fs::metadata(dir.path().join("tasks.db.ballast")).unwrap().blocks();
            assert!(blocks * 512 >= BALLAST_BYTES, "a hole is no reserve");
        }
    }

    /// With `--min-free 0` the ballast counted as room for itself: it was made again before the batch that had
    /// found the disk full was tried again. Results then waited for ever, with 16 MiB set aside for them.
    #[test]
    fn what_was_given_up_for_results_is_not_taken_back_before_they_are_stored() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir, 0);
        watch.look(START, Some(100 * MIB));
        assert!(watch.ballast.is_there());
        watch.make_room(START);
        watch.look(START, Some(16 * MIB));
        assert!(!watch.ballast.is_there(), "the room is gone before anybody could use it");
        watch.look(START + REST * 2, Some(32 * MIB - 1));
        assert!(!watch.ballast.is_there(), "results may need it yet");
        watch.look(START + REST * 2, Some(32 * MIB));
        assert!(watch.ballast.is_there(), "somebody has made space");
    }

    /// A quota may be used up while the disk itself has space. What was given up then stays free for a while
    /// too, counted from when the disk was last found full.
    #[test]
    fn where_a_quota_is_full_the_room_stays_free_for_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir, 64 * MIB);
        watch.look(START, Some(1000 * MIB));
        for second in [0, 20] {
            watch.make_room(START + Duration::from_secs(second));
            assert!(!watch.ballast.is_there());
        }
        watch.look(START + Duration::from_secs(79), Some(1000 * MIB));
        assert!(!watch.ballast.is_there());
        watch.look(START + Duration::from_secs(80), Some(1000 * MIB));
        assert!(watch.ballast.is_there());
    }

    #[test]
    fn half_a_ballast_is_built_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir, 64 * MIB);
        fs::write(dir.path().join("tasks.db.ballast"), "interrupted").unwrap();
        watch.look(START, Some(100 * MIB));
        assert!(watch.ballast.is_there());
    }

    /// The word of a full disk is answered by the thread at once, and the next report stands for the disk as it
    /// is then. The ballast is there at first and gone once the word was said.
    #[test]
    fn who_finds_the_disk_full_gets_the_room_and_the_machine_hears_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(&dir.path().join("tasks.db"));
        let (events, mut reported) = mpsc::channel(8);
        let full = spawn(&dir.path().join("tasks.db"), 0, Clock::new(), events).unwrap();
        assert!(matches!(reported.blocking_recv(), Some(Event::FreeSpace(free)) if free > 0));
        assert!(ballast.is_there());
        full.send(()).unwrap();
        // One report may have been under way when the word was said.
        let is_gone = |_| matches!(reported.blocking_recv(), Some(Event::FreeSpace(_))) && !ballast.is_there();
        assert!((0..12).any(is_gone));
        for _ in 0..2 {
            assert!(matches!(reported.blocking_recv(), Some(Event::FreeSpace(_))));
            assert!(!ballast.is_there(), "it stays away while it may be needed");
        }
        drop(full);
        while reported.blocking_recv().is_some() {}
    }

    /// A file system over a network, or a directory that is moved, may fail one look. The thread ended then, and
    /// if its last report was of a disk that is nearly full, new tasks were refused for ever.
    #[test]
    fn a_look_that_fails_refuses_nobody_and_the_next_one_is_reported_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let (events, mut reported) = mpsc::channel(8);
        let full = spawn(&home.join("tasks.db"), 64 * MIB, Clock::new(), events).unwrap();
        assert!(matches!(reported.blocking_recv(), Some(Event::FreeSpace(u64::MAX))), "there is no such directory");
        fs::create_dir(&home).unwrap();
        let known = |event| matches!(event, Some(Event::FreeSpace(free)) if free < u64::MAX);
        assert!((0..12).any(|_| known(reported.blocking_recv())));
        drop(full);
        while reported.blocking_recv().is_some() {}
    }

    #[test]
    fn a_disk_that_cannot_be_looked_at_gets_no_ballast() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = watch(&dir, 0);
        watch.look(START, None);
        assert!(!watch.ballast.is_there());
    }
}
