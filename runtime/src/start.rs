//! Why a program could not start, or had to stop.

/// The exit codes of the daemons, for supervisors and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A flag or an address is wrong.
    Configuration = 2,
    /// The database is damaged, not ours, or newer than the program.
    Corrupt = 65,
    /// What is there by itself as a rule is not: a name, a route, a thread. It may be there in a moment.
    Unavailable = 69,
    /// The disk failed.
    Disk = 70,
    /// The port, the database or the worker's address is in use.
    InUse = 75,
}

/// A mistake that the operator can mend: one sentence that says what failed, and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    message: String,
    /// What the process exits with.
    pub exit: Exit,
}

impl StartError {
    /// With any exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), exit }
    }

    /// A flag or an address is wrong.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, message)
    }

    /// It may be there in a moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, message)
    }

    /// Somebody else uses it.
    pub fn in_use(message: impl Into<String>) -> Self {
        Self::new(Exit::InUse, message)
    }
}
