//! What every store keeps to: one suite, run on SQLite and on PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

#[path = "contract/changes.rs"]
mod changes;
#[path = "contract/lost.rs"]
mod lost;
#[path = "contract/outage.rs"]
mod outage;
#[path = "contract/place.rs"]
mod place;
#[path = "contract/records.rs"]
mod records;
#[path = "contract/reserving.rs"]
mod reserving;
#[path = "contract/spending.rs"]
mod spending;
#[path = "contract/sums.rs"]
mod sums;
#[path = "contract/tables.rs"]
mod tables;

use place::Place;

/// Makes a test of each case for each back end.
macro_rules! contract {
    ($($module:ident: $($case:ident),+;)+) => {
        mod sqlite {$($(
            #[tokio::test]
            async fn $case() {
                super::$module::$case(super::Place::sqlite()).await;
            }
        )+)+}

        mod postgres {$($(
            #[tokio::test]
            async fn $case() {
                super::$module::$case(super::Place::postgres()).await;
            }
        )+)+}
    };
}

contract! {
    records:
        a_team_is_kept_whole_and_changed_by_version,
        a_key_is_kept_whole_and_changed_by_version,
        a_user_is_kept_whole_and_takes_its_keys_with_it,
        a_tag_is_kept_whole_and_changed_by_version,
        what_is_taken_is_named,
        what_is_missing_is_named,
        a_deleted_team_takes_its_keys_with_it,
        nothing_is_deleted_when_one_of_them_is_missing,
        a_key_brings_its_team_and_user,
        a_replaced_key_keeps_what_it_has_spent,
        lists_are_filtered_and_paged,
        odd_names_are_kept;
    reserving:
        the_first_grant_to_a_team_reserves,
        what_was_decided_stays,
        a_deleted_team_leaves_its_tags_reserved,
        a_deleted_tag_stays_reserved,
        a_failed_grant_reserves_nothing;
    changes:
        every_change_is_seen_once_and_in_order,
        what_fails_changes_nothing,
        what_is_forgotten_is_said,
        writers_lose_no_change,
        an_update_is_lost_by_nobody;
    spending:
        a_row_is_settled_once,
        sums_are_kept_by_day,
        rows_are_found_by_what_they_are,
        two_stores_settle_the_same_rows_once,
        thousands_of_rows_are_settled_at_once,
        what_a_client_wrote_cannot_stop_it,
        old_rows_are_pruned_and_their_sums_stay,
        sums_are_exactly_those_of_the_rows,
        sums_of_many_spenders_are_read_at_once,
        a_sum_stays_in_range,
        budgets_begin_anew_once,
        very_many_budgets_begin_anew_a_batch_at_a_time,
        a_late_row_of_a_replaced_key_is_its_successors,
        settling_and_deleting_do_not_block_each_other;
    lost:
        a_heartbeat_tells_of_the_one_before,
        a_transaction_that_the_database_ended_does_not_stop_the_next,
        a_caller_that_gives_up_leaves_no_transaction,
        another_store_is_not_taken_for_it;
    sums:
        names_that_are_not_told_apart_are_summed_as_one,
        calls_without_rows_are_in_the_sums,
        sums_are_added_up_as_they_are_asked_for,
        sums_of_old_days_go_a_batch_at_a_time,
        rows_are_read_page_by_page,
        a_reset_beyond_its_duration_is_computed_again;
    tables:
        several_open_a_new_database_at_once,
        what_was_acknowledged_is_there_after_a_drop,
        a_newer_releases_database_is_refused,
        amounts_of_the_first_release_become_exact,
        a_failed_migration_leaves_nothing,
        a_closed_store_is_unavailable,
        a_writer_holds_up_no_lookup;
}
