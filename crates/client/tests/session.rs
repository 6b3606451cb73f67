//! Joining, epochs, sequences, and who may say what.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use gs_client::{Client, ClientConfig, Event, ModuleError, ModuleId, Phase, Presence, SendError};
use gs_engine::AuthorityMode;
use gs_engine::simulation::{MatchResult, Outcome, SlotResult};
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{
    AUTHORITY_IDENTITY, ClientEvent, VERSION, decode_client_event, decode_player_input,
    decode_player_state, topic,
};
use prost::Message;
use support::Runners;
use support::game::MANIFEST;

struct Bench {
    client: Client<Runners>,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self::with(ClientConfig::default())
    }

    fn with(config: ClientConfig) -> Self {
        let mut client = Client::new(config);
        client.handle_connected(Duration::ZERO);
        Self {
            client,
            now: Duration::ZERO,
        }
    }

    fn event(&mut self, epoch: u64, sequence: u32, body: Body) {
        let event = wire::ServerEvent {
            version: VERSION,
            epoch,
            sequence,
            body: Some(body),
        };
        self.packet(AUTHORITY_IDENTITY, topic::EVENTS, &event.encode_to_vec());
    }

    fn packet(&mut self, from: &str, topic: &str, payload: &[u8]) {
        self.client.handle_packet(from, topic, payload, self.now);
    }

    fn state(&mut self, epoch: u64, tick: u32, slots: Vec<wire::SlotStatus>) {
        self.packet(AUTHORITY_IDENTITY, topic::STATE, &state(epoch, tick, slots));
    }

    fn at(&mut self, ms: u64) {
        self.now = Duration::from_millis(ms);
    }

    fn timeout(&mut self) {
        self.client.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    fn sent(&mut self) -> Vec<ClientEvent> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.client.poll_transmit() {
            if transmit.topic == topic::EVENTS {
                assert!(transmit.reliable);
                sent.push(decode_client_event(&transmit.payload).unwrap());
            }
        }
        sent
    }

    fn hellos(&mut self) -> usize {
        let hello = |event: &&ClientEvent| matches!(event, ClientEvent::Hello { .. });
        self.sent().iter().filter(hello).count()
    }
}

fn state(epoch: u64, tick: u32, slots: Vec<wire::SlotStatus>) -> Vec<u8> {
    let update = wire::StateUpdate {
        version: VERSION,
        epoch,
        tick,
        slots,
        body: None,
    };
    update.encode_to_vec()
}

fn player(slot: u32, presence: wire::Presence) -> wire::Player {
    wire::Player {
        slot,
        player_id: format!("p{slot}"),
        username: ["Ann", "Bob"][slot as usize].into(),
        team: 0,
        presence: presence.into(),
        open: false,
    }
}

fn welcome() -> wire::Welcome {
    wire::Welcome {
        match_id: "m".into(),
        game: "test".into(),
        module_sha256: "ab".into(),
        module_version: "1.0.0".into(),
        manifest: MANIFEST.into(),
        tick_rate: 60,
        phase: wire::Phase::Running.into(),
        tick: 5,
        slot: Some(0),
        players: vec![
            player(0, wire::Presence::Present),
            player(1, wire::Presence::Expected),
        ],
        ended: None,
        mode: wire::AuthorityMode::Full.into(),
        teams: 0,
        options: "{}".into(),
    }
}

fn started() -> Body {
    Body::Started(wire::MatchStarted { tick: 1 })
}

#[test]
fn hello_is_repeated_until_the_welcome() {
    let mut bench = Bench::new();
    for ms in (0..=2000).step_by(10) {
        bench.at(ms);
        bench.timeout();
    }
    assert_eq!(bench.hellos(), 5);
    bench.event(1, 1, Body::Welcome(welcome()));
    bench.at(9000);
    bench.timeout();
    assert_eq!(bench.hellos(), 0);
    assert_eq!(
        (bench.client.slot(), bench.client.phase()),
        (Some(0), Phase::Running)
    );
    let players = bench.client.players();
    assert_eq!(players.len(), 2);
    assert_eq!(
        (players[1].username.as_str(), players[1].presence),
        ("Bob", Presence::Expected)
    );
    assert_eq!(bench.client.manifest(), Some(&support::game::manifest()));
}

#[test]
fn a_client_that_brought_a_module_says_which() {
    let id = ModuleId {
        sha256: "cd".into(),
        version: "2.0".into(),
    };
    let mut bench = Bench::with(ClientConfig {
        module: Some(id),
        ..Default::default()
    });
    bench.timeout();
    let module = Some(("cd".to_owned(), "2.0".to_owned()));
    assert_eq!(bench.sent(), [ClientEvent::Hello { module }]);
}

#[test]
fn nothing_leaves_while_the_transport_is_down() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    bench.client.handle_disconnected(bench.now);
    bench.at(5000);
    bench.timeout();
    assert!(bench.client.poll_transmit().is_none());
    assert_eq!(bench.client.poll_timeout(), None);
    bench.client.handle_connected(bench.now);
    bench.timeout();
    assert_eq!(bench.hellos(), 1, "what was missed is asked for");
}

#[test]
fn what_anyone_but_the_authority_says_changes_nothing() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    bench.state(1, 10, vec![]);
    bench.events();
    let chat = wire::ChatMessage {
        version: VERSION,
        text: "x".into(),
        ..Default::default()
    };
    let forged = wire::ServerEvent {
        version: VERSION,
        epoch: 9,
        sequence: 2,
        body: Some(started()),
    };
    for from in ["mallory", "authority2", "Authority", "", "p1"] {
        bench.packet(from, topic::STATE, &state(9, 11, vec![]));
        bench.packet(from, topic::EVENTS, &forged.encode_to_vec());
        bench.packet(from, topic::CHAT, &chat.encode_to_vec());
        bench.packet(from, "voice", &[1, 2, 3]);
    }
    assert_eq!(bench.events(), []);
    assert_eq!(bench.client.epoch(), 1);
    let stats = bench.client.stats();
    assert_eq!((stats.server_tick, stats.counters.foreign), (10, 15));
}

#[test]
fn a_lower_epoch_is_stale_and_a_higher_one_starts_over() {
    let mut bench = Bench::new();
    bench.event(5, 1, Body::Welcome(welcome()));
    bench.state(5, 500, vec![]);
    bench.state(4, 501, vec![]);
    assert_eq!(bench.client.stats().counters.old_epoch, 1);
    assert_eq!(bench.client.stats().server_tick, 500);
    bench.hellos();
    bench.at(2);
    bench.state(6, 20, vec![]);
    assert_eq!(bench.client.stats().server_tick, 20);
    bench.timeout();
    assert_eq!(bench.hellos(), 1);
    bench.event(6, 1, Body::Welcome(welcome()));
    bench.event(5, 9, Body::Welcome(welcome()));
    assert_eq!(
        (bench.client.epoch(), bench.client.stats().server_tick),
        (6, 20)
    );
    bench.at(5000);
    bench.timeout();
    assert_eq!(bench.hellos(), 0);
}

#[test]
fn a_welcome_to_a_slot_that_the_match_lacks_is_refused() {
    let mut bench = Bench::new();
    for (slot, malformed) in [(2, 1), (63, 2), (64, 3), (300, 4), (u32::MAX, 5)] {
        let wrong = wire::Welcome {
            slot: Some(slot),
            ..welcome()
        };
        bench.event(1, 1, Body::Welcome(wrong));
        assert_eq!(bench.client.stats().counters.malformed, malformed);
    }
    assert!(bench.events().is_empty() && bench.client.slot().is_none());
    bench.timeout();
    assert_eq!(bench.hellos(), 1, "a right one is still wanted");
    bench.event(1, 1, Body::Welcome(welcome()));
    assert_eq!(bench.client.slot(), Some(0));
}

#[test]
fn a_gap_in_the_sequence_asks_again_and_nothing_is_told_twice() {
    let mut bench = Bench::new();
    bench.event(1, 3, Body::Welcome(welcome()));
    bench.event(1, 4, started());
    bench.event(1, 4, started());
    bench.at(1);
    bench.timeout();
    assert_eq!(bench.hellos(), 0);
    bench.event(1, 6, started());
    assert_eq!(bench.client.stats().counters.gaps, 1);
    bench.timeout();
    assert_eq!(bench.hellos(), 1);
    bench.event(1, 8, Body::Welcome(welcome()));
    bench.event(1, 9, started());
    bench.at(5000);
    bench.timeout();
    assert_eq!(bench.hellos(), 0);
    let kinds: Vec<bool> = bench
        .events()
        .iter()
        .filter(|event| !matches!(event, Event::NeedModule(_)))
        .map(|event| matches!(event, Event::Welcome))
        .collect();
    assert_eq!(kinds, [true, false, false, true, false]);
}

#[test]
fn a_heartbeat_goes_out_each_250_ms_until_the_end() {
    let mut bench = Bench::new();
    let waiting = wire::Welcome {
        phase: wire::Phase::Waiting.into(),
        ..welcome()
    };
    bench.event(1, 1, Body::Welcome(waiting));
    let beats = |bench: &mut Bench, from: u64| {
        let mut count = 0;
        for ms in (from..from + 2000).step_by(10) {
            bench.at(ms);
            bench.timeout();
            assert_eq!(bench.client.poll_input(bench.now), None);
            while let Some(transmit) = bench.client.poll_transmit() {
                if transmit.topic == topic::INPUT {
                    let input = decode_player_input(&transmit.payload).unwrap();
                    assert!(!transmit.reliable && input.frames().is_empty());
                    count += 1;
                }
            }
        }
        count
    };
    assert_eq!(beats(&mut bench, 0), 8);
    let ended = wire::MatchEnded {
        outcome: wire::Outcome::Void.into(),
        ..Default::default()
    };
    bench.event(1, 2, Body::Ended(ended));
    assert_eq!(beats(&mut bench, 2000), 0);
}

#[test]
fn the_round_trip_leaves_out_how_long_the_server_held_the_echo() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    bench.at(1000);
    let status = |echo_ms, echo_age_ms| wire::SlotStatus {
        slot: 0,
        input_tick: 1,
        margin: -512,
        echo_ms,
        echo_age_ms,
    };
    bench.state(1, 10, vec![status(900, 30)]);
    let round_trip = || Some(Duration::from_millis(70));
    assert_eq!(bench.client.stats().round_trip, round_trip());
    // The same echo again is no measurement, and no sign of being heard.
    bench.at(1500);
    bench.state(1, 40, vec![status(900, 530)]);
    assert_eq!(bench.client.stats().round_trip, round_trip());
    assert_eq!(
        bench.client.answered_at(),
        Some(Duration::from_millis(1000))
    );
    // After an outage nobody can have answered: it counts anew.
    bench.at(5000);
    bench.state(1, 250, vec![status(900, 4030)]);
    assert_eq!(bench.client.answered_at(), Some(bench.now));
    // Somebody else's says nothing, nor does one from another clock.
    let other = wire::SlotStatus {
        slot: 1,
        ..status(4990, 0)
    };
    bench.state(1, 251, vec![other, status(6000, 0)]);
    assert_eq!(bench.client.stats().round_trip, round_trip());
}

#[test]
fn inputs_are_sent_in_one_packet_until_the_server_has_used_them() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    let (mut used, mut newest, mut all) = (0, 0, Vec::new());
    for step in 0..240_u64 {
        let ms = step * 1000 / 120;
        bench.at(ms);
        let status = wire::SlotStatus {
            slot: 0,
            input_tick: used,
            margin: 300,
            echo_ms: ms as u32,
            echo_age_ms: 0,
        };
        bench.state(1, 10 + (ms * 60 / 1000) as u32, vec![status]);
        bench.timeout();
        while let Some(tick) = bench.client.poll_input(bench.now) {
            assert!(bench.client.handle_input(tick, &[1]).is_err(), "too short");
            assert!(
                bench.client.handle_input(tick, &[101, 0]).is_err(),
                "too strong"
            );
            bench.client.handle_input(tick, &[1, 0]).unwrap();
            bench.client.handle_input(tick, &[2, 0]).unwrap();
        }
        while let Some(transmit) = bench.client.poll_transmit() {
            if transmit.topic != topic::INPUT {
                continue;
            }
            let input = decode_player_input(&transmit.payload).unwrap();
            let frames = input.frames();
            assert!(
                frames
                    .iter()
                    .all(|frame| frame.data == [1, 0] && frame.tick > used)
            );
            if step < 100 {
                assert!(frames.len() <= 16);
            } else {
                assert!(frames.len() < 8, "what was used is not repeated");
            }
            if let Some(last) = frames.last() {
                assert!(last.tick > newest);
                all.extend(newest + 1..=last.tick);
                newest = last.tick;
            }
            if step >= 90 {
                used = newest - 3;
            }
        }
    }
    assert!(all.len() > 110);
}

#[test]
fn the_end_is_told_once_and_again_when_it_is_stored() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    let ended = |stored| {
        let slot = wire::SlotResult {
            slot: 1,
            placement: 1,
            score: -3,
            ..Default::default()
        };
        Body::Ended(wire::MatchEnded {
            outcome: wire::Outcome::Finished.into(),
            stored,
            slots: vec![slot],
            ..Default::default()
        })
    };
    for (sequence, stored) in [(2, false), (3, false), (4, true)] {
        bench.event(1, sequence, ended(stored));
    }
    let mut stored = Vec::new();
    for event in bench.events() {
        if let Event::Result(end) = event {
            assert_eq!(end.result.slots[0].score, -3);
            stored.push(end.stored);
        }
    }
    assert_eq!(stored, [false, true]);
    assert_eq!(bench.client.phase(), Phase::Ended);
    assert_eq!(
        bench.client.result().unwrap().result.outcome,
        Outcome::Finished
    );
}

#[test]
fn events_of_the_game_are_checked() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    bench.events();
    let events = vec![vec![9], vec![0, 7], vec![0], vec![]];
    bench.event(1, 2, Body::Game(wire::GameEvents { tick: 77, events }));
    let told = Event::Game {
        tick: 77,
        data: vec![0, 7],
        predicted: false,
    };
    assert_eq!(bench.events(), [told]);
    assert_eq!(bench.client.stats().counters.malformed, 3);
}

#[test]
fn a_module_is_asked_for_where_it_is_of_use() {
    let mut bench = Bench::new();
    let now = bench.now;
    let early = bench.client.handle_module(Runners::new(), now);
    assert_eq!(early, Err(ModuleError::NotJoined));
    bench.event(1, 1, Body::Welcome(welcome()));
    let id = ModuleId {
        sha256: "ab".into(),
        version: "1.0.0".into(),
    };
    assert_eq!(bench.events(), [Event::Welcome, Event::NeedModule(id)]);
    bench.client.handle_module(Runners::new(), now).unwrap();
    bench.event(1, 2, Body::Welcome(welcome()));
    assert_eq!(bench.events(), [Event::Welcome], "it has it");
    let other = wire::Welcome {
        module_sha256: "cd".into(),
        manifest: MANIFEST.replace("\"1.0.0\"", "\"1.0.1\""),
        ..welcome()
    };
    bench.event(1, 3, Body::Welcome(other));
    assert_eq!(bench.events().len(), 2, "another is wanted");
    let wrong = bench.client.handle_module(Runners::new(), now);
    assert!(
        matches!(wrong, Err(ModuleError::OtherGame { .. })),
        "{wrong:?}"
    );
}

#[test]
fn where_the_welcome_has_no_room_for_the_manifest_the_module_has_it() {
    let mut bench = Bench::with(ClientConfig {
        prediction: false,
        ..Default::default()
    });
    let bare = wire::Welcome {
        manifest: String::new(),
        tick_rate: 30,
        ..welcome()
    };
    bench.event(1, 1, Body::Welcome(bare));
    assert!(bench.client.manifest().is_none());
    assert_eq!(bench.client.command(&[0]), Err(SendError::NotJoined));
    assert!(matches!(
        bench.events()[..],
        [Event::Welcome, Event::NeedModule(_)]
    ));
    let now = bench.now;
    bench.client.handle_module(Runners::new(), now).unwrap();
    assert_eq!(bench.client.manifest().unwrap().tick_rate, 30);
}

#[test]
fn in_observer_players_share_and_report() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    let now = bench.now;
    let refused = bench.client.share(b"x", now);
    assert!(matches!(
        refused,
        Err(SendError::Mode {
            mode: AuthorityMode::Full
        })
    ));
    let observed = wire::Welcome {
        mode: wire::AuthorityMode::Observer.into(),
        ..welcome()
    };
    bench.event(1, 2, Body::Welcome(observed));
    bench.events();
    bench.sent();

    bench.client.share(b"here", now).unwrap();
    bench.client.share(b"there", now).unwrap();
    assert!(matches!(
        bench.client.share(&[0; 901], now),
        Err(SendError::TooLarge { .. })
    ));
    let mut ticks = Vec::new();
    while let Some(transmit) = bench.client.poll_transmit() {
        if transmit.topic == topic::STATE {
            assert_eq!(transmit.to, gs_client::Destination::Everyone);
            ticks.push(decode_player_state(&transmit.payload).unwrap().tick);
        }
    }
    assert!(ticks.len() == 2 && ticks[0] < ticks[1]);

    let shared = |tick, data: &[u8]| {
        let state = wire::PlayerState {
            version: VERSION,
            tick,
            data: data.to_vec(),
        };
        state.encode_to_vec()
    };
    bench.packet("p1", topic::STATE, &shared(7, b"a"));
    bench.packet("p1", topic::STATE, &shared(6, b"b"));
    bench.packet("p1", topic::STATE, &shared(7, b"c"));
    // Not a player, or this one itself.
    bench.packet("p0", topic::STATE, &shared(9, b"d"));
    bench.packet("mallory", topic::STATE, &shared(9, b"e"));
    bench.packet("p1", topic::STATE, &shared(8, &[0; 901]));
    bench.packet("p1", topic::STATE, &[0xff; 40]);
    let peer = Event::Peer {
        slot: 1,
        tick: 7,
        data: b"a".to_vec(),
    };
    assert_eq!(bench.events(), [peer]);
    let counters = bench.client.stats().counters;
    assert_eq!(
        (counters.stale, counters.foreign, counters.malformed),
        (2, 2, 2)
    );

    let slots = vec![SlotResult {
        slot: 1,
        placement: 1,
        team: None,
        score: 5,
        statistics: vec![],
    }];
    let result = MatchResult {
        outcome: Outcome::Finished,
        slots,
    };
    bench.client.report(&result).unwrap();
    assert_eq!(bench.sent(), [ClientEvent::Report(result)]);
    assert!(
        bench.client.result().is_none(),
        "only the server says how it ended"
    );
}

fn observed() -> wire::Welcome {
    wire::Welcome {
        mode: wire::AuthorityMode::Observer.into(),
        ..welcome()
    }
}

#[test]
fn in_observer_a_player_who_reloads_is_not_frozen() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(observed()));
    let share = |bench: &mut Bench, ms: u64, tick| {
        let state = wire::PlayerState {
            version: VERSION,
            tick,
            data: vec![1],
        };
        bench.at(ms);
        bench.events();
        bench.packet("p1", topic::STATE, &state.encode_to_vec());
        let peer = |event: &Event| matches!(event, Event::Peer { .. });
        bench.events().iter().any(peer)
    };
    // It shares twice a tick, so it is far ahead of the clock.
    assert!(share(&mut bench, 1_000, 50_000));
    assert!(!share(&mut bench, 1_010, 49_999), "overtaken");
    let back = wire::PlayerChanged {
        player: Some(player(1, wire::Presence::Present)),
    };
    bench.event(1, 2, Body::Player(back));
    assert!(share(&mut bench, 1_020, 60));
    assert!(!share(&mut bench, 1_030, 59), "overtaken");
    // Where the authority did not notice that it was away.
    assert!(!share(&mut bench, 1_900, 3));
    assert!(share(&mut bench, 2_020, 4));
    assert!(share(&mut bench, 2_021, 5));
    assert!(!share(&mut bench, 2_022, 4), "overtaken");
}

#[test]
fn a_report_is_told_again_with_each_welcome_until_the_end() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(observed()));
    let result = MatchResult {
        outcome: Outcome::Finished,
        slots: vec![],
    };
    let reports = |bench: &mut Bench| {
        let mut sent = bench.sent();
        sent.retain(|event| *event == ClientEvent::Report(result.clone()));
        sent.len()
    };
    bench.client.report(&result).unwrap();
    // The connection takes it along.
    bench.client.handle_disconnected(bench.now);
    bench.client.handle_connected(bench.now);
    bench.timeout();
    assert_eq!(reports(&mut bench), 0);
    bench.event(1, 2, Body::Welcome(observed()));
    assert_eq!(reports(&mut bench), 1);
    // Another authority has taken over.
    bench.event(2, 1, Body::Welcome(observed()));
    assert_eq!(reports(&mut bench), 1);
    let ended = wire::Welcome {
        phase: wire::Phase::Ended.into(),
        ..observed()
    };
    bench.event(2, 2, Body::Welcome(ended));
    assert_eq!(reports(&mut bench), 0);
    // It says nothing of another match.
    for sequence in [3, 4] {
        let other = wire::Welcome {
            match_id: "other".into(),
            ..observed()
        };
        bench.event(2, sequence, Body::Welcome(other));
    }
    assert_eq!(reports(&mut bench), 0);
}

#[test]
fn chat_is_cut_between_characters() {
    let mut bench = Bench::new();
    bench.client.chat(&"ü".repeat(400));
    let transmit = bench.client.poll_transmit().unwrap();
    let chat = gs_protocol::decode_chat(&transmit.payload).unwrap();
    assert_eq!(chat, "ü".repeat(250));
    let line = wire::ChatMessage {
        version: VERSION,
        text: "gl hf".into(),
        slot: 1,
        username: "Bob".into(),
        sent_at_ms: 7,
    };
    bench.packet(AUTHORITY_IDENTITY, topic::CHAT, &line.encode_to_vec());
    assert!(matches!(&bench.events()[..], [Event::Chat(line)] if line.text == "gl hf"));
}

#[test]
fn an_unknown_version_is_counted_and_dropped() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    let update = wire::StateUpdate {
        version: 2,
        epoch: 1,
        tick: 10,
        ..Default::default()
    };
    bench.packet(AUTHORITY_IDENTITY, topic::STATE, &update.encode_to_vec());
    let stats = bench.client.stats();
    assert_eq!((stats.server_tick, stats.counters.unknown_version), (0, 1));
}

#[test]
fn what_the_caller_does_not_fetch_is_bounded() {
    let mut bench = Bench::new();
    bench.event(1, 1, Body::Welcome(welcome()));
    for sequence in 2..3000 {
        bench.event(1, sequence, started());
        bench.client.chat("spam");
    }
    assert!(bench.events().len() <= 1024);
    assert!(std::iter::from_fn(|| bench.client.poll_transmit()).count() <= 1026);
    assert!(bench.client.stats().counters.dropped > 3900);
}
