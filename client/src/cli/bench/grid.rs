//! A grid of the benchmark's own: three processes over a database in a directory that is removed with them.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand_core::RngCore;
use taskgrid_runtime::{Exit, StartError, bind, random};

use super::guard::Guard;
use super::measure::Probe;
use super::server::Server;

/// Another program may take a port between our looking for a free one and the start.
const TRIES: u32 = 3;

/// The three, in the order in which they need each other.
const NAMES: [&str; 3] = ["nameservice", "worker", "dispatcher"];

#[derive(Debug)]
pub(super) struct Grid {
    directory: Directory,
    concurrency: u32,
    guard: Guard,
    /// By name.
    servers: BTreeMap<&'static str, Server>,
}

impl Grid {
    /// Nothing runs yet.
    pub(super) fn new(parent: &Path, concurrency: u32) -> Result<Self, StartError> {
        let directory = Directory::create(parent).map_err(|error| {
            let parent = parent.display();
            StartError::configuration(format!(
                "cannot make a directory in {parent}: {error}; name another with --directory"
            ))
        })?;
        let guard = Guard::start().map_err(|error| cannot_start("guard", &error))?;
        Ok(Self { directory, concurrency, guard, servers: BTreeMap::new() })
    }

    /// Whether syncs cost nothing where the database lies.
    pub(super) fn is_in_memory(&self) -> bool {
        is_in_memory(&self.directory.0)
    }

    /// Starts all three; returns the dispatcher's address.
    pub(super) async fn start(&mut self) -> Result<String, StartError> {
        let mut tries = 1;
        loop {
            match self.try_to_start().await {
                Ok(dispatcher) => return Ok(dispatcher.to_string()),
                Err(error) if error.exit == Exit::InUse && tries < TRIES => self.kill().await,
                Err(error) => return Err(error),
            }
            tries += 1;
        }
    }

    async fn try_to_start(&mut self) -> Result<SocketAddr, StartError> {
        let addrs = free_ports()?;
        for (name, addr) in NAMES.into_iter().zip(addrs) {
            self.launch(name, addr, addrs[0]).await?;
        }
        Ok(addrs[2])
    }

    /// Starts one of the three; returns how long it took until its first answer.
    async fn launch(
        &mut self,
        name: &'static str,
        addr: SocketAddr,
        service: SocketAddr,
    ) -> Result<Duration, StartError> {
        let (service, concurrency) = (service.to_string(), self.concurrency.to_string());
        let args: &[&str] = match name {
            "dispatcher" => &["--nameservice", &service, "--database", DATABASE],
            "worker" => &["--nameservice", &service, "--concurrency", &concurrency],
            _ => &[],
        };
        let started = Server::start(name, addr, args, &self.directory.0);
        let server = started.map_err(|error| cannot_start(name, &error))?;
        self.guard.begun(&server.id());
        // It is ours from here on, since we may be asked to stop before it answers.
        self.servers.insert(name, server);
        self.servers[name].answers().await
    }

    /// Stops the dispatcher in good order and starts it again; returns how long it took from then to its first answer.
    pub(super) async fn restart_dispatcher(&mut self) -> Result<Duration, StartError> {
        let (service, dispatcher) = (self.servers["nameservice"].addr, self.servers["dispatcher"].addr);
        if let Some(server) = self.servers.get_mut("dispatcher") {
            server.stop().await;
            self.guard.ended(&server.id());
        }
        self.launch("dispatcher", dispatcher, service).await
    }

    /// Does `work` for as long as all three live.
    pub(super) async fn watch<T>(&self, work: impl Future<Output = T>) -> Result<T, StartError> {
        let [nameservice, worker, dispatcher] = NAMES.map(|name| self.servers[name].death());
        tokio::select! {
            biased;
            done = work => Ok(done),
            died = dispatcher => Err(died),
            died = worker => Err(died),
            died = nameservice => Err(died),
        }
    }

    /// Where to look at it.
    pub(super) fn probe(&self) -> Probe {
        let mut probe = Probe::of_ourselves();
        probe.processes.extend(self.servers.iter().map(|(name, server)| (*name, server.id())));
        probe.database = Some(self.directory.0.join(DATABASE));
        probe
    }

    /// Ends all of it and removes the directory.
    pub(super) async fn end(mut self) {
        self.kill().await;
    }

    async fn kill(&mut self) {
        while let Some((_, mut server)) = self.servers.pop_first() {
            server.kill().await;
            self.guard.ended(&server.id());
        }
    }
}

const DATABASE: &str = "taskgrid.db";

fn cannot_start(name: &str, error: &io::Error) -> StartError {
    StartError::unavailable(format!("cannot start the {name}: {error}"))
}

/// Ports of loopback that nobody listens at.
fn free_ports() -> Result<[SocketAddr; 3], StartError> {
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    // All at once, so that they are different.
    let sockets = [bind(any)?, bind(any)?, bind(any)?];
    let mut addrs = [any; 3];
    for (addr, socket) in addrs.iter_mut().zip(&sockets) {
        *addr = socket.local_addr().map_err(|error| StartError::unavailable(error.to_string()))?;
    }
    Ok(addrs)
}

/// A directory that goes with its owner.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn create(parent: &Path) -> io::Result<Self> {
        let path = std::path::absolute(parent)?.join(format!("taskgrid-bench-{:016x}", random().next_u64()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(target_os = "linux")]
fn is_in_memory(path: &Path) -> bool {
    // From statfs(2).
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_owner_and_with_what_is_in_it() {
        let directory = Directory::create(&std::env::temp_dir()).unwrap();
        let path = directory.0.clone();
        std::fs::write(path.join("taskgrid.db"), "rows").unwrap();
        drop(directory);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_ports_of_a_grid_are_different() {
        let [one, two, three] = free_ports().unwrap();
        assert!(one != two && two != three && one != three);
    }
}
