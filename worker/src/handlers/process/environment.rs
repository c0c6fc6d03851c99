//! What a handler sees of the world.

use std::ffi::OsString;

use crate::machine::Task;

/// The variables that pass from the worker to its handlers: where programs are, and in which language and
/// time zone people live. Others may be secrets, or change what a program does (`LD_PRELOAD`, `IFS`,
/// `PYTHONPATH`).
const PASSED: &[&str] = &["PATH", "HOME", "LANG", "TZ"];

/// What passes of the worker's own environment.
pub(in crate::handlers) fn passed_on(
    own: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    own.filter(|(name, _)| passes(name))
}

/// What a handler is told of its task. Lease and attempt tell a receiver outside which of two runs is the later
/// one (R20).
pub(in crate::handlers) fn told(task: &Task) -> [(OsString, OsString); 4] {
    let lease = task.lease.as_ref().map_or("", |lease| lease.as_str());
    let told = [
        ("TASKGRID_TASK_ID", task.id.to_string()),
        ("TASKGRID_TYPE", task.task_type.to_string()),
        ("TASKGRID_ATTEMPT", task.attempt.to_string()),
        ("TASKGRID_LEASE", lease.to_owned()),
    ];
    told.map(|(name, value)| (name.into(), value.into()))
}

/// How an attempt is called among the processes of a worker: by what it is [`told`].
pub(in crate::handlers) fn name_of(task: &Task) -> String {
    format!("{}/{}/{}", task.id, task.attempt, task.lease.as_ref().map_or("", |lease| lease.as_str()))
}

fn passes(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_"))
}

#[cfg(test)]
mod tests {
    use taskgrid_protocol::{Json, Lease, TaskId, TaskType};

    use super::*;

    #[test]
    fn secrets_stay_here_and_the_fencing_values_go_along() {
        let task = Task {
            id: TaskId(42),
            task_type: TaskType::new("thumbnail").unwrap(),
            payload: Json::null(),
            attempt: 3,
            lease: Some(Lease::new("lease-a").unwrap()),
        };
        let own = ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "BASH_ENV", "TASKGRID_LEASE", "PYTHONPATH"];
        let own = own.into_iter().map(|name| (name.into(), "own".into()));
        let seen: Vec<(OsString, OsString)> = passed_on(own).chain(told(&task)).collect();
        let expected = [
            ("PATH", "own"),
            ("LC_ALL", "own"),
            ("TASKGRID_TASK_ID", "42"),
            ("TASKGRID_TYPE", "thumbnail"),
            ("TASKGRID_ATTEMPT", "3"),
            ("TASKGRID_LEASE", "lease-a"),
        ];
        assert_eq!(seen, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
