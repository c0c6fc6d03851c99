//! The one list of what this worker serves: built-in types, files that may come and go, and what `--types`
//! leaves of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taskgrid_protocol::TaskType;
use taskgrid_runtime::StartError;

use super::directory::{Directory, Program, Scan, Skipped, find_python};
use super::executable::Executable;
use super::process::{Bounds, Warden};
use super::python::{Pool, Script};
use super::{Handler, LongHandler, builtin};

/// Served unless `--handlers` names another directory, if there is one.
const DEFAULT_DIRECTORY: &str = "worker_types";

/// What is served at a moment, by type.
pub(crate) type Serving = Arc<BTreeMap<TaskType, Handler>>;

/// What handler files may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Tasks at a time.
    pub(crate) slots: usize,
    /// Interpreters that wait for tasks.
    pub(crate) idle: usize,
    /// What the processes of one handler may take.
    pub(crate) bounds: Bounds,
}

#[derive(Debug)]
pub(crate) struct Registry {
    builtin: BTreeMap<TaskType, Handler>,
    directory: Option<Directory>,
    warden: Warden,
    pool: Arc<Pool>,
    /// What the directory held when it was looked at last.
    scan: Scan,
    /// The directory could not be read then; the operator was told.
    unreadable: bool,
    selected: Option<BTreeSet<TaskType>>,
}

impl Registry {
    /// Looks at the directory of handlers. With `selected`, exactly those types are served.
    pub(crate) fn open(handlers: Option<&Path>, selected: &[TaskType], room: Room) -> Result<Self, StartError> {
        let warden = Warden::new(room.bounds);
        let selected: Option<BTreeSet<TaskType>> = (!selected.is_empty()).then(|| selected.iter().cloned().collect());
        let mut registry = Self {
            builtin: builtin::all().into_map(),
            directory: open_directory(handlers, &warden)?,
            pool: Arc::new(Pool::new(warden.clone(), room)),
            warden,
            scan: Scan::default(),
            unreadable: false,
            selected,
        };
        if let Some(directory) = registry.directory.as_ref().filter(|directory| directory.is_open_to_all()) {
            tracing::warn!(
                "everybody may put handlers into {}, and so run programs as this user; chmod o-w",
                directory.path().display()
            );
        }
        registry.rescan();
        registry.check_selected()?;
        Ok(registry)
    }

    /// What is served now.
    pub(crate) fn serving(&self) -> Serving {
        let files = self.scan.programs.iter().map(|(name, program)| (name.clone(), self.handler(program)));
        let builtin = self.builtin.iter().map(|(name, handler)| (name.clone(), handler.clone()));
        // A file takes the place of a built-in handler.
        let all = builtin.chain(files);
        Arc::new(all.filter(|(name, _)| self.is_selected(name)).collect())
    }

    fn handler(&self, program: &Program) -> Handler {
        let handler: Arc<dyn LongHandler> = match program.clone() {
            Program::Executable { file, speech } => Arc::new(Executable { file, speech, warden: self.warden.clone() }),
            Program::Python { file, python } => Arc::new(Script { file, python, pool: Arc::clone(&self.pool) }),
        };
        Handler::Long(handler)
    }

    /// Who watches the processes of the files, if there is a directory to look at again.
    pub(crate) fn warden(&self) -> Option<Warden> {
        self.directory.as_ref().map(|_| self.warden.clone())
    }

    /// The interpreters of its files.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    /// Looks at the directory again, and says whether what it holds has changed. Each news is logged once.
    pub(crate) fn rescan(&mut self) -> bool {
        self.pool.sweep();
        let Some(directory) = &mut self.directory else { return false };
        let scan = match directory.scan() {
            Ok(scan) => scan,
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    tracing::warn!(
                        "cannot read {}, its handlers stay as they are: {error}",
                        directory.path().display()
                    );
                }
                return false;
            }
        };
        self.unreadable = false;
        if scan == self.scan {
            return false;
        }
        self.log_news(&scan);
        let changed = scan.programs != self.scan.programs;
        if scan.sources != self.scan.sources {
            // Interpreters may have loaded any of them.
            self.pool.renew();
        }
        self.scan = scan;
        changed
    }

    fn log_news(&self, scan: &Scan) {
        for (name, why) in scan.skipped.iter().filter(|(name, why)| self.scan.skipped.get(*name) != Some(why)) {
            // The name is quoted with its control characters escaped: anybody may have chosen it.
            match why {
                Skipped::Hidden | Skipped::Private | Skipped::NotRunnable | Skipped::NoHandle => {
                    tracing::info!("{name:?} is no handler: {why}")
                }
                _ => tracing::warn!("{name:?} is no handler: {why}"),
            }
        }
        for name in scan.programs.keys().filter(|name| self.is_selected(name)) {
            if !self.scan.programs.contains_key(name) {
                let instead = if self.builtin.contains_key(name) { ", in place of the built-in handler" } else { "" };
                tracing::info!("'{name}' is served by a file{instead}");
            }
        }
        for name in self.scan.programs.keys().filter(|name| self.is_selected(name)) {
            if !scan.programs.contains_key(name) {
                let instead = if self.builtin.contains_key(name) { ", the built-in handler takes over" } else { "" };
                tracing::info!("the file of '{name}' is gone{instead}");
            }
        }
    }

    fn is_selected(&self, name: &TaskType) -> bool {
        self.selected.as_ref().is_none_or(|selected| selected.contains(name))
    }

    fn check_selected(&self) -> Result<(), StartError> {
        let known: BTreeSet<&TaskType> = self.builtin.keys().chain(self.scan.programs.keys()).collect();
        let Some(unknown) = self.selected.iter().flatten().find(|name| !known.contains(name)) else { return Ok(()) };
        let known: Vec<&str> = known.into_iter().map(TaskType::as_str).collect();
        let message =
            format!("--types names '{unknown}', for which there is no handler; there are: {}", known.join(", "));
        Err(match &self.directory {
            // What is empty until something is mounted there looks like this.
            Some(directory) => StartError::unavailable(format!("{message} ({})", directory.path().display())),
            None => StartError::configuration(message),
        })
    }
}

fn open_directory(handlers: Option<&Path>, warden: &Warden) -> Result<Option<Directory>, StartError> {
    let path = match handlers {
        Some(path) => path.to_owned(),
        None if Path::new(DEFAULT_DIRECTORY).is_dir() => PathBuf::from(DEFAULT_DIRECTORY),
        None => return Ok(None),
    };
    Directory::open(&path, find_python(), warden.clone()).map(Some).map_err(|error| {
        let why = format!("cannot read the handlers in {}: {error}; name a directory with --handlers", path.display());
        StartError::refused(&error, why)
    })
}
