//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

/// What is said by default only when it is a warning: the library that brings the schema up to date tells at
/// every start, in several lines, that there was nothing to do.
const QUIET: &str = "refinery_core=warn";

/// Starts logging at the level that `TASKGRID_LOG` names (`error`, `warn`, `info`, `debug`, `trace`, or
/// per module as in `taskgrid_worker=debug`); `default` where it names none. In colours on a terminal, unless
/// `NO_COLOR` is set.
pub fn init(default: &str) {
    let filter =
        EnvFilter::try_from_env("TASKGRID_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{default},{QUIET}")));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_timer(ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned()))
        .with_target(false)
        .with_writer(io::stderr)
        .init();
}
