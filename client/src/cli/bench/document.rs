//! All that a benchmark has found, under names that do not change: `--output json` prints it as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::measure::{Process, Snapshot};
use super::plan::{Amount, Pace, Plan};
use super::run::Ran;
use super::tally::Latencies;

#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// Tasks that count.
    pub(super) tasks: u64,
    pub(super) in_flight: usize,
    /// Tasks a second that were to be sent, of an open loop.
    pub(super) rate: Option<f64>,
    /// Results that are right; with `--submit-only`, tasks that were acknowledged.
    pub(super) right: u64,
    pub(super) wrong: u64,
    pub(super) missing: u64,
    /// The time in which it was counted.
    pub(super) seconds: f64,
    pub(super) tasks_per_second: f64,
    /// The same as in `result`, or in `acknowledged` where no result is waited for.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
    /// Until tasks were acknowledged.
    pub(super) acknowledged: Option<Spread>,
    /// Until their results were here.
    pub(super) result: Option<Spread>,
    /// How late an open loop has sent them.
    pub(super) late: Option<Spread>,
    /// Tasks that an open loop has sent later because too many were under way, and those that it never has.
    pub(super) held_back: u64,
    pub(super) unsent: u64,
    /// Messages that the load generator has sent beyond one a task.
    pub(super) resent: u64,
    /// Datagrams that the load generator has sent and received.
    pub(super) datagrams_per_task: Option<f64>,
    /// Datagrams that were received on the whole machine.
    pub(super) datagrams_per_task_of_machine: Option<f64>,
    /// By program: those of a grid of our own, and `bench`.
    pub(super) processes: BTreeMap<&'static str, ProcessDocument>,
    pub(super) disk: Option<Disk>,
    /// The longest checkpoint since the start of the dispatcher.
    pub(super) checkpoint_max_ms: Option<u64>,
    pub(super) preload: Option<Preloaded>,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct ProcessDocument {
    pub(super) cpu_us_per_task: Option<f64>,
    /// The same for each of its threads, by name.
    pub(super) threads_us_per_task: BTreeMap<String, f64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_max_bytes: Option<u64>,
}

/// By how much files have grown.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    pub(super) bytes_per_task: Option<f64>,
    pub(super) database_bytes: i64,
    pub(super) log_bytes: i64,
}

/// What was in the table before.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Preloaded {
    pub(super) tasks: u64,
    pub(super) status: &'static str,
    pub(super) seconds: f64,
    /// From the start of the dispatcher over this table to its first answer, where it was started.
    pub(super) first_answer_ms: Option<f64>,
}

impl Document {
    pub(super) fn new(plan: &Plan, ran: &Ran, checkpoint_max_ms: Option<u64>, preload: Option<Preloaded>) -> Self {
        let Ran { tally, began, ended } = ran;
        let datagrams = ended.datagrams - began.datagrams;
        let of_machine = ended.datagrams_of_machine.zip(began.datagrams_of_machine);
        let rate = match plan.pace {
            Pace::Closed => None,
            Pace::Open { rate } => Some(rate),
        };
        let process = |(name, process): &(&'static str, Process)| {
            let before = began.processes.iter().find(|(other, _)| other == name).map(|(_, before)| before);
            let per_task = |span: Duration| tally.per_task(span.as_secs_f64() * 1_000_000.0);
            (*name, ProcessDocument::new(process, before, per_task))
        };
        let (acknowledged, result) = (Spread::of(&tally.acknowledged), Spread::of(&tally.result));
        let whole = if plan.wait { result } else { acknowledged };
        Self {
            tasks: tally.tasks,
            in_flight: match plan.amount {
                Amount::Tasks(tasks) => plan.in_flight.min(usize::try_from(tasks).unwrap_or(usize::MAX)),
                Amount::For(_) => plan.in_flight,
            },
            rate,
            right: tally.right,
            wrong: tally.wrong,
            missing: tally.missing(),
            seconds: tally.took.as_secs_f64(),
            tasks_per_second: tally.rate(),
            p50_ms: whole.map(|spread| spread.p50_ms),
            p99_ms: whole.map(|spread| spread.p99_ms),
            max_ms: whole.map(|spread| spread.max_ms),
            acknowledged,
            result,
            late: Spread::of(&tally.late),
            held_back: tally.held_back,
            unsent: tally.unsent,
            resent: tally.resent,
            datagrams_per_task: tally.per_task(datagrams as f64),
            datagrams_per_task_of_machine: of_machine
                .and_then(|(after, before)| tally.per_task(after.saturating_sub(before) as f64)),
            processes: ended.processes.iter().map(process).collect(),
            disk: Disk::between(began, ended, |bytes| tally.per_task(bytes)),
            checkpoint_max_ms,
            preload,
        }
    }
}

impl Spread {
    fn of(latencies: &Latencies) -> Option<Self> {
        let millis = |part| latencies.percentile(part).as_micros() as f64 / 1_000.0;
        (latencies.count() > 0).then(|| Self {
            count: latencies.count(),
            p50_ms: millis(0.5),
            p90_ms: millis(0.9),
            p99_ms: millis(0.99),
            max_ms: millis(1.0),
        })
    }
}

impl ProcessDocument {
    fn new(after: &Process, before: Option<&Process>, per_task: impl Fn(Duration) -> Option<f64>) -> Self {
        let cpu = after.cpu.zip(before.and_then(|before| before.cpu));
        let thread = |(name, time): (&String, &Duration)| {
            let before = before.and_then(|before| before.threads.get(name)).copied().unwrap_or_default();
            Some((name.clone(), per_task(time.saturating_sub(before))?))
        };
        Self {
            cpu_us_per_task: cpu.and_then(|(after, before)| per_task(after.saturating_sub(before))),
            threads_us_per_task: after.threads.iter().filter_map(thread).collect(),
            memory_bytes: after.memory.map(|memory| memory.now),
            memory_max_bytes: after.memory.map(|memory| memory.at_most),
        }
    }
}

impl Disk {
    fn between(began: &Snapshot, ended: &Snapshot, per_task: impl Fn(f64) -> Option<f64>) -> Option<Self> {
        let ((database, log), (database_before, log_before)) = ended.disk.zip(began.disk)?;
        let grown = |after: u64, before: u64| after.cast_signed() - before.cast_signed();
        let (database_bytes, log_bytes) = (grown(database, database_before), grown(log, log_before));
        Some(Self { bytes_per_task: per_task((database_bytes + log_bytes) as f64), database_bytes, log_bytes })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn names(value: &Value, found: &mut Vec<String>) {
        let Value::Object(fields) = value else { return };
        for (name, value) in fields {
            found.push(name.clone());
            names(value, found);
        }
    }

    /// Programs read them, so they are told, and stay.
    #[test]
    fn every_name_is_documented() {
        let spread = Spread { count: 1, p50_ms: 0.1, p90_ms: 0.1, p99_ms: 0.1, max_ms: 0.1 };
        let process = ProcessDocument {
            cpu_us_per_task: Some(1.0),
            threads_us_per_task: BTreeMap::new(),
            memory_bytes: Some(1),
            memory_max_bytes: Some(1),
        };
        let document = Document {
            tasks: 1,
            in_flight: 1,
            rate: Some(1.0),
            right: 1,
            wrong: 0,
            missing: 0,
            seconds: 1.0,
            tasks_per_second: 1.0,
            p50_ms: Some(0.1),
            p99_ms: Some(0.1),
            max_ms: Some(0.1),
            acknowledged: Some(spread),
            result: Some(spread),
            late: Some(spread),
            held_back: 0,
            unsent: 0,
            resent: 0,
            datagrams_per_task: Some(3.0),
            datagrams_per_task_of_machine: None,
            processes: BTreeMap::from([("bench", process)]),
            disk: Some(Disk { bytes_per_task: Some(1.0), database_bytes: 1, log_bytes: -1 }),
            checkpoint_max_ms: Some(1),
            preload: Some(Preloaded { tasks: 1, status: "done", seconds: 1.0, first_answer_ms: None }),
        };
        let document = json!(document);
        let mut found = Vec::new();
        names(&document, &mut found);
        let told = include_str!("../../../../docs/BENCHMARKS.md");
        for name in found {
            assert!(told.contains(&format!("`{name}`")), "docs/BENCHMARKS.md does not tell what {name} is");
        }
        assert_eq!(document["datagrams_per_task_of_machine"], Value::Null, "what is not known is there all the same");
    }
}
