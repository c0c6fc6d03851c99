//! The clients that come with the grid, held to the same conversations: in Rust and in Python, on a good network and
//! on one that loses, repeats and reorders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

#[path = "../common/address.rs"]
mod address;
mod conversations;
#[path = "../common/dice.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod dice;
mod grid;
#[path = "../common/needs.rs"]
mod needs;
#[path = "../common/process.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod process;
mod python;
#[path = "../common/relay.rs"]
mod relay;
mod rust;

use std::time::Duration;

use conversations::hold_all;
use grid::Grid;
use needs::{is_installed, skipped};
use relay::Weather;

/// Fifteen in a hundred are lost each way, so that nearly three questions in ten find no answer.
const STORM: Weather = Weather { loss: 15, doubled: 30, late: 30, delay: Duration::from_millis(60) };

#[test]
fn the_rust_client_holds_all_conversations() {
    hold_all(None, rust::Rust::start);
}

#[test]
fn the_rust_client_holds_them_on_a_bad_network() {
    hold_all(Some(STORM), rust::Rust::start);
}

#[test]
fn the_python_client_holds_all_conversations() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    hold_all(None, python::Python::start);
}

#[test]
fn the_python_client_holds_them_on_a_bad_network() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    hold_all(Some(STORM), python::Python::start);
}

#[test]
fn the_module_keeps_its_promises_without_a_grid() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    for promises in ["/promises.py", "/many.py"] {
        let output = python::run(&[python::SCRIPTS, promises].concat(), &[]);
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn the_examples_of_the_module_and_of_the_readme_work() {
    if !is_installed("python3") {
        return skipped("python3");
    }
    let grid = Grid::start();
    let module = include_str!("../../../sdk/python/taskgrid.py");
    let example = module.split("\n\n").nth(1).unwrap();
    assert!(example.starts_with("    import taskgrid\n"), "{example}");
    let example: Vec<&str> = example.lines().map(str::trim_start).collect();
    assert_eq!(printed(&grid, &example.join("\n")), "IAnepO\n['ot', 'eb']");
    let readme = include_str!("../../../README.md").split_once("## A client in Python").unwrap().1;
    let example = readme.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    assert_eq!(printed(&grid, example), "IAnepO\n['TO', 'BE']");
}

/// What an example prints, with the port of this grid.
fn printed(grid: &Grid, example: &str) -> String {
    let output = python::run("-c", &[&example.replace("4000", &grid.dispatcher.addr.port().to_string())]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
