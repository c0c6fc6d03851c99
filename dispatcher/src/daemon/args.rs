//! What an operator may say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use taskgrid_runtime::{StartError, parse_bytes, parse_seconds};

use crate::machine::Config;

/// Flags of `taskgrid dispatcher`.
#[derive(Clone, Debug, clap::Args)]
pub struct DispatcherArgs {
    /// Where clients and workers reach the dispatcher.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4000", env = "TASKGRID_LISTEN")]
    pub listen: SocketAddr,

    /// The name services; when one is silent, the next one is asked.
    #[arg(
        long,
        value_name = "HOST:PORT,…",
        default_value = "127.0.0.1:5001",
        value_delimiter = ',',
        env = "TASKGRID_NAMESERVICE"
    )]
    pub nameservice: Vec<String>,

    /// The SQLite file that holds the tasks; made if it is not there.
    #[arg(long, value_name = "FILE", default_value = "taskgrid.db", env = "TASKGRID_DATABASE")]
    pub database: PathBuf,

    /// After so many seconds without a sign of life from its worker, a task goes to another one.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds, env = "TASKGRID_LEASE")]
    pub lease: Duration,

    /// The same for plain workers, which give no signs of life while they work.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "600",
        value_parser = parse_seconds,
        env = "TASKGRID_PLAIN_LEASE"
    )]
    pub plain_lease: Duration,

    /// With less free space than this on the disk of the database, new tasks are refused, from the start on; results
    /// are still stored. Where there is room above it, another 16 MiB are kept in reserve for them in FILE.ballast.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = parse_bytes, env = "TASKGRID_MIN_FREE")]
    pub min_free: u64,

    /// With so many pending tasks new ones are refused; no limit unless given.
    #[arg(long, value_name = "TASKS", env = "TASKGRID_MAX_PENDING")]
    pub max_pending: Option<u64>,
}

impl DispatcherArgs {
    /// The defaults, at other addresses.
    pub fn listening_on(listen: SocketAddr, nameservice: String) -> Self {
        let Config { lease, plain_lease, min_free, max_pending, .. } = Config::default();
        let database = "taskgrid.db".into();
        Self { listen, nameservice: vec![nameservice], database, lease, plain_lease, min_free, max_pending }
    }

    pub(super) fn config(&self) -> Result<Config, StartError> {
        for service in &self.nameservice {
            let port = service.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                return Err(StartError::configuration(format!(
                    "'{service}' is not the address of a name service; write HOST:PORT, as in 127.0.0.1:5001"
                )));
            }
        }
        if self.lease < LEASE_MIN || self.plain_lease < LEASE_MIN {
            return Err(StartError::configuration("--lease and --plain-lease must be at least 1 second".to_owned()));
        }
        Ok(Config {
            nameservices: self.nameservice.clone(),
            lease: self.lease,
            plain_lease: self.plain_lease,
            min_free: self.min_free,
            max_pending: self.max_pending,
        })
    }
}

/// Below this, a lease would end between two copies of its TASK.
const LEASE_MIN: Duration = Duration::from_secs(1);
