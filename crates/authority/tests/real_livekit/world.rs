//! A LiveKit server, a store, and players.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_authority::{Authority, AuthorityConfig, LoadError, LoadedGame, Modules, Patience};
use gs_engine::AuthorityMode;
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{ClientEvent, VERSION, encode_client_event, encode_player_input, topic};
use gs_store::{
    ALL_TIME, Accounts, BoardRule, CountsOn, EmbeddedStore, FormMatch, Match, Matches, NewGroup,
    NewMatch, NewPlayer, NewSlot, NewTicket, Search, Tickets,
};
use gs_test_services::LiveKit;
use livekit_data::{Channel, ConnectError, ConnectOptions, Event, Events, Packet, Participant};
use livekit_rooms::{LiveKitRooms, RoomTokens, Rooms};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::DEADLINE;
use crate::{game, support};

/// The native game in place of a module.
struct Native;

impl Modules for Native {
    fn load(&self, game: &str, sha256: &str) -> Result<LoadedGame, LoadError> {
        if game != game::Game::NAME {
            let (game, sha256) = (game.to_owned(), sha256.to_owned());
            return Err(LoadError::Unknown { game, sha256 });
        }
        let simulation = Box::new(game::Game::new(false, Arc::default()).take_substitutes());
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

pub(crate) struct World {
    pub(crate) livekit: Arc<LiveKit>,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) rooms: Arc<LiveKitRooms>,
    pub(crate) tokens: RoomTokens,
    _directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(LiveKit::shared()).await
    }

    pub(crate) async fn on(livekit: Arc<LiveKit>) -> Self {
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

    pub(crate) fn authority(
        &self,
        holder: &str,
    ) -> (Arc<Authority>, CancellationToken, JoinHandle<()>) {
        self.authority_with(holder, Patience::default())
    }

    pub(crate) fn authority_with(
        &self,
        holder: &str,
        patience: Patience,
    ) -> (Arc<Authority>, CancellationToken, JoinHandle<()>) {
        let mut config = AuthorityConfig::new(self.livekit.url(), holder);
        config.patience = Patience {
            grace: Duration::from_millis(500),
            ..patience
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
    pub(crate) async fn form_match(&self, game: &str) -> (Uuid, [Uuid; 2], String) {
        self.form_match_in(game, AuthorityMode::Full).await
    }

    pub(crate) async fn form_match_in(
        &self,
        game: &str,
        mode: AuthorityMode,
    ) -> (Uuid, [Uuid; 2], String) {
        self.form_match_with(game, |new| {
            new.authority_mode = mode.to_string();
            new.rated = mode != AuthorityMode::Observer;
        })
        .await
    }

    pub(crate) async fn form_match_with(
        &self,
        game: &str,
        change: impl FnOnce(&mut NewMatch),
    ) -> (Uuid, [Uuid; 2], String) {
        let slots = vec![self.queue(game).await, self.queue(game).await];
        let id = Uuid::now_v7();
        let room = format!("{game}-{}", &id.simple().to_string()[24..]);
        let players = [slots[0].player_id, slots[1].player_id];
        let mut new = NewMatch {
            id,
            room: room.clone(),
            game: game.to_owned(),
            mode: "default".to_owned(),
            module_sha256: "00".repeat(32),
            teams: 0,
            options: "{}".to_owned(),
            authority_mode: AuthorityMode::Full.to_string(),
            rated: true,
            region: None,
            capacity: 0,
            backfill: false,
            accept_until: None,
            lead: None,
            slots,
            created_at: Utc::now(),
        };
        change(&mut new);
        assert_eq!(self.store.form_match(new).await.unwrap(), FormMatch::Formed);
        let sid = self.rooms.create_room(&room, game).await.unwrap();
        assert!(self.store.room_created(id, &sid).await.unwrap());
        (id, players, room)
    }

    /// A new player, who waits for a match.
    pub(crate) async fn queue(&self, game: &str) -> NewSlot {
        let now = Utc::now();
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
        NewSlot {
            ticket_id,
            player_id,
            team: None,
        }
    }

    pub(crate) async fn player(&self, id: Uuid, room: &str) -> Player {
        self.try_player(id, room).await.unwrap()
    }

    /// Joins a room that may take a moment to be there, and waits for the authority.
    pub(crate) async fn player_again(&self, id: Uuid, room: &str) -> Player {
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

    pub(crate) async fn try_player(&self, id: Uuid, room: &str) -> Result<Player, ConnectError> {
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

    pub(crate) async fn wait_for_match(&self, id: Uuid, done: impl Fn(&Match) -> bool) -> Match {
        let details = async || self.store.match_by_id(id).await.unwrap().unwrap();
        wait_until("the match", details, done).await
    }
}

/// Asks again and again, until the answer is the one that is waited for.
pub(crate) async fn wait_until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    done: impl Fn(&T) -> bool,
) -> T {
    let wait = async {
        loop {
            let answer = ask().await;
            if done(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answer = tokio::time::timeout(DEADLINE, wait).await;
    answer.unwrap_or_else(|_| panic!("{what}, within the deadline"))
}

/// What a player's heartbeats say.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) ack: AtomicU32,
    pub(crate) clock: AtomicU32,
}

pub(crate) struct Player {
    pub(crate) participant: Arc<Participant>,
    pub(crate) events: Events,
    pub(crate) said: Arc<Said>,
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
    pub(crate) fn tell(&self, event: &ClientEvent) {
        let mut bytes = Vec::new();
        encode_client_event(event, &mut bytes).unwrap();
        send(&self.participant, topic::EVENTS, Channel::Reliable, &bytes).unwrap();
    }

    /// The next event of the authority for which `pick` gives something.
    pub(crate) async fn hear<T>(&mut self, mut pick: impl FnMut(Body) -> Option<T>) -> T {
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
    pub(crate) async fn update(&mut self) -> wire::StateUpdate {
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

    /// Asks what the match is.
    pub(crate) async fn hello(&mut self) -> wire::Welcome {
        self.tell(&ClientEvent::Hello { module: None });
        self.hear(|body| match body {
            Body::Welcome(welcome) => Some(welcome),
            _ => None,
        })
        .await
    }

    pub(crate) async fn started(&mut self) {
        self.hear(|body| matches!(body, Body::Started(_)).then_some(()))
            .await;
    }

    pub(crate) async fn stored(&mut self) -> wire::MatchEnded {
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

/// How many ticks ahead of the clock that it knows a player steers.
const AHEAD: u32 = 4;
pub(crate) const SAY_AGAIN: Duration = Duration::from_millis(500);
