//! Two workers with one address, by a slip of the pen (R18).

use serde_json::json;

use crate::processes::{ANY_PORT, Daemon, Grid, Process, ask, eventually, start, taskgrid};

fn instance_at(grid: &Grid, address: &str) -> Option<String> {
    let list = ask(grid.nameservice.addr, &json!({"type": "LIST_WORKERS", "data": {}}));
    let entry = list["workers"].as_array()?.iter().find(|entry| entry["address"] == address)?.clone();
    entry["instance"].as_str().map(str::to_owned)
}

fn with_the_address_of(grid: &Grid, advertised: &str) -> Process {
    let nameservice = grid.nameservice.addr.to_string();
    start(&["worker", "--listen", ANY_PORT, "--nameservice", &nameservice, "--advertise", advertised])
}

#[test]
fn a_mistyped_address_puts_no_healthy_worker_out_and_both_logs_say_so() {
    let mut grid = Grid::without_workers();
    grid.add_worker(&["--heartbeat", "0.5"]);
    let address = grid.workers[0].addr.to_string();
    let sound = eventually("the registration", || instance_at(&grid, &address));
    let mut mistyped = with_the_address_of(&grid, &address);
    assert_eq!(mistyped.end().code(), Some(75), "{mistyped}");
    assert!(mistyped.has_said(&address) && mistyped.has_said("--advertise"), "{mistyped}");
    let healthy = &mut grid.workers[0].process;
    assert!(healthy.line_with("wants the address of this one").contains("--advertise"));
    assert_eq!(instance_at(&grid, &address), Some(sound));
    assert_eq!(grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
}

/// As the other way round, and after a name service that has forgotten all: who answers at the address has it.
#[test]
fn a_healthy_worker_takes_its_address_back_from_one_that_came_first() {
    let mut grid = Grid::without_workers();
    let port = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    let address = port.local_addr().unwrap().to_string();
    let mut mistyped = with_the_address_of(&grid, &address);
    eventually("the wrong registration", || instance_at(&grid, &address));
    drop(port);
    let nameservice = grid.nameservice.addr.to_string();
    grid.workers.push(Daemon::start(&["worker", "--listen", &address, "--nameservice", &nameservice]));
    assert_eq!(mistyped.end().code(), Some(75), "{mistyped}");
    assert_eq!(grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
}

#[test]
fn a_worker_that_starts_anew_at_its_address_serves_at_once() {
    let mut grid = Grid::without_workers();
    grid.add_worker(&["--heartbeat", "60"]);
    let address = grid.workers[0].addr.to_string();
    let before = eventually("the registration", || instance_at(&grid, &address));
    grid.workers[0].process.kill();
    let nameservice = grid.nameservice.addr.to_string();
    // An entry of three minutes is in the way, and a name is in place of the address.
    let name = format!("localhost:{}", grid.workers[0].addr.port());
    for advertised in [address.as_str(), &name, &name] {
        let mut command = taskgrid();
        command.args(["worker", "--listen", &address, "--nameservice", &nameservice, "--heartbeat", "60"]);
        let mut again = Daemon::spawn(command.args(["--advertise", advertised]));
        eventually("the new registration", || instance_at(&grid, advertised).filter(|instance| *instance != before));
        again.process.line_with("registered at name service");
        assert_eq!(grid.submit_and_wait("reverse", "OpenAI"), "IAnepO");
        again.process.kill();
    }
}
