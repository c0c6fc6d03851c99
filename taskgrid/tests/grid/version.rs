//! Which revision a program says it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::processes::{ANY_PORT, Daemon, ask, is_installed, skipped, taskgrid};

#[path = "../../build/revision.rs"]
mod revision;

use revision::{Found, find};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_command_tells_its_revision_and_ping_the_plain_version() {
    let said = String::from_utf8(taskgrid().arg("--version").output().unwrap().stdout).unwrap();
    let rest = said.strip_prefix(&format!("taskgrid {VERSION}")).unwrap_or_else(|| panic!("{said}")).trim_end();
    // Without a repository, as in a package of sources, there is none to tell.
    assert!(rest.is_empty() || (rest.starts_with(" (") && rest.ends_with(')')), "{said}");
    let nameservice = Daemon::start(&["nameservice", "--listen", ANY_PORT]);
    let pong = ask(nameservice.addr, &json!({"type": "PING", "data": {}}));
    assert_eq!(pong["version"], VERSION, "{pong}");
}

#[test]
fn a_given_revision_is_taken_as_it_is() {
    let nowhere = Path::new("/nowhere");
    let given = |text: &str| find(Some(text.to_owned()), nowhere).name;
    assert_eq!(given(" 9f3c2a1, 2026-11-25\n"), Some("9f3c2a1, 2026-11-25".to_owned()));
    assert_eq!(given(""), None);
    assert_eq!(find(None, nowhere), Found::default());
}

#[test]
fn git_is_asked_where_the_sources_are_a_repository() {
    if !is_installed("git") {
        return skipped("git");
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    git(root, &["init", "--quiet", "--initial-branch", "feature/one"]);
    assert_eq!(find(None, root).name, None, "there is no commit yet");
    let commit = || git(root, &["commit", "--quiet", "--allow-empty", "--message", "x"]);
    commit();
    let first = find(None, root);
    let name = first.name.clone().unwrap();
    let (hash, date) = name.split_once(", ").unwrap();
    assert!(hash.len() == 7 && date == "2026-11-25", "{name}");
    assert!(first.decided_by.iter().all(|path| path.exists()), "{first:?}");
    assert!(first.decided_by.iter().any(|path| path.ends_with(".git/HEAD")), "{first:?}");
    assert!(first.decided_by.iter().any(|path| path.ends_with("refs/heads/feature/one")), "{first:?}");

    // A packed branch has no file of its own until its next commit.
    git(root, &["pack-refs", "--all"]);
    let packed = find(None, root);
    assert_eq!(packed.name, first.name);
    assert!(packed.decided_by.iter().all(|path| path.exists()), "{packed:?}");
    assert!(packed.decided_by.iter().any(|path| path.ends_with("refs/heads")), "{packed:?}");

    // Sources that were unpacked inside of a repository are not its revision.
    fs::create_dir(root.join("unpacked")).unwrap();
    assert_eq!(find(None, &root.join("unpacked")), Found::default());
}

fn git(root: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    for (name, value) in [("AUTHOR", "Somebody"), ("COMMITTER", "Somebody")] {
        command.env(format!("GIT_{name}_NAME"), value).env(format!("GIT_{name}_EMAIL"), "some@body.example");
        command.env(format!("GIT_{name}_DATE"), "2026-11-25T12:00:00Z");
    }
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").arg("-C").arg(root).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}
