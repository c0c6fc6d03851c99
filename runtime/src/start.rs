//! Why a program could not start, or had to stop.

use std::io;

use rustix::io::Errno;

/// The exit codes of the daemons, for supervisors and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A person must act: a flag, a path or a permission is wrong.
    Configuration = 2,
    /// The database is damaged, not ours, or newer than the program.
    Corrupt = 65,
    /// It passes by itself: an address, a directory, a name, a route or a thread is not there yet.
    Unavailable = 69,
    /// The disk failed or is full.
    Disk = 70,
    /// Another process has the port, the database or the worker's address.
    InUse = 75,
}

/// What to exit with when the system refuses a socket, a file or a directory: by itself passes what ends in
/// [`Exit::Unavailable`] or [`Exit::Disk`], and a supervisor starts the program again. What is missing from the table
/// passes by itself too: to start in vain every two seconds costs less than a service that stays down for good.
const REFUSALS: [(&str, Errno, Exit); 39] = [
    ("EACCES", Errno::ACCESS, Exit::Configuration),
    ("EPERM", Errno::PERM, Exit::Configuration),
    ("EAFNOSUPPORT", Errno::AFNOSUPPORT, Exit::Configuration),
    ("EPROTONOSUPPORT", Errno::PROTONOSUPPORT, Exit::Configuration),
    ("EINVAL", Errno::INVAL, Exit::Configuration),
    ("EEXIST", Errno::EXIST, Exit::Configuration),
    ("EISDIR", Errno::ISDIR, Exit::Configuration),
    ("ENOTDIR", Errno::NOTDIR, Exit::Configuration),
    ("ELOOP", Errno::LOOP, Exit::Configuration),
    ("EMLINK", Errno::MLINK, Exit::Configuration),
    ("ENAMETOOLONG", Errno::NAMETOOLONG, Exit::Configuration),
    ("ENXIO", Errno::NXIO, Exit::Configuration),
    ("EOPNOTSUPP", Errno::OPNOTSUPP, Exit::Configuration),
    ("EOVERFLOW", Errno::OVERFLOW, Exit::Configuration),
    ("ETXTBSY", Errno::TXTBSY, Exit::Configuration),
    // A VPN, a virtual address or DHCP may bring the address, and take the network down for a while.
    ("EADDRNOTAVAIL", Errno::ADDRNOTAVAIL, Exit::Unavailable),
    ("ENETDOWN", Errno::NETDOWN, Exit::Unavailable),
    ("ENETUNREACH", Errno::NETUNREACH, Exit::Unavailable),
    ("ENODEV", Errno::NODEV, Exit::Unavailable),
    // Not mounted yet, or mounted for reading alone until it has been checked.
    ("ENOENT", Errno::NOENT, Exit::Unavailable),
    ("EROFS", Errno::ROFS, Exit::Unavailable),
    ("EBUSY", Errno::BUSY, Exit::Unavailable),
    // A file system whose other end is away: NFS, SMB, FUSE.
    ("ESTALE", Errno::STALE, Exit::Unavailable),
    ("ENOTCONN", Errno::NOTCONN, Exit::Unavailable),
    ("ETIMEDOUT", Errno::TIMEDOUT, Exit::Unavailable),
    ("EHOSTDOWN", Errno::HOSTDOWN, Exit::Unavailable),
    ("EHOSTUNREACH", Errno::HOSTUNREACH, Exit::Unavailable),
    // The machine is short of something.
    ("EMFILE", Errno::MFILE, Exit::Unavailable),
    ("ENFILE", Errno::NFILE, Exit::Unavailable),
    ("ENOMEM", Errno::NOMEM, Exit::Unavailable),
    ("ENOBUFS", Errno::NOBUFS, Exit::Unavailable),
    ("ENOLCK", Errno::NOLCK, Exit::Unavailable),
    ("EAGAIN", Errno::AGAIN, Exit::Unavailable),
    ("EINTR", Errno::INTR, Exit::Unavailable),
    ("ENOSPC", Errno::NOSPC, Exit::Disk),
    ("EDQUOT", Errno::DQUOT, Exit::Disk),
    ("EFBIG", Errno::FBIG, Exit::Disk),
    ("EIO", Errno::IO, Exit::Disk),
    ("EADDRINUSE", Errno::ADDRINUSE, Exit::InUse),
];

impl Exit {
    /// For a start that met `error` at a socket, a file or a directory.
    pub fn when_refused(error: &io::Error) -> Self {
        let errno = Errno::from_io_error(error);
        let row = REFUSALS.iter().find(|(_, known, _)| Some(*known) == errno);
        row.map_or(Self::Unavailable, |(_, _, exit)| *exit)
    }

    /// The error numbers of the system that make a start exit with this code, by name.
    pub fn refusals(self) -> impl Iterator<Item = &'static str> {
        REFUSALS.iter().filter(move |(_, _, exit)| *exit == self).map(|(name, _, _)| *name)
    }
}

/// Why a program could not start: one sentence that says what failed, and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    message: String,
    /// What the process exits with.
    pub exit: Exit,
}

impl StartError {
    /// The system has refused a socket, a file or a directory.
    pub fn refused(error: &io::Error, message: impl Into<String>) -> Self {
        Self::new(Exit::when_refused(error), message)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET_AND_BIND: &str = "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EINVAL EMFILE ENFILE ENETDOWN ENETUNREACH ENOBUFS ENODEV \
                                   ENOMEM EPERM EPROTONOSUPPORT";
    const OPEN: &str = "EACCES EAGAIN EBUSY EDQUOT EEXIST EFBIG EINTR EINVAL EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT \
                        ENOLCK ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY";
    const MKDIR: &str =
        "EACCES EDQUOT EEXIST EINVAL EIO ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS";
    const OF_REMOTE_FILES: &str = "EHOSTDOWN EHOSTUNREACH ENOTCONN ESTALE ETIMEDOUT";

    /// What the pages of the manual list for them; without EBADF, EFAULT and ENOTSOCK, which are mistakes of a program.
    #[test]
    fn every_error_number_of_bind_open_and_mkdir_is_in_the_table() {
        for name in [SOCKET_AND_BIND, OPEN, MKDIR, OF_REMOTE_FILES].join(" ").split_whitespace() {
            assert_eq!(REFUSALS.iter().filter(|(known, _, _)| *known == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn what_passes_by_itself_needs_a_person_or_belongs_to_another_process_has_an_exit_code_each() {
        for (errno, exit) in [
            (Errno::ADDRNOTAVAIL, Exit::Unavailable),
            (Errno::NOENT, Exit::Unavailable),
            (Errno::ROFS, Exit::Unavailable),
            (Errno::NOSPC, Exit::Disk),
            (Errno::ACCESS, Exit::Configuration),
            (Errno::NOTDIR, Exit::Configuration),
            (Errno::ADDRINUSE, Exit::InUse),
            // In no row.
            (Errno::XDEV, Exit::Unavailable),
        ] {
            assert_eq!(Exit::when_refused(&errno.into()), exit, "{errno}");
        }
        // An error of a library has no number.
        assert_eq!(Exit::when_refused(&io::Error::other("?")), Exit::Unavailable);
    }
}
