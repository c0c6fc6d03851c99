//! A grid of real processes for clients to talk to.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::process::{ANY_PORT, Daemon, taskgrid};

/// Handlers, beside those that are built in.
const HANDLERS: &[(&str, &str)] = &[
    ("echo", "cat"),
    ("nothing", "echo null"),
    ("broken", "echo 'it is broken' >&2; exit 1"),
    ("flaky", r#"[ "$TASKGRID_ATTEMPT" != 1 ] || exit 1; echo '"at last"'"#),
];

/// Ends when it is dropped.
pub(crate) struct Grid {
    pub(crate) dispatcher: Daemon,
    _others: [Daemon; 2],
    _dir: TempDir,
}

impl Grid {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let handlers = dir.path().join("handlers");
        fs::create_dir(&handlers).unwrap();
        for (name, script) in HANDLERS {
            let file = handlers.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let nameservice = daemon(&["nameservice", "--listen", ANY_PORT]);
        let names = nameservice.addr.to_string();
        let dispatcher = start_dispatcher(dir.path(), ANY_PORT, &names);
        let handlers = handlers.to_str().unwrap();
        let worker = daemon(&["worker", "--listen", ANY_PORT, "--nameservice", &names, "--handlers", handlers]);
        Self { dispatcher, _others: [nameservice, worker], _dir: dir }
    }
}

/// A dispatcher that knows no worker.
pub(crate) fn start_lonely_dispatcher(dir: &Path, listen: SocketAddr) -> Daemon {
    // Nobody listens on the discard port, which ours do not use either.
    start_dispatcher(dir, &listen.to_string(), "127.0.0.1:9")
}

fn start_dispatcher(dir: &Path, listen: &str, nameservice: &str) -> Daemon {
    let database = dir.join("tasks.db");
    let database = database.to_str().unwrap();
    daemon(&["dispatcher", "--listen", listen, "--nameservice", nameservice, "--database", database])
}

fn daemon(args: &[&str]) -> Daemon {
    Daemon::spawn(taskgrid().args(args))
}
