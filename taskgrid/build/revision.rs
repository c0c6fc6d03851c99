//! Which revision the sources are. Beside the build script, so that a test can ask it too.

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Such as `9f3c2a1, 2026-11-25`: the commit and its date. Not the date of the build, so that the same sources
    /// make the same program.
    pub(crate) name: Option<String>,
    /// The files that change when the answer does. All of them exist: for Cargo one that does not has always changed.
    pub(crate) decided_by: Vec<PathBuf>,
}

/// What `given` says; else what git says of the repository that `source` is the root of. An empty variable is none:
/// that is how a build argument of an image looks that nobody has given.
pub(crate) fn find(given: Option<String>, source: &Path) -> Found {
    let given = given.and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        return Found { name: Some(name), decided_by: Vec::new() };
    }
    // Git would look further up, and find the repository of somebody who has unpacked our sources into theirs.
    if !source.join(".git").exists() {
        return Found::default();
    }
    let name = git(source, &["-c", "log.showSignature=false", "log", "-1", "--abbrev=7", "--format=%h, %cs"]);
    Found { name, decided_by: deciding(source) }
}

/// HEAD, and what it stands for. A branch without a file of its own is packed with others, and gets one at its next
/// commit: then the directory changes.
fn deciding(source: &Path) -> Vec<PathBuf> {
    let path = |name: &str| git(source, &["rev-parse", "--git-path", name]).map(|path| source.join(path));
    let branch = git(source, &["symbolic-ref", "--quiet", "HEAD"]);
    let branch = branch.and_then(|branch| path(&branch));
    let branch = match branch {
        Some(branch) if !branch.exists() => vec![path("packed-refs"), path("refs/heads")],
        branch => vec![branch],
    };
    let all = std::iter::once(path("HEAD")).chain(branch).flatten();
    all.filter(|path| path.exists()).collect()
}

/// The first line that git answers. `None` where it is missing, or refuses, as it does for a repository of another
/// user: the program is built all the same.
fn git(source: &Path, args: &[&str]) -> Option<String> {
    // Set while a hook runs, and then about the repository that has the hook.
    let mut command = Command::new("git");
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let output = command.arg("-C").arg(source).args(args).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.lines().next()?.to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
