//! The system's table of processes.

use super::family::Origin;

/// A process, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    /// It has ended, and its parent has not noticed.
    pub(super) zombie: bool,
    /// In clock ticks since the machine started: with `pid`, the identity of a process.
    pub(super) started: u64,
}

/// The resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// What others may have too: files, and memory that is meant to be shared.
    pub(super) shared: u64,
    /// What it has for itself.
    pub(super) own: u64,
}

/// All processes. None where there is no `/proc`.
pub(super) fn read() -> Vec<Entry> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut entries = Vec::new();
    for name in dir.flatten().map(|entry| entry.file_name()) {
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that cannot be read is gone.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        entries.extend(stat.ok().and_then(|stat| parse(pid, &stat)));
    }
    entries
}

/// A line of proc_pid_stat(5). The second field, the program's name, may hold anything.
fn parse(pid: i32, stat: &str) -> Option<Entry> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Entry {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Where a process comes from. One that has cleared its environment could be anybody's.
pub(super) fn origin_of(pid: i32) -> Origin {
    origin(&std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default())
}

/// The beginning environment of a process, as in proc_pid_environ(5).
fn origin(environment: &[u8]) -> Origin {
    let value = |name: &str| {
        let mut variables = environment.split(|byte| *byte == 0);
        let value = variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        value.map(|value| String::from_utf8_lossy(value).into_owned())
    };
    if value("TASKGRID_TYPE").is_none() {
        return Origin::Elsewhere;
    }
    match (value("TASKGRID_TASK_ID"), value("TASKGRID_ATTEMPT"), value("TASKGRID_LEASE")) {
        (Some(id), Some(attempt), Some(lease)) => Origin::Attempt(format!("{id}/{attempt}/{lease}")),
        _ => Origin::Handler,
    }
}

/// Nothing, for a process that is gone.
pub(super) fn memory_of(pid: i32) -> Memory {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    memory(&statm, rustix::param::page_size() as u64).unwrap_or_default()
}

/// A line of proc_pid_statm(5), which counts in pages.
fn memory(statm: &str, page: u64) -> Option<Memory> {
    let mut fields = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(Memory { shared: shared * page, own: resident.saturating_sub(shared) * page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_program_is_called() {
        let line = "42 (a) S 1 (b) Z 7 41 40 0 -1 4194304 9 8 7 6 5 4 3 2 20 0 1 0 123456 1000000 25 184467 0";
        let expected = Entry { pid: 42, parent: 7, group: 41, zombie: true, started: 123_456 };
        assert_eq!(parse(42, line), Some(expected));
        assert_eq!(parse(42, "42 (sh) S 1"), None);
    }

    #[test]
    fn the_environment_tells_where_a_process_comes_from() {
        let told = "PATH=/bin\0TASKGRID_TASK_ID=42\0TASKGRID_TYPE=it\0TASKGRID_ATTEMPT=3\0TASKGRID_LEASE=a\0";
        assert_eq!(origin(told.as_bytes()), Origin::Attempt("42/3/a".to_owned()));
        assert_eq!(origin(b"TASKGRID_TYPE=it\0"), Origin::Handler);
        assert_eq!(origin(b"TASKGRID_TYPES=it\0TASKGRID_LEASE=30\0"), Origin::Elsewhere);
        assert_eq!(origin(b""), Origin::Elsewhere);
    }

    #[test]
    fn memory_is_counted_in_pages() {
        let expected = Memory { shared: 20 * 4_096, own: 5 * 4_096 };
        assert_eq!(memory("1000 25 20 3 0 9 0", 4_096), Some(expected));
        assert_eq!(memory("", 4_096), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_in_the_table() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = read().into_iter().find(|entry| entry.pid == own).unwrap();
        assert!(!found.zombie && found.parent > 0);
        let memory = memory_of(own);
        assert!(memory.own > 0 && memory.shared > 0);
    }
}
