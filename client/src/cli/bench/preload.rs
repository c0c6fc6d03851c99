//! A table that is not empty when the measuring begins.

use std::str::FromStr;
use std::time::Duration;

use taskgrid_protocol::TaskType;
use taskgrid_runtime::StartError;

use super::document::Preloaded;
use super::measure::Probe;
use super::plan::{Amount, Keys, Pace, Plan};
use super::run::{Bar, Ran, run};

/// Two of the dispatcher's largest batches, so that one fills while the other is written.
const AT_A_TIME: usize = 8_192;

/// A type that nobody serves.
const UNSERVED: &str = "bench-preload";

/// So many tasks of another type, which wait or are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preload {
    tasks: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Done,
}

impl FromStr for Preload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write pending:N or done:N, as in pending:1000000".to_owned();
        let (state, tasks) = text.split_once(':').ok_or_else(wrong)?;
        let state = match state {
            "pending" => State::Pending,
            "done" => State::Done,
            _ => return Err(wrong()),
        };
        let tasks = tasks.parse().ok().filter(|tasks| *tasks > 0).ok_or_else(wrong)?;
        Ok(Self { tasks, state })
    }
}

impl Preload {
    pub(super) fn amount(self) -> Amount {
        Amount::Tasks(self.tasks.into())
    }

    /// As many as there are to be, in arrays, beside a load of the type `measured`.
    fn plan(self, measured: &TaskType, patience: Duration) -> Plan {
        let name = match self.state {
            State::Pending => UNSERVED,
            State::Done if measured.as_str() == "upper" => "reverse",
            State::Done => "upper",
        };
        Plan {
            task_type: TaskType::new(name).expect("these are names of types"),
            payload_bytes: None,
            keys: Keys::V7,
            pack: true,
            wait: self.state == State::Done,
            pace: Pace::Closed,
            in_flight: AT_A_TIME,
            amount: self.amount(),
            warm_up: Duration::ZERO,
            patience,
        }
    }

    /// Submits them. The second value is what went wrong first, if anything did.
    pub(super) async fn submit(
        self,
        server: &str,
        measured: &TaskType,
        patience: Duration,
        bar: Bar,
    ) -> Result<(Preloaded, Option<String>), StartError> {
        let Ran { tally, .. } = run(server, self.plan(measured, patience), &Probe::default(), bar).await?;
        let status = match self.state {
            State::Pending => "pending",
            State::Done => "done",
        };
        let seconds = tally.took.as_secs_f64();
        let loaded = Preloaded { tasks: tally.right, status, seconds, first_answer_ms: None };
        Ok((loaded, tally.problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_is_a_state_and_a_number() {
        assert_eq!("pending:5".parse(), Ok(Preload { tasks: 5, state: State::Pending }));
        assert_eq!("done:5000000".parse(), Ok(Preload { tasks: 5_000_000, state: State::Done }));
        for wrong in ["", "pending", "5", "pending:", "pending:0", "running:5", "done:-1", "done:99999999999"] {
            assert!(wrong.parse::<Preload>().unwrap_err().contains("pending:N"), "{wrong}");
        }
    }

    #[test]
    fn what_is_preloaded_is_of_another_type_than_what_is_measured() {
        for measured in ["reverse", "upper", "report"] {
            let measured = TaskType::new(measured).unwrap();
            for preload in ["pending:1", "done:1"] {
                let preload: Preload = preload.parse().unwrap();
                assert_ne!(preload.plan(&measured, Duration::ZERO).task_type, measured);
            }
        }
    }
}
