//! Finds out which Python files can be handlers, without running them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::handlers::process::{Warden, output_of, passed_on};

/// Prints a list with `null`, or what is wrong, for each file in its arguments.
const CHECK: &str = include_str!("check.py");

/// A longer file is no handler, and would take the memory that the check may.
const LENGTH_MAX: u64 = 4 * 1024 * 1024;

/// What is wrong with each of these files: `""` if it has no function `handle`. Takes some 20 ms.
pub(in crate::handlers) fn trouble_with(
    warden: &Warden,
    python: &Path,
    files: &[PathBuf],
) -> BTreeMap<PathBuf, String> {
    let is_long = |file: &&PathBuf| std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > LENGTH_MAX);
    let (long, short): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(is_long);
    let mut trouble = match check(warden, python, &short) {
        Ok(Some(trouble)) => trouble,
        // One of them ends the interpreter itself. It hides none of the others.
        Ok(None) => short.iter().flat_map(|file| check_alone(warden, python, file)).collect(),
        // Then it shows when they are run.
        Err(_) => BTreeMap::new(),
    };
    trouble.extend(long.into_iter().map(|file| (file.clone(), format!("it has more than {LENGTH_MAX} bytes"))));
    trouble
}

fn check_alone(warden: &Warden, python: &Path, file: &PathBuf) -> BTreeMap<PathBuf, String> {
    let checked = check(warden, python, &[file]);
    checked.ok().flatten().unwrap_or_else(|| BTreeMap::from([(file.clone(), "python3 cannot read it".to_owned())]))
}

/// `None`: the interpreter has not come to an end.
fn check(warden: &Warden, python: &Path, files: &[&PathBuf]) -> io::Result<Option<BTreeMap<PathBuf, String>>> {
    let mut command = Command::new(python);
    command.args(["-B", "-W", "ignore", "-c", CHECK]).args(files).env_clear().envs(passed_on(std::env::vars_os()));
    let Some(output) = output_of(warden, command)? else { return Ok(None) };
    let Ok(found) = serde_json::from_slice::<Vec<Option<String>>>(&output) else { return Ok(None) };
    let trouble = files.iter().map(|file| (*file).clone()).zip(found).filter_map(|(file, why)| Some((file, why?)));
    Ok(Some(trouble.collect()))
}
