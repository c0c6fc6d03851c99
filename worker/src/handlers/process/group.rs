//! A handler's process group: the handler and whatever it has started.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// Killed as a whole, at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group of a child that was started as the leader of one.
    pub(super) fn led_by(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Kills all that is left of the group, once: later its number may be somebody else's. Right after its
    /// leader was reaped it is not, since numbers are given out in turn.
    pub(super) fn kill(&mut self) {
        if let Some(leader) = self.0.take() {
            // An error means that nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
