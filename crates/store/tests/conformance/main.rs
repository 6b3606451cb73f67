//! What every store must do, run against each of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod acceptance;
mod accounts;
mod backfill;
mod bans;
mod boards;
mod embedded_file;
mod erasure;
mod groups;
mod keys;
mod lead;
mod matches;
mod parties;
mod presence;
mod services;
mod statistics;
mod stores;
mod tickets;
mod world;

/// Hands the list of all scenarios to a macro, after its own arguments.
macro_rules! scenarios {
    ($instantiate:ident!($($arguments:tt)*)) => {
        $instantiate! {
            $($arguments)*;
            accounts::a_name_and_an_address_belong_to_one_player_in_any_case,
            accounts::a_guest_registers_once_and_keeps_the_id,
            accounts::a_changed_password_ends_the_sessions,
            accounts::a_refresh_token_works_once_and_repeats_for_ten_seconds,
            accounts::a_reused_refresh_token_ends_its_family,
            accounts::expired_refresh_tokens_are_refused_and_forgotten,
            accounts::a_player_has_a_bounded_number_of_sessions,
            accounts::a_secret_is_chosen_once,
            accounts::concurrent_registrations_of_a_name_make_one_player,
            accounts::names_that_look_alike_are_one,
            accounts::a_session_lasts_until_it_ends_or_runs_out,
            bans::a_ban_ends_sessions_and_takes_the_player_out_of_the_queues,
            bans::a_ban_stands_until_it_runs_out_or_is_lifted,
            bans::bans_are_paged_by_player,
            keys::the_first_signing_key_is_chosen_once,
            keys::signing_keys_are_forgotten_some_time_after_their_successor_came,
            keys::a_new_signing_key_is_the_newest_by_any_clock,
            erasure::everything_held_of_a_player_is_told,
            erasure::an_erased_player_leaves_results_without_a_name,
            erasure::the_name_and_address_of_an_erased_player_are_free_again,
            erasure::an_erased_player_cannot_come_back,
            erasure::a_player_can_be_erased_during_a_match,
            tickets::a_player_has_one_live_ticket,
            tickets::a_player_may_wait_for_several_games_at_once,
            tickets::tickets_are_queued_first_come_first,
            tickets::a_cancelled_ticket_frees_the_player,
            tickets::tickets_that_nobody_asks_for_time_out,
            tickets::the_newest_ticket_is_found_whatever_became_of_it,
            tickets::old_tickets_are_forgotten_once_nothing_can_happen_to_them,
            groups::a_group_is_queued_whole_or_not_at_all,
            groups::a_group_that_cannot_be_stored_is_refused,
            groups::what_a_group_is_matched_by_is_kept,
            groups::a_group_leaves_the_queue_together,
            groups::a_group_with_a_silent_player_times_out,
            groups::groups_that_waited_too_long_time_out,
            groups::a_match_takes_groups_whole,
            groups::a_queue_is_read_in_whole_groups,
            groups::a_ban_takes_the_whole_group_out_of_the_queue,
            groups::tickets_are_recorded_in_the_order_of_queueing,
            acceptance::a_match_forms_once_everybody_accepted,
            acceptance::a_decline_cancels_the_group_and_returns_the_others,
            acceptance::a_match_lapses_where_somebody_does_not_answer,
            acceptance::an_answer_stands,
            acceptance::whoever_cancels_declines,
            acceptance::whoever_is_banned_or_erased_declines,
            acceptance::a_returned_group_is_asked_anew,
            acceptance::everybody_accepts_at_once,
            acceptance::some_accept_while_one_declines,
            lead::one_holder_leads_a_queue_at_a_time,
            lead::a_lead_can_be_given_up,
            lead::only_the_leader_forms_matches,
            parties::players_join_and_leave_a_party,
            parties::a_party_has_a_code_and_room_of_its_own,
            parties::a_party_queues_whole,
            parties::whoever_leaves_or_joins_ends_the_wait_and_not_the_party,
            parties::whoever_leaves_while_asked_declines,
            parties::a_match_that_is_made_outlasts_its_party,
            parties::banned_and_erased_players_leave_their_parties,
            parties::unused_parties_are_forgotten,
            parties::a_player_joins_one_party_at_once,
            parties::no_more_join_at_once_than_there_is_room_for,
            matches::forming_a_match_takes_all_tickets_or_none,
            matches::concurrent_matches_never_share_a_ticket,
            matches::a_match_is_claimed_only_once_its_room_exists,
            matches::a_lease_runs_out_and_its_epoch_grows,
            matches::a_holder_never_reclaims_its_own_lapsed_lease,
            matches::a_released_match_is_claimed_at_once,
            matches::tickets_are_matched_when_the_authority_is_ready,
            matches::a_match_that_is_not_ready_can_fail,
            matches::a_stale_holder_cannot_fail_a_match,
            matches::a_result_is_stored_once,
            matches::a_stale_holder_stores_nothing,
            matches::a_void_result_counts_for_nobody,
            matches::a_draw_has_no_winner,
            matches::a_malformed_result_changes_nothing,
            matches::details_are_kept_as_json,
            matches::history_is_paged_newest_first,
            matches::changes_are_announced,
            backfill::a_player_who_waits_takes_an_open_slot,
            backfill::only_who_runs_a_match_opens_its_slots,
            backfill::a_match_that_is_not_ready_opens_nothing,
            backfill::a_slot_is_given_once_and_to_who_fits,
            backfill::only_who_leads_the_queue_fills_slots,
            backfill::substitutes_leave_stay_or_go_back_as_slots_are_opened,
            backfill::substitutes_on_their_way_go_back_when_the_match_ends,
            backfill::a_filled_slot_counts_for_whoever_was_matched_into_it,
            backfill::a_slot_that_was_free_counts_for_nobody,
            backfill::a_later_holder_takes_the_substitutes_over,
            backfill::substitutes_are_erased_as_others_are,
            boards::best_keeps_the_highest_score_and_when_it_was_reached_first,
            boards::latest_keeps_the_match_that_ended_last,
            boards::sum_adds_scores_up,
            boards::equal_scores_share_a_rank_and_who_was_first_is_listed_first,
            boards::pages_follow_each_other_without_a_gap_also_among_equals,
            boards::a_page_begins_after_a_place_where_nobody_is,
            boards::a_page_around_a_player_has_the_player_in_its_middle,
            boards::a_board_that_nobody_is_on_is_empty,
            boards::seasons_are_boards_of_their_own_newest_first,
            boards::a_board_of_a_statistic_lists_those_who_have_it,
            boards::what_does_not_count_enters_no_board,
            boards::a_repeated_result_counts_once,
            boards::results_that_end_at_once_all_count,
            boards::ranks_are_made_anew_while_they_are_read,
            statistics::wins_losses_and_draws_add_up,
            statistics::a_team_wins_and_loses_together,
            statistics::an_abandoned_match_counts_for_those_who_stayed,
            statistics::modes_are_kept_apart_and_in_order,
            statistics::what_does_not_count_changes_no_statistics,
            statistics::ratings_follow_results_in_the_order_they_are_stored,
            statistics::a_rating_is_less_certain_the_longer_its_player_is_away,
            statistics::what_matches_changed_of_a_rating_is_paged_by_match,
            statistics::what_players_are_matched_by_is_told_in_the_order_asked,
            presence::whoever_was_seen_is_there,
            presence::a_room_knows_who_is_in_it,
            presence::an_event_is_delivered_for_the_first_time_once,
        }
    };
}

/// Makes a test of each scenario, for a store that `$open` opens: it answers the store and whatever
/// must be kept as long as the store is used.
macro_rules! conformance {
    ($store:ident, $open:path; $($module:ident::$scenario:ident),* $(,)?) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    let (store, _kept) = $open().await;
                    crate::$module::$scenario(store).await;
                }
            )*
        }
    };
}

scenarios!(conformance!(embedded, crate::stores::embedded));
scenarios!(conformance!(postgres, crate::services::postgres));
