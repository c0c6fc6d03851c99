//! A directory of handlers: which of its files are types, and why the others are not.
//!
//! A task's type is only ever looked up in the list that is made here. No path is made of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use taskgrid_protocol::TaskType;

use super::executable::Speech;
use super::process::Warden;
use super::python::trouble_with;

/// Files that become types. As many of the longest names still fit into one registration.
const FILES_MAX: usize = 800;

/// A line with these words near the beginning of an executable asks for bare text.
const TEXT_MARKER: &str = "taskgrid: text";

/// How near.
const MARKER_WITHIN: u64 = 1_024;

/// A directory, as it was when the worker started.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    python: Option<PathBuf>,
    warden: Warden,
    /// What was found in the files at the last look, so that only changed ones are read.
    read: BTreeMap<PathBuf, (Version, Content)>,
}

/// What was found in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) programs: BTreeMap<TaskType, Program>,
    pub(super) skipped: BTreeMap<OsString, Skipped>,
    /// All Python files, types or not: they may import each other.
    pub(super) sources: BTreeMap<OsString, Version>,
}

/// What serves a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Python { file: PathBuf, python: PathBuf },
    Executable { file: PathBuf, speech: Speech },
}

/// Tells whether a file is still what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    length: u64,
    /// Of what it holds, or of who may read it.
    changed: (i64, i64),
}

/// Why a file is no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    Hidden,
    NotAName,
    Private,
    NotRunnable,
    NoPython,
    NoHandle,
    Broken(String),
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
            Self::Private => "its name begins with an underscore",
            Self::NotRunnable => "it is neither executable (chmod +x) nor named NAME.py",
            Self::NoPython => "python3 is not in PATH; install it and start the worker again",
            Self::NoHandle => "it has no function handle(payload)",
            Self::Broken(why) => {
                // A message of Python may quote the file.
                let line = why.replace(char::is_control, " ");
                return write!(f, "{line}; mend it, it will be looked at again");
            }
            Self::Writable => "everybody may write to it (chmod o-w)",
            Self::Outside => "it is a link that leads out of the directory, or nowhere",
            Self::Doubled => "another file serves the same type",
            Self::TooMany => "the directory has too many files",
            Self::Unreadable => "it cannot be looked at",
        })
    }
}

/// A file that may be a type, by its name and mode.
struct Candidate {
    name: OsString,
    file: PathBuf,
    task_type: TaskType,
    is_python: bool,
    version: Version,
}

/// What matters of what stands in a file.
#[derive(Clone, Debug)]
enum Content {
    Executable(Speech),
    Python(Result<(), Skipped>),
}

impl Directory {
    /// Remembers where the directory is, wherever links lead to later.
    pub(super) fn open(path: &Path, python: Option<PathBuf>, warden: Warden) -> io::Result<Self> {
        let path = path.canonicalize()?;
        // Fails for what is not a directory, or may not be read.
        fs::read_dir(&path)?;
        Ok(Self { path, python, warden, read: BTreeMap::new() })
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
    pub(super) fn scan(&mut self) -> io::Result<Scan> {
        let mut names: Vec<OsString> = match fs::read_dir(&self.path) {
            Ok(entries) => entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?,
            // All its files are gone with it, until it is there again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        // Of two files that serve a type, it is always the same one that does.
        names.sort();
        let mut scan = Scan::default();
        let mut candidates = Vec::new();
        for name in names {
            if let Some(version) = self.source(&name) {
                scan.sources.insert(name.clone(), version);
            }
            match self.look_at(&name) {
                Ok(None) => {}
                Ok(Some(candidate)) => candidates.push(candidate),
                Err(why) => {
                    scan.skipped.insert(name, why);
                }
            }
        }
        self.read_changed(&candidates);
        for candidate in candidates {
            match self.judge(&candidate, &scan) {
                Ok(program) => {
                    scan.programs.insert(candidate.task_type, program);
                }
                Err(why) => {
                    scan.skipped.insert(candidate.name, why);
                }
            }
        }
        Ok(scan)
    }

    /// The version of what others may import.
    fn source(&self, name: &OsString) -> Option<Version> {
        let is_python = Path::new(name).extension().is_some_and(|extension| extension == "py");
        let metadata = is_python.then(|| fs::metadata(self.path.join(name)).ok()).flatten()?;
        metadata.is_file().then(|| Version::of(&metadata))
    }

    /// What a file is by its name and mode; `None` for what is no file.
    fn look_at(&self, name: &OsString) -> Result<Option<Candidate>, Skipped> {
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
        if text.starts_with('_') {
            return Err(Skipped::Private);
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
        let stem = text.strip_suffix(".py");
        if stem.is_none() && metadata.permissions().mode() & 0o111 == 0 {
            return Err(Skipped::NotRunnable);
        }
        let task_type = TaskType::new(stem.unwrap_or(text)).map_err(|_| Skipped::NotAName)?;
        let version = Version::of(&metadata);
        Ok(Some(Candidate { name: name.clone(), file: path, task_type, is_python: stem.is_some(), version }))
    }

    /// Reads those that are new or have changed.
    fn read_changed(&mut self, candidates: &[Candidate]) {
        let mut known = std::mem::take(&mut self.read);
        let mut unchecked = Vec::new();
        for candidate in candidates {
            let content = match known.remove(&candidate.file) {
                Some((version, content)) if version == candidate.version => content,
                _ if candidate.is_python => {
                    unchecked.push(candidate.file.clone());
                    Content::Python(Ok(()))
                }
                _ => Content::Executable(speech_of(&candidate.file)),
            };
            self.read.insert(candidate.file.clone(), (candidate.version, content));
        }
        let Some(python) = self.python.as_ref().filter(|_| !unchecked.is_empty()) else { return };
        for (file, trouble) in trouble_with(&self.warden, python, &unchecked) {
            let why = if trouble.is_empty() { Skipped::NoHandle } else { Skipped::Broken(trouble) };
            if let Some((_, content)) = self.read.get_mut(&file) {
                *content = Content::Python(Err(why));
            }
        }
    }

    /// The program that a file is, beside those that were found before it.
    fn judge(&self, candidate: &Candidate, scan: &Scan) -> Result<Program, Skipped> {
        let file = candidate.file.clone();
        let (_, content) = self.read.get(&file).ok_or(Skipped::Unreadable)?;
        let program = match content.clone() {
            Content::Executable(speech) => Program::Executable { file, speech },
            Content::Python(trouble) => {
                let python = self.python.clone().ok_or(Skipped::NoPython)?;
                trouble?;
                Program::Python { file, python }
            }
        };
        if scan.programs.contains_key(&candidate.task_type) {
            return Err(Skipped::Doubled);
        }
        if scan.programs.len() >= FILES_MAX {
            return Err(Skipped::TooMany);
        }
        Ok(program)
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), length: metadata.len(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

/// How an executable wants its payload. One that cannot be read wants it as any other.
fn speech_of(file: &Path) -> Speech {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MARKER_WITHIN).read_to_end(&mut head));
    // Whatever signs begin and end a comment.
    let asks = |line: &[u8]| String::from_utf8_lossy(line).trim_matches(|c: char| !c.is_alphanumeric()) == TEXT_MARKER;
    if read.is_ok() && head.split(|byte| *byte == b'\n').any(asks) { Speech::Text } else { Speech::Json }
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
