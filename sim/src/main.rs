//! `cargo run --release -p taskgrid-sim -- --seeds 1000`: many worlds, or one of them again.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use taskgrid_sim::checkers::Tally;
use taskgrid_sim::options::Options;
use taskgrid_sim::{Report, run};

/// Runs whole task grids on simulated time, under faults that come from a seed, and checks what is promised.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run this one seed, and show its options.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Run this many seeds.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// With --seed: print every event.
    #[arg(long, requires = "seed")]
    trace: bool,
}

#[expect(clippy::print_stdout, reason = "a report is what the program is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    show_seed_of_a_panic();
    match arguments.seed {
        Some(seed) => run_one(seed, arguments.trace),
        None => {
            println!("seeds {} to {}", arguments.from, arguments.from + arguments.seeds - 1);
            run_many(arguments.from, arguments.seeds)
        }
    }
}

#[expect(clippy::print_stdout, reason = "a report is what the program is for")]
fn run_one(seed: u64, trace: bool) -> ExitCode {
    let options = Options::draw(seed);
    println!("{options}");
    let report = run_named(options, trace);
    println!("trace {:016x}", report.hash);
    println!("{}", report.tally);
    match report.violation {
        Some(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

#[expect(clippy::print_stdout, reason = "a report is what the program is for")]
fn run_many(from: u64, count: u64) -> ExitCode {
    let next = AtomicU64::new(from);
    let total = Mutex::new((Tally::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let report = run_named(Options::draw(seed), false);
                    let mut total = total.lock().expect("a panic ends the program");
                    total.0 += &report.tally;
                    if let Some(violation) = report.violation {
                        println!("seed {seed}: {violation}");
                        total.1.push(seed);
                    }
                }
            });
        }
    });
    let (tally, mut failed) = total.into_inner().expect("a panic ends the program");
    failed.sort_unstable();
    println!("{tally}");
    println!("{count} seeds, {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

thread_local! {
    static SEED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn run_named(options: Options, trace: bool) -> Report {
    SEED.set(options.seed);
    run(options, None, trace)
}

/// A panic in a machine is a finding, and must name its seed.
#[expect(clippy::print_stderr, reason = "the program ends here")]
fn show_seed_of_a_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        eprintln!("seed {} panics", SEED.get());
        usual(info);
        std::process::exit(1);
    }));
}
