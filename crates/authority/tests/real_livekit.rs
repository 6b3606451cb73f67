//! Whole matches over a real LiveKit server, with the embedded store.

// Clippy allows it in tests, but not in the functions beside them.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the room's own tests use the rest")]
#[path = "../src/room/tests/game.rs"]
mod game;
#[path = "support/livekit.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_authority::{Authority, AuthorityConfig, LoadError, LoadedGame, Modules, Patience};
use gs_engine::AuthorityMode;
use gs_engine::confirmed::{ConfirmedDecoder, state_hash};
use gs_engine::schema::Schema;
use gs_engine::simulation::{MatchResult, SlotResult};
use gs_protocol::wire::{self, server_event::Body, state_update};
use gs_protocol::{ClientEvent, VERSION, encode_client_event, encode_player_input, topic};
use gs_store::{
    ALL_TIME, Accounts, Ban, BoardKey, BoardRule, Boards, CountsOn, EmbeddedStore, FormMatch,
    Match, MatchStatus, Matches, NewGroup, NewMatch, NewPlayer, NewSlot, NewTicket, Outcome,
    Presence, Search, TicketStatus, Tickets,
};
use livekit_data::{
    Channel, CloseReason, ConnectError, ConnectOptions, Event, Events, Packet, Participant,
};
use livekit_rooms::{LiveKitRooms, RoomTokens, Rooms};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use gs_test_services::{LiveKit, LiveKitOptions};
use support::DEADLINE;

/// The native game in place of a module.
struct Native;

impl Modules for Native {
    fn load(&self, game: &str, sha256: &str) -> Result<LoadedGame, LoadError> {
        if game != game::Game::NAME {
            let (game, sha256) = (game.to_owned(), sha256.to_owned());
            return Err(LoadError::Unknown { game, sha256 });
        }
        let simulation = Box::new(game::Game::new(false, Arc::default()));
        Ok(LoadedGame {
            simulation,
            manifest_json: "{}".to_owned(),
        })
    }

    fn counts_on(&self, game: &str, mode: &str, _ended_at: DateTime<Utc>) -> Vec<CountsOn> {
        assert_eq!((game, mode), (game::Game::NAME, "default"));
        vec![CountsOn {
            board: "default".to_owned(),
            season: ALL_TIME.to_owned(),
            rule: BoardRule::Best,
            statistic: None,
        }]
    }
}

struct World {
    livekit: Arc<LiveKit>,
    store: Arc<EmbeddedStore>,
    rooms: Arc<LiveKitRooms>,
    tokens: RoomTokens,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::on(LiveKit::shared()).await
    }

    async fn on(livekit: Arc<LiveKit>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(directory.path()).await.unwrap());
        let rooms = Arc::new(LiveKitRooms::new(
            &livekit.url(),
            LiveKit::KEY,
            LiveKit::SECRET,
        ));
        let tokens = RoomTokens::new(LiveKit::KEY, LiveKit::SECRET);
        Self {
            livekit,
            store,
            rooms,
            tokens,
            _directory: directory,
        }
    }

    fn authority(&self, holder: &str) -> (Arc<Authority>, CancellationToken, JoinHandle<()>) {
        let mut config = AuthorityConfig::new(self.livekit.url(), holder);
        config.patience = Patience {
            grace: Duration::from_millis(500),
            ..Patience::default()
        };
        let authority = Authority::new(
            config,
            self.store.clone(),
            self.rooms.clone(),
            self.tokens.clone(),
            Arc::new(Native),
        )
        .unwrap();
        let shutdown = CancellationToken::new();
        let run = tokio::spawn(authority.clone().run(shutdown.clone()));
        (authority, shutdown, run)
    }

    /// Two players who are matched, and whose room exists.
    async fn form_match(&self, game: &str) -> (Uuid, [Uuid; 2], String) {
        self.form_match_in(game, AuthorityMode::Full).await
    }

    async fn form_match_in(&self, game: &str, mode: AuthorityMode) -> (Uuid, [Uuid; 2], String) {
        let now = Utc::now();
        let mut slots = Vec::new();
        for _ in 0..2 {
            let (player_id, ticket_id) = (Uuid::now_v7(), Uuid::now_v7());
            let username = format!("p{}", &player_id.simple().to_string()[20..]);
            let new = NewPlayer {
                id: player_id,
                username,
                email: None,
                password_hash: None,
                created_at: now,
            };
            self.store.create_player(new).await.unwrap();
            let ticket = NewTicket {
                id: ticket_id,
                player_id,
                search: Search::default(),
            };
            let group = NewGroup::alone(ticket, game, "default", now);
            self.store.enqueue(group).await.unwrap();
            slots.push(NewSlot {
                ticket_id,
                player_id,
                team: None,
            });
        }
        let id = Uuid::now_v7();
        let room = format!("{game}-{}", &id.simple().to_string()[24..]);
        let players = [slots[0].player_id, slots[1].player_id];
        let new = NewMatch {
            id,
            room: room.clone(),
            game: game.to_owned(),
            mode: "default".to_owned(),
            module_sha256: "00".repeat(32),
            teams: 0,
            options: "{}".to_owned(),
            authority_mode: mode.to_string(),
            rated: mode != AuthorityMode::Observer,
            region: None,
            capacity: 0,
            backfill: false,
            accept_until: None,
            lead: None,
            slots,
            created_at: now,
        };
        assert_eq!(self.store.form_match(new).await.unwrap(), FormMatch::Formed);
        let sid = self.rooms.create_room(&room, game).await.unwrap();
        assert!(self.store.room_created(id, &sid).await.unwrap());
        (id, players, room)
    }

    async fn player(&self, id: Uuid, room: &str) -> Player {
        self.try_player(id, room).await.unwrap()
    }

    /// Joins a room that may take a moment to be there, and waits for the authority.
    async fn player_again(&self, id: Uuid, room: &str) -> Player {
        let join = async {
            loop {
                if let Ok(player) = self.try_player(id, room).await {
                    return player;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let mut player = tokio::time::timeout(DEADLINE, join)
            .await
            .expect("the room is back");
        support::wait_for_join(&mut player.events, gs_protocol::AUTHORITY_IDENTITY).await;
        player
    }

    async fn try_player(&self, id: Uuid, room: &str) -> Result<Player, ConnectError> {
        let token = self
            .tokens
            .player_token(&id.to_string(), "name", room)
            .unwrap();
        let options = ConnectOptions::new(self.livekit.url(), token.token);
        let (participant, events) = Participant::connect(options).await?;
        let participant = Arc::new(participant);
        let beating = CancellationToken::new();
        let (beat, stop) = (participant.clone(), beating.clone());
        let said = Arc::<Said>::default();
        let say = said.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut sent_ms = 0;
            let mut bytes = Vec::new();
            loop {
                sent_ms += 16;
                let clock = say.clock.load(Relaxed);
                let frame = wire::InputFrame {
                    tick: clock + AHEAD,
                    data: 0.5_f32.to_le_bytes().to_vec(),
                };
                let input = wire::PlayerInput {
                    version: VERSION,
                    sent_ms,
                    ack_tick: say.ack.load(Relaxed),
                    frames: if clock > 0 { vec![frame] } else { Vec::new() },
                    ..Default::default()
                };
                encode_player_input(&input, &mut bytes).unwrap();
                let _ = send(&beat, topic::INPUT, Channel::Lossy, &bytes);
                tokio::time::sleep(Duration::from_millis(16)).await;
            }
        }));
        Ok(Player {
            participant,
            events,
            said,
            _beating: beating.drop_guard(),
        })
    }

    async fn wait_for_match(&self, id: Uuid, done: impl Fn(&Match) -> bool) -> Match {
        let wait = async {
            loop {
                let details = self.store.match_by_id(id).await.unwrap().unwrap();
                if done(&details) {
                    return details;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait)
            .await
            .expect("the match within the deadline")
    }
}

/// What a player's heartbeats say.
#[derive(Default)]
struct Said {
    ack: AtomicU32,
    clock: AtomicU32,
}

struct Player {
    participant: Arc<Participant>,
    events: Events,
    said: Arc<Said>,
    _beating: tokio_util::sync::DropGuard,
}

fn send(
    participant: &Participant,
    topic: &str,
    channel: Channel,
    payload: &[u8],
) -> Result<(), livekit_data::SendError> {
    let destinations = [gs_protocol::AUTHORITY_IDENTITY.to_owned()];
    participant.send(Packet {
        topic,
        payload,
        channel,
        destinations: &destinations,
    })
}

impl Player {
    fn tell(&self, event: &ClientEvent) {
        let mut bytes = Vec::new();
        encode_client_event(event, &mut bytes).unwrap();
        send(&self.participant, topic::EVENTS, Channel::Reliable, &bytes).unwrap();
    }

    /// The next event of the authority for which `pick` gives something.
    async fn hear<T>(&mut self, mut pick: impl FnMut(Body) -> Option<T>) -> T {
        support::wait_for(&mut self.events, |event| {
            let Event::Data {
                from,
                topic,
                payload,
                ..
            } = event
            else {
                return None;
            };
            if &**from != gs_protocol::AUTHORITY_IDENTITY || &**topic != topic::EVENTS {
                return None;
            }
            gs_protocol::decode_server_event(payload)
                .unwrap()
                .body
                .and_then(&mut pick)
        })
        .await
    }

    /// The next `state` of the authority.
    async fn update(&mut self) -> wire::StateUpdate {
        let update = support::wait_for(&mut self.events, |event| match event {
            Event::Data {
                from,
                topic,
                payload,
                ..
            } if &**topic == topic::STATE && &**from == gs_protocol::AUTHORITY_IDENTITY => {
                Some(gs_protocol::decode_state_update(payload).unwrap())
            }
            _ => None,
        })
        .await;
        self.said.clock.fetch_max(update.tick, Relaxed);
        update
    }

    async fn started(&mut self) {
        self.hear(|body| matches!(body, Body::Started(_)).then_some(()))
            .await;
    }

    async fn stored(&mut self) -> wire::MatchEnded {
        self.hear(|body| {
            if let Body::Ended(end) = body {
                end.stored.then_some(end)
            } else {
                None
            }
        })
        .await
    }
}

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
    bob.tell(&ClientEvent::Hello { module: None });
    let welcome = bob
        .hear(|b| {
            if let Body::Welcome(w) = b {
                Some(w)
            } else {
                None
            }
        })
        .await;
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
    ada.tell(&ClientEvent::Hello { module: None });
    let welcome = ada
        .hear(|b| {
            if let Body::Welcome(w) = b {
                Some(w)
            } else {
                None
            }
        })
        .await;
    assert!(welcome.phase() == wire::Phase::Running && welcome.tick > 0);
    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    assert_eq!(ada.stored().await.outcome(), wire::Outcome::Finished);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

/// How many ticks ahead of the clock that it knows a player steers.
const AHEAD: u32 = 4;
const SAY_AGAIN: Duration = Duration::from_millis(500);
