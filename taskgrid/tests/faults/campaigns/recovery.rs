//! How long it takes until things go on.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::{Order, Outcome};
use crate::grid::{Program, Setup};
use crate::history;
use crate::journal::LONG;
use crate::load::{self, Plan};
use crate::process::{ANY_PORT, eventually, now};
use crate::scene::{Scene, open};

const DISPATCHER_MAX: Duration = Duration::from_secs(3);

/// Beyond the lease.
const WORKER_MAX: Duration = Duration::from_secs(5);

pub(super) fn run(dir: &Path, order: &Order) -> Outcome {
    let mut scene = Scene::start(dir, Setup::default(), order.seed);
    let (mut dispatcher, mut worker) = (Duration::ZERO, Duration::ZERO);
    for number in 0..order.count {
        scene.begin_load(Plan::default());
        dispatcher = dispatcher.max(restarted_dispatcher(&mut scene));
        absent_name_service(&mut scene);
        scene.end_load();
        worker = worker.max(dead_worker(&mut scene, &format!("orphan-{number}")));
    }
    let mut report = scene.judge(3 * order.count);
    let lease = Duration::from_secs(u64::from(scene.grid.setup.lease_s));
    assert!(dispatcher <= DISPATCHER_MAX, "a restarted dispatcher answered after {dispatcher:?}");
    assert!(worker <= lease + WORKER_MAX, "a dead worker's task was done after {worker:?}");
    let failed: i64 = open(&scene.grid.database)
        .query_row("select count(*) from tasks where status = 'failed'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(failed, 0, "no task fails because a program was away");
    scene.grid.stop_all();
    report.more = format!(
        "at most {} ms from the start of a dispatcher to its first answer, {} ms from the death of a worker to the end of its \
         task elsewhere (lease {lease:?}), no task failed while the name service was away",
        dispatcher.as_millis(),
        worker.as_millis()
    );
    Outcome::Held(report)
}

fn restarted_dispatcher(scene: &mut Scene) -> Duration {
    scene.grid.kill(Program::Dispatcher);
    let began = now();
    scene.grid.launch(Program::Dispatcher);
    let server = scene.grid.dispatcher();
    eventually("the first answer", || answers(server).then_some(()));
    began.elapsed()
}

fn answers(server: SocketAddr) -> bool {
    let socket = UdpSocket::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket.send_to(br#"{"type":"PING","id":1,"data":{}}"#, server).unwrap();
    socket.recv(&mut [0; 2_048]).is_ok()
}

/// Known workers are used while it is away.
fn absent_name_service(scene: &mut Scene) {
    let connection = open(&scene.grid.database);
    let done = || -> i64 {
        let sql = "select count(*) from tasks where status = 'done'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = done();
    eventually("work after the dispatcher's restart", || (done() > before).then_some(()));
    scene.grid.kill(Program::NameService);
    let before = done();
    eventually("work without a name service", || (done() > before + 100).then_some(()));
    scene.grid.start_one(Program::NameService);
}

fn dead_worker(scene: &mut Scene, key: &str) -> Duration {
    let outcome = load::one(key, LONG, scene.grid.dispatcher(), Duration::from_secs(10), &scene.history);
    let history::Outcome::Stored { task, .. } = outcome else { panic!("{key} was answered {outcome:?}") };
    let process = eventually("the start of its handler", || {
        let journal = scene.grid.journal.read();
        journal.into_iter().find(|entry| entry.task == task).map(|entry| entry.worker)
    });
    let victim = [Program::Worker(0), Program::Worker(1)]
        .into_iter()
        .find(|worker| scene.grid.process(*worker).child.id().to_string() == process)
        .unwrap();
    scene.grid.kill(victim);
    let began = now();
    let sql = "select status = 'done' from tasks where id = ?1";
    let connection = open(&scene.grid.database);
    eventually("its end elsewhere", || {
        connection.query_row(sql, [task], |row| row.get::<_, bool>(0)).unwrap().then_some(())
    });
    let took = began.elapsed();
    scene.grid.start_one(victim);
    took
}
