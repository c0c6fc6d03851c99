//! What every store must do, whichever it is.
//!
//! Each behaviour is one function over a [`Desk`]; the list at the end runs all of them on each store. A
//! behaviour that is not in here does not exist: a change to a store starts with a change here.

mod claims;
mod clocks;
mod desk;
mod expiry;
mod failures;
mod inserts;
mod late;
mod opening;
mod people;
mod random;
mod reads;
mod retention;

use desk::Desk;

macro_rules! behaviours {
    ($($module:ident::{$($behaviour:ident),+ $(,)?};)+) => {
        mod memory {
            use super::*;
            $($(
                #[test]
                fn $behaviour() {
                    $module::$behaviour(&mut Desk::memory());
                }
            )+)+
        }

        mod sqlite {
            use super::*;
            $($(
                #[test]
                fn $behaviour() {
                    $module::$behaviour(&mut Desk::sqlite());
                }
            )+)+
        }
    };
}

behaviours! {
    inserts::{
        a_new_task_is_pending_and_shows_what_it_was_posted_with,
        ids_rise_in_the_order_of_the_entries,
        a_known_key_finds_its_task,
        a_key_works_within_one_batch,
        among_many_new_tasks_known_ones_are_found,
        a_key_with_another_task_is_a_conflict,
        retries_and_waits_do_not_make_it_another_task,
        a_key_is_known_in_every_state,
        a_refused_row_does_not_harm_the_rest_of_its_batch,
        a_slot_makes_the_task_running_at_once,
        a_slot_is_ignored_where_the_task_is_not_due_or_not_new,
        a_delayed_task_says_how_long,
        the_later_of_delay_and_not_before_counts,
        payloads_keep_their_bytes,
    };
    claims::{
        the_order_is_priority_then_due_time_then_id,
        a_claim_takes_its_own_type_only,
        a_claim_says_what_is_left,
        delayed_tasks_of_high_priority_are_not_in_the_way,
        a_claim_is_an_attempt_with_worker_and_lease,
        a_task_that_failed_goes_to_another_worker_if_there_is_one,
        two_claims_of_one_batch_share_the_tasks,
        what_a_batch_inserts_its_claims_can_take,
    };
    failures::{
        a_success_ends_the_task,
        null_is_a_result,
        a_failure_is_tried_again_after_its_time,
        the_last_attempt_fails_the_task,
        a_failure_without_retry_is_final,
        a_timeout_is_told_from_other_failures,
        a_released_attempt_is_pending_again,
        an_uncharged_attempt_gives_its_number_back,
        an_uncharged_attempt_does_not_hide_the_last_failure,
        only_the_current_attempt_can_be_released,
        a_release_without_retry_fails_the_task,
        three_lost_workers_make_poison,
        a_retry_forgives_lost_workers,
        attempts_that_were_given_back_do_not_pile_up,
        a_done_task_shows_no_error,
    };
    late::{
        a_repeated_result_changes_nothing,
        a_repeated_failure_changes_nothing,
        an_old_lease_still_wins_while_the_task_is_pending,
        an_old_lease_supersedes_the_current_attempt,
        an_old_failure_does_not_end_the_current_attempt,
        a_late_result_is_kept_once,
        an_unknown_lease_is_refused_in_every_state,
        no_task_is_not_found,
        a_plain_worker_needs_no_lease_but_its_address,
        a_plain_worker_may_answer_after_its_attempt_was_ended,
        a_leased_attempt_needs_its_lease,
        an_ended_task_answers_any_plain_worker,
        leases_from_before_a_retry_are_late,
    };
    people::{
        a_pending_and_a_running_task_can_be_cancelled,
        an_ended_task_cannot_be_cancelled,
        a_retry_adds_as_many_attempts_as_the_task_had_first,
        only_failed_and_cancelled_tasks_can_be_retried,
        a_retried_task_is_due_at_once,
        the_lists_of_a_batch_are_applied_in_their_order,
    };
    expiry::{
        pending_and_running_tasks_expire,
        nothing_expires_unless_asked,
        the_next_expiry_is_told,
        many_expire_over_several_batches,
        ended_tasks_do_not_expire,
        a_retry_drops_an_expiry_that_has_passed,
    };
    retention::{
        done_tasks_are_deleted_so_long_after_their_end,
        failed_and_cancelled_tasks_have_a_time_of_their_own,
        nothing_is_deleted_unless_asked,
        a_deleted_task_is_gone_with_attempts_key_and_count,
        a_number_is_never_given_again,
        what_ended_in_the_same_batch_can_be_deleted_with_it,
        many_are_deleted_over_several_batches,
        long_ones_are_deleted_fewer_at_a_time,
        many_that_are_kept_are_passed_over_in_several_batches,
        tasks_that_were_created_too_recently_are_not_looked_at,
        a_clock_that_is_set_back_keeps_them,
    };
    clocks::{
        stored_times_never_go_back,
        what_was_due_stays_due_when_the_clock_is_set_back,
        not_before_goes_by_the_clock_as_it_is_now,
        a_new_delay_holds_after_the_clock_was_set_back,
        a_backoff_does_not_outlive_a_clock_that_was_wrong,
        a_backoff_does_not_outlive_a_clock_that_was_wrong_for_a_while,
        stored_times_go_on_after_a_restart,
        times_beyond_the_year_9999_are_cut,
    };
    opening::{
        a_new_store_is_empty, the_id_of_a_table_is_given_once,
        running_tasks_are_loaded_by_id,
        types_with_pending_tasks_are_named_once,
        the_first_expiry_is_told,
        ids_go_on_after_a_restart,
        everything_is_there_after_a_restart,
    };
    reads::{
        what_does_not_exist_is_none,
        a_result_shows_where_the_task_stands,
        a_list_is_newest_first_and_goes_on_where_it_stopped,
        a_list_can_be_filtered,
        past_attempts_are_shown_newest_first,
        counts_follow_every_change,
    };
}
