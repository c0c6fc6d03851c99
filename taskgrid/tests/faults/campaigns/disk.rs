//! The disk is full, and then there is space again: the same process goes on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::load::{self, Plan};
use crate::process::within;
use crate::scene::{Scene, open};

/// A small file system in memory, which is gone with this value.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Result<Self, String> {
        fs::create_dir(&at).unwrap();
        // Larger than what a dispatcher may want to see free, and set aside.
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256m", "tmpfs"]).arg(&at).output();
        let output = output.map_err(|error| format!("no mount: {error}"))?;
        if output.status.success() {
            Ok(Self(at))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        // To the last page: a large piece that no longer fits may be followed by a small one that does.
        for size in [1 << 20, 4_096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What is to be looked at must not go with the disk.
            let _ = Command::new("cp").arg("--recursive").arg(&self.0).arg(self.0.with_extension("kept")).status();
        }
        // Lazily: a process that is about to be killed may still have files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let disk = match Disk::mount(dir.join("disk")) {
        Ok(disk) => disk,
        Err(why) => return Outcome::Skipped(format!("a file system cannot be mounted here: {why}")),
    };
    let setup = Setup { database: Some(disk.0.join("tasks.db")), ..Setup::default() };
    let mut scene = Scene::start(dir, setup, order.seed);
    let dispatcher = scene.grid.process(Program::Dispatcher).child.id();
    let mut refused = 0;
    for _ in 0..order.count {
        scene.begin_load(Plan { patience: Duration::from_secs(1), ..Plan::default() });
        scene.some_more(100);
        let before = scene.not_accepted();
        let mut filler = disk.fill();
        within(Duration::from_secs(120), "a task that a full disk has no room for", || {
            // What is written back frees pages of the log, which are used again.
            filler = disk.fill();
            (scene.not_accepted() > before + 20).then_some(())
        });
        refused += scene.not_accepted() - before;
        reading_goes_on(&scene);
        fs::remove_file(filler).unwrap();
        scene.some_more(100);
        scene.end_load();
    }
    let mut report = scene.judge(order.count);
    assert_eq!(scene.grid.process(Program::Dispatcher).child.id(), dispatcher);
    assert!(scene.grid.is_running(Program::Dispatcher));
    scene.grid.stop_all();
    report.more =
        format!("{refused} posts refused or unanswered while it was full, service went on in the same process");
    Outcome::Held(report)
}

fn reading_goes_on(scene: &Scene) {
    let sql = "select id from tasks where status = 'done' limit 1";
    let first = open(&scene.grid.database).query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(load::read_all(scene.grid.dispatcher(), vec![first]).len(), 1);
}
