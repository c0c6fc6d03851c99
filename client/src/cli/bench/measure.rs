//! What the operating system knows of the programs that are measured. It tells on Linux; elsewhere all is `None`.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};
use std::path::PathBuf;
use std::time::Duration;

use taskgrid_runtime::Traffic;

/// Times in /proc/PID/stat are in hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Where to look.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    /// Programs, each with its name and its directory in /proc.
    pub(super) processes: Vec<(&'static str, String)>,
    pub(super) database: Option<PathBuf>,
}

/// What was found at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// Datagrams that we have sent and received.
    pub(super) datagrams: u64,
    /// Datagrams that have been received on the whole machine.
    pub(super) datagrams_of_machine: Option<u64>,
    pub(super) processes: Vec<(&'static str, Process)>,
    /// Bytes of the database and of its log.
    pub(super) disk: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu: Option<Duration>,
    /// Of each of its threads, by name.
    pub(super) threads: BTreeMap<String, Duration>,
    pub(super) memory: Option<Memory>,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) now: u64,
    pub(super) at_most: u64,
}

impl Probe {
    /// Of this process alone.
    pub(super) fn of_ourselves() -> Self {
        Self { processes: vec![("bench", "self".to_owned())], database: None }
    }

    pub(super) fn look(&self, traffic: &Traffic) -> Snapshot {
        let file = |name: &str| {
            let mut path = self.database.clone()?.into_os_string();
            path.push(name);
            // The log is not there before something is written.
            Some(std::fs::metadata(path).map_or(0, |found| found.len()))
        };
        Snapshot {
            datagrams: traffic.sent() + traffic.received(),
            datagrams_of_machine: read_to_string("/proc/net/snmp").ok().and_then(|text| datagrams(&text)),
            processes: self.processes.iter().map(|(name, id)| (*name, Process::look(id))).collect(),
            disk: file("").zip(file("-wal")),
        }
    }
}

impl Process {
    fn look(id: &str) -> Self {
        let file = |name: &str| read_to_string(format!("/proc/{id}/{name}")).ok();
        let mut threads = BTreeMap::new();
        for thread in read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
            let file = |name: &str| read_to_string(thread.path().join(name)).ok();
            // A thread may end meanwhile.
            if let Some((name, times)) = file("comm").zip(file("schedstat")) {
                *threads.entry(name.trim().to_owned()).or_default() += on_processor(&times).unwrap_or_default();
            }
        }
        // The sum knows nanoseconds, the process's own time those of threads that have ended.
        let sum: Duration = threads.values().sum();
        let cpu = file("stat").and_then(|text| processor_time(&text)).map(|own| own.max(sum));
        Self { cpu, threads, memory: file("status").and_then(|text| memory(&text)) }
    }
}

/// The first number of /proc/PID/task/TID/schedstat: nanoseconds on a processor.
fn on_processor(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// User and system time in /proc/PID/stat, the 14th and 15th word. The second is the program's name in brackets, which
/// may hold anything.
fn processor_time(text: &str) -> Option<Duration> {
    let (_, words) = text.rsplit_once(')')?;
    let mut times = words.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = times.next().zip(times.next())?;
    Some(TICK * user.ok()?.checked_add(system.ok()?)?)
}

/// VmRSS and VmHWM in /proc/PID/status, which are in KiB.
fn memory(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { now: bytes("VmRSS:")?, at_most: bytes("VmHWM:")? })
}

/// InDatagrams in /proc/net/snmp, where one line has the names and the next one the numbers.
fn datagrams(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = lines.next().zip(lines.next())?;
    let place = names.split_whitespace().position(|name| name == "InDatagrams")?;
    numbers.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 123 45 0 0 20 0 4 0 1 2 3";
        assert_eq!(processor_time(stat), Some(Duration::from_millis(1_680)));
        assert_eq!(on_processor("1234567 89 10\n"), Some(Duration::from_nanos(1_234_567)));
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory(status), Some(Memory { now: 1024 * 1024, at_most: 2048 * 1024 }));
        let snmp =
            "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors\nUdp: 17 2 0\nUdpLite: InDatagrams\nUdpLite: 1\n";
        assert_eq!(datagrams(snmp), Some(17));
    }

    #[test]
    fn what_is_not_told_is_absent_and_not_zero() {
        assert_eq!((processor_time(""), on_processor(""), memory("Name: x"), datagrams("")), (None, None, None, None));
        let nobody = Process::look("no such process");
        assert!(nobody.cpu.is_none() && nobody.memory.is_none() && nobody.threads.is_empty());
        assert!(Probe::of_ourselves().look(&Traffic::default()).disk.is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_time_and_memory() {
        let (_, us) = Probe::of_ourselves().look(&Traffic::default()).processes.remove(0);
        assert!(us.cpu.is_some_and(|time| time > Duration::ZERO));
        assert!(us.memory.is_some_and(|memory| memory.now > 0 && memory.at_most >= memory.now));
    }
}
