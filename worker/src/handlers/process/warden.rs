//! Watches over the processes of handlers: how much memory they take, how many they are, and that none is left.
//!
//! A handler that breaks a bound is killed, with all that descend from it. A process that has lost its parent becomes
//! a child of the worker; its environment tells which attempt has started it, and when that has ended it is killed too.

use std::collections::BTreeMap;
use std::io::{self, PipeWriter};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, waitpid};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::descriptor::Descriptor;
use super::family::{self, Families};
use super::group::Group;
use super::guard::Guard;
use super::table::{self, Entry};

/// How often the table of processes is read while handlers run. What takes memory as fast as the system gives
/// it, some gigabytes a second, is over its bound by less than one of them.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where reading it takes long, since there are thousands of processes, it is read less often: this many times
/// what it takes passes in between, so that it costs one percent of a core …
const REST: u32 = 100;

/// … but no less often than this, when it takes more.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(2);

/// How often it is read after the last handler has ended: a daemon is taken for one at the second sight.
const LOOKS_AFTER: u8 = 3;

/// What the processes of one handler may take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Resident memory in bytes.
    pub(crate) memory: u64,
    /// Their number.
    pub(crate) processes: usize,
}

/// Shared by all handlers of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Warden(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By the number of the group, which is that of its leader. Each takes a slot of the worker or a place in
    /// a pool that has no more places than slots.
    groups: BTreeMap<i32, Watched>,
    /// Children of this process that no handler has any more, by number, with their time of start.
    suspects: BTreeMap<i32, u64>,
    /// Those of handlers that have lost their parents become children of this process.
    adopts: bool,
    looks_owed: u8,
    descriptor: Option<Descriptor>,
    guard: Option<Guard>,
}

/// What a program keeps for its handler files. To be taken before the program opens anything else.
#[derive(Debug)]
pub struct Reserved {
    descriptor: Option<Descriptor>,
    guard: &'static str,
}

impl Reserved {
    /// Takes file descriptor 3. `guard` is the verb with which the program does nothing but call
    /// [`guard`](crate::guard).
    pub fn take(guard: &'static str) -> Self {
        Self { descriptor: Descriptor::take(), guard }
    }
}

#[derive(Debug, Default)]
struct Watched {
    /// Which attempt runs in it; `None`: it rests.
    attempt: Option<String>,
    worn: bool,
    /// What it took at the last look, in bytes.
    memory: u64,
    breach: Option<String>,
}

impl Warden {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared { bounds, state: Mutex::default(), wake: Notify::new() }))
    }

    /// Makes this process the parent of what its handlers leave behind, for all its time, and sees to it that they end
    /// when it is killed. For programs that start no other processes.
    pub(crate) fn take_charge(&self, reserved: Reserved) {
        let mut state = self.state();
        // Elsewhere than on Linux such processes become children of the first process.
        #[cfg(target_os = "linux")]
        {
            state.adopts = rustix::process::set_child_subreaper(Some(getpid())).is_ok();
        }
        if reserved.descriptor.is_none() {
            tracing::warn!(
                "file descriptor 3 was taken when the worker was started; handlers cannot tell their progress"
            );
        }
        state.descriptor = reserved.descriptor;
        match Guard::start(reserved.guard) {
            Ok(guard) => {
                let leader = i32::try_from(guard.id()).unwrap_or_default();
                state.groups.insert(leader, Watched::default());
                state.guard = Some(guard);
            }
            Err(error) => {
                tracing::warn!("if this worker is killed its handlers will live on: {error}; start it again");
            }
        }
    }

    /// Starts a process that leads a group, and takes it into watch. `id` tells its number; `progress` becomes its file
    /// descriptor 3, where that is ours to give.
    pub(super) fn start<T>(
        &self,
        attempt: Option<String>,
        progress: Option<&PipeWriter>,
        spawn: impl FnOnce() -> io::Result<T>,
        id: impl FnOnce(&T) -> Option<u32>,
    ) -> io::Result<(T, Group)> {
        // Held meanwhile, so that the process is never taken for an orphan, and no other inherits its pipe.
        let mut state = self.state();
        let started = match (&mut state.descriptor, progress) {
            (Some(descriptor), Some(pipe)) => descriptor.lend(pipe, spawn),
            _ => spawn(),
        }?;
        let leader = id(&started).and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            state.groups.insert(leader.as_raw_pid(), Watched { attempt, ..Watched::default() });
            state.tell_guard(|guard| guard.begun(leader.as_raw_pid()));
        }
        drop(state);
        self.0.wake.notify_one();
        Ok((started, Group::new(leader, self.clone())))
    }

    /// Watches this group no longer, and says which bound it has broken, if it has.
    pub(super) fn dismiss(&self, leader: Pid) -> Option<String> {
        let mut state = self.state();
        state.looks_owed = LOOKS_AFTER;
        let breach = state.groups.remove(&leader.as_raw_pid()).and_then(|group| group.breach);
        state.tell_guard(|guard| guard.ended(leader.as_raw_pid()));
        drop(state);
        self.0.wake.notify_one();
        breach
    }

    pub(super) fn set_attempt(&self, leader: Pid, attempt: Option<String>) {
        let mut state = self.state();
        if let Some(group) = state.groups.get_mut(&leader.as_raw_pid()) {
            group.attempt = attempt;
        }
        state.looks_owed = LOOKS_AFTER;
        drop(state);
        self.0.wake.notify_one();
    }

    pub(super) fn memory(&self, leader: Pid) -> u64 {
        self.state().groups.get(&leader.as_raw_pid()).map_or(0, |group| group.memory)
    }

    pub(super) fn is_worn(&self, leader: Pid) -> bool {
        self.state().groups.get(&leader.as_raw_pid()).is_none_or(|group| group.worn)
    }

    /// Looks at the processes for as long as there are any.
    pub(crate) async fn watch(self) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let looking = self.clone();
            let look = tokio::task::spawn_blocking(move || {
                let begun = cpu_time();
                looking.look();
                cpu_time().saturating_sub(begun)
            });
            let Ok(took) = look.await else { return };
            let rest = (took * REST).min(LOOK_AT_LEAST_EVERY);
            for _ in 0..rest.as_millis().div_ceil(LOOK_EVERY.as_millis()).max(1) {
                pace.tick().await;
            }
            if self.state().is_calm() {
                // What begins meanwhile is looked at as soon as anything that runs.
                let _ = timeout(LOOK_AT_LEAST_EVERY, self.0.wake.notified()).await;
            }
            while self.state().has_nothing() {
                self.0.wake.notified().await;
            }
        }
    }

    fn look(&self) {
        let table = table::read();
        let mut state = self.state();
        state.looks_owed = state.looks_owed.saturating_sub(1);
        let families = family::sort(&table, getpid().as_raw_pid(), &state.leaders(), table::origin_of);
        state.measure(&families, self.0.bounds);
        if state.adopts {
            state.clear_orphans(&families);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing that can panic is done under this lock")
    }
}

impl State {
    fn tell_guard(&mut self, tell: impl FnOnce(&mut Guard) -> io::Result<()>) {
        if let Some(guard) = &mut self.guard
            && tell(guard).is_err()
        {
            tracing::warn!("somebody has ended the guard of this worker; if it is killed its handlers will live on");
            self.guard = None;
        }
    }

    /// Nothing runs, and what rests needs no more than a look now and then.
    fn is_calm(&self) -> bool {
        let is_resting = self.groups.values().all(|group| group.attempt.is_none());
        self.looks_owed == 0 && self.suspects.is_empty() && is_resting
    }

    /// Nothing is there to be looked at. The guard is always there.
    fn has_nothing(&self) -> bool {
        self.is_calm() && self.groups.len() == usize::from(self.guard.is_some())
    }

    fn leaders(&self) -> BTreeMap<i32, String> {
        self.groups.iter().map(|(leader, group)| (*leader, group.attempt.clone().unwrap_or_default())).collect()
    }

    /// Holds each handler to its bounds.
    fn measure(&mut self, families: &Families, bounds: Bounds) {
        for (leader, members) in &families.members {
            let Some(group) = self.groups.get_mut(leader) else { continue };
            let size = Size::of(members);
            let left_behind = group.attempt.is_none() && size.members > 1;
            group.memory = size.memory();
            group.worn |= left_behind || size.memory() > bounds.memory / 2;
            if group.breach.is_none() {
                group.breach = size.breach(bounds);
            }
            if left_behind || group.breach.is_some() {
                members.iter().for_each(kill);
            }
        }
    }

    /// Kills what is left of handlers that have ended, and reaps what nobody else will. At the second sight, since a
    /// handler that has only just ended may still be in the table.
    fn clear_orphans(&mut self, families: &Families) {
        let mut suspects = BTreeMap::new();
        for entry in families.orphans.iter().chain(&families.zombies) {
            let is_known = self.suspects.get(&entry.pid) == Some(&entry.started);
            if is_known && entry.zombie {
                reap(entry.pid);
                continue;
            }
            if is_known {
                kill(entry);
            }
            if let Some(group) = self.groups.get_mut(&entry.group) {
                // It is in the group of an interpreter that runs something else by now.
                group.worn = true;
            }
            suspects.insert(entry.pid, entry.started);
        }
        self.suspects = suspects;
    }
}

/// What a handler takes.
#[derive(Debug, Default)]
struct Size {
    members: usize,
    own: u64,
    shared: u64,
}

impl Size {
    fn of(members: &[Entry]) -> Self {
        members.iter().map(|entry| table::memory_of(entry.pid)).fold(Self::default(), |size, memory| Self {
            members: size.members + 1,
            own: size.own + memory.own,
            shared: size.shared.max(memory.shared),
        })
    }

    /// What members share counts once.
    fn memory(&self) -> u64 {
        self.own + self.shared
    }

    fn breach(&self, bounds: Bounds) -> Option<String> {
        if self.members > bounds.processes {
            return Some(format!("the handler started more than {} processes and was killed", bounds.processes));
        }
        let mib = bounds.memory / (1024 * 1024);
        (self.memory() > bounds.memory)
            .then(|| format!("the handler took more than {mib} MiB of memory and was killed (--handler-memory)"))
    }
}

/// What this thread has computed so far. Time that it had to wait for a core does not count.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or_default())
}

/// Kills a process, with its group if that is not the worker's own. What still runs there is as much a handler's.
fn kill(entry: &Entry) {
    // An error means that it is gone.
    let _ = match (Pid::from_raw(entry.pid), Pid::from_raw(entry.group)) {
        (_, Some(group)) if group.as_raw_pid() == entry.pid => kill_process_group(group, Signal::KILL),
        (Some(process), _) => kill_process(process, Signal::KILL),
        (None, _) => return,
    };
}

fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // An error means that somebody else has.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
