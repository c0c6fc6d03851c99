//! Faults on real processes: campaigns that kill, stop and starve a grid under load, and check afterwards that
//! nothing of what was promised is broken.
//!
//! Without arguments, a few seconds of everything that every machine can do. `-- --help` tells the rest.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]
#![expect(clippy::print_stdout, reason = "a test harness of its own reports there")]

#[path = "../common/address.rs"]
mod address;
mod campaigns;
mod check;
mod commands;
#[path = "../common/dice.rs"]
mod dice;
mod grid;
mod history;
mod journal;
mod load;
#[path = "../common/process.rs"]
mod process;
#[path = "../common/relay.rs"]
mod relay;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use campaigns::{Campaign, Order, Outcome};
use commands::Command;

fn main() -> ExitCode {
    let (chosen, seed, count, brief) = match commands::read(std::env::args().skip(1).collect()) {
        Command::List => {
            println!("smoke: test");
            return ExitCode::SUCCESS;
        }
        Command::Nothing(why) => {
            println!("{why}");
            return ExitCode::SUCCESS;
        }
        Command::Run { chosen, seed, count, brief } => (chosen, seed, count, brief),
    };
    println!("seed {seed}");
    campaigns::order::check_the_reading_of_traces();
    println!("checkers: {} broken runs, each seen", check::broken::all_are_seen());
    let mut ok = true;
    for campaign in chosen {
        let count = count.unwrap_or(if brief { campaign.brief } else { campaign.long });
        ok &= run(campaign, &Order { seed, count, brief });
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one campaign in a directory of its own, which is kept if it fails.
fn run(campaign: &Campaign, order: &Order) -> bool {
    let name = campaign.name;
    let dir = tempfile::Builder::new().prefix(&format!("taskgrid-{name}-")).tempdir().unwrap();
    let began = process::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (campaign.run)(dir.path(), order)));
    let took = began.elapsed().as_secs();
    match outcome {
        Ok(Outcome::Held(report)) => {
            let scene::Report { faults, acknowledged, unknown, duplicates, more } = report;
            let more = if more.is_empty() { more } else { format!("; {more}") };
            println!(
                "{name}: {faults} faults, {acknowledged} acknowledged, 0 lost, {unknown} unknown, {duplicates}{more} ({took} s)"
            );
            true
        }
        Ok(Outcome::Skipped(why)) => {
            println!("{name}: SKIPPED: {why}");
            true
        }
        Err(_) => {
            let kept = dir.keep();
            let Order { seed, count, brief } = order;
            let brief = if *brief { " --brief" } else { "" };
            println!("{name}: BROKEN, see above; database, history, journal and logs are in {}", kept.display());
            println!(
                "{name}: once more: cargo test --release -p taskgrid --test faults -- {name} --seed {seed} --count {count}{brief}"
            );
            false
        }
    }
}
