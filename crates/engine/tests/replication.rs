//! Replication: what the server believes a viewer has is what it has, whatever the line does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::replication::{Applied, Packet, ReceivedViews, Recipients, Replicator};
use gs_engine::schema::Schema;
use gs_engine::simulation::{NetState, Slot, Tick};
use gs_engine::snapshot::{Codec, SnapshotError};
use proptest::prelude::*;
use support::world::{Random, World, as_received, world_manifest};

fn schema() -> Schema {
    Schema::new(&world_manifest()).unwrap()
}

/// A packet on its way.
#[derive(Clone)]
struct Sent {
    arrives: Tick,
    tick: Tick,
    baseline_age: u32,
    older_age: u32,
    codec: Codec,
    data: Vec<u8>,
    whole: bool,
}

impl Sent {
    fn new(arrives: Tick, tick: Tick, packet: &Packet<'_>) -> Self {
        Self {
            arrives,
            tick,
            baseline_age: packet.baseline_age,
            older_age: packet.older_age,
            codec: packet.codec,
            data: packet.data.to_vec(),
            whole: packet.whole,
        }
    }

    fn packet(&self) -> Packet<'_> {
        Packet {
            baseline_age: self.baseline_age,
            older_age: self.older_age,
            codec: self.codec,
            data: &self.data,
            whole: self.whole,
        }
    }
}

/// A viewer behind a bad line.
struct Viewer {
    slot: Slot,
    views: ReceivedViews,
    down: Vec<Sent>,
    /// When it arrives, and what it acknowledges.
    up: Vec<(Tick, Tick, u32)>,
    /// The net state of each tick as it was meant for it.
    meant: Vec<(Tick, NetState)>,
    wholes: u32,
}

/// How bad the lines are, in percent.
#[derive(Clone, Copy, Debug)]
struct Line {
    loss: u32,
    duplicates: u32,
    /// In ticks.
    delay: u32,
    jitter: u32,
}

impl Line {
    /// When what is sent in a tick arrives: never, once or twice.
    fn send(self, tick: Tick, random: &mut Random) -> Vec<Tick> {
        let copies = if random.chance(self.loss) {
            0
        } else {
            1 + u32::from(random.chance(self.duplicates))
        };
        (0..copies)
            .map(|_| tick + self.delay + random.below(self.jitter + 1))
            .collect()
    }
}

impl Viewer {
    fn new(slot: Slot) -> Self {
        Self {
            slot,
            views: ReceivedViews::new(),
            down: Vec::new(),
            up: Vec::new(),
            meant: Vec::new(),
            wholes: 0,
        }
    }

    fn send(&mut self, tick: Tick, packet: &Packet<'_>, line: Line, random: &mut Random) {
        for arrives in line.send(tick, random) {
            self.down.push(Sent::new(arrives, tick, packet));
        }
    }

    /// Takes in what has come, compares it with what the server believes, and answers.
    fn receive(
        &mut self,
        schema: &Schema,
        now: Tick,
        server: &mut Replicator,
        line: Line,
        random: &mut Random,
    ) {
        let (come, coming) = self.down.drain(..).partition(|sent| sent.arrives <= now);
        self.down = coming;
        let mut believed = NetState::default();
        for sent in come {
            let sent: Sent = sent;
            match self.views.apply(schema, sent.tick, &sent.packet()).unwrap() {
                Applied::New => {}
                Applied::Duplicate => continue,
                other => panic!("tick {} in {now}: {other:?}", sent.tick),
            }
            let view = self.views.exact_at(sent.tick).unwrap();
            if server.copy_view(self.slot, sent.tick, &mut believed) {
                assert_eq!(view, &believed, "viewer {}, tick {}", self.slot, sent.tick);
            }
            if sent.whole {
                self.wholes += 1;
                let meant = self.meant.iter().find(|(tick, _)| *tick == sent.tick);
                assert_eq!(view, &meant.unwrap().1);
            }
        }
        self.meant.retain(|(tick, _)| tick + 100 > now);
        let (tick, bits) = self.views.ack();
        for arrives in line.send(now, random) {
            self.up.push((arrives, tick, bits));
        }
        let (come, coming) = self.up.drain(..).partition(|(arrives, ..)| *arrives <= now);
        self.up = coming;
        for (_, tick, bits) in come {
            server.handle_ack(self.slot, tick, bits);
        }
        assert_eq!(server.refused_acks(self.slot), 0);
    }

    /// Loses everything, as after a reload.
    fn restart(&mut self, server: &mut Replicator) {
        server.reset(self.slot);
        *self = Self::new(self.slot);
    }
}

#[derive(Clone, Debug)]
struct Scene {
    seed: u64,
    things: u32,
    churn: u32,
    visible: u32,
    budget: usize,
    line: Line,
    restarts: u32,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let line = (0..60_u32, 0..30_u32, 0..20_u32, 0..8_u32).prop_map(
        |(loss, duplicates, delay, jitter)| Line {
            loss,
            duplicates,
            delay,
            jitter,
        },
    );
    (
        any::<u64>(),
        0..150_u32,
        0..8_u32,
        20..101_u32,
        160..1200_usize,
        line,
        0..3_u32,
    )
        .prop_map(
            |(seed, things, churn, visible, budget, line, restarts)| Scene {
                seed,
                things,
                churn,
                visible,
                budget,
                line,
                restarts,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn own_views_are_what_the_server_believes(scene in scenes()) {
        let schema = schema();
        let mut random = Random::new(scene.seed);
        let mut world = World::new(&schema, scene.things, &mut random);
        let mut server = Replicator::new(3, scene.budget);
        let mut viewers: Vec<Viewer> = (0..3).map(Viewer::new).collect();
        let mut state = NetState::default();
        for tick in 1..150 {
            world.step(&schema, scene.churn, &mut random);
            for viewer in &mut viewers {
                let salt = u32::from(viewer.slot) * 100 + tick / 16;
                world.view(scene.visible, salt, &mut state);
                viewer.meant.push((tick, as_received(&state)));
                let packet = server.encode(&schema, tick, viewer.slot, &state).unwrap();
                prop_assert!(packet.data.len() <= scene.budget);
                viewer.send(tick, &packet, scene.line, &mut random);
                viewer.receive(&schema, tick, &mut server, scene.line, &mut random);
                if random.below(100) < scene.restarts {
                    viewer.restart(&mut server);
                }
            }
        }
    }

    #[test]
    fn shared_views_are_what_the_server_believes(scene in scenes()) {
        let schema = schema();
        let mut random = Random::new(scene.seed);
        let mut world = World::new(&schema, scene.things, &mut random);
        let mut server = Replicator::new(5, scene.budget);
        let mut viewers: Vec<Viewer> = (0..5).map(Viewer::new).collect();
        let mut state = NetState::default();
        for tick in 1..150 {
            world.step(&schema, scene.churn, &mut random);
            world.view(100, 0, &mut state);
            // The last one comes late, and the first is away for a while.
            let present = |slot: Slot| (slot < 4 || tick > 40) && (slot > 0 || !(60..80).contains(&tick));
            let slots: Vec<Slot> = (0..5).filter(|slot| present(*slot)).collect();
            let broadcast = server.broadcast(&schema, tick, &state, &slots).unwrap();
            let mut served = Vec::new();
            for (recipients, packet) in broadcast.packets() {
                prop_assert!(packet.data.len() <= scene.budget);
                let to: &[Slot] = match recipients {
                    Recipients::Everyone => &slots,
                    Recipients::Slots(slots) => slots,
                };
                served.extend_from_slice(to);
                for slot in to {
                    let viewer = &mut viewers[usize::from(*slot)];
                    viewer.meant.push((tick, as_received(&state)));
                    viewer.send(tick, &packet, scene.line, &mut random);
                }
            }
            served.sort_unstable();
            prop_assert_eq!(&served, &slots);
            for viewer in &mut viewers {
                viewer.receive(&schema, tick, &mut server, scene.line, &mut random);
                if random.below(100) < scene.restarts {
                    viewer.restart(&mut server);
                }
            }
        }
    }

    #[test]
    fn a_corrupt_packet_changes_nothing(
        seed in any::<u64>(), flips in proptest::collection::vec(any::<u32>(), 1..8), cut in any::<u8>()
    ) {
        let schema = schema();
        let mut random = Random::new(seed);
        let mut world = World::new(&schema, 40, &mut random);
        let mut server = Replicator::new(1, 900);
        let mut views = ReceivedViews::new();
        let mut state = NetState::default();
        for tick in 1..12 {
            world.step(&schema, 5, &mut random);
            world.view(90, tick, &mut state);
            let packet = server.encode(&schema, tick, 0, &state).unwrap();
            let mut broken = Sent::new(tick, tick, &packet);
            for flip in &flips {
                let bit = *flip as usize % (broken.data.len() * 8);
                broken.data[bit / 8] ^= 1 << (bit % 8);
            }
            if cut < 50 {
                broken.data.truncate(usize::from(cut));
            }
            let before = (views.ack(), views.newest().map(|(tick, state)| (tick, state.clone())));
            if views.apply(&schema, tick, &broken.packet()).is_err() {
                let after = (views.ack(), views.newest().map(|(tick, state)| (tick, state.clone())));
                prop_assert_eq!(before, after);
                prop_assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
                prop_assert_eq!(views.view_at(tick).unwrap(), &as_received(&state));
            } else {
                // It happens to say something; then it says something that can be.
                let view = views.view_at(tick).unwrap();
                for entity in &view.entities {
                    let kind = schema.kind(entity.kind).unwrap();
                    let columns = kind.columns().iter().zip(view.columns_of(entity));
                    for (column, value) in columns {
                        prop_assert!((column.lo..=column.hi).contains(value));
                    }
                }
                prop_assert!(view.entities.is_sorted_by(|a, b| a.id < b.id));
                return Ok(());
            }
            let (tick, bits) = views.ack();
            server.handle_ack(0, tick, bits);
        }
    }

    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        let schema = schema();
        let mut views = ReceivedViews::new();
        let packet = Packet {
            baseline_age: 0, older_age: 0, codec: Codec::Packed, data: &data, whole: true,
        };
        let _ = views.apply(&schema, 7, &packet);
    }
}

const GOOD: Line = Line {
    loss: 0,
    duplicates: 0,
    delay: 3,
    jitter: 0,
};

#[test]
fn with_room_and_without_loss_everyone_sees_everything() {
    let schema = schema();
    let mut random = Random::new(1);
    let mut world = World::new(&schema, 60, &mut random);
    let mut server = Replicator::new(4, 1000);
    let mut viewers: Vec<Viewer> = (0..4).map(Viewer::new).collect();
    let mut state = NetState::default();
    for tick in 1..200 {
        world.step(&schema, 1, &mut random);
        for viewer in &mut viewers {
            world.view(80, u32::from(viewer.slot) + tick / 50, &mut state);
            viewer.meant.push((tick, as_received(&state)));
            let packet = server.encode(&schema, tick, viewer.slot, &state).unwrap();
            assert!(packet.whole, "{} bytes", packet.data.len());
            viewer.send(tick, &packet, GOOD, &mut random);
            viewer.receive(&schema, tick, &mut server, GOOD, &mut random);
        }
    }
    // All but what is still on its way.
    assert!(viewers.iter().all(|viewer| viewer.wholes == 199 - 3));
}

#[test]
fn a_broadcast_is_one_packet_again_soon_after_somebody_joins() {
    let schema = schema();
    let mut random = Random::new(2);
    let mut world = World::new(&schema, 50, &mut random);
    let mut server = Replicator::new(100, 1000);
    let mut viewers: Vec<Viewer> = (0..100).map(Viewer::new).collect();
    let mut state = NetState::default();
    for tick in 1..100 {
        world.step(&schema, 1, &mut random);
        world.view(100, 0, &mut state);
        let present = if tick < 50 { 99 } else { 100 };
        let slots: Vec<Slot> = (0..present).collect();
        let broadcast = server.broadcast(&schema, tick, &state, &slots).unwrap();
        let packets: Vec<_> = broadcast.packets().collect();
        // The joiner's first packet comes back acknowledged after six ticks.
        let expected = if (50..57).contains(&tick) { 2 } else { 1 };
        assert_eq!(packets.len(), expected, "tick {tick}");
        if tick == 50 {
            assert_eq!(packets[1].0, Recipients::Slots(&[99]));
            assert_eq!(packets[1].1.baseline_age, 0);
            assert!((1..=7).contains(&packets[0].1.baseline_age));
        }
        for (recipients, packet) in packets {
            let to = match recipients {
                Recipients::Everyone => &slots,
                Recipients::Slots(slots) => slots,
            };
            for slot in to {
                let viewer = &mut viewers[usize::from(*slot)];
                viewer.meant.push((tick, as_received(&state)));
                viewer.send(tick, &packet, GOOD, &mut random);
            }
        }
        for viewer in &mut viewers {
            viewer.receive(&schema, tick, &mut server, GOOD, &mut random);
        }
    }
}

#[test]
fn everything_that_differs_has_its_turn() {
    let schema = schema();
    let mut random = Random::new(3);
    let mut world = World::new(&schema, 600, &mut random);
    let mut server = Replicator::new(1, 200);
    let mut views = ReceivedViews::new();
    let mut state = NetState::default();
    let mut told = std::collections::BTreeMap::new();
    let mut longest = 0;
    for tick in 1..1500_u32 {
        world.move_on(&schema, &mut random);
        world.view(100, 0, &mut state);
        // One of them matters ten thousand times more than others.
        state.entities[7].priority = f32::MAX;
        let packet = server.encode(&schema, tick, 0, &state).unwrap();
        assert!(packet.data.len() <= 200);
        assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
        let view = views.view_at(tick).unwrap();
        let mut seen = view.entities.iter().peekable();
        for entity in &state.entities {
            while seen.next_if(|seen| seen.id < entity.id).is_some() {}
            let is_told = seen.peek().is_some_and(|seen| {
                seen.id == entity.id && view.columns_of(seen) == state.columns_of(entity)
            });
            let last = told.entry(entity.id).or_insert(0);
            if is_told {
                longest = longest.max(tick - *last);
                *last = tick;
            }
        }
        // What it has is acknowledged eight ticks later.
        if tick > 8 {
            server.handle_ack(0, tick - 8, u32::MAX);
        }
    }
    // Some 40 ticks are a round of all; those of priority 0 wait thirty times as long as those of
    // priority 3.
    let waits = told.values().map(|last| 1500 - last).max();
    assert!(longest.max(waits.unwrap()) <= 1200, "{longest}, {waits:?}");
    assert!(told.values().all(|last| *last > 0), "never told of some");
}

#[test]
fn what_was_told_once_does_not_fall_back() {
    let schema = schema();
    let mut random = Random::new(9);
    let mut world = World::new(&schema, 300, &mut random);
    let mut server = Replicator::new(1, 250);
    let mut views = ReceivedViews::new();
    let mut state = NetState::default();
    // In which tick each entity had which columns, and which of those were shown last.
    let mut history: Vec<NetState> = vec![NetState::default()];
    let mut shown = std::collections::BTreeMap::new();
    let mut compared = 0;
    for tick in 1..200_u32 {
        world.move_on(&schema, &mut random);
        if tick == 150 {
            world.things.truncate(200);
        }
        world.view(100, 0, &mut state);
        history.push(as_received(&state));
        for entity in &mut state.entities {
            entity.priority = 1.0;
        }
        let packet = server.encode(&schema, tick, 0, &state).unwrap();
        assert!(!packet.whole);
        assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
        let view = views.view_at(tick).unwrap();
        for entity in &view.entities {
            let is_then = |then: &&u32| {
                let then = &history[**then as usize];
                let found = then.entities.iter().find(|then| then.id == entity.id);
                found.is_some_and(|found| then.columns_of(found) == view.columns_of(entity))
            };
            let ticks: Vec<u32> = (1..=tick).filter(|tick| is_then(&tick)).collect();
            assert!(
                !ticks.is_empty(),
                "entity {} never was like this",
                entity.id
            );
            // What is like its baseline again looks as if it had been left out, so what stands
            // still or goes to and fro says nothing here.
            let [then] = ticks[..] else {
                shown.remove(&entity.id);
                continue;
            };
            let last = shown.insert(entity.id, then).unwrap_or(0);
            assert!(
                then >= last,
                "entity {} fell from {last} to {then}",
                entity.id
            );
            compared += 1;
        }
        if tick == 60 {
            assert_eq!(view.entities.len(), 300, "all have been told once");
        }
        if tick == 175 {
            assert_eq!(view.entities.len(), 200, "who is gone is gone");
        }
        if tick > 6 {
            server.handle_ack(0, tick - 6, u32::MAX);
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn gone_is_told_before_anything_else() {
    let schema = schema();
    let mut random = Random::new(4);
    let mut world = World::new(&schema, 100, &mut random);
    let mut server = Replicator::new(1, 160);
    let mut views = ReceivedViews::new();
    let mut state = NetState::default();
    for tick in 1..200 {
        world.move_on(&schema, &mut random);
        world.view(100, 0, &mut state);
        if tick == 150 {
            world.things.retain(|thing| thing.id % 2 == 0);
            world.view(100, 0, &mut state);
        }
        let packet = server.encode(&schema, tick, 0, &state).unwrap();
        views.apply(&schema, tick, &packet).unwrap();
        let (acked, bits) = views.ack();
        server.handle_ack(0, acked, bits);
        if tick >= 150 {
            let view = &views.view_at(tick).unwrap().entities;
            assert!(view.iter().all(|entity| entity.id % 2 == 0));
        }
    }
}

#[test]
fn forged_acknowledgements_hurt_only_who_forges_them() {
    let schema = schema();
    let mut random = Random::new(5);
    let mut world = World::new(&schema, 40, &mut random);
    let mut server = Replicator::new(3, 1000);
    let mut honest = Viewer::new(0);
    let mut state = NetState::default();
    for tick in 1..150 {
        world.step(&schema, 2, &mut random);
        world.view(100, 0, &mut state);
        for slot in 0..2 {
            let packet = server.encode(&schema, tick, slot, &state).unwrap();
            if slot == 0 {
                honest.meant.push((tick, as_received(&state)));
                honest.send(tick, &packet, GOOD, &mut random);
            }
        }
        honest.receive(&schema, tick, &mut server, GOOD, &mut random);
        // The other one claims the future, the distant past, and all that it was never sent.
        server.handle_ack(1, tick + 1 + random.below(u32::MAX - tick), u32::MAX);
        server.handle_ack(1, random.below(tick) + 1, random.next());
        server.handle_ack(1, u32::MAX, u32::MAX);
        server.handle_ack(2, tick, u32::MAX);
        server.handle_ack(77, tick, u32::MAX);
    }
    assert_eq!(honest.wholes, 149 - 3);
    assert_eq!(server.refused_acks(0), 0);
    assert!(server.refused_acks(1) >= 2 * 149);
    assert_eq!(server.refused_acks(2), 149, "it was never sent anything");
}

#[test]
fn what_was_acknowledged_before_a_reset_is_no_baseline_after_it() {
    let schema = schema();
    let mut random = Random::new(6);
    let world = World::new(&schema, 10, &mut random);
    let mut server = Replicator::new(1, 1000);
    let mut state = NetState::default();
    world.view(100, 0, &mut state);
    let age = |server: &mut Replicator, tick| {
        let packet = server.encode(&schema, tick, 0, &state).unwrap();
        (packet.baseline_age, packet.older_age)
    };
    assert_eq!(age(&mut server, 1), (0, 0));
    server.handle_ack(0, 1, 0);
    assert_eq!(age(&mut server, 2), (1, 0));
    server.handle_ack(0, 2, 0b1);
    assert_eq!(age(&mut server, 3), (1, 2));
    server.reset(0);
    // This one was on its way.
    server.handle_ack(0, 3, 0b11);
    assert_eq!(age(&mut server, 4), (0, 0));
    assert_eq!(server.refused_acks(0), 0);
    server.handle_ack(0, 4, 0b111);
    assert_eq!(age(&mut server, 5), (1, 0));
    // Nothing for more than a second: what it has then is too old.
    assert_eq!(age(&mut server, 67), (63, 0));
    assert_eq!(age(&mut server, 68), (0, 0));
}

#[test]
fn what_cannot_be_is_refused() {
    let schema = schema();
    let mut server = Replicator::new(2, 1000);
    let state = NetState::default();
    server.encode(&schema, 5, 0, &state).unwrap();
    server.encode(&schema, 5, 1, &state).unwrap();
    assert_eq!(
        server.encode(&schema, 5, 1, &state).unwrap_err(),
        SnapshotError::OldTick { tick: 5, newest: 5 }
    );
    assert_eq!(
        server.encode(&schema, 6, 2, &state).unwrap_err(),
        SnapshotError::NoSuchViewer {
            viewer: 2,
            viewers: 2
        }
    );
    let mut views = ReceivedViews::new();
    let mut packet = Packet {
        baseline_age: 3,
        older_age: 0,
        codec: Codec::Packed,
        data: &[],
        whole: true,
    };
    assert_eq!(views.apply(&schema, 9, &packet), Ok(Applied::NoBaseline));
    packet.baseline_age = 10;
    assert_eq!(views.apply(&schema, 9, &packet), Ok(Applied::NoBaseline));
    packet.baseline_age = u32::MAX;
    assert_eq!(views.apply(&schema, 9, &packet), Ok(Applied::NoBaseline));
    assert_eq!(views.ack(), (0, 0));
}

#[test]
fn views_are_acknowledged_as_they_come() {
    let schema = schema();
    let mut server = Replicator::new(1, 1000);
    let state = NetState::default();
    let sent = Sent::new(1, 1, &server.encode(&schema, 1, 0, &state).unwrap());
    let mut views = ReceivedViews::new();
    let packet = sent.packet();
    for tick in [200, 203, 202, 168, 167] {
        assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
    }
    assert_eq!(views.apply(&schema, 202, &packet), Ok(Applied::Duplicate));
    assert_eq!(views.apply(&schema, 75, &packet), Ok(Applied::Stale));
    assert_eq!(views.ack(), (203, 0b101));
    assert_eq!(views.ticks().collect::<Vec<_>>(), [167, 168, 200, 202, 203]);
    views.reset();
    assert_eq!((views.ack(), views.ticks().count()), ((0, 0), 0));
}
