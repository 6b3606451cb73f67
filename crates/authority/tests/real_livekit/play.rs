//! Matches that go as they should.

use chrono::Utc;
use gs_protocol::ClientEvent;
use gs_protocol::topic;
use gs_protocol::wire::{self, server_event::Body};
use gs_store::{
    ALL_TIME, Accounts, Ban, BoardKey, Boards, MatchStatus, Outcome, Presence, TicketStatus,
    Tickets,
};
use livekit_data::{CloseReason, Event};
use std::time::Duration;
use uuid::Uuid;

use crate::support::DEADLINE;
use crate::world::World;
use crate::{game, support};

#[tokio::test(flavor = "multi_thread")]
async fn two_players_play_a_match_to_its_end() {
    let world = World::new().await;
    let (authority, shutdown, run) = world.authority("one");
    let (id, players, room) = world.form_match(game::Game::NAME).await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let ticket = world
        .store
        .newest_ticket(players[0])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ticket.status, TicketStatus::Matched);

    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    bob.started().await;
    let welcome = bob.hello().await;
    assert_eq!((welcome.slot, welcome.match_id), (Some(1), id.to_string()));
    let state = support::wait_for(&mut bob.events, |event| match event {
        Event::Data { topic, payload, .. } if &**topic == topic::STATE => {
            Some(gs_protocol::decode_state_update(payload).unwrap())
        }
        _ => None,
    })
    .await;
    assert!(state.epoch == 1 && state.tick > 0);
    let running = world.wait_for_match(id, |m| m.started_at.is_some()).await;
    assert_eq!(running.status, MatchStatus::Running);

    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    for player in [&mut ada, &mut bob] {
        let ended = player.stored().await;
        assert_eq!(
            (ended.outcome(), ended.slots.len()),
            (wire::Outcome::Finished, 2)
        );
    }
    let ended = world
        .wait_for_match(id, |m| m.status == MatchStatus::Ended)
        .await;
    assert_eq!(ended.outcome, Some(Outcome::Finished));
    assert_eq!(ended.winner, Some(players[0]));
    assert!(ended.ticks.unwrap() > 0);
    assert_eq!(
        support::wait_for_close(&mut bob.events).await,
        CloseReason::RoomDeleted
    );
    assert!(authority.rooms().is_empty());
    let totals = authority.totals();
    assert!(totals.packets > 0 && totals.transmits > 0, "{totals:?}");
    assert_eq!(totals.malformed, 0);

    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_room_is_known_to_the_store_and_a_result_counts_on_the_games_boards() {
    let world = World::new().await;
    let (_authority, shutdown, run) = world.authority("one");
    let (id, players, room) = world.form_match(game::Game::NAME).await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    bob.started().await;
    let mut both = players.to_vec();
    both.sort_unstable();
    let here = async |expected: &[Uuid]| {
        let wait = async {
            while world.store.room_players(&room).await.unwrap() != expected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait)
            .await
            .expect("the room's players");
    };
    here(&both).await;
    let online = world.store.online(&players, Utc::now()).await.unwrap();
    assert_eq!(online, [true, true]);
    bob.participant.close().await;
    here(&players[..1]).await;

    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    ada.stored().await;
    let board = BoardKey {
        game: game::Game::NAME.to_owned(),
        board: "default".to_owned(),
        season: ALL_TIME.to_owned(),
    };
    let standing = world.store.standing(&board, players[0]).await.unwrap();
    assert_eq!(standing.map(|s| s.rank), Some(1));
    here(&[]).await;
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_who_is_banned_while_playing_is_removed_and_again_at_the_return() {
    let world = World::new().await;
    let (_authority, shutdown, run) = world.authority("one");
    let (id, players, room) = world.form_match(game::Game::NAME).await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    bob.started().await;
    let ban = Ban {
        player_id: players[1],
        reason: "cheats".to_owned(),
        banned_at: Utc::now(),
        until: None,
    };
    assert!(world.store.ban(ban).await.unwrap());
    assert_eq!(
        support::wait_for_close(&mut bob.events).await,
        CloseReason::ParticipantRemoved
    );
    let mut again = world.player(players[1], &room).await;
    assert_eq!(
        support::wait_for_close(&mut again.events).await,
        CloseReason::ParticipantRemoved
    );
    let gone = |body| match body {
        Body::Player(wire::PlayerChanged { player: Some(p) }) => {
            (p.slot == 1 && p.presence() == wire::Presence::Gone).then_some(())
        }
        _ => None,
    };
    ada.hear(gone).await;
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}
