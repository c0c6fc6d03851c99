//! A directory of handlers: which of its files are types, and why the others are not.
//!
//! A task's type is only ever looked up in the list that is made here. No path is made of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use taskgrid_protocol::TaskType;

use super::process::Program;

/// Files that become types. As many of the longest names still fit into one registration.
const FILES_MAX: usize = 800;

/// A directory, as it was when the worker started.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    python: Option<PathBuf>,
}

/// What was found in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) programs: BTreeMap<TaskType, Program>,
    pub(super) skipped: BTreeMap<OsString, Skipped>,
}

/// Why a file is no type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    Hidden,
    NotAName,
    NotRunnable,
    NoPython,
    Writable,
    Outside,
    Doubled,
    TooMany,
    Unreadable,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "its name begins with a dot",
            Self::NotAName => {
                "its name is not a task type: 1 to 64 letters, digits, '_', '.' or '-', beginning with a letter or digit"
            }
            Self::NotRunnable => "it is neither executable (chmod +x) nor named NAME.py",
            Self::NoPython => "python3 is not in PATH; install it and start the worker again",
            Self::Writable => "everybody may write to it (chmod o-w)",
            Self::Outside => "it is a link that leads out of the directory, or nowhere",
            Self::Doubled => "another file serves the same type",
            Self::TooMany => "the directory has too many files",
            Self::Unreadable => "it cannot be looked at",
        })
    }
}

impl Directory {
    /// Remembers where the directory is, wherever links lead to later.
    pub(super) fn open(path: &Path, python: Option<PathBuf>) -> io::Result<Self> {
        let path = path.canonicalize()?;
        // Fails for what is not a directory, or may not be read.
        fs::read_dir(&path)?;
        Ok(Self { path, python })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether everybody may put handlers into it, and so run programs as this user.
    pub(super) fn is_open_to_all(&self) -> bool {
        // In a sticky directory everybody may still add files.
        fs::metadata(&self.path).is_ok_and(|metadata| is_world_writable(&metadata))
    }

    /// Looks at every file. Directories are passed over in silence.
    pub(super) fn scan(&self) -> io::Result<Scan> {
        let mut names: Vec<OsString> =
            fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        // Of two files that serve a type, it is always the same one that does.
        names.sort();
        let mut scan = Scan::default();
        for name in names {
            match self.look_at(&name) {
                Ok(None) => {}
                Ok(Some((task_type, _))) if scan.programs.contains_key(&task_type) => {
                    scan.skipped.insert(name, Skipped::Doubled);
                }
                Ok(Some(_)) if scan.programs.len() >= FILES_MAX => {
                    scan.skipped.insert(name, Skipped::TooMany);
                }
                Ok(Some((task_type, program))) => {
                    scan.programs.insert(task_type, program);
                }
                Err(why) => {
                    scan.skipped.insert(name, why);
                }
            }
        }
        Ok(scan)
    }

    /// The type and the program of a file; `None` for what is no file.
    fn look_at(&self, name: &OsString) -> Result<Option<(TaskType, Program)>, Skipped> {
        let path = self.path.join(name);
        let link = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.is_symlink(),
            // It was taken away a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Err(Skipped::Unreadable),
        };
        let target = path.canonicalize().map_err(|_| if link { Skipped::Outside } else { Skipped::Unreadable })?;
        let metadata = fs::metadata(&target).map_err(|_| Skipped::Unreadable)?;
        if metadata.is_dir() {
            return Ok(None);
        }
        let text = name.to_str().ok_or(Skipped::NotAName)?;
        if text.starts_with('.') {
            return Err(Skipped::Hidden);
        }
        if !target.starts_with(&self.path) {
            return Err(Skipped::Outside);
        }
        if !metadata.is_file() {
            return Err(Skipped::NotRunnable);
        }
        if is_world_writable(&metadata) {
            return Err(Skipped::Writable);
        }
        self.program(text, path, &metadata).map(Some)
    }

    fn program(&self, name: &str, file: PathBuf, metadata: &Metadata) -> Result<(TaskType, Program), Skipped> {
        if let Some(stem) = name.strip_suffix(".py") {
            let task_type = TaskType::new(stem).map_err(|_| Skipped::NotAName)?;
            let python = self.python.clone().ok_or(Skipped::NoPython)?;
            return Ok((task_type, Program::Python { python, file }));
        }
        if metadata.permissions().mode() & 0o111 == 0 {
            return Err(Skipped::NotRunnable);
        }
        let task_type = TaskType::new(name).map_err(|_| Skipped::NotAName)?;
        Ok((task_type, Program::Executable(file)))
    }
}

fn is_world_writable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o002 != 0
}

/// The interpreter for `NAME.py`: the first `python3` in PATH.
pub(super) fn find_python() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("python3")).find(|file| {
        fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}
