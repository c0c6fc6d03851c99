//! A closed loop: so many tasks at a time, the next one when one is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use taskgrid_protocol::TaskType;
use taskgrid_runtime::Clock;
use tokio::task::JoinSet;

use crate::{Client, Json, Submission, WaitError};

#[derive(Clone)]
pub(super) struct Load {
    pub(super) client: Client,
    pub(super) task_type: TaskType,
    pub(super) tasks: u32,
    pub(super) in_flight: u32,
}

/// What came of the load.
#[derive(Default)]
pub(super) struct Tally {
    /// Results that came and were right.
    pub(super) right: u32,
    /// Results that came and were not.
    pub(super) wrong: u32,
    /// From submission to result, in microseconds.
    pub(super) latencies: Vec<u32>,
    /// From the first submission to the last result.
    pub(super) took: Duration,
    /// What went wrong first, in words.
    pub(super) first_problem: Option<String>,
}

impl Load {
    /// The task of this number.
    pub(super) fn submission(&self, number: u32) -> Submission {
        self.client.submit(self.task_type.as_str(), payload(number))
    }

    pub(super) async fn run(&self, progress: ProgressBar) -> Tally {
        let clock = Clock::new();
        let started = clock.now();
        let next = Arc::new(AtomicU32::new(0));
        let mut lanes = JoinSet::new();
        for _ in 0..self.in_flight.min(self.tasks) {
            lanes.spawn(self.clone().lane(clock, Arc::clone(&next), progress.clone()));
        }
        let mut tally = Tally::default();
        while let Some(lane) = lanes.join_next().await {
            tally.add(lane.expect("a lane neither panics nor is aborted"));
        }
        tally.took = clock.now().since(started);
        progress.finish_and_clear();
        tally.latencies.sort_unstable();
        tally
    }

    /// One task after the other, until all are taken or a call gets no answer.
    async fn lane(self, clock: Clock, next: Arc<AtomicU32>, progress: ProgressBar) -> Tally {
        let mut tally = Tally::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.tasks {
                return tally;
            }
            let submitted = clock.now();
            let waited = self.submission(number).wait().await;
            let micros = clock.now().since(submitted).as_micros();
            tally.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
            progress.inc(1);
            let is_lost = matches!(waited, Err(WaitError::Call(_)));
            tally.count(number, waited, &self.task_type);
            if is_lost {
                // With nobody there, each further task would take the caller's whole patience.
                return tally;
            }
        }
    }
}

impl Tally {
    fn count(&mut self, number: u32, waited: Result<Json, WaitError>, task_type: &TaskType) {
        let problem = match waited {
            Ok(result) if is_right(task_type, number, &result) => {
                self.right += 1;
                return;
            }
            Ok(result) => {
                self.wrong += 1;
                format!("the result of {:?} was {}", payload(number), result.get())
            }
            Err(error) => error.to_string(),
        };
        self.first_problem.get_or_insert(problem);
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.latencies.extend(other.latencies);
        self.first_problem = self.first_problem.take().or(other.first_problem);
    }
}

fn payload(number: u32) -> String {
    format!("TaskGrid {number}")
}

/// Whether this is what the type makes of the payload, as far as we know it.
fn is_right(task_type: &TaskType, number: u32, result: &Json) -> bool {
    let expected: String = match task_type.as_str() {
        "reverse" => payload(number).chars().rev().collect(),
        "upper" => payload(number).to_uppercase(),
        _ => return true,
    };
    result.read::<String>().is_ok_and(|result| result == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_right_when_it_is_that_of_its_own_task() {
        let reverse = TaskType::new("reverse").unwrap();
        assert!(is_right(&reverse, 7, &Json::string("7 dirGksaT")));
        assert!(!is_right(&reverse, 7, &Json::string("8 dirGksaT")));
        assert!(!is_right(&reverse, 7, &Json::null()));
        assert!(is_right(&TaskType::new("report").unwrap(), 7, &Json::null()));
    }
}
