//! What a new process does before it becomes the handler.

use std::io::PipeWriter;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::process::Command;

/// Where a handler tells its progress.
const PROGRESS_FD: i32 = 3;

/// Gives the process `progress` as its file descriptor 3, lets it leave no core file, since that would hold
/// payloads, and lets it end with the thread that starts it. The command keeps no hold of `progress`.
#[expect(unsafe_code, reason = "the standard library has no other way to pass on a file descriptor")]
pub(super) fn prepare(command: &mut Command, progress: &PipeWriter) {
    let progress = progress.as_raw_fd();
    #[cfg(target_os = "linux")]
    let parent = rustix::process::getpid();
    let before_exec = move || {
        #[cfg(target_os = "linux")]
        {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                // The worker died in between, and there will be no signal.
                return Err(rustix::io::Errno::SRCH.into());
            }
        }
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
        // SAFETY: the child is a copy of the worker, in which this descriptor is open.
        let progress = unsafe { BorrowedFd::borrow_raw(progress) };
        if progress.as_raw_fd() == PROGRESS_FD {
            rustix::io::fcntl_setfd(progress, rustix::io::FdFlags::empty())?;
        } else {
            // SAFETY: it is never closed here, and whoever owned that number in the worker does not live on in the child.
            let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(PROGRESS_FD) });
            rustix::io::dup2(progress, &mut target)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be done. These are system calls
    // that rustix makes directly, and nothing is allocated.
    unsafe { command.pre_exec(before_exec) };
}
