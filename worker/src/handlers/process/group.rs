//! A handler's process group: the handler and whatever it has started.

use rustix::process::{Pid, Signal, kill_process_group};

use super::Warden;

/// Killed as a whole, at the latest when it is dropped.
#[derive(Debug)]
pub(in crate::handlers) struct Group {
    leader: Option<Pid>,
    warden: Warden,
    breach: Option<String>,
}

impl Group {
    /// The group that this process leads. The warden watches it already.
    pub(super) fn new(leader: Option<Pid>, warden: Warden) -> Self {
        Self { leader, warden, breach: None }
    }

    /// Asks all of the group to end.
    pub(in crate::handlers) fn terminate(&self) {
        if let Some(leader) = self.leader {
            // An error means that nobody is left.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }

    /// Kills all that is left of the group, once: later its number may be somebody else's. Right after its
    /// leader was reaped it is not, since numbers are given out in turn.
    pub(in crate::handlers) fn kill(&mut self) {
        if let Some(leader) = self.leader.take() {
            self.breach = self.warden.dismiss(leader);
            // An error means that nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Which bound it had broken, if that is why it was killed. Known after [`kill`](Self::kill).
    pub(in crate::handlers) fn breach(&self) -> Option<&str> {
        self.breach.as_deref()
    }

    /// Says which attempt runs in it; `None`: it rests.
    pub(in crate::handlers) fn set_attempt(&self, attempt: Option<String>) {
        if let Some(leader) = self.leader {
            self.warden.set_attempt(leader, attempt);
        }
    }

    /// Whether it holds more than it should after a task: much memory, or processes that have lost their
    /// parent.
    pub(in crate::handlers) fn is_worn(&self) -> bool {
        self.leader.is_none_or(|leader| self.warden.is_worn(leader))
    }

    /// What it took when it was looked at last, in bytes.
    pub(in crate::handlers) fn memory(&self) -> u64 {
        self.leader.map_or(0, |leader| self.warden.memory(leader))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
