//! Participants and a model of LiveKit's server over bad lines, in virtual time.
//!
//! A scenario that breaks prints its seed, and `SEED=… cargo test -p livekit-data --test
//! simulation NAME` plays the same again; `SEEDS=…` plays that many. What str0m and those below it
//! ask the system for comes from the scenario as well, but for the keys of DTLS: a certificate or
//! a signature may be a byte or two longer or shorter.
#![allow(clippy::unwrap_used)]

mod sfu;
mod world;

use gs_netem::{LinkConfig, Rate, Reorder};
use livekit_data::{CloseReason, Config, Event, Loss, PeerConnections, Reconnect};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use world::World;

/// Plays a scenario with so many seeds, unless the environment says otherwise.
fn play(seeds: u64, scenario: impl Fn(u64) + Sync) {
    let number =
        |name: &str| -> Option<u64> {
            let value = std::env::var_os(name)?;
            let number = value.to_str().and_then(|value| value.parse::<u32>().ok());
            let number = number.map(u64::from);
            Some(number.unwrap_or_else(|| {
                panic!("{name} is {value:?}, and has to be a number below 2^32")
            }))
        };
    let (first, count) = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => (seed, 1),
        (None, count) => (1, count.unwrap_or(seeds)),
    };
    assert!(count > 0, "SEEDS has to be 1 at least");
    for seed in first..=first.saturating_add(count - 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| {
            gs_seeded::scenario(seed, || scenario(seed))
        })) {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("");
            eprintln!("SEED={seed} cargo test -p livekit-data --test simulation {name}");
            resume_unwind(panic);
        }
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// 40 ms there and back, and nothing else.
fn good() -> LinkConfig {
    LinkConfig::half_of(ms(40), Duration::ZERO, 0.0)
}

/// A mobile network on a bad day: 120 ms, 5 % lost each way, some late, out of order or twice.
fn bad() -> LinkConfig {
    LinkConfig {
        duplicate: 0.01,
        reorder: Some(Reorder {
            share: 0.01,
            by: ms(30),
        }),
        ..LinkConfig::half_of(ms(120), ms(8), 0.05)
    }
}

fn is_resumed(event: &Event) -> bool {
    matches!(event, Event::Resumed)
}

fn is_reconnecting(event: &Event) -> bool {
    matches!(event, Event::Reconnecting(_))
}

fn is_rejoined(event: &Event) -> bool {
    matches!(event, Event::Rejoined { .. })
}

#[test]
fn a_good_line_is_left_alone() {
    play(5, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(10_000));
        world.finish();
        for client in &world.clients {
            assert_eq!(client.connection.stats(), Default::default());
            let lossy = &client.received.iter().find(|((_, reliable), _)| !reliable);
            assert!(lossy.unwrap().1.len() > 600);
        }
    });
}

#[test]
fn a_bad_line_loses_no_reliable_packet_and_no_session() {
    play(20, |seed| {
        let mut world = World::pair(&bad(), seed);
        world.run_for(ms(10_000));
        world.finish();
        for client in &world.clients {
            assert_eq!(client.count(is_rejoined), 0, "{:?}", client.events);
            let lossy = &client.received.iter().find(|((_, reliable), _)| !reliable);
            assert!(lossy.unwrap().1.len() > 500);
        }
    });
}

#[test]
fn a_signal_that_drops_again_and_again_stops_nothing() {
    play(10, |seed| {
        let mut world = World::pair(&bad(), seed);
        for _ in 0..5 {
            world.run_for(ms(1_500));
            world.cut_signal(0);
        }
        world.run_for(ms(3_000));
        world.finish();
        let alice = &world.clients[0];
        assert_eq!(alice.count(is_rejoined), 0, "{:?}", alice.events);
        assert!(alice.count(is_resumed) >= 5, "{:?}", alice.events);
    });
}

/// Nobody waits for a packet for long, at any time.
fn never_silent(world: &World) {
    for client in &world.clients {
        let gap = client.longest_gap();
        assert!(gap < ms(500), "nothing for {gap:?}");
    }
}

/// Packets arrive everywhere again within this time from now on.
fn flows_within(world: &mut World, time: Duration) {
    let calm = world.now;
    world.run_for(ms(2_000));
    for client in &world.clients {
        let flowing = client.first_packet_after(calm);
        assert!(
            flowing.is_some_and(|at| at < calm + time),
            "{} hears nothing: {:?}",
            client.identity,
            client.events
        );
    }
}

/// From the end of an outage of both directions until packets arrive again, in both, and whether
/// that took a new session.
fn outage(seed: u64, line: &LinkConfig, lasting: Duration, with_tcp: bool) -> (Duration, bool) {
    let mut world = World::pair(line, seed);
    world.run_for(ms(2_000 + seed * 37 % 500));
    world.set_udp_down(0, true);
    world.clients[0].tcp_down = with_tcp;
    world.run_for(lasting);
    world.set_udp_down(0, false);
    world.clients[0].tcp_down = false;
    let back = world.now;
    world.run_for(ms(20_000));
    let rejoined = world.clients[0].count(is_rejoined) > 0;
    let first = |client: &world::Client| client.first_packet_after(back + line.latency * 2);
    let slowest = world
        .clients
        .iter()
        .map(|client| first(client).unwrap_or(Duration::MAX))
        .max();
    world.finish();
    (slowest.unwrap().saturating_sub(back), rejoined)
}

#[test]
fn traffic_flows_soon_after_an_outage() {
    for lasting in [300, 1_000, 3_000, 10_000] {
        for with_tcp in [false, true] {
            play(10, |seed| {
                let (after, rejoined) = outage(seed, &good(), ms(lasting), with_tcp);
                // A new session takes some fifteen round trips of 40 ms, and finds its path within half a
                // second if it was begun before the link was back; and the model's ICE may
                // lag behind the first packet of DTLS, which goes again after a second, so that
                // one attempt runs out of time and the next one makes it.
                let bound = if rejoined { ms(3_500) } else { ms(1_000) };
                assert!(after <= bound, "{after:?} after {lasting} ms, {with_tcp}");
            });
        }
    }
}

#[test]
fn an_outage_on_a_bad_line_is_survived() {
    play(20, |seed| {
        // A lost packet of the new session's handshakes takes a second or three to be repeated, or
        // the whole attempt is.
        let (after, _) = outage(seed, &bad(), ms(500 + seed % 20 * 250), seed % 2 == 0);
        assert!(after <= ms(20_000), "{after:?}");
    });
}

#[test]
fn a_signal_that_hangs_is_replaced_and_stops_nothing() {
    play(5, |seed| {
        let mut world = World::pair(&good(), seed);
        // The server's pings time out after 15 s.
        world.clients[0].tcp_down = true;
        world.run_for(ms(22_000));
        world.clients[0].tcp_down = false;
        world.run_for(ms(5_000));
        let alice = &world.clients[0];
        let lost = |event: &Event| matches!(event, Event::Reconnecting(Loss::Signal));
        assert_eq!(alice.count(lost), 1, "{:?}", alice.events);
        assert_eq!(alice.count(is_resumed), 1, "{:?}", alice.events);
        assert_eq!(alice.count(is_rejoined), 0, "{:?}", alice.events);
        never_silent(&world);
        world.finish();
    });
}

#[test]
fn a_slow_answer_is_waited_for() {
    for latency in [200, 600, 1_000] {
        play(5, |seed| {
            let mut world = World::pair(&good(), seed);
            world.run_for(ms(1_000));
            world.set_signal_latency(0, ms(latency));
            for outage in [0, 2_000] {
                world.cut_signal(0);
                world.set_udp_down(0, outage > 0);
                world.run_for(ms(outage));
                world.set_udp_down(0, false);
                world.run_for(ms(20_000));
            }
            let alice = &world.clients[0];
            assert!(alice.count(is_resumed) >= 1, "{:?}", alice.events);
            assert_eq!(alice.count(is_reconnecting), 2, "{:?}", alice.events);
            world.finish();
        });
    }
}

#[test]
fn an_answer_that_never_comes_is_asked_for_again_and_stops_nothing() {
    play(5, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(1_000));
        world.sfu_mute = true;
        world.cut_signal(0);
        world.run_for(ms(12_000));
        world.sfu_mute = false;
        world.run_for(ms(12_000));
        let alice = &world.clients[0];
        assert_eq!(alice.count(is_resumed), 1, "{:?}", alice.events);
        assert_eq!(alice.count(is_rejoined), 0, "{:?}", alice.events);
        never_silent(&world);
        world.finish();
    });
}

#[test]
fn a_server_that_never_answers_a_join_ends_it_in_time() {
    play(4, |seed| {
        let mut world = World::new();
        world.add("alice", good(), seed);
        // It cannot be reached, or says nothing.
        world.clients[0].tcp_down = seed % 2 == 0;
        world.sfu_mute = true;
        world.run_for(ms(31_000));
        assert_eq!(world.clients[0].closed, Some(CloseReason::JoinTimedOut));
    });
}

#[test]
fn datagrams_of_an_earlier_session_change_nothing() {
    play(5, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(2_000));
        let old = world.recent(0);
        world.sfu_down = true;
        world.run_for(ms(200));
        world.sfu.restart();
        world.sfu_down = false;
        // In the midst of the handshakes, of which those from before may spoil one, and after them.
        for _ in 0..300 {
            world.run_for(ms(10));
            world.hand_again(0, &old);
        }
        world.run_for(ms(3_000));
        let alice = &world.clients[0];
        assert_eq!(
            alice.count(is_rejoined),
            1,
            "{:?} {:?}",
            alice.events,
            alice.connection.stats()
        );
        world.finish();
    });
}

#[test]
fn a_server_that_is_busy_for_a_while_is_not_left() {
    for busy in [700, 1_500] {
        play(10, |seed| {
            let mut world = World::pair(&good(), seed);
            world.run_for(ms(2_000 + seed * 37 % 500));
            for _ in 0..3 {
                world.sfu_busy = true;
                world.run_for(ms(busy));
                world.sfu_busy = false;
                world.run_for(ms(2_000));
            }
            for client in &world.clients {
                assert_eq!(client.count(is_rejoined), 0, "{:?}", client.events);
            }
            world.finish();
        });
    }
}

/// 8 kB a second each way, of which packets and what goes with them take nearly all, and two
/// seconds of them in the queue.
#[test]
fn a_narrow_line_is_slow_and_no_more() {
    play(5, |seed| {
        let line = LinkConfig {
            rate: Some(Rate {
                bytes_per_s: 8_000,
                queue_bytes: 16_000,
            }),
            ..good()
        };
        let mut world = World::pair(&line, seed);
        world.run_for(ms(30_000));
        for client in &world.clients {
            assert!(client.count(is_reconnecting) <= 3, "{:?}", client.events);
        }
        world.set_sending(false);
        // SCTP's timer has doubled with each packet that the queue dropped.
        world.run_for(ms(60_000));
        world.finish();
    });
}

#[test]
fn a_nat_that_forgets_is_followed() {
    play(10, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(2_000));
        world.rebind(0);
        let then = world.now;
        world.run_for(ms(4_000));
        for client in &world.clients {
            let first = client.first_packet_after(then + ms(100));
            assert!(
                first.is_some_and(|first| first <= then + ms(2_500)),
                "{first:?}"
            );
        }
        world.finish();
    });
}

#[test]
fn a_server_that_restarts_has_everybody_back() {
    play(10, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(2_000));
        world.sfu_down = true;
        world.run_for(ms(200 + seed % 10 * 300));
        world.sfu.restart();
        world.sfu_down = false;
        let back = world.now;
        world.run_for(ms(5_000));
        for client in &world.clients {
            let first = client.first_packet_after(back).unwrap();
            assert!(first <= back + ms(3_500), "{:?}", first - back);
            assert_eq!(client.count(is_rejoined), 1, "{:?}", client.events);
        }
        world.finish();
    });
}

#[test]
fn a_server_that_stays_away_ends_it_in_time() {
    play(5, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(1_000));
        world.sfu_down = true;
        world.run_for(ms(31_000));
        for client in &world.clients {
            assert_eq!(client.closed, Some(CloseReason::ConnectionLost));
        }
    });
}

#[test]
fn one_who_was_removed_does_not_come_back() {
    play(10, |seed| {
        let mut world = World::pair(&bad(), seed);
        world.run_for(ms(1_000));
        if seed % 2 == 0 {
            // While it is away.
            world.set_udp_down(0, true);
            world.run_for(ms(2_500));
        }
        world.sfu.kick("alice");
        world.run_for(ms(500));
        world.set_udp_down(0, false);
        world.run_for(ms(5_000));
        assert_eq!(
            world.clients[0].closed,
            Some(CloseReason::ParticipantRemoved)
        );
        assert_eq!(world.sfu.identities(), ["bob"]);
        world.finish();
    });
}

#[test]
fn who_may_only_resume_ends_where_that_does_not_help() {
    play(10, |seed| {
        let mut world = World::new();
        let mut config = Config::new("token");
        config.reconnect = Reconnect::Resume;
        world.add_with("alice", config, good(), seed);
        world.add("bob", good(), seed + 100);
        world.run_until_joined();
        world.set_sending(true);
        world.run_for(ms(1_000));
        world.cut_signal(0);
        world.run_for(ms(1_000));
        assert_eq!(world.clients[0].count(is_resumed), 1);
        world.set_udp_down(0, true);
        world.run_for(ms(5_000));
        world.set_udp_down(0, false);
        world.run_for(ms(3_000));
        let alice = &world.clients[0];
        let over = alice.closed == Some(CloseReason::ConnectionLost);
        assert!(over || alice.count(is_resumed) == 2, "{:?}", alice.events);
        world.finish();
    });
}

#[test]
fn leaving_while_it_is_lost_ends_at_once() {
    play(5, |seed| {
        let mut world = World::pair(&good(), seed);
        world.run_for(ms(1_000));
        world.set_udp_down(0, true);
        world.run_for(ms(1_500));
        world.leave(0);
        world.run_for(ms(10));
        assert_eq!(world.clients[0].closed, Some(CloseReason::Requested));
    });
}

#[test]
fn a_join_through_an_outage_comes_to_an_end() {
    play(20, |seed| {
        let mut world = World::new();
        world.add("alice", bad(), seed);
        world.run_for(ms(seed * 40));
        world.set_udp_down(0, true);
        world.clients[0].tcp_down = seed % 2 == 0;
        world.run_for(ms(1_000));
        world.set_udp_down(0, false);
        world.clients[0].tcp_down = false;
        world.run_for(ms(40_000));
        let alice = &world.clients[0];
        let joined = alice.connection.session().is_some();
        assert!(joined || alice.closed.is_some(), "neither in nor out");
    });
}

#[test]
fn two_peer_connections_do_what_one_does() {
    play(10, |seed| {
        let mut configs = [Config::new("token"), Config::new("token")];
        configs[0].peer_connections = PeerConnections::Two;
        let mut world = World::pair_with(&bad(), seed, configs);
        world.run_for(ms(2_000));
        world.cut_signal(0);
        world.run_for(ms(2_000));
        let alice = &world.clients[0];
        assert!(alice.count(is_resumed) >= 1, "{:?}", alice.events);
        world.set_udp_down(0, true);
        world.run_for(ms(2_000));
        world.set_udp_down(0, false);
        world.run_for(ms(20_000));
        flows_within(&mut world, ms(2_000));
        world.finish();
    });
}

/// Everything at any time, drawn from the seed; then time to come back from it.
fn any_faults(seed: u64) -> World {
    let line = match seed % 3 {
        0 => bad(),
        _ => good(),
    };
    let mut configs = [Config::new("token"), Config::new("token")];
    if seed.is_multiple_of(4) {
        configs[0].peer_connections = PeerConnections::Two;
    }
    for config in &mut configs {
        // The faults may leave nobody enough peace to come back between them.
        config.reconnect_timeout = ms(120_000);
    }
    let mut world = World::pair_with(&line, seed, configs);
    let mut random = seed;
    let mut draw = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..12 {
        let client = usize::try_from(draw(2)).unwrap();
        match draw(6) {
            0 => world.cut_signal(client),
            1 => world.rebind(client),
            2 => {
                world.sfu_down = true;
                world.run_for(ms(draw(1_500)));
                world.sfu.restart();
                world.sfu_down = false;
            }
            3 => world.clients[client].tcp_down ^= true,
            _ => {
                world.set_udp_down(client, true);
                world.run_for(ms(draw(4_000)));
                world.set_udp_down(client, false);
            }
        }
        world.run_for(ms(draw(1_500)));
    }
    for client in &mut world.clients {
        client.tcp_down = false;
    }
    // On a bad line an attempt may take the five seconds that it is given, and be repeated.
    world.run_for(ms(25_000));
    world
}

#[test]
fn after_any_faults_everybody_is_back() {
    play(60, |seed| {
        let mut world = any_faults(seed);
        flows_within(&mut world, ms(1_000));
        for client in &world.clients {
            assert_eq!(client.closed, None, "{:?}", client.events);
        }
        world.finish();
    });
}

/// What the other scenarios rest on when they print a seed.
#[test]
fn a_seed_repeats_everything() {
    play(3, |seed| {
        let history = || {
            let world = gs_seeded::scenario(seed, || any_faults(seed));
            let clients = world.clients.into_iter();
            clients.map(|client| (client.received, format!("{:?}", client.events)))
        };
        assert!(history().eq(history()));
    });
}
