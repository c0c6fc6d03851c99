//! Finds out which Python files can be handlers, without running them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::handlers::process::{Warden, output_of, passed_on};

/// Prints a list with `null`, or what is wrong, for each file in its arguments.
const CHECK: &str = include_str!("check.py");

/// What is wrong with each of these files: `""` if it has no function `handle`. Where the interpreter cannot
/// say, nothing is wrong: then it shows when they are run. Takes some 20 ms.
pub(in crate::handlers) fn trouble_with(
    warden: &Warden,
    python: &Path,
    files: &[PathBuf],
) -> BTreeMap<PathBuf, String> {
    let mut command = Command::new(python);
    command.args(["-B", "-W", "ignore", "-c", CHECK]).args(files).env_clear().envs(passed_on(std::env::vars_os()));
    let Some(output) = output_of(warden, command) else { return BTreeMap::new() };
    let Ok(found) = serde_json::from_slice::<Vec<Option<String>>>(&output) else { return BTreeMap::new() };
    files.iter().cloned().zip(found).filter_map(|(file, trouble)| Some((file, trouble?))).collect()
}
