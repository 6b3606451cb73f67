//! Free slots, and the players who come into them.

use std::sync::Arc;

use gs_engine::AuthorityMode;
use gs_engine::simulation::{HappeningKind, InputStatus, Slot};
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{ClientEvent, topic};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::super::{Destination, Presence, RoomConfig, RoomEvent, SubstituteError};
use super::client::{Client, follow};
use super::full::packet;
use super::game::{Game, HANG_ON, WHISPER_TO_0};
use super::harness::{Ack, Harness, seconds, throw_random_packets};
use super::observer::{report, won};

/// A match of these slots that takes substitutes.
fn backfilled(slots: usize, change: impl FnOnce(&mut RoomConfig)) -> Harness {
    let game = Game::new(false, Arc::default()).take_substitutes();
    Harness::of(game, slots, |config| {
        config.backfill = true;
        change(config);
    })
}

fn running(slots: usize) -> Harness {
    backfilled(slots, |_| {}).started()
}

/// What `viewer` was told last of a slot.
fn told(h: &Harness, viewer: usize, slot: u32) -> wire::Player {
    let bodies = h.bodies(viewer).into_iter().rev();
    let mut players = bodies.filter_map(|body| match body {
        Body::Player(changed) => changed.player.filter(|player| player.slot == slot),
        _ => None,
    });
    players.next().expect("the slot was told of")
}

#[test]
fn a_slot_that_was_left_opens_and_a_substitute_plays_on_in_it() {
    let mut h = running(3);
    assert_eq!(h.open_slots(), None, "everybody is there");
    h.client_event(1, &ClientEvent::Leave);
    h.run(seconds(0.1), &[0, 2]);
    assert_eq!(h.open_slots(), Some(vec![1]));
    let left = told(&h, 0, 1);
    assert_eq!((left.presence(), left.open), (wire::Presence::Gone, true));
    assert_eq!(left.player_id, "player-1");
    assert!(h.hello(2).players[1].open);

    h.substitute(1, "sub").unwrap();
    h.run(seconds(0.1), &[0, 2]);
    assert_eq!(h.open_slots(), Some(vec![]));
    assert!(h.events.contains(&RoomEvent::SlotTaken {
        slot: 1,
        identity: "sub".to_owned(),
        earlier: Some("player-1".to_owned()),
    }));
    let expected = told(&h, 2, 1);
    assert_eq!(
        (expected.player_id.as_str(), expected.username.as_str()),
        ("sub", "sub's name")
    );
    assert_eq!(
        (expected.presence(), expected.open),
        (wire::Presence::Expected, false)
    );
    assert_eq!(h.joins(), [0, 1, 2], "nobody has come yet");

    let welcome = h.hello(1);
    assert_eq!(welcome.slot, Some(1));
    assert_eq!(welcome.players[1].player_id, "sub");
    let sequences: Vec<u32> = h.server_events(1).iter().map(|e| e.sequence).collect();
    assert_eq!(sequences, [1, 2], "its own presence, and the welcome");
    h.run(seconds(0.5), &[0, 1, 2]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    assert_eq!(h.leaves(), [1]);
    assert_eq!(h.joins(), [0, 1, 2, 1]);
    let log = h.room.pipeline().tick_log();
    assert_eq!(log.inputs[1].status, InputStatus::Fresh);
    assert_eq!(h.room.counters().substitutes, 1);
}

#[test]
fn who_was_replaced_is_told_so_and_is_a_stranger_from_then_on() {
    let mut h = running(2);
    h.client_event(1, &ClientEvent::Leave);
    h.substitute(1, "sub").unwrap();
    let earlier = |h: &Harness| {
        let to = Destination::One("player-1".into());
        h.sent.iter().filter(|sent| sent.to == to).count()
    };
    let last = h.sent.iter().rfind(|sent| {
        sent.topic == topic::EVENTS && sent.to == Destination::One("player-1".into())
    });
    let last = gs_protocol::decode_server_event(&last.unwrap().payload).unwrap();
    assert!(
        matches!(last.body, Some(Body::Player(p)) if p.player.as_ref().unwrap().player_id == "sub")
    );
    let removal = |e: &&RoomEvent| {
        matches!(e, RoomEvent::Remove { identity, reason }
            if identity == "player-1" && *reason == "another player has the slot")
    };
    assert_eq!(h.events.iter().filter(removal).count(), 1);

    // What it still sends is counted, and does nothing.
    let (sent, before) = (earlier(&h), h.room.counters());
    let mut bytes = Vec::new();
    gs_protocol::encode_client_event(&ClientEvent::Hello { module: None }, &mut bytes).unwrap();
    for topic in [topic::EVENTS, topic::INPUT, topic::CHAT] {
        h.room.handle_packet("player-1", topic, &bytes, h.now);
        h.run(seconds(0.1), &[0, 1]);
    }
    let after = h.room.counters();
    assert_eq!(after.strangers, before.strangers + 3);
    assert_eq!(earlier(&h), sent);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    assert_eq!(h.joins(), [0, 1, 1]);
    // Its token would let it in again.
    h.room.handle_participant_joined("player-1", h.now);
    h.room.handle_participant_joined("somebody else", h.now);
    h.drain();
    assert_eq!(h.events.iter().filter(removal).count(), 2);
    // That it goes is nothing to the substitute.
    h.room.handle_participant_left("player-1", h.now);
    h.run(seconds(0.1), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
}

#[test]
fn a_slot_that_nobody_was_matched_into_is_free_from_the_start() {
    let mut h = backfilled(4, |config| {
        config.players[2] = None;
        config.players[3] = None;
    });
    h.run(seconds(0.1), &[]);
    assert_eq!(h.open_slots(), Some(vec![2, 3]));
    assert_eq!(h.room.game_tick(), 0);
    // Nobody waits for it.
    h.run(seconds(0.5), &[0, 1]);
    assert!(h.room.game_tick() > 20);
    assert_eq!(h.joins(), [0, 1]);
    assert_eq!(h.room.pipeline().config().players, 4);
    let log = h.room.pipeline().tick_log();
    assert_eq!(log.inputs[2].status, InputStatus::Absent);
    let free = &h.hello(0).players[2];
    assert_eq!((free.presence(), free.open), (wire::Presence::Gone, true));
    assert!(free.player_id.is_empty() && free.username.is_empty());
    // A sender without a name is in no slot.
    h.room.handle_packet("", topic::INPUT, &[], h.now);
    assert_eq!(h.room.counters().strangers, 1);

    h.substitute(3, "sub").unwrap();
    h.run(seconds(0.5), &[0, 1, 3]);
    assert_eq!(h.open_slots(), Some(vec![2]));
    assert_eq!(h.joins(), [0, 1, 3]);
    assert!(h.leaves().is_empty());
    h.client_event(3, &ClientEvent::Leave);
    h.run(seconds(0.1), &[0, 1]);
    assert_eq!(h.open_slots(), Some(vec![2, 3]));
    assert_eq!(h.leaves(), [3]);
}

#[test]
fn a_held_slot_opens_after_the_hold_where_the_match_is_backfilled_and_not_otherwise() {
    for (game, rules) in [(true, true), (true, false), (false, true)] {
        let made = Game::new(false, Arc::default());
        let made = if game { made.take_substitutes() } else { made };
        let mut h = Harness::of(made, 2, |config| config.backfill = rules).started();
        h.run(seconds(31.0), &[0]);
        assert_eq!(h.room.presence(1), Some(Presence::Lost));
        assert_eq!(h.open_slots(), None, "it is held");
        assert_eq!(
            h.substitute(1, "sub"),
            Err(SubstituteError::NotOpen { slot: 1 })
        );
        h.run(seconds(1.5), &[0]);
        assert_eq!(h.room.presence(1), Some(Presence::Gone));
        let open = game && rules;
        assert_eq!(h.open_slots(), open.then(|| vec![1]));
        assert_eq!(told(&h, 0, 1).open, open);
        assert_eq!(h.substitute(1, "sub").is_ok(), open);
    }
}

#[test]
fn a_substitute_who_does_not_come_is_given_up_and_the_slot_opens_again() {
    let mut h = running(2);
    h.client_event(1, &ClientEvent::Leave);
    h.substitute(1, "first").unwrap();
    h.run(seconds(29.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Expected));
    assert_eq!(h.open_slots(), None);
    h.run(seconds(1.5), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert_eq!(h.open_slots(), Some(vec![1]));
    // The game knows that the slot was left, and hears of nobody who was never there.
    assert_eq!((h.joins(), h.leaves()), (vec![0, 1], vec![1]));
    // It comes too late, as one who was matched and did not come does.
    h.run(seconds(0.5), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));

    h.substitute(1, "second").unwrap();
    h.run(seconds(0.5), &[0, 1]);
    assert_eq!(h.joins(), [0, 1, 1]);
    // A substitute who is lost is held for, like anyone.
    h.run(seconds(20.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    h.run(seconds(0.5), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    assert_eq!(h.leaves(), [1]);
}

#[test]
fn a_slot_that_was_left_before_the_start_is_known_to_the_game_whoever_comes() {
    let mut h = backfilled(3, |_| {});
    h.client_event(1, &ClientEvent::Leave);
    h.client_event(2, &ClientEvent::Leave);
    h.run(seconds(0.1), &[]);
    assert_eq!(h.open_slots(), Some(vec![1, 2]));
    h.substitute(1, "sub").unwrap();
    // The start waits for the substitute, and the game hears of the slot that nobody is in.
    h.run(seconds(1.0), &[0]);
    assert_eq!(h.room.game_tick(), 0);
    h.run(seconds(0.5), &[0, 1]);
    assert_eq!((h.joins(), h.leaves()), (vec![0, 1, 2], vec![2]));

    // Where the substitute does not come either, whoever was matched joins and leaves.
    let mut h = backfilled(2, |_| {});
    h.client_event(1, &ClientEvent::Leave);
    h.substitute(1, "sub").unwrap();
    h.run(seconds(55.0), &[0]);
    assert_eq!((h.joins(), h.leaves()), (vec![0, 1], vec![1]));
    assert_eq!(h.open_slots(), Some(vec![1]));
}

#[test]
fn who_cannot_have_a_slot_does_not_get_it() {
    let mut h = running(3);
    h.client_event(1, &ClientEvent::Leave);
    let no_slot = SubstituteError::NoSuchSlot { slot: 3, slots: 3 };
    let player = |team| super::super::RoomPlayer {
        identity: "sub".to_owned(),
        username: "sub".to_owned(),
        team,
    };
    let (now, room) = (h.now, &mut h.room);
    assert_eq!(room.handle_substitute(3, &player(None), now), Err(no_slot));
    assert_eq!(
        room.handle_substitute(1, &player(Some(1)), now),
        Err(SubstituteError::NoSuchTeam { team: 1, teams: 0 })
    );
    assert_eq!(
        h.substitute(2, "sub"),
        Err(SubstituteError::NotOpen { slot: 2 })
    );
    assert_eq!(
        h.substitute(1, "player-2"),
        Err(SubstituteError::Plays { slot: 2 })
    );
    assert_eq!(h.room.counters().substitutes, 0);
    // Said twice, it is done once.
    let taken = |h: &Harness| {
        let taken = |e: &&RoomEvent| matches!(e, RoomEvent::SlotTaken { slot: 1, .. });
        h.events.iter().filter(taken).count()
    };
    h.substitute(1, "sub").unwrap();
    h.run(seconds(0.5), &[0, 1, 2]);
    h.substitute(1, "sub").unwrap();
    h.run(seconds(0.5), &[0, 1, 2]);
    assert_eq!((taken(&h), h.room.counters().substitutes), (2, 1));
    assert_eq!(h.joins(), [0, 1, 2, 1]);

    h.client_event(2, &ClientEvent::Leave);
    h.room.handle_abort("enough");
    assert_eq!(
        h.substitute(2, "late"),
        Err(SubstituteError::NotOpen { slot: 2 })
    );
    let said = h.open_slots();
    h.run(seconds(1.0), &[]);
    assert_eq!(h.open_slots(), said, "a match that is over says nothing");
}

#[test]
fn nobody_is_looked_for_where_nobody_is_left() {
    let mut h = running(3);
    h.command(0, HANG_ON);
    for slot in 0..3 {
        h.client_event(slot, &ClientEvent::Leave);
    }
    h.run(seconds(0.1), &[]);
    assert_eq!(h.open_slots(), None);
    h.run(seconds(6.0), &[]);
    assert_eq!(h.ended().reason.as_deref(), Some("every player left"));
}

#[test]
fn who_left_can_come_back_as_anyones_substitute() {
    let mut h = running(3);
    h.client_event(1, &ClientEvent::Leave);
    h.run(seconds(0.1), &[0, 2]);
    // Into the slot that it left,
    h.substitute(1, "player-1").unwrap();
    h.run(seconds(0.1), &[0, 1, 2]);
    assert_eq!(h.joins(), [0, 1, 2, 1]);
    assert!(
        !h.events
            .iter()
            .any(|e| matches!(e, RoomEvent::Remove { .. }))
    );
    // into another one while nobody has that,
    h.client_event(1, &ClientEvent::Leave);
    h.client_event(2, &ClientEvent::Leave);
    h.run(seconds(0.1), &[0]);
    h.substitute(2, "player-1").unwrap();
    h.run(seconds(0.1), &[0, 2]);
    assert_eq!(h.open_slots(), Some(vec![1]));
    assert_eq!(told(&h, 0, 1).player_id, "");
    assert_eq!(h.joins(), [0, 1, 2, 1, 2]);
    // and once another one has it.
    h.substitute(1, "player-2").unwrap();
    h.run(seconds(0.1), &[0, 1, 2]);
    h.room.handle_participant_joined("player-2", h.now);
    h.run(seconds(0.1), &[0, 1, 2]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    assert_eq!(h.leaves(), [1, 1, 2]);
    assert_eq!(h.joins(), [0, 1, 2, 1, 2, 1]);
    assert_eq!(h.open_slots(), Some(vec![]));
}

#[test]
fn a_substitute_has_allowances_and_a_standing_of_its_own() {
    let mut h = running(2);
    for _ in 0..2_000 {
        h.client_event(1, &ClientEvent::Hello { module: None });
    }
    assert!(h.events.contains(&RoomEvent::Mute {
        identity: "player-1".to_owned()
    }));
    h.run(seconds(33.0), &[0]);
    assert_eq!(h.open_slots(), Some(vec![1]));
    h.substitute(1, "sub").unwrap();
    assert_eq!(h.hello(1).slot, Some(1));
    h.run(seconds(1.0), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    // A ban is one player's, and opens the slot.
    h.room.handle_ban("sub", h.now);
    h.run(seconds(0.1), &[0]);
    assert_eq!(h.open_slots(), Some(vec![1]));
    h.substitute(1, "other").unwrap();
    h.run(seconds(0.1), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    h.room.handle_participant_joined("sub", h.now);
    h.drain();
    assert!(
        matches!(h.events.last(), Some(RoomEvent::Remove { identity, .. }) if identity == "sub")
    );
}

#[test]
fn in_full_a_substitutes_first_view_is_against_nothing() {
    for hidden in [false, true] {
        let game = Game::new(hidden, Arc::default()).take_substitutes();
        let mut h = Harness::of(game, 2, |config| config.backfill = true).started();
        h.command(0, WHISPER_TO_0);
        h.run(seconds(0.1), &[0, 1]);
        h.client_event(1, &ClientEvent::Leave);
        h.substitute(1, "sub").unwrap();
        h.sent.clear();
        // It claims to hold what only its predecessor was sent.
        h.acks[1] = Ack::All;
        h.run(seconds(0.2), &[0, 1]);
        let own = |to: &Destination| *to == Destination::One("sub".into());
        let states = h.states();
        let first = states
            .iter()
            .find(|(to, ..)| own(to))
            .expect("its own packet");
        let (_, packet) = packet(&first.2);
        assert_eq!(
            (packet.baseline_age, packet.older_age),
            (0, 0),
            "hidden: {hidden}"
        );
        let to_earlier =
            |sent: &&super::harness::Sent| sent.to == Destination::One("player-1".into());
        assert_eq!(h.sent.iter().filter(to_earlier).count(), 0);
    }
    // What the game tells a slot goes to whoever has it when it is told.
    let mut h = running(2);
    h.client_event(0, &ClientEvent::Leave);
    h.substitute(0, "sub").unwrap();
    h.command(1, WHISPER_TO_0);
    h.run(seconds(0.1), &[1]);
    let game_events = |h: &Harness| {
        let bodies = h.bodies(0);
        bodies.iter().filter(|b| matches!(b, Body::Game(_))).count()
    };
    assert_eq!(game_events(&h), 0, "it has not come");
    h.hello(0);
    h.command(1, WHISPER_TO_0);
    h.run(seconds(0.1), &[0, 1]);
    assert_eq!(game_events(&h), 1);
}

#[test]
fn in_validated_a_substitute_starts_from_a_keyframe_and_the_log_says_who_came_when() {
    let mut h = backfilled(2, |config| config.mode = AuthorityMode::Validated);
    let mut clients = vec![Client::new(0, 2), Client::new(1, 2)];
    follow(&mut h, &mut clients, 100, |_| true);
    // The earlier player cannot run the module; the newcomer can.
    h.client_event(
        1,
        &ClientEvent::Resync {
            mismatch: None,
            views: true,
        },
    );
    follow(&mut h, &mut clients, 20, |_| true);
    assert!(!clients[1].deltas.is_empty());
    let left = h.room.game_tick();
    h.client_event(1, &ClientEvent::Leave);
    clients.pop();
    follow(&mut h, &mut clients, 20, |_| true);
    h.substitute(1, "sub").unwrap();
    assert_eq!(h.hello(1).mode(), wire::AuthorityMode::Validated);
    let mut newcomer = Client::new(1, 2);
    newcomer.identity = "sub".to_owned();
    clients.push(newcomer);
    follow(&mut h, &mut clients, 100, |_| true);
    let newest = h.room.game_tick();
    for client in &clients {
        assert_eq!(client.held, Some(newest), "{}", client.identity);
    }
    let newcomer = &clients[1];
    assert!(newcomer.deltas.is_empty());
    assert_eq!(newcomer.keyframes.len(), 1);
    assert!(newcomer.keyframes[0].0 > 60);
    // Whoever followed all along has the leave and the join, in their ticks, and no input of the
    // slot between the two.
    let mut there = true;
    let (mut leaves, mut joins) = (0, 0);
    for tick in clients[0].ticks.iter().filter(|tick| tick.log.tick > left) {
        for happening in tick.log.happenings.iter().filter(|h| h.slot == 1) {
            there = matches!(happening.kind, HappeningKind::Join { .. });
            leaves += u32::from(!there);
            joins += u32::from(there);
        }
        assert!(there || tick.log.inputs[1].status == InputStatus::Absent);
    }
    assert_eq!((leaves, joins), (1, 1));
    let ours = h.room.pipeline().confirmed(newest).unwrap().clone();
    assert_eq!(newcomer.ticks.last(), Some(&ours));
    assert_eq!(ours.log.inputs[1].status, InputStatus::Fresh);
}

#[test]
fn in_observer_a_substitutes_word_counts_and_nobody_comes_once_the_end_is_told() {
    let observer = |config: &mut RoomConfig| config.mode = AuthorityMode::Observer;
    let mut h = backfilled(3, observer).started();
    h.client_event(1, &ClientEvent::Leave);
    h.run(seconds(0.1), &[0, 2]);
    assert_eq!(h.open_slots(), Some(vec![1]));
    h.substitute(1, "sub").unwrap();
    h.run(seconds(0.5), &[0, 1, 2]);
    report(&mut h, 1, &won(0, 3));
    report(&mut h, 0, &won(0, 3));
    h.run(seconds(0.1), &[0, 1, 2]);
    assert_eq!(h.ended().result, won(0, 3));

    let mut h = backfilled(3, observer).started();
    h.client_event(2, &ClientEvent::Leave);
    h.run(seconds(0.1), &[0, 1]);
    report(&mut h, 0, &won(0, 3));
    h.run(seconds(0.1), &[0, 1]);
    assert_eq!(h.open_slots(), Some(vec![]));
    assert_eq!(
        h.substitute(2, "sub"),
        Err(SubstituteError::NotOpen { slot: 2 })
    );
    // Nothing piles up in a pipeline that nobody steps.
    let mut h = backfilled(2, observer).started();
    for n in 0..100 {
        h.client_event(1, &ClientEvent::Leave);
        h.substitute(1, &format!("sub-{n}")).unwrap();
        h.run(seconds(0.05), &[0, 1]);
    }
    h.room.pipeline().begin_tick();
    h.room.pipeline().advance().unwrap();
    assert!(h.room.pipeline().tick_log().happenings.is_empty());
}

#[test]
fn a_match_with_many_substitutes_keeps_its_bounds_whatever_everybody_sends() {
    for seed in 0..4 {
        let mode = [AuthorityMode::Full, AuthorityMode::Validated][seed as usize % 2];
        let mut h = backfilled(4, |config| config.mode = mode).started();
        let mut random = StdRng::seed_from_u64(seed);
        h.command(0, HANG_ON);
        for n in 0..150 {
            throw_random_packets(&mut h, seed * 1_000 + n, 20);
            let slot = random.random_range(1..4);
            match random.random_range(0..3) {
                0 => h.client_event(slot, &ClientEvent::Leave),
                // Some come back, as "player-1" to "player-3" do.
                1 => {
                    let name = format!("player-{}", random.random_range(1..8));
                    let open = h.room.is_open(slot);
                    let taken = h.substitute(slot, &name);
                    assert!(open || taken.is_err() || h.room.slot_of(&name) == Some(slot));
                }
                _ => h.run(seconds(0.2), &[0, slot]),
            }
            assert_eq!(h.room.pipeline().manifest().max_players, 64);
            let names: Vec<_> = (0..4).map(|slot| h.identity(slot)).collect();
            for slot in 0..4 as Slot {
                let identity = &names[usize::from(slot)];
                assert!(h.room.slot_of(identity).is_some() || h.room.is_former(identity));
            }
            h.sent.clear();
        }
        assert!(h.room.counters().substitutes > 10, "seed {seed}");
        // The log is whole: every leave follows a join, and the other way round.
        assert!(h.joins().len() >= h.leaves().len());
        h.run(seconds(1.0), &[0]);
        assert!(!h.is_ended(), "seed {seed}: {:?}", h.ended());
    }
}
