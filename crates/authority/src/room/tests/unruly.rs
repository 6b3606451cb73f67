//! Packets that are late, wrong, too many, or a stranger's.

use std::time::Duration;

use gs_protocol::topic;
use gs_protocol::wire::server_event::Body;

use super::super::limits::{MUTE_AFTER, REMOVE_AFTER, TRANSMITS};
use super::super::{Channel, Destination, Presence, RoomEvent};
use super::game::Game;
use super::harness::{Harness, seconds, throw_random_packets};

#[test]
fn a_refused_command_is_answered_with_the_reason() {
    let mut h = Harness::running(2);
    h.sent.clear();
    h.command(0, 200);
    let refused = h.bodies(0);
    let [Body::Refused(refused)] = refused.as_slice() else {
        panic!("{refused:?}")
    };
    assert_eq!(refused.what, "command");
    assert!(!refused.reason.is_empty());
    assert_eq!(h.room.counters().commands_refused, 1);
}

#[test]
fn inputs_may_be_reordered_repeated_wrong_or_far_away() {
    let mut h = Harness::running(2);
    let next = h.room.game_tick() + 1;
    h.input(0, &[(next + 1, 0.5), (next + 2, 0.5)]);
    h.input(0, &[(next, 0.25)]);
    h.input(0, &[(next, 0.25), (next + 1, 0.5)]);
    let before = h.room.counters();
    h.input(
        0,
        &[
            (next + 3, f32::NAN),
            (next + 4, f32::INFINITY),
            (next + 5, 1.5),
        ],
    );
    assert_eq!(h.room.counters().frames_refused, before.frames_refused + 3);
    h.input(0, &[(next + 1_000, 0.5), (u32::MAX, 0.5)]);
    assert_eq!(h.room.counters().frames_too_far, before.frames_too_far + 2);
    h.tick();
    assert_eq!(
        h.room.pipeline().tick_log().inputs[0].data,
        0.25_f32.to_le_bytes()
    );
    h.tick();
    assert_eq!(
        h.room.pipeline().tick_log().inputs[0].data,
        0.5_f32.to_le_bytes()
    );
}

#[test]
fn what_cannot_be_read_is_counted_and_dropped() {
    let mut h = Harness::running(2);
    let id = h.identity(0);
    let before = h.room.counters();
    h.room.handle_packet(&id, topic::INPUT, &[0xff; 40], h.now);
    h.room
        .handle_packet(&id, topic::INPUT, &vec![0; 5_000], h.now);
    h.room.handle_packet(&id, topic::INPUT, &[8, 2], h.now);
    h.room
        .handle_packet(&id, topic::EVENTS, &vec![1; 60_000], h.now);
    h.room.handle_packet(&id, topic::CHAT, &[], h.now);
    h.room.handle_packet(&id, topic::STATE, b"mine", h.now);
    h.room.handle_packet(&id, "\u{0}", b"", h.now);
    let after = h.room.counters();
    assert_eq!(after.malformed, before.malformed + 5);
    assert_eq!(after.unknown_topic, before.unknown_topic + 2);
    h.tick();
    assert!(!h.is_ended());
}

#[test]
fn strangers_are_refused_and_reported_now_and_then() {
    let mut h = Harness::running(2);
    let removals = |h: &Harness| {
        h.events
            .iter()
            .filter(|e| matches!(e, RoomEvent::Remove { .. }))
            .count()
    };
    for _ in 0..1_000 {
        h.room
            .handle_packet("stranger", topic::EVENTS, &[8, 1, 18, 0], h.now);
    }
    h.drain();
    assert_eq!(removals(&h), 1);
    assert_eq!(h.room.counters().strangers, 1_000);
    h.run(seconds(3.0), &[0, 1]);
    h.room.handle_packet("stranger", topic::CHAT, b"", h.now);
    h.drain();
    assert_eq!(removals(&h), 2);
    // However many there are, what is remembered of them is bounded.
    for index in 0..10_000 {
        h.room
            .handle_packet(&format!("s{index}"), topic::CHAT, b"", h.now);
    }
    h.drain();
    assert!(removals(&h) <= 2 + 64);
    assert!(
        !h.sent
            .iter()
            .any(|s| s.to == Destination::One("stranger".into()))
    );
}

#[test]
fn a_flood_is_limited_then_muted_then_removed_and_the_slot_is_lost() {
    let mut h = Harness::running(2);
    let id = h.identity(1);
    let flood = |h: &mut Harness, packets: u32| {
        for _ in 0..packets {
            h.room.handle_packet(&id, topic::INPUT, &[8, 1], h.now);
        }
        h.drain();
    };
    flood(&mut h, 180 + MUTE_AFTER - 10);
    assert!(!h.events.contains(&RoomEvent::Mute {
        identity: id.clone()
    }));
    assert!(h.room.counters().limited > 0);
    flood(&mut h, 20);
    assert!(h.events.contains(&RoomEvent::Mute {
        identity: id.clone()
    }));
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    // LiveKit stops forwarding, so nothing more comes; where it does not, the player is removed.
    let removed = |h: &Harness| {
        let of =
            |e: &&RoomEvent| matches!(e, RoomEvent::Remove { identity, .. } if *identity == id);
        h.events.iter().filter(of).count()
    };
    assert_eq!(removed(&h), 0);
    flood(&mut h, REMOVE_AFTER + 10);
    assert_eq!(removed(&h), 1);
    h.run(seconds(3.0), &[0]);
    flood(&mut h, 50);
    assert_eq!(removed(&h), 2, "whoever comes back is removed again");
    h.room.handle_participant_joined(&id, h.now);
    h.drain();
    assert_eq!(removed(&h), 3, "also without a word");
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    h.run(seconds(30.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert_eq!(h.leaves(), [1]);
    assert!(!h.is_ended());
}

#[test]
fn a_banned_player_is_removed_for_good_and_again_at_each_return() {
    let mut h = Harness::running(2);
    let id = h.identity(1);
    let removed = |h: &Harness| {
        let of =
            |e: &&RoomEvent| matches!(e, RoomEvent::Remove { identity, .. } if *identity == id);
        h.events.iter().filter(of).count()
    };
    h.room.handle_ban("somebody else", h.now);
    h.drain();
    assert!(h.room.presence(1) == Some(Presence::Present) && removed(&h) == 0);
    for _ in 0..2 {
        h.room.handle_ban(&id, h.now);
        h.drain();
        assert_eq!((h.room.presence(1), removed(&h)), (Some(Presence::Gone), 1));
    }
    h.room.handle_participant_joined(&id, h.now);
    h.drain();
    assert_eq!(removed(&h), 2);
    // The same token lets it in again, and it goes on playing as if nothing had been.
    h.run(seconds(3.0), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert!(removed(&h) >= 3);
    assert_eq!(h.leaves(), [1]);
    assert!(!h.is_ended(), "the other plays on");
}

#[test]
fn who_is_banned_before_the_start_is_not_waited_for() {
    let mut h = Harness::new(2);
    h.room.handle_ban(&h.identity(1), h.now);
    h.run(seconds(0.2), &[0]);
    assert_eq!(h.leaves(), [1]);
    assert_eq!(h.room.presence(0), Some(Presence::Present));
}

#[test]
fn an_honest_client_on_a_bad_line_is_not_limited() {
    let mut h = Harness::running(2);
    for _ in 0..20 {
        // A second's worth of packets at once.
        for _ in 0..60 {
            h.room
                .handle_packet(&h.identity(1), topic::INPUT, &[8, 1], h.now);
        }
        h.run(seconds(1.0), &[0]);
    }
    assert_eq!(h.room.counters().limited, 0);
}

#[test]
fn what_nobody_takes_is_bounded() {
    let mut h = Harness::running(2);
    for _ in 0..10_000 {
        h.now += Duration::from_millis(16);
        for slot in 0..2 {
            h.room
                .handle_packet(&h.identity(slot), topic::EVENTS, &[8, 1, 18, 0], h.now);
        }
        h.room.tick(h.now);
    }
    assert!(h.room.counters().dropped > 0);
    let mut queued = 0;
    while h.room.poll_transmit().is_some() {
        queued += 1;
    }
    assert!(queued <= TRANSMITS);
}

#[test]
fn random_packets_never_panic_and_never_stop_the_match() {
    for seed in 0..24 {
        let mut h = match seed % 3 {
            0 => Harness::running(3),
            1 => Harness::validated(3).started(),
            _ => Harness::observer(3).started(),
        };
        throw_random_packets(&mut h, seed, 3_000);
        assert_eq!(h.room.pipeline().manifest().name, Game::NAME);
        for sent in &h.sent {
            let limit = match sent.topic {
                topic::STATE if sent.channel == Channel::Lossy => gs_protocol::limits::STATE_BYTES,
                topic::STATE => gs_protocol::limits::KEYFRAME_BYTES,
                topic::CHAT => gs_protocol::limits::CHAT_BYTES,
                _ => gs_protocol::limits::EVENT_BYTES,
            };
            assert!(sent.payload.len() <= limit);
        }
    }
}
