//! `cargo run --release -p taskgrid-sim -- --seeds 1000`: many worlds, or one of them again, or many outages of the
//! machine under the store.

use std::fmt::Display;
use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use taskgrid_sim::checkers::Tally;
use taskgrid_sim::options::Options;
use taskgrid_sim::outage::{LOSSES_MAX, fail_each_operation, lose_power};
use taskgrid_sim::run;
use taskgrid_sim::vfs::Habit;

/// Steps of a workload in which each operation fails; it makes some hundreds.
const WORKLOAD_STEPS: u64 = 25;

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
    /// Instead: cut the power under the store's file this often.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["seed", "seeds"])]
    power_losses: Option<u64>,
    /// Instead: fail each operation of the disk in each way, in this many workloads.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["seed", "seeds", "power_losses"])]
    disk_faults: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    show_seed_of_a_panic();
    let from = arguments.from;
    match arguments {
        Arguments { power_losses: Some(count), .. } => {
            run_many(from, count.div_ceil(LOSSES_MAX), |seed| lose_power(seed, Habit::Honest))
        }
        Arguments { disk_faults: Some(count), .. } => {
            run_many(from, count, |seed| fail_each_operation(seed, WORKLOAD_STEPS))
        }
        Arguments { seed: Some(seed), trace, .. } => run_one(seed, trace),
        Arguments { seeds, .. } => run_many(from, seeds, world),
    }
}

/// What came of a world, without its trace.
fn world(seed: u64) -> Result<Tally, String> {
    let report = run(Options::draw(seed), None, false);
    report.violation.map_or(Ok(report.tally), |violation| Err(violation.to_string()))
}

#[expect(clippy::print_stdout, reason = "a report is what the program is for")]
fn run_one(seed: u64, trace: bool) -> ExitCode {
    let options = Options::draw(seed);
    println!("{options}");
    SEED.set(seed);
    let report = run(options, None, trace);
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

/// Runs these seeds on all processors, and adds up what is worth counting.
#[expect(clippy::print_stdout, reason = "a report is what the program is for")]
fn run_many<T>(from: u64, count: u64, run: impl Fn(u64) -> Result<T, String> + Sync) -> ExitCode
where
    T: Display + Default + Send + for<'a> AddAssign<&'a T>,
{
    println!("seeds {from} to {}", from + count - 1);
    let next = AtomicU64::new(from);
    let total = Mutex::new((T::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    SEED.set(seed);
                    let came_of_it = run(seed);
                    let mut total = total.lock().expect("a panic ends the program");
                    match came_of_it {
                        Ok(tally) => total.0 += &tally,
                        Err(why) => {
                            println!("seed {seed}: {why}");
                            total.1.push(seed);
                        }
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
