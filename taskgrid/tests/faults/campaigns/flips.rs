//! Flipped bits of the database: refused with a message, or without consequence, or seen only by comparison.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{Order, Outcome};
use crate::address::free_address;
use crate::grid::Setup;
use crate::load::Plan;
use crate::process::{ANY_PORT, Process, eventually, taskgrid};
use crate::scene::{Scene, open};

const TASKS: usize = 300;

/// The exit code for a damaged file.
const DAMAGED: i32 = 65;

#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    /// Started, and stopped when it came upon the damage.
    stopped: usize,
    harmless: usize,
    /// SQLite's pages carry no checksum, so a flip inside a value is not seen.
    silent: usize,
}

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    scene.begin_load(Plan { journaled: 0, ..Plan::default() });
    scene.some_more(TASKS);
    let mut report = scene.judge(order.count);
    scene.grid.stop_all();
    let sound = fs::read(&scene.grid.database).unwrap();
    let table = dump(&scene.grid.database);
    let mut tally = Tally::default();
    let stride = sound.len() / order.count;
    for number in 0..order.count {
        let offset = number * stride + scene.dice.below(stride);
        let mut bytes = sound.clone();
        bytes[offset] ^= 1 << scene.dice.below(8);
        start_on(&dir.join("flipped"), &bytes, offset, &table, &mut tally);
    }
    let Tally { refused, stopped, harmless, silent } = tally;
    report.more = format!(
        "{refused} refused, {stopped} stopped it later, {harmless} harmless, {silent} changed a value unseen, none started empty"
    );
    Outcome::Held(report)
}

fn start_on(dir: &Path, bytes: &[u8], offset: usize, sound: &[String], tally: &mut Tally) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
    fs::create_dir(dir).unwrap();
    let database = dir.join("tasks.db");
    fs::write(&database, bytes).unwrap();
    let listen = free_address();
    let args = ["dispatcher", "--listen", &listen.to_string(), "--database", database.to_str().unwrap()];
    let mut process = Process::start(taskgrid().args(args));
    let place = format!("a flip at byte {offset}");
    let serves = eventually("a start or a refusal", || match process.child.try_wait().unwrap() {
        Some(_) => Some(false),
        None => process.has_said(" listening on ").then_some(true),
    });
    if serves && read_everything(&mut process, listen, sound.len()) {
        assert_eq!(process.terminate(), Some(0), "{place}: {process}");
        let table = dump(&database);
        assert_eq!(table.len(), sound.len(), "{place}: tasks are gone");
        if table == sound { tally.harmless += 1 } else { tally.silent += 1 }
    } else {
        assert_eq!(process.end().code(), Some(DAMAGED), "{place}: {process}");
        eventually("the reason", || process.has_said("tasks.db").then_some(()));
        if serves {
            tally.stopped += 1;
        } else {
            assert_eq!(fs::read(&database).unwrap(), bytes, "{place}: a file that is refused stays as it was");
            tally.refused += 1;
        }
    }
    assert!(!process.has_said("panicked at"), "{place}: {process}");
}

/// Asks for every result; `false` if the dispatcher stopped over it.
fn read_everything(process: &mut Process, dispatcher: SocketAddr, tasks: usize) -> bool {
    let socket = UdpSocket::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut buffer = vec![0; 65_536];
    for task in 1..=tasks {
        let message = json!({"type": "GET_RESULT", "id": task, "data": {"task_id": task}}).to_string();
        let ended = eventually("an answer, or the end of the dispatcher", || {
            // Where it has ended, nobody is there to send to.
            let _ = socket.send_to(message.as_bytes(), dispatcher);
            let answered = socket.recv(&mut buffer).is_ok();
            let ended = process.child.try_wait().unwrap().is_some();
            (answered || ended).then_some(ended)
        });
        if ended {
            return false;
        }
    }
    true
}

/// All rows, in whatever bytes they have.
fn dump(database: &Path) -> Vec<String> {
    let connection = open(database);
    let mut statement = connection.prepare("select * from tasks order by id").unwrap();
    let columns = statement.column_count();
    let rows =
        statement.query_map([], |row| (0..columns).map(|column| Ok(format!("{:?}", row.get_ref(column)?))).collect());
    rows.unwrap().map(Result::unwrap).collect()
}
