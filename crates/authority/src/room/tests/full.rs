//! `full`: views as deltas, and clients that lose them.

use gs_engine::replication::{Applied, Packet, ReceivedViews};
use gs_engine::schema::Schema;
use gs_engine::snapshot::Codec;
use gs_engine::{Simulation, Tick};
use gs_protocol::wire::{self, state_update};
use gs_protocol::{ClientEvent, topic};

use super::super::{Destination, Presence};
use super::game::Game;
use super::harness::{Ack, Harness, seconds};

/// The delta of an update, and the tick of its state.
pub(super) fn packet(update: &wire::StateUpdate) -> (Tick, Packet<'_>) {
    let Some(state_update::Body::Delta(delta)) = &update.body else {
        panic!("no delta: {update:?}");
    };
    let codec = match delta.codec() {
        wire::Codec::Packed => Codec::Packed,
        wire::Codec::Ranged => Codec::Ranged,
        wire::Codec::Unspecified => panic!("no codec"),
    };
    let packet = Packet {
        baseline_age: delta.baseline,
        older_age: delta.older,
        codec,
        data: &delta.data,
        whole: delta.whole,
    };
    (update.tick - delta.age, packet)
}

struct Viewer {
    slot: usize,
    schema: Schema,
    views: ReceivedViews,
    /// How many packets were written against something that is not there.
    unreadable: u32,
}

impl Viewer {
    fn new(slot: usize) -> Self {
        let game = Game::new(false, std::sync::Arc::default());
        Self {
            slot,
            schema: Schema::new(game.manifest()).unwrap(),
            views: ReceivedViews::new(),
            unreadable: 0,
        }
    }

    /// Takes in what the room sent, and acknowledges it from now on.
    fn take(&mut self, h: &mut Harness) {
        let own = Destination::One(h.identity(self.slot).into());
        for (to, _, update) in h.states() {
            if to != own && to != Destination::All {
                continue;
            }
            let (tick, packet) = packet(&update);
            match self.views.apply(&self.schema, tick, &packet).unwrap() {
                Applied::New | Applied::Duplicate => {}
                Applied::Stale | Applied::NoBaseline => self.unreadable += 1,
            }
        }
        let (tick, bits) = self.views.ack();
        h.acks[self.slot] = Ack::Of(tick, bits);
    }

    /// Whether it sees the whole of the newest tick.
    fn sees(&self, h: &mut Harness) -> bool {
        let tick = h.room.game_tick();
        let all = self.views.view_at(tick).map(|view| view.entities.len());
        all == Some(3) && self.views.is_whole(tick)
    }
}

fn play(h: &mut Harness, viewers: &mut [Viewer], ticks: u32, arrives: impl Fn(u32, usize) -> bool) {
    for n in 0..ticks {
        for viewer in viewers.iter() {
            let tick = h.room.game_tick() + 1;
            h.input(viewer.slot, &[(tick, 0.5)]);
        }
        h.sent.clear();
        h.tick();
        for viewer in viewers.iter_mut() {
            if arrives(n, viewer.slot) {
                viewer.take(h);
            }
        }
    }
}

#[test]
fn views_are_whole_at_each_tick_although_packets_are_lost() {
    for hidden in [false, true] {
        let mut h = if hidden {
            Harness::hidden(3)
        } else {
            Harness::new(3)
        };
        let mut viewers: Vec<Viewer> = (0..3).map(Viewer::new).collect();
        for slot in 0..3 {
            h.acks[slot] = Ack::Of(0, 0);
        }
        play(&mut h, &mut viewers, 300, |n, slot| {
            !(n + slot as u32).is_multiple_of(3)
        });
        play(&mut h, &mut viewers, 1, |_, _| true);
        for viewer in &viewers {
            assert!(
                viewer.sees(&mut h),
                "slot {} (hidden: {hidden})",
                viewer.slot
            );
            assert_eq!(viewer.unreadable, 0);
        }
    }
}

#[test]
fn a_page_that_was_loaded_anew_can_read_the_next_packet() {
    let mut h = Harness::new(2);
    let mut viewers = vec![Viewer::new(0), Viewer::new(1)];
    play(&mut h, &mut viewers, 100, |_, _| true);
    viewers[1] = Viewer::new(1);
    h.hello(1);
    h.acks[1] = Ack::Of(0, 0);
    play(&mut h, &mut viewers, 1, |_, _| true);
    assert!(viewers[1].sees(&mut h));
    play(&mut h, &mut viewers, 60, |_, _| true);
    assert_eq!(viewers[0].unreadable + viewers[1].unreadable, 0);
}

#[test]
fn a_fresh_start_is_granted_once_a_second_and_everyone_else_goes_on() {
    let mut h = Harness::new(2);
    let mut viewers = vec![Viewer::new(0), Viewer::new(1)];
    play(&mut h, &mut viewers, 100, |_, _| true);
    for _ in 0..100 {
        h.client_event(
            1,
            &ClientEvent::Resync {
                mismatch: None,
                views: false,
            },
        );
    }
    let counters = h.room.counters();
    assert_eq!((counters.resyncs, counters.requests_limited), (2, 98));
    viewers[1] = Viewer::new(1);
    play(&mut h, &mut viewers, 3, |_, _| true);
    assert!(viewers.iter().all(|viewer| viewer.sees(&mut h)));
}

#[test]
fn forged_acknowledgements_are_counted_and_harm_nobody() {
    let mut h = Harness::new(2);
    let mut viewers = vec![Viewer::new(0), Viewer::new(1)];
    play(&mut h, &mut viewers, 60, |_, _| true);
    for tick in [h.room.game_tick() + 1, h.room.game_tick() + 50, u32::MAX] {
        h.acks[1] = Ack::Of(tick, 0);
        h.input(1, &[]);
    }
    assert!(h.room.counters().acks_refused >= 3);
    play(&mut h, &mut viewers, 60, |_, _| true);
    assert!(viewers[0].sees(&mut h) && viewers[0].unreadable == 0);
}

#[test]
fn what_belongs_to_another_mode_is_counted_and_dropped() {
    let mut h = Harness::new(2).started();
    let result = gs_engine::simulation::MatchResult {
        outcome: gs_engine::simulation::Outcome::Finished,
        slots: Vec::new(),
    };
    h.client_event(0, &ClientEvent::Report(result));
    let differences = Vec::new();
    h.client_event(
        0,
        &ClientEvent::Desync {
            tick: 1,
            differences,
        },
    );
    h.room
        .handle_packet(&h.identity(0), topic::STATE, &[8, 1], h.now);
    let counters = h.room.counters();
    assert_eq!((counters.out_of_mode, counters.unknown_topic), (2, 1));
    h.run(seconds(0.1), &[0, 1]);
    assert!(!h.is_ended());
}

#[test]
fn a_client_of_another_module_is_kept_out_with_both_versions() {
    let mut h = Harness::new(2);
    let module = Some(("ab".repeat(32), "0.9\u{202e}\u{7}".to_owned()));
    h.client_event(1, &ClientEvent::Hello { module });
    let told = h.bodies(1);
    let [wire::server_event::Body::Refused(refused)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(refused.what, "module");
    for part in ["counter 1 ", "00000000)", "version 0.9", "abababab)"] {
        assert!(refused.reason.contains(part), "{}", refused.reason);
    }
    assert!(!refused.reason.contains('\u{7}'));
    assert_eq!(h.room.presence(1), Some(Presence::Expected));
    assert_eq!(h.room.counters().modules_refused, 1);
    // The match's own module is welcome.
    let module = Some(("00".repeat(32), "1".to_owned()));
    h.client_event(1, &ClientEvent::Hello { module });
    let welcomed = |body: &_| matches!(body, wire::server_event::Body::Welcome(_));
    assert!(h.bodies(1).iter().any(welcomed));
}
