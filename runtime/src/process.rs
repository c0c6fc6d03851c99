//! What a program changes in its own process, for itself alone: programs that it starts see none of it.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Lets a write beyond the limit of file sizes (`ulimit -f`, `LimitFSIZE=`) fail with EFBIG, where the system would end
/// the process. A full disk fails in the same way, and whoever writes can say so.
///
/// The signal is caught and not ignored: programs that this one starts inherit what is ignored, and begin with the
/// default action for what is caught. (The standard library ignores SIGPIPE, and sets it back in programs that it starts.)
///
/// Must be called inside a tokio runtime. Holds until the process ends.
pub fn outlive_file_size_limit() -> io::Result<()> {
    // tokio leaves its handler in place when nobody listens any more.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
