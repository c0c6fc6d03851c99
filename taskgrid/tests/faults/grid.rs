//! The programs under test: killed and started again, always at the same addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::address::free_address;
use crate::dice::Dice;
use crate::journal::Journal;
use crate::process::{Daemon, Process, taskgrid};
use crate::relay::{Relay, SharedLog, Weather};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    NameService,
    Dispatcher,
    Worker(usize),
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameService => f.write_str("name service"),
            Self::Dispatcher => f.write_str("dispatcher"),
            Self::Worker(n) => write!(f, "worker {n}"),
        }
    }
}

/// What differs from campaign to campaign.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) lease_s: u32,
    pub(crate) worker_flags: Vec<String>,
    /// Between all programs, where there is any.
    pub(crate) weather: Option<Weather>,
    /// Another place for the database.
    pub(crate) database: Option<PathBuf>,
    /// A program to run the dispatcher in, with its arguments.
    pub(crate) around: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        // A lease of three seconds: long enough to outlive a hiccup of a busy machine, short enough to wait for.
        Self {
            workers: 2,
            lease_s: 3,
            worker_flags: Vec::new(),
            weather: None,
            database: None,
            around: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// An address, and the one by which others are to reach it.
struct Place {
    own: SocketAddr,
    public: SocketAddr,
}

pub(crate) struct Grid {
    pub(crate) setup: Setup,
    pub(crate) database: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) relays: SharedLog,
    places: BTreeMap<Program, Place>,
    running: BTreeMap<Program, Process>,
    logs: File,
}

impl Grid {
    /// Starts everything.
    pub(crate) fn start(dir: &Path, setup: Setup, dice: &mut Dice) -> Self {
        let mut grid = Self::at_rest(dir, setup, dice);
        grid.start_all();
        grid
    }

    pub(crate) fn at_rest(dir: &Path, setup: Setup, dice: &mut Dice) -> Self {
        let relays = SharedLog::default();
        let workers = (0..setup.workers).map(Program::Worker);
        let places = [Program::NameService, Program::Dispatcher].into_iter().chain(workers).map(|program| {
            let own = free_address();
            let relayed = setup.weather.map(|weather| Relay::start(own, weather, dice.child(), relays.clone()));
            (program, Place { own, public: relayed.unwrap_or(own) })
        });
        let places = places.collect();
        let logs = OpenOptions::new().create(true).append(true).open(dir.join("logs.txt")).unwrap();
        let database = setup.database.clone().unwrap_or_else(|| dir.join("tasks.db"));
        Self { setup, database, journal: Journal::new(dir), relays, places, running: BTreeMap::new(), logs }
    }

    pub(crate) fn programs(&self) -> Vec<Program> {
        self.places.keys().copied().collect()
    }

    /// Where the dispatcher listens, without a relay.
    pub(crate) fn dispatcher(&self) -> SocketAddr {
        self.places[&Program::Dispatcher].own
    }

    /// Where clients are to reach the dispatcher.
    pub(crate) fn entrance(&self) -> SocketAddr {
        self.places[&Program::Dispatcher].public
    }

    pub(crate) fn start_all(&mut self) {
        for program in self.programs() {
            self.start_one(program);
        }
    }

    pub(crate) fn start_one(&mut self, program: Program) {
        let mut command = self.command(program);
        let Daemon { process, addr } = Daemon::spawn(&mut command);
        assert_eq!(addr, self.places[&program].own);
        self.running.insert(program, process);
    }

    /// Starts it without waiting until it serves, which it may never do.
    pub(crate) fn launch(&mut self, program: Program) {
        let process = Process::start(&mut self.command(program));
        self.running.insert(program, process);
    }

    pub(crate) fn process(&mut self, program: Program) -> &mut Process {
        self.running.get_mut(&program).unwrap_or_else(|| panic!("the {program} is not running"))
    }

    pub(crate) fn is_running(&mut self, program: Program) -> bool {
        self.running.get_mut(&program).is_some_and(|process| process.child.try_wait().unwrap().is_none())
    }

    /// `kill -9`. It must not have ended before by itself.
    pub(crate) fn kill(&mut self, program: Program) {
        if let Some(status) = self.process(program).child.try_wait().unwrap() {
            panic!("the {program} ended with {status}: {}", self.process(program));
        }
        self.process(program).kill();
        self.bury(program);
    }

    /// Asks all to stop, and expects them to.
    pub(crate) fn stop_all(&mut self) {
        for program in
            self.programs().into_iter().rev().filter(|program| self.running.contains_key(program)).collect::<Vec<_>>()
        {
            let code = self.process(program).terminate();
            assert_eq!(code, Some(0), "the {program} was told to stop: {}", self.process(program));
            self.bury(program);
        }
    }

    /// Keeps what a process that has ended has said.
    pub(crate) fn bury(&mut self, program: Program) {
        let process = self.running.remove(&program).unwrap();
        writeln!(self.logs, "{program}: {process}").unwrap();
        assert!(!process.has_said("panicked at"), "the {program} panicked: {process}");
    }

    fn command(&self, program: Program) -> Command {
        let Place { own, public } = &self.places[&program];
        let nameservice = self.places[&Program::NameService].public.to_string();
        let lease = self.setup.lease_s.to_string();
        let mut args = match program {
            Program::NameService => vec!["nameservice".to_owned()],
            Program::Dispatcher => {
                let database = self.database.to_str().unwrap();
                words(&["dispatcher", "--database", database, "--nameservice", &nameservice, "--lease", &lease])
            }
            Program::Worker(_) => {
                let handlers = self.journal.handlers.to_str().unwrap();
                let mut args = words(&["worker", "--advertise", &public.to_string(), "--nameservice", &nameservice]);
                args.extend(words(&["--handlers", handlers, "--lease", &lease, "--heartbeat", "1"]));
                args.extend(self.setup.worker_flags.iter().cloned());
                args
            }
        };
        args.extend(words(&["--listen", &own.to_string()]));
        let around: &[String] = if program == Program::Dispatcher { &self.setup.around } else { &[] };
        let mut command = wrapped(around);
        command.args(args).envs(self.setup.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What the programs said is worth most when something has gone wrong.
impl Drop for Grid {
    fn drop(&mut self) {
        for (program, process) in &self.running {
            // The failure that brought us here is the one to tell.
            let _ = writeln!(self.logs, "{program}: {process}");
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn wrapped(around: &[String]) -> Command {
    let Some((outer, args)) = around.split_first() else { return taskgrid() };
    let mut command = Command::new(outer);
    command.args(args).arg(taskgrid().get_program());
    command
}
