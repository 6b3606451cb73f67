//! `validated` and `observer`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use gs_engine::AuthorityMode;
use gs_engine::confirmed::{ConfirmedDecoder, state_hash};
use gs_engine::schema::Schema;
use gs_engine::simulation::{MatchResult, SlotResult};
use gs_protocol::wire::{self, state_update};
use gs_protocol::{ClientEvent, VERSION, topic};
use gs_store::MatchStatus;
use livekit_data::{Channel, Event, Packet};

use crate::support::DEADLINE;
use crate::world::{SAY_AGAIN, World};
use crate::{game, support};

#[tokio::test(flavor = "multi_thread")]
async fn a_validated_match_gives_every_player_the_first_state_and_every_tick() {
    let world = World::new().await;
    let (authority, shutdown, run) = world.authority("one");
    let (id, players, room) = world
        .form_match_in(game::Game::NAME, AuthorityMode::Validated)
        .await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    let game = game::Game::new(false, Arc::default());
    let schema = Schema::new(gs_engine::Simulation::manifest(&game)).unwrap();
    for player in [&mut ada, &mut bob] {
        let mut decoder = ConfirmedDecoder::default();
        let (mut pieces, mut held, mut hashes) = (Vec::new(), None, 0);
        let mut inputs = 0;
        while held.is_none_or(|held| held < 120) || inputs == 0 {
            match player.update().await.body {
                Some(state_update::Body::Keyframe(piece)) => {
                    pieces.extend_from_slice(&piece.data);
                    if piece.index + 1 == piece.count {
                        assert_eq!(state_hash(&pieces), piece.hash);
                        pieces.clear();
                        held = Some(held.unwrap_or(piece.tick).max(piece.tick));
                    }
                }
                Some(state_update::Body::Confirmed(confirmed)) => {
                    let ticks = decoder
                        .decode(&schema, 2, confirmed.first_tick, &confirmed.data)
                        .unwrap();
                    for tick in ticks {
                        if let Some(held) = held.as_mut().filter(|held| tick.log.tick == **held + 1)
                        {
                            *held += 1;
                            hashes += u32::from(tick.hash.is_some());
                            let pressed = tick.log.inputs.iter();
                            inputs += pressed.filter(|input| !input.data.is_empty()).count();
                        }
                    }
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            player.said.ack.store(held.unwrap_or(0), Relaxed);
        }
        assert!(hashes >= 2, "{hashes} hashes up to tick {held:?}");
    }
    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    for player in [&mut ada, &mut bob] {
        assert_eq!(player.stored().await.outcome(), wire::Outcome::Finished);
    }
    let ended = world
        .wait_for_match(id, |m| m.status == MatchStatus::Ended)
        .await;
    assert_eq!(ended.winner, Some(players[0]));
    assert!(authority.totals().keyframes >= 2);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observer_players_hear_each_other_and_their_report_is_the_result() {
    let world = World::new().await;
    let (_, shutdown, run) = world.authority("one");
    let (id, players, room) = world
        .form_match_in(game::Game::NAME, AuthorityMode::Observer)
        .await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    bob.started().await;
    let state = wire::PlayerState {
        version: VERSION,
        tick: 1,
        data: b"here I am".to_vec(),
    };
    let mut bytes = Vec::new();
    gs_protocol::encode_player_state(&state, &mut bytes).unwrap();
    let share = || {
        ada.participant.send(Packet {
            topic: topic::STATE,
            payload: &bytes,
            channel: Channel::Lossy,
            destinations: &[],
        })
    };
    let name = players[0].to_string();
    let heard = {
        let hear = support::wait_for(&mut bob.events, |event| match event {
            Event::Data {
                from,
                topic,
                payload,
                ..
            } if &**topic == topic::STATE && **from == *name => {
                Some(gs_protocol::decode_player_state(payload).unwrap())
            }
            _ => None,
        });
        tokio::pin!(hear);
        loop {
            share().unwrap();
            // A lossy packet may be lost, so it is sent until it is heard.
            if let Ok(heard) = tokio::time::timeout(SAY_AGAIN, &mut hear).await {
                break heard;
            }
        }
    };
    assert_eq!(heard, state);

    let slot = |slot, placement| SlotResult {
        slot,
        placement,
        team: None,
        score: 5,
        statistics: Vec::new(),
    };
    let result = MatchResult {
        outcome: gs_engine::simulation::Outcome::Finished,
        slots: vec![slot(0, 2), slot(1, 1)],
    };
    for player in [&ada, &bob] {
        player.tell(&ClientEvent::Report(result.clone()));
    }
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
    assert_eq!((ended.winner, ended.rated), (Some(players[1]), false));
    let details: serde_json::Value = serde_json::from_str(&ended.details.unwrap()).unwrap();
    assert_eq!(details["reports"][0]["by"], serde_json::json!([0, 1]));
    assert!(details["shared"][0].as_u64() >= Some(1), "{details}");
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}
