//! What an operator may say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use taskgrid_protocol::limits::KEY_RETENTION;
use taskgrid_runtime::{List, StartError, parse_bytes, parse_seconds};

use crate::machine::Config;
use crate::store::Retention;

/// Flags of `taskgrid dispatcher`.
#[derive(Clone, Debug, clap::Args)]
pub struct DispatcherArgs {
    /// Where clients and workers reach the dispatcher.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4000", env = "TASKGRID_LISTEN")]
    pub listen: SocketAddr,

    /// The name services; when one is silent, the next one is asked.
    #[arg(long, value_name = "HOST:PORT,…", default_value = "127.0.0.1:5001", env = "TASKGRID_NAMESERVICE")]
    pub nameservice: Vec<List<String>>,

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

    #[command(flatten)]
    pub retention: RetentionArgs,
}

/// How long ended tasks are kept (R4).
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct RetentionArgs {
    /// Done tasks are deleted so long after their end, such as 7d or 36h, and their results and keys with them; at
    /// least 24h.
    #[arg(long, value_name = "TIME", default_value = "forever", env = "TASKGRID_RETAIN_DONE")]
    pub retain_done: Kept,

    /// The same for failed and cancelled tasks.
    #[arg(long, value_name = "TIME", default_value = "forever", env = "TASKGRID_RETAIN_FAILED")]
    pub retain_failed: Kept,
}

/// A time to keep something for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// Without an end: `forever`, or 0.
    #[default]
    Forever,
    /// Hours or days.
    For(Duration),
}

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number of days or hours, such as 7d or 36h, or 'forever'".to_owned();
        if matches!(text, "forever" | "0") {
            return Ok(Self::Forever);
        }
        let hours = match text.char_indices().next_back() {
            Some((end, 'h')) => (&text[..end], 1),
            Some((end, 'd')) => (&text[..end], 24),
            _ => return Err(wrong()),
        };
        let number: u32 = hours.0.parse().map_err(|_| wrong())?;
        let kept = Duration::from_secs(u64::from(number) * hours.1 * 3_600);
        Ok(if kept.is_zero() { Self::Forever } else { Self::For(kept) })
    }
}

impl Kept {
    fn span(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::For(span) => Some(span),
        }
    }
}

impl RetentionArgs {
    fn retention(self) -> Result<Retention, StartError> {
        let retention = Retention { done: self.retain_done.span(), failed: self.retain_failed.span() };
        if retention.shortest().is_some_and(|shortest| shortest < KEY_RETENTION) {
            return Err(StartError::configuration(
                "--retain-done and --retain-failed must be at least 24h, since a client may send a task with its key again for \
                 so long; write 24h or more, or 'forever'",
            ));
        }
        Ok(retention)
    }
}

impl DispatcherArgs {
    /// The defaults, at other addresses.
    pub fn listening_on(listen: SocketAddr, nameservice: String) -> Self {
        let Config { lease, plain_lease, min_free, max_pending, .. } = Config::default();
        let (database, retention) = ("taskgrid.db".into(), RetentionArgs::default());
        Self {
            listen,
            nameservice: vec![List::one(nameservice)],
            database,
            lease,
            plain_lease,
            min_free,
            max_pending,
            retention,
        }
    }

    pub(super) fn config(&self) -> Result<Config, StartError> {
        let nameservices = List::concat(&self.nameservice);
        for service in &nameservices {
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
            nameservices,
            lease: self.lease,
            plain_lease: self.plain_lease,
            min_free: self.min_free,
            max_pending: self.max_pending,
            retention: self.retention.retention()?,
        })
    }
}

/// Below this, a lease would end between two copies of its TASK.
const LEASE_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_kept_for_days_or_hours_or_for_ever() {
        let hours = |number: u64| Ok(Kept::For(Duration::from_secs(number * 3_600)));
        assert_eq!("7d".parse(), hours(168));
        assert_eq!("36h".parse(), hours(36));
        for endless in ["forever", "0", "0d", "0h"] {
            assert_eq!(endless.parse(), Ok(Kept::Forever));
        }
        for wrong in ["", "7", "d", "-1d", "1.5d", "7 d", "7w", "99999999999d", "7ü"] {
            assert!(wrong.parse::<Kept>().unwrap_err().contains("7d"), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_deleted_within_a_day_of_its_end() {
        let args = |done: &str, failed: &str| RetentionArgs {
            retain_done: done.parse().unwrap(),
            retain_failed: failed.parse().unwrap(),
        };
        for (done, failed) in [("23h", "forever"), ("forever", "1h"), ("2d", "23h")] {
            let refused = args(done, failed).retention().unwrap_err();
            assert!(refused.to_string().contains("at least 24h"), "{refused}");
        }
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(args("24h", "forever").retention().unwrap(), Retention { done: day, failed: None });
        assert_eq!(args("forever", "1d").retention().unwrap(), Retention { done: None, failed: day });
    }
}
