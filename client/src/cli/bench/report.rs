//! What a benchmark shows while it runs, and at its end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::load::{Load, Tally};
use crate::cli::Console;
use crate::cli::session::Session;
use crate::cli::text::{count, escape_line, span};

/// What `--output json` prints.
#[derive(Serialize)]
struct Document {
    tasks: u32,
    in_flight: u32,
    right: u32,
    wrong: u32,
    missing: u32,
    seconds: f64,
    tasks_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// A bar at a terminal, nothing elsewhere.
pub(super) fn progress_bar(console: &Console, tasks: u32) -> ProgressBar {
    if !console.err_is_terminal {
        return ProgressBar::hidden();
    }
    let template = "{wide_bar} {pos}/{len}  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::new(tasks.into()).with_style(style)
}

pub(super) fn print(session: &mut Session<'_>, load: &Load, tally: &Tally) {
    let missing = load.tasks - tally.right - tally.wrong;
    let answered = f64::from(tally.right + tally.wrong);
    let seconds = tally.took.as_secs_f64();
    let rate = if seconds > 0.0 { answered / seconds } else { 0.0 };
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| percentile(&tally.latencies, part));
    if session.wants_json() {
        let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
        session.console.print_json(&Document {
            tasks: load.tasks,
            in_flight: load.in_flight,
            right: tally.right,
            wrong: tally.wrong,
            missing,
            seconds,
            tasks_per_second: rate,
            p50_ms: millis(p50),
            p99_ms: millis(p99),
            max_ms: millis(max),
        });
    } else {
        let tasks = count(load.tasks as usize, "task");
        session.console.print(&format!(
            "{tasks} in {}, {} at a time: {rate:.0} tasks/s, all results {}",
            span(tally.took),
            load.in_flight.min(load.tasks),
            if tally.right == load.tasks { "right" } else { "NOT right" },
        ));
        session.console.print(&format!(
            "from submission to result: p50 {}, p99 {}, longest {}",
            span(p50),
            span(p99),
            span(max)
        ));
    }
    if tally.right < load.tasks {
        let problem = tally.first_problem.as_deref().unwrap_or("no answer");
        session.console.tell(&format!(
            "{} wrong, {missing} missing; the first problem: {}",
            tally.wrong,
            escape_line(problem)
        ));
    }
}

/// The latency that `part` of all tasks did not exceed.
fn percentile(sorted: &[u32], part: f64) -> Duration {
    let Some(last) = sorted.len().checked_sub(1) else { return Duration::ZERO };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "the product of an index and a part of one is an index again"
    )]
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    Duration::from_micros(sorted[rank.saturating_sub(1).min(last)].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let sorted: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&sorted, 0.5), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 0.99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted, 1.0), Duration::from_micros(200));
        assert_eq!(percentile(&[7], 0.99), Duration::from_micros(7));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
