//! File descriptor 3, on which handlers tell their progress.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::{DupFlags, dup2, dup3};

/// The number that handlers are promised.
const PROGRESS: i32 = 3;

/// This number in the worker itself. While a handler is being started it is the handler's pipe, which is inherited;
/// else it is nothing.
///
/// Code of ours between fork and exec could give a child any descriptor under that number. But fork copies the page
/// tables of the whole worker: with 50 MiB in use, which a hundred thousand remembered leases are, that takes 2.5 ms.
/// Without such code the standard library uses posix_spawn, which takes 0.4 ms, whatever is in use.
#[derive(Debug)]
pub(super) struct Descriptor {
    number: OwnedFd,
    nothing: OwnedFd,
}

impl Descriptor {
    /// Takes the number, if it is the first that is free.
    pub(super) fn take() -> Option<Self> {
        let open = || File::open("/dev/null").map(OwnedFd::from).ok();
        let number = open().filter(|number| number.as_raw_fd() == PROGRESS)?;
        Some(Self { number, nothing: open()? })
    }

    /// Runs `spawn` while the number is this pipe. Meanwhile nothing else in this process may start a program.
    pub(super) fn lend<T>(&mut self, pipe: &PipeWriter, spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        dup2(pipe, &mut self.number)?;
        let spawned = spawn();
        dup3(&self.nothing, &mut self.number, DupFlags::CLOEXEC)?;
        spawned
    }
}
