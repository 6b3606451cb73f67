//! Games, servers and rooms that fail, and who goes on then.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use gs_authority::Authority;
use gs_protocol::ClientEvent;
use gs_protocol::wire;
use gs_store::{MatchStatus, Matches, Outcome, TicketStatus, Tickets};
use gs_test_services::{LiveKit, LiveKitOptions};
use livekit_data::{CloseReason, ConnectError, ConnectOptions, Participant};
use livekit_rooms::Rooms;

use crate::support::DEADLINE;
use crate::world::{SAY_AGAIN, World};
use crate::{game, support};

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_fails_ends_its_own_match_and_no_other() {
    let world = World::new().await;
    let (authority, shutdown, run) = world.authority("one");
    let (bad, bad_players, bad_room) = world.form_match(game::Game::NAME).await;
    let (good, good_players, good_room) = world.form_match(game::Game::NAME).await;
    for id in [bad, good] {
        world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    }
    let mut bad_player = world.player(bad_players[0], &bad_room).await;
    let _bad_other = world.player(bad_players[1], &bad_room).await;
    let mut good_player = world.player(good_players[0], &good_room).await;
    let _good_other = world.player(good_players[1], &good_room).await;
    bad_player.started().await;
    good_player.started().await;

    bad_player.tell(&ClientEvent::Command(vec![0, game::TRAP]));
    let ended = bad_player.stored().await;
    assert_eq!(ended.outcome(), wire::Outcome::Void);
    assert!(ended.reason.contains("the bug"), "{}", ended.reason);
    let stored = world
        .wait_for_match(bad, |m| m.status == MatchStatus::Ended)
        .await;
    assert_eq!(stored.outcome, Some(Outcome::Void));

    let tick = |authority: &Authority| {
        authority
            .rooms()
            .iter()
            .find(|room| room.match_id == good)
            .unwrap()
            .tick
    };
    let after_failure = tick(&authority);
    let wait = async {
        while tick(&authority) < after_failure + 30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("the other match goes on");
    good_player.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    assert_eq!(
        good_player.stored().await.outcome(),
        wire::Outcome::Finished
    );

    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_whose_server_died_is_void() {
    let world = World::new().await;
    let (id, players, _) = world.form_match(game::Game::NAME).await;
    let claim = world
        .store
        .claim_match("dead", Utc::now(), Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    world
        .store
        .match_ready(id, claim.epoch, Utc::now())
        .await
        .unwrap();
    world
        .store
        .match_started(id, claim.epoch, Utc::now())
        .await
        .unwrap();

    let (_, shutdown, run) = world.authority("next");
    let ended = world
        .wait_for_match(id, |m| m.status == MatchStatus::Ended)
        .await;
    assert_eq!(ended.outcome, Some(Outcome::Void));
    assert_eq!(ended.reason.as_deref(), Some("the server restarted"));
    assert!(
        world
            .store
            .live_match_of(players[0])
            .await
            .unwrap()
            .is_none()
    );
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_of_a_game_that_is_not_served_fails_with_the_reason() {
    let world = World::new().await;
    let (_, shutdown, run) = world.authority("one");
    let (id, players, _) = world.form_match("unknown").await;
    let failed = world
        .wait_for_match(id, |m| m.status == MatchStatus::Failed)
        .await;
    assert!(failed.reason.unwrap().contains("not served here"));
    let ticket = world
        .store
        .newest_ticket(players[1])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ticket.status, TicketStatus::Failed);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_holder_stops_the_older_one_and_a_shutdown_gives_unstarted_matches_back() {
    let world = World::new().await;
    let (first, first_shutdown, first_run) = world.authority("first");
    let (id, _, _) = world.form_match(game::Game::NAME).await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    // As a process does that takes the first one for dead.
    let later = Utc::now() + chrono::Duration::seconds(60);
    let claim = world
        .store
        .claim_match("second", later, Duration::from_secs(600))
        .await
        .unwrap();
    assert_eq!(claim.unwrap().epoch, 2);
    let wait = async {
        while !first.rooms().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("the older holder stops");
    first_shutdown.cancel();
    tokio::time::timeout(DEADLINE, first_run)
        .await
        .unwrap()
        .unwrap();

    let (id, _, _) = world.form_match(game::Game::NAME).await;
    let (_, shutdown, run) = world.authority("third");
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
    let claim = world
        .store
        .claim_match("fourth", Utc::now(), Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(
        claim.map(|claim| (claim.details.id, claim.epoch)),
        Some((id, 2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_the_authoritys_place_without_the_lease_is_thrown_out_again() {
    let world = World::new().await;
    let (authority, shutdown, run) = world.authority("one");
    let (id, players, room) = world.form_match(game::Game::NAME).await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let mut ada = world.player(players[0], &room).await;
    let _bob = world.player(players[1], &room).await;
    ada.started().await;

    let token = world.tokens.authority_token(&room).unwrap();
    let options = ConnectOptions::new(world.livekit.url(), token.token);
    // The authority may be back before the intruder has joined for good.
    let thrown_out = match Participant::connect(options).await {
        Ok((_intruder, mut events)) => support::wait_for_close(&mut events).await,
        Err(ConnectError::Refused { reason }) => reason,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(thrown_out, CloseReason::DuplicateIdentity);

    // What is said while nobody holds the place is lost, so it is said until it is heard.
    let ended = loop {
        ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
        if let Ok(ended) = tokio::time::timeout(SAY_AGAIN, ada.stored()).await {
            break ended;
        }
    };
    assert_eq!(ended.outcome(), wire::Outcome::Finished);
    let ended = world
        .wait_for_match(id, |m| m.status == MatchStatus::Ended)
        .await;
    assert_eq!((ended.outcome, ended.epoch), (Some(Outcome::Finished), 1));
    drop(authority);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_livekit_lost_is_created_again_and_the_match_goes_on() {
    // Where joining creates no rooms, the authority has to.
    let world = World::on(Arc::new(LiveKit::start(LiveKitOptions::default()))).await;
    let (_, shutdown, run) = world.authority("one");
    let (id, players, room) = world.form_match(game::Game::NAME).await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    world.rooms.delete_room(&room).await.unwrap();
    assert_eq!(
        support::wait_for_close(&mut ada.events).await,
        CloseReason::RoomDeleted
    );
    support::wait_for_close(&mut bob.events).await;

    let mut ada = world.player_again(players[0], &room).await;
    let _bob = world.player_again(players[1], &room).await;
    let welcome = ada.hello().await;
    assert!(welcome.phase() == wire::Phase::Running && welcome.tick > 0);
    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    assert_eq!(ada.stored().await.outcome(), wire::Outcome::Finished);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}
