//! What a task costs the dispatcher: in its machine, and in the table. What the disk makes of it tells
//! `examples/store_speed.rs`.

#[path = "../../../protocol/benches/count/mod.rs"]
mod count;
mod machine;
mod store;

use std::process::ExitCode;

use count::Case;

fn main() -> ExitCode {
    let mut cases = Vec::new();
    for batch in [1, 100] {
        cases.push(Case::new(format!("a task's life in the machine, {batch} a batch"), move || machine::lives(batch)));
    }
    for batch in [1, 10, 100, 1_000] {
        cases.push(Case::new(format!("a task's life in SQLite, {batch} a batch"), move || store::lives(batch)));
    }
    count::main("dispatcher", &cases)
}
