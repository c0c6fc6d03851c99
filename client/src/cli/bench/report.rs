//! What a benchmark prints at its end, for people.

use std::time::Duration;

use super::document::{Disk, Document, Preloaded, ProcessDocument, Spread};
use crate::cli::Console;
use crate::cli::table::Columns;
use crate::cli::text::{count, escape_line, span};

/// Instead of a figure that the operating system does not tell.
const NOT_MEASURED: &str = "not measured here";

pub(super) fn print(console: &mut Console, document: &Document, waited: bool) {
    console.print(&summary(document, waited));
    if document.held_back + document.unsent > 0 {
        console.print(&held_back(document));
    }
    if let Some(preloaded) = &document.preload {
        console.print(&before(preloaded));
    }
    spreads(document).print(console);
    console.print(&messages(document));
    if document.processes.values().all(|process| process.cpu_us_per_task.is_none()) {
        console.print(&format!("processor time and memory: {NOT_MEASURED}"));
    } else {
        processes(document).print(console);
    }
    if let Some(disk) = &document.disk {
        console.print(&growth(disk));
    }
    if let Some(millis) = document.checkpoint_max_ms {
        console.print(&format!("longest checkpoint since the start of the dispatcher: {millis} ms"));
    }
}

/// What is wrong, on standard error.
pub(super) fn tell_problem(console: &mut Console, document: &Document, problem: Option<&str>) {
    let Document { wrong, missing, .. } = document;
    let problem = escape_line(problem.unwrap_or("no answer"));
    console.tell(&format!("{wrong} wrong, {missing} missing; the first problem: {problem}"));
}

fn summary(document: &Document, waited: bool) -> String {
    let Document { tasks, in_flight, tasks_per_second, right, .. } = document;
    let took = span(Duration::from_secs_f64(document.seconds));
    let pace = match document.rate {
        Some(rate) => format!("{rate} a second, up to {in_flight} at a time"),
        None => format!("{in_flight} at a time"),
    };
    let is_right = right == tasks;
    let tasks = count(usize::try_from(*tasks).unwrap_or(usize::MAX), "task");
    let outcome = match (waited, is_right) {
        (true, true) => "all results right",
        (true, false) => "all results NOT right",
        (false, true) => "all acknowledged",
        (false, false) => "NOT all acknowledged",
    };
    format!("{tasks} in {took}, {pace}: {tasks_per_second:.0} tasks/s, {outcome}")
}

fn before(preloaded: &Preloaded) -> String {
    let Preloaded { tasks, status, seconds, first_answer_ms } = preloaded;
    let restart =
        first_answer_ms.map(|millis| format!("; the dispatcher's first answer came {millis:.0} ms after its start"));
    let took = span(Duration::from_secs_f64(*seconds));
    format!("beside {tasks} {status} tasks, submitted in {took}{}", restart.unwrap_or_default())
}

/// Who asks for a rate must know when there was none.
fn held_back(document: &Document) -> String {
    let Document { held_back, unsent, in_flight, .. } = document;
    let unsent =
        if *unsent > 0 { format!(", and {unsent} were never sent: the times are too good") } else { String::new() };
    format!("the rate was NOT held: {held_back} tasks had to wait because {in_flight} were under way{unsent}")
}

fn spreads(document: &Document) -> Columns {
    let mut table = Columns::new(&["", "p50", "p90", "p99", "longest"]);
    let rows = [("acknowledged", document.acknowledged), ("result", document.result), ("sent late by", document.late)];
    for (name, spread) in rows {
        if let Some(Spread { p50_ms, p90_ms, p99_ms, max_ms, .. }) = spread {
            let times = [p50_ms, p90_ms, p99_ms, max_ms].map(|millis| span(Duration::from_secs_f64(millis / 1_000.0)));
            table.row(std::iter::once(name.to_owned()).chain(times));
        }
    }
    (1..=4).fold(table, Columns::right)
}

fn messages(document: &Document) -> String {
    let figure = |figure: Option<f64>| figure.map_or_else(|| NOT_MEASURED.to_owned(), |figure| format!("{figure:.2}"));
    format!(
        "datagrams a task: {} at the client, {} received on the whole machine; messages sent again: {}",
        figure(document.datagrams_per_task),
        figure(document.datagrams_per_task_of_machine),
        document.resent
    )
}

fn processes(document: &Document) -> Columns {
    let mut table = Columns::new(&["", "CPU a task", "memory", "at most", "by thread"]);
    for name in ["dispatcher", "worker", "nameservice", "bench"] {
        let Some(process) = document.processes.get(name) else { continue };
        let micros = |figure: Option<f64>| figure.map_or_else(String::new, |micros| format!("{micros:.1} µs"));
        let memory = |bytes: Option<u64>| bytes.map_or_else(String::new, mebibytes);
        let ProcessDocument { cpu_us_per_task: cpu, memory_bytes, memory_max_bytes, .. } = process;
        let cells = [micros(*cpu), memory(*memory_bytes), memory(*memory_max_bytes), threads(process)];
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    (1..=3).fold(table, Columns::right)
}

/// Of a program with one thread there is nothing to add.
fn threads(process: &ProcessDocument) -> String {
    let busy = process.threads_us_per_task.iter().filter(|(_, micros)| **micros >= 0.05);
    let threads: Vec<String> = busy.map(|(name, micros)| format!("{name} {micros:.1}")).collect();
    if threads.len() > 1 { threads.join(", ") } else { String::new() }
}

fn growth(disk: &Disk) -> String {
    let mebibytes = |bytes: i64| format!("{:+.1} MiB", bytes as f64 / 1_048_576.0);
    let per_task = disk.bytes_per_task.map_or_else(String::new, |bytes| format!(" {bytes:.0} bytes a task:"));
    format!("on disk:{per_task} database {}, log {}", mebibytes(disk.database_bytes), mebibytes(disk.log_bytes))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}
