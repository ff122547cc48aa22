//! What every [`Store`](gossip_store::Store) must do, run against each database; then what is one database's own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
#[expect(dead_code, reason = "its `main`")]
#[path = "../../examples/custom_store.rs"]
mod custom_store;
mod gossip;
mod log;
mod postgres;
mod recovery;
mod sqlite;
mod support;
mod together;

macro_rules! suite {
    ($($module:ident: $($test:ident)+;)+) => {
        mod on_sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() { crate::$module::$test(crate::support::Fixture::sqlite().await).await }
            )+)+
        }
        mod on_a_custom_store {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() { crate::$module::$test(crate::support::Fixture::custom().await).await }
            )+)+
        }
        mod on_postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() { crate::$module::$test(crate::support::Fixture::postgres().await).await }
            )+)+
        }
    };
}

suite! {
    gossip:
        posts_are_found_again
        pages_cover_everything_once
        votes_stand_once_and_counts_follow
        updates_tell_what_happened
        a_refused_command_fails_alone
        membership_decides_where_it_is_asked
        history_is_one_snapshot_with_seq
        a_request_id_is_answered_as_before
        what_is_due_is_found_and_expires_once
        many_rooms_in_one_batch_count_for_themselves
        metadata_comes_back_as_it_was_sent
        what_was_committed_survives_reopening;
    log:
        the_log_has_what_was_sent
        positions_go_on_after_all_is_pruned
        a_room_is_reached_from_where_its_log_begins
        rooms_stand_where_a_client_left_them
        replay_merges_rooms_in_the_order_of_positions
        pruning_leaves_no_hole;
    recovery:
        what_a_connection_did_is_kept
        what_is_forgotten_leaves_nothing
        connections_not_seen_for_long_are_pruned;
    together:
        two_nodes_count_a_room_without_gaps
        a_hot_intent_counts_every_vote_once
        a_request_id_at_two_nodes_is_carried_out_once
        recoveries_of_two_nodes_do_not_mix;
    access:
        members_are_listed_in_pages
        a_membership_that_goes_is_told_of_however_it_goes
        changes_come_in_pages_each_once
        a_revocation_keeps_the_latest_time_and_forgets_connections
        changes_go_after_an_hour;
}

#[tokio::test]
async fn the_example_of_a_custom_store_tells_what_was_committed() {
    let audit = custom_store::story().await.unwrap();
    assert_eq!(audit, custom_store::Audit { transactions: 2, carried_out: 2, refused: 1, events: 2 });
}
