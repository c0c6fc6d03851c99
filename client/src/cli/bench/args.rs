//! What a user may say of a benchmark.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use taskgrid_protocol::TaskType;
use taskgrid_protocol::limits::{CAPACITY_MAX, VALUE_MAX};
use taskgrid_runtime::parse_seconds;

use super::plan::{Amount, Keys, Pace, Plan};
use super::preload::Preload;
use crate::cli::{OutputArgs, parse_deadline};
use crate::machine::limits::CALLS_MAX;

/// Where nothing is said of it.
const TASKS: u32 = 10_000;
const IN_FLIGHT: u32 = 64;
const IN_FLIGHT_MAX: u32 = 65_536;
const _: () = assert!(IN_FLIGHT_MAX as usize <= CALLS_MAX);

/// How long a load warms up that is to take some time: until caches are warm and paths are measured.
const WARM_UP: Duration = Duration::from_secs(1);

const LONGEST: Duration = Duration::from_secs(86_400);

/// Arguments of `taskgrid bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Without --dispatcher it starts a grid of its own, three processes at free ports of this
machine with a database in a temporary directory, and removes it at the end. Then it
also tells what each of them costs.

Each task has a payload of its own and is waited for. Its result is compared with what
'reverse' or 'upper' must return; of other types it is only checked that a result comes.
With --rate, times count from when a task was due, also when it was sent later.

Examples:
  taskgrid bench                                      10000 tasks, 64 at a time
  taskgrid bench --tasks 500 --in-flight 1            how long does one task take?
  taskgrid bench --seconds 30 --in-flight 1024 --arrays
  taskgrid bench --seconds 30 --rate 5000             how late are results at this rate?
  taskgrid bench --seconds 10 --submit-only --arrays  how fast are tasks stored?
  taskgrid bench --preload pending:1000000            what does a backlog change?
  taskgrid bench --dispatcher 10.0.0.7:4000           a grid that runs already

Exit codes:
  0    all results came and are right
  1    some are wrong or missing
  2    wrong usage
  3    refused, or nobody serves the type
  4    no answer
  69   the grid could not be started, or a part of it has ended
  130  interrupted")]
pub struct BenchArgs {
    /// How many tasks to submit [default: 10000]
    #[arg(long, value_name = "N", env = "TASKGRID_BENCH_TASKS", hide_env_values = true,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000), conflicts_with = "seconds")]
    tasks: Option<u32>,
    /// Instead, how long to submit tasks
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_BENCH_SECONDS", hide_env_values = true, value_parser = parse_length)]
    seconds: Option<Duration>,
    /// How long to submit tasks before, which do not count [default: 0, with --seconds 1]
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_BENCH_WARM_UP", hide_env_values = true, value_parser = parse_warm_up)]
    warm_up: Option<Duration>,
    /// How many tasks at a time; with --rate, at most [default: 64, with --rate 65536]
    #[arg(long, value_name = "N", env = "TASKGRID_BENCH_IN_FLIGHT", hide_env_values = true,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_MAX)))]
    in_flight: Option<u32>,
    /// So many tasks a second, whether earlier ones have ended or not
    #[arg(long, value_name = "TASKS", env = "TASKGRID_BENCH_RATE", hide_env_values = true, value_parser = parse_rate)]
    rate: Option<f64>,
    /// Which type of task
    #[arg(
        long = "type",
        value_name = "TYPE",
        env = "TASKGRID_BENCH_TYPE",
        hide_env_values = true,
        default_value = "reverse"
    )]
    pub(super) task_type: TaskType,
    /// The length of each payload, as JSON text [default: about 15]
    #[arg(long, value_name = "B", env = "TASKGRID_BENCH_PAYLOAD_BYTES", hide_env_values = true,
        value_parser = clap::value_parser!(u32).range(2..=VALUE_MAX as i64))]
    payload_bytes: Option<u32>,
    /// Which keys the tasks get
    #[arg(long, value_name = "KIND", env = "TASKGRID_BENCH_KEYS", hide_env_values = true, default_value = "v7")]
    keys: Keys,
    /// Let requests share datagrams
    #[arg(long, env = "TASKGRID_BENCH_ARRAYS", hide_env_values = true)]
    arrays: bool,
    /// Wait until tasks are stored, and not for their results
    #[arg(long, env = "TASKGRID_BENCH_SUBMIT_ONLY", hide_env_values = true)]
    pub(super) submit_only: bool,
    /// Before, submit so many tasks of another type: pending:N, which stay, or done:N
    #[arg(long, value_name = "STATE:N", env = "TASKGRID_BENCH_PRELOAD", hide_env_values = true)]
    pub(super) preload: Option<Preload>,
    /// The concurrency of the worker of a grid of its own [default: --in-flight, at most 1024]
    #[arg(long, value_name = "N", env = "TASKGRID_BENCH_CONCURRENCY", hide_env_values = true,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(CAPACITY_MAX)), conflicts_with = "dispatcher")]
    concurrency: Option<u32>,
    /// Where to put the database of a grid of its own [default: the directory for temporary files]
    #[arg(
        long,
        value_name = "DIR",
        env = "TASKGRID_BENCH_DIRECTORY",
        hide_env_values = true,
        conflicts_with = "dispatcher"
    )]
    directory: Option<PathBuf>,
    /// The dispatcher of a grid that runs already
    #[arg(long, value_name = "HOST:PORT", env = "TASKGRID_DISPATCHER", hide_env_values = true)]
    pub(super) dispatcher: Option<String>,
    /// How long to ask a silent dispatcher before giving up
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_DEADLINE", hide_env_values = true, default_value = "30", value_parser = parse_deadline)]
    pub(super) deadline: Duration,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl BenchArgs {
    pub(super) fn plan(&self) -> Plan {
        let amount = match self.seconds {
            Some(seconds) => Amount::For(seconds),
            None => Amount::Tasks(self.tasks.unwrap_or(TASKS).into()),
        };
        let warm_up = if self.seconds.is_some() { WARM_UP } else { Duration::ZERO };
        Plan {
            task_type: self.task_type.clone(),
            payload_bytes: self.payload_bytes.map(|bytes| bytes as usize),
            keys: self.keys,
            pack: self.arrays,
            wait: !self.submit_only,
            pace: self.rate.map_or(Pace::Closed, |rate| Pace::Open { rate }),
            in_flight: self.in_flight() as usize,
            amount,
            warm_up: self.warm_up.unwrap_or(warm_up),
            patience: self.deadline,
        }
    }

    fn in_flight(&self) -> u32 {
        let usual = if self.rate.is_some() { IN_FLIGHT_MAX } else { IN_FLIGHT };
        self.in_flight.unwrap_or(usual)
    }

    /// How many tasks the worker of a grid of its own runs at a time.
    pub(super) fn concurrency(&self) -> u32 {
        self.concurrency.unwrap_or_else(|| self.in_flight().min(CAPACITY_MAX))
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(std::env::temp_dir)
    }
}

fn parse_warm_up(text: &str) -> Result<Duration, String> {
    let span = parse_seconds(text)?;
    if span > LONGEST { Err("write a number of seconds up to 86400".to_owned()) } else { Ok(span) }
}

/// A load of no length has no rate.
fn parse_length(text: &str) -> Result<Duration, String> {
    let length = parse_seconds(text)?;
    if length < Duration::from_millis(1) || length > LONGEST {
        return Err("write a number of seconds between 0.001 and 86400".to_owned());
    }
    Ok(length)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    // More than any machine does, and few enough for a number to be a time.
    let is_sensible = |rate: &f64| (0.001..=10_000_000.0).contains(rate);
    let rate = text.parse().ok().filter(is_sensible);
    rate.ok_or_else(|| "write a number of tasks a second between 0.001 and 10000000".to_owned())
}
