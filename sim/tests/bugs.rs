//! The checkers are checked: each mistake that is made on purpose is noticed, and by the invariant that it breaks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use taskgrid_sim::bugs::Bug;
use taskgrid_sim::options::{Options, Profile, StoreKind};
use taskgrid_sim::run;

/// Worlds that a mistake has to show in.
const SEEDS: u64 = 400;

/// In one of these worlds, what the mistake breaks is one of `invariants`.
fn is_noticed(bug: Bug, profile: Profile, invariants: &[&str]) {
    let mut seen = Vec::new();
    for seed in 0..SEEDS {
        let options = Options { store: StoreKind::Memory, ..Options::of_profile(seed, profile) };
        let Some(violation) = run(options, Some(bug), false).violation else { continue };
        let invariant = violation.invariant.split(' ').next().unwrap();
        if invariants.contains(&invariant) {
            return;
        }
        seen.push(violation);
    }
    panic!("{bug:?} broke none of {invariants:?} in {SEEDS} worlds; seen: {seen:?}");
}

#[test]
fn an_acknowledgement_before_the_commit_is_noticed() {
    is_noticed(Bug::AcknowledgesBeforeCommit, Profile::Restarts, &["I1", "I16"]);
}

#[test]
fn a_commit_that_is_not_synced_is_noticed() {
    is_noticed(Bug::DoesNotSync, Profile::Everything, &["I1", "I16"]);
}

#[test]
fn a_key_that_names_two_tasks_is_noticed() {
    is_noticed(Bug::KeysAreNotUnique, Profile::Loss, &["I2", "I3"]);
}

#[test]
fn a_task_that_leaves_before_its_claim_is_stored_is_noticed() {
    is_noticed(Bug::SendsBeforeCommit, Profile::Restarts, &["I10"]);
}

#[test]
fn a_renewal_without_the_current_lease_is_noticed() {
    is_noticed(Bug::RenewsAnyLease, Profile::Everything, &["I12"]);
}

#[test]
fn a_late_result_that_replaces_another_is_noticed() {
    is_noticed(Bug::LateResultOverwrites, Profile::Everything, &["I7", "I8", "I9"]);
}

#[test]
fn a_worker_that_knows_tasks_by_number_only_is_noticed() {
    is_noticed(Bug::DeduplicatesByTask, Profile::Clean, &["I6", "I13"]);
}

#[test]
fn tasks_that_are_handed_out_anew_after_a_restart_are_noticed() {
    is_noticed(Bug::HandsOverAfterRestart, Profile::Restarts, &["I13"]);
}

#[test]
fn leases_on_the_wall_clock_are_noticed() {
    is_noticed(Bug::LeasesOnWallClock, Profile::Clocks, &["I13"]);
}

#[test]
fn a_key_that_is_forgotten_early_is_noticed() {
    is_noticed(Bug::ForgetsKeysAtTheEnd, Profile::Loss, &["I2", "I3"]);
}

#[test]
fn a_waiter_that_is_entered_after_the_look_is_noticed() {
    is_noticed(Bug::WaitsAfterReading, Profile::Clean, &["I21"]);
}

#[test]
fn an_answer_of_dns_that_is_kept_for_ever_is_noticed() {
    is_noticed(Bug::RemembersDnsForEver, Profile::Everything, &["I6", "I21"]);
}

#[test]
fn a_result_that_is_said_to_be_stored_too_early_is_noticed() {
    is_noticed(Bug::AnswersResultsAtOnce, Profile::Loss, &["I14"]);
}

#[test]
fn a_refusal_of_what_is_stored_is_noticed() {
    is_noticed(Bug::RefusesWhatItStores, Profile::Everything, &["I4"]);
}

#[test]
fn a_time_limit_that_counts_while_a_task_waits_is_noticed() {
    is_noticed(Bug::CallsWaitingRunning, Profile::Clean, &["I13"]);
}
