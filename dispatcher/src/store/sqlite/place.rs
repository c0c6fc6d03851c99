//! Where the database lies, and what lies beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use taskgrid_runtime::StartError;

/// The size of the file `path`, if there is one; it must be one that can be read and written.
pub(super) fn size(path: &Path) -> Result<Option<u64>, StartError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, &error, "cannot look at it")),
    };
    if !found.is_file() {
        return Err(unusable(path, "it is not a file; name one with --database"));
    }
    rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
        .map_err(|error| refused(path, &error.into(), "cannot read and write it"))?;
    Ok(Some(found.len()))
}

/// A directory in which SQLite can keep its log beside the file, on a disk whose locks can be trusted (R30).
pub(super) fn refuse_unsuitable_place(path: &Path) -> Result<(), StartError> {
    let directory = directory_of(path);
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(directory, access)
        .map_err(|error| refused(path, &error.into(), &format!("cannot write to {}", directory.display())))?;
    #[cfg(target_os = "linux")]
    refuse_network_file_system(path, directory)?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn refuse_network_file_system(path: &Path, directory: &Path) -> Result<(), StartError> {
    /// The magic numbers of statfs(2).
    const NETWORK: [(u32, &str); 5] =
        [(0x6969, "NFS"), (0x517B, "SMB"), (0xFF53_4D42, "CIFS"), (0xFE53_4D42, "SMB2"), (0x5346_414F, "AFS")];
    let found = rustix::fs::statfs(directory)
        .map_err(|error| refused(path, &error.into(), &format!("cannot look at {}", directory.display())))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the magic numbers have 32 bits")]
    let kind = found.f_type as u32;
    let Some((_, name)) = NETWORK.iter().find(|(magic, _)| *magic == kind) else { return Ok(()) };
    let why =
        format!("it is on a network file system ({name}), whose locks do not keep two writers apart; use a local disk");
    Err(unusable(path, &why))
}

/// Where the file really is: SQLite follows links, and keeps its log beside their target.
pub(super) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The file that SQLite keeps beside the database under this ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn size_beside(path: &Path, ending: &str) -> u64 {
    fs::metadata(beside(path, ending)).map_or(0, |file| file.len())
}

/// The bytes that are free in `directory` for who is not root; `None`: it cannot be found out.
pub(super) fn free_in(directory: &Path) -> Option<u64> {
    rustix::fs::statvfs(directory).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// The directory that `path` lies in.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

pub(super) fn unusable(path: &Path, why: &str) -> StartError {
    StartError::configuration(format!("cannot use {} as the database: {why}", path.display()))
}

/// The system has refused what was tried: the error number says whether that passes by itself.
pub(super) fn refused(path: &Path, error: &std::io::Error, tried: &str) -> StartError {
    StartError::refused(error, format!("cannot use {} as the database: {tried}: {error}", path.display()))
}
