//! `validated`: confirmed ticks, keyframes, and clients that cannot or will not follow.

use gs_engine::{AuthorityMode, Tick};
use gs_protocol::ClientEvent;
use gs_protocol::wire::{self, server_event::Body, state_update};

use super::super::{Channel, RoomCounters};
use super::client::{Client, follow};
use super::game;
use super::harness::{Ack, Harness, seconds};

fn match_of(players: usize) -> (Harness, Vec<Client>) {
    let h = Harness::validated(players);
    (
        h,
        (0..players)
            .map(|slot| Client::new(slot, players))
            .collect(),
    )
}

fn counters(h: &Harness) -> RoomCounters {
    h.room.counters()
}

#[test]
fn everybody_starts_from_the_first_state_and_holds_every_tick_as_the_server_ran_it() {
    let (mut h, mut clients) = match_of(3);
    follow(&mut h, &mut clients, 200, |_| true);
    let newest = h.room.game_tick();
    assert!(newest > 190);
    for client in &clients {
        assert_eq!(client.keyframes.len(), 1);
        assert_eq!(client.keyframes[0].0, 0, "the state before the first tick");
        assert_eq!(client.held, Some(newest));
        let ticks: Vec<Tick> = client.ticks.iter().map(|tick| tick.log.tick).collect();
        assert_eq!(ticks, (1..=newest).collect::<Vec<Tick>>());
        for tick in client.ticks.iter().rev().take(200) {
            let ours = h.room.pipeline().confirmed(tick.log.tick).unwrap().clone();
            assert_eq!(*tick, ours);
            assert_eq!(tick.hash.is_some(), tick.log.tick.is_multiple_of(30));
        }
    }
    let counters = counters(&h);
    assert_eq!((counters.keyframes, counters.resyncs), (3, 0));
}

#[test]
fn lost_packets_cost_no_tick() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    let before = counters(&h);
    follow(&mut h, &mut clients, 600, |n| n % 5 == 0);
    follow(&mut h, &mut clients, 2, |_| true);
    for client in &clients {
        assert_eq!(client.held, Some(h.room.game_tick()));
        assert_eq!(client.ticks.len() as u32, h.room.game_tick());
    }
    let after = counters(&h);
    assert_eq!(after.keyframes, before.keyframes);
    assert_eq!(after.catch_ups, before.catch_ups, "repeats suffice");
}

#[test]
fn whoever_lacks_more_than_a_packet_repeats_gets_it_reliably_and_not_too_often() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    let before = counters(&h);
    // Two seconds in which no lossy packet arrives.
    follow(&mut h, &mut clients, 120, |_| false);
    let after = counters(&h);
    assert!(after.catch_ups > before.catch_ups);
    assert!(after.catch_ups - before.catch_ups <= 2 * 9, "{after:?}");
    assert_eq!(after.keyframes, before.keyframes);
    follow(&mut h, &mut clients, 20, |_| true);
    for client in &clients {
        assert_eq!(client.held, Some(h.room.game_tick()));
    }
}

#[test]
fn whoever_comes_back_after_ten_seconds_starts_from_a_keyframe() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    let sleeper = clients.pop().unwrap();
    let held = sleeper.held;
    follow(&mut h, &mut clients, 600, |_| true);
    assert_eq!(
        clients[0].keyframes.len(),
        1,
        "the other one is not disturbed"
    );
    let before = counters(&h).keyframes;
    clients.push(sleeper);
    follow(&mut h, &mut clients, 5, |_| true);
    let back = &clients[1];
    assert_eq!(counters(&h).keyframes, before + 1);
    assert!(back.keyframes[1].0 > held.unwrap());
    assert_eq!(back.held, Some(h.room.game_tick()), "within a few ticks");
}

#[test]
fn a_page_that_was_loaded_anew_starts_from_a_keyframe() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 100, |_| true);
    clients[1] = Client::new(1, 2);
    h.clock_ms = 0;
    let welcome = h.hello(1);
    assert_eq!(welcome.mode(), wire::AuthorityMode::Validated);
    assert_eq!(welcome.tick, h.room.clock());
    follow(&mut h, &mut clients, 5, |_| true);
    assert_eq!(clients[1].held, Some(h.room.game_tick()));
}

#[test]
fn what_a_lost_connection_swallowed_is_sent_again() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    // Reliable packets are under way when the connection to the room is lost.
    for client in &clients {
        h.acks[client.slot] = client.ack();
    }
    h.run(seconds(0.9), &[]);
    h.room.handle_disconnected(h.now);
    h.tick();
    h.room.handle_connected(h.now);
    h.sent.clear();
    follow(&mut h, &mut clients, 60, |n| n > 30);
    for client in &clients {
        assert_eq!(client.held, Some(h.room.game_tick()));
        assert_eq!(client.keyframes.len(), 1);
    }
}

#[test]
fn a_client_that_says_again_and_again_that_it_has_nothing_is_sent_few_keyframes() {
    let mut h = Harness::validated(2).started();
    let before = counters(&h).keyframes;
    for slot in 0..2 {
        h.acks[slot] = Ack::Of(0, 0);
    }
    h.run(seconds(60.0), &[0, 1]);
    let keyframes = counters(&h).keyframes - before;
    // At once, and after another 1, 2, 4, 8, 16 and 16 seconds.
    assert!((2 * 5..=2 * 7).contains(&keyframes), "{keyframes}");
}

#[test]
fn whoever_asks_greets_or_sleeps_all_the_time_is_sent_few_keyframes() {
    // Who acknowledges nothing, what it was sent, and more than that.
    for acks in [None, Some(false), Some(true)] {
        for hello in [false, true] {
            let mut h = Harness::with(2, |config| {
                config.mode = AuthorityMode::Validated;
                config.options = r#"{"save_bytes": 200000}"#.to_owned();
            });
            let mut clients = vec![Client::new(0, 2), Client::new(1, 2)];
            follow(&mut h, &mut clients, 60, |_| true);
            let before = counters(&h).keyframes;
            for n in 0..60 * 60_u32 {
                h.acks[0] = clients[0].ack();
                h.acks[1] = match acks {
                    None => Ack::Of(0, 0),
                    Some(false) => clients[1].ack(),
                    Some(true) => Ack::All,
                };
                for slot in 0..2 {
                    h.input(slot, &[(h.room.clock() + 1, 0.0)]);
                }
                if n % 20 == 0 {
                    let event = if hello {
                        ClientEvent::Hello { module: None }
                    } else {
                        ClientEvent::Resync {
                            mismatch: None,
                            views: false,
                        }
                    };
                    h.client_event(1, &event);
                }
                h.sent.clear();
                h.tick();
                for client in &mut clients {
                    // A keyframe that was begun anew starts with its first piece.
                    if hello && client.slot == 1 {
                        client.pieces.clear();
                        continue;
                    }
                    client.take(&h.sent, true);
                }
            }
            let keyframes = counters(&h).keyframes - before;
            // At the most three, and one each ten seconds, besides those after 1, 2, 4, 8, 16 and
            // 16 seconds.
            assert!(keyframes <= 3 + 6 + 6, "{keyframes} ({acks:?}, {hello})");
            assert_eq!(clients[0].keyframes.len(), 1);
            assert_eq!(clients[0].held, Some(h.room.game_tick()));
        }
    }
}

#[test]
fn a_page_that_sleeps_again_and_again_is_in_step_within_a_second_each_time() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    for cycle in 0..6 {
        let sleeper = clients.pop().unwrap();
        follow(&mut h, &mut clients, 600, |_| true);
        clients.push(sleeper);
        if cycle % 2 == 0 {
            h.hello(1);
        }
        let resync = ClientEvent::Resync {
            mismatch: None,
            views: false,
        };
        h.client_event(1, &resync);
        follow(&mut h, &mut clients, 60, |_| true);
        assert_eq!(clients[1].held, Some(h.room.game_tick()), "cycle {cycle}");
        follow(&mut h, &mut clients, 120, |_| true);
        assert_eq!(clients[1].held, Some(h.room.game_tick()), "cycle {cycle}");
    }
}

#[test]
fn whoever_comes_back_while_pieces_are_under_way_gets_a_keyframe_at_once() {
    let mut h = Harness::with(2, |config| {
        config.mode = AuthorityMode::Validated;
        config.options = r#"{"save_bytes": 400000}"#.to_owned();
    });
    let mut clients = vec![Client::new(0, 2), Client::new(1, 2)];
    follow(&mut h, &mut clients, 3, |_| true);
    assert!(clients[1].keyframes.is_empty() && !clients[1].pieces.is_empty());
    clients[1] = Client::new(1, 2);
    h.hello(1);
    follow(&mut h, &mut clients, 20, |_| true);
    assert_eq!(clients[1].keyframes.len(), 1);
    assert_eq!(clients[1].held, Some(h.room.game_tick()));
}

#[test]
fn one_who_never_acknowledges_does_not_make_everyones_packets_larger() {
    let (mut h, mut clients) = match_of(3);
    follow(&mut h, &mut clients, 60, |_| true);
    let (stuck, before) = (clients[2].ack(), counters(&h));
    let mut longest = 0;
    for n in 0..600_u32 {
        for client in &clients {
            h.acks[client.slot] = if client.slot == 2 {
                stuck
            } else {
                client.ack()
            };
            let x = ((n + client.slot as u32) % 7) as f32 / 10.0;
            h.input(client.slot, &[(h.room.game_tick() + 1, x)]);
        }
        h.sent.clear();
        h.tick();
        for client in &mut clients {
            // Nothing lossy reaches the one who straggles.
            client.take(&h.sent, client.slot != 2);
        }
        for (_, channel, update) in h.states() {
            if let (Channel::Lossy, Some(state_update::Body::Confirmed(confirmed))) =
                (channel, update.body)
                && n > 40
            {
                longest = longest.max(h.room.game_tick() + 1 - confirmed.first_tick);
            }
        }
    }
    assert!(longest <= 3, "packets for all repeat {longest} ticks");
    // It is served all the same, reliably and not too often.
    let after = counters(&h);
    assert!(
        after.catch_ups - before.catch_ups <= 10 * 4 + 8,
        "{after:?}"
    );
    follow(&mut h, &mut clients, 30, |_| true);
    for client in &clients {
        assert_eq!(client.held, Some(h.room.game_tick()));
    }
}

#[test]
fn acknowledgements_of_ticks_that_were_never_sent_count_for_nothing() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    for tick in [h.room.game_tick() + 1, u32::MAX] {
        h.acks[1] = Ack::Of(tick, u32::MAX);
        h.input(1, &[]);
    }
    assert_eq!(counters(&h).acks_refused, 2);
    follow(&mut h, &mut clients, 60, |n| n % 3 == 0);
    assert_eq!(clients[1].held, clients[0].held);
}

#[test]
fn the_first_input_for_a_tick_counts_and_confirmed_ticks_never_change() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    // Slot 1 sends nothing for a while, so that ticks are confirmed without it.
    let silent = h.room.game_tick() + 5;
    follow(&mut h, &mut clients[..1], 30, |_| true);
    let past = h.room.pipeline().confirmed(silent).unwrap().clone();
    let before = counters(&h);
    h.input(1, &[(silent, 1.0), (h.room.clock() + 10_000, 1.0)]);
    let after = counters(&h);
    assert_eq!(after.frames_late, before.frames_late + 1);
    assert_eq!(after.frames_too_far, before.frames_too_far + 1);
    // Changed inputs for a tick to come, and for one that has run.
    let next = h.room.clock() + 2;
    h.input(0, &[(silent, -1.0), (next, 0.25)]);
    h.input(0, &[(next, -1.0)]);
    follow(&mut h, &mut clients, 30, |_| true);
    let pipeline = h.room.pipeline();
    assert_eq!(*pipeline.confirmed(silent).unwrap(), past);
    let ran = pipeline.confirmed(next).unwrap();
    assert_eq!(ran.log.inputs[0].data, 0.25_f32.to_le_bytes());
}

#[test]
fn a_tick_waits_for_a_late_input_only_as_long_as_the_window_is_open() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    let (tick, late) = (h.room.game_tick(), counters(&h).ticks_late);
    // Slot 1 falls silent: ticks wait for it, as its inputs were flowing.
    for _ in 0..3 {
        h.input(
            0,
            &[(h.room.game_tick() + 1, 0.0), (h.room.game_tick() + 2, 0.0)],
        );
        h.tick();
    }
    assert!(h.room.game_tick() <= tick + 2);
    assert!(h.room.clock() > h.room.game_tick());
    h.run(seconds(1.0), &[0]);
    assert!(counters(&h).ticks_late > late);
    // The window is 100 ms, six ticks at 60 Hz.
    assert!(h.room.clock() - h.room.game_tick() <= 6);
}

#[test]
fn three_differing_hashes_within_a_minute_make_a_client_one_that_is_sent_snapshots() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 70, |_| true);
    for n in 1..=3 {
        let hashed = h.room.game_tick() / 30 * 30;
        let mismatch = Some((hashed, 0xdead));
        h.client_event(
            1,
            &ClientEvent::Resync {
                mismatch,
                views: false,
            },
        );
        assert_eq!(counters(&h).mismatches, n);
        if n < 3 {
            let keyframes = clients[1].keyframes.len();
            follow(&mut h, &mut clients, 70, |_| true);
            let (tick, ..) = clients[1].keyframes[keyframes];
            assert_eq!(tick, hashed, "the state to compare with");
        }
    }
    let told: Vec<Body> = h.bodies(1);
    let mode = told.iter().find_map(|body| match body {
        Body::Mode(mode) => Some(mode),
        _ => None,
    });
    assert_eq!(mode.unwrap().mode(), wire::AuthorityMode::Full);
    assert_eq!(h.hello(1).mode(), wire::AuthorityMode::Full);
    assert_eq!(h.hello(0).mode(), wire::AuthorityMode::Validated);
    clients[1].deltas.clear();
    follow(&mut h, &mut clients, 60, |_| true);
    let deltas = &clients[1].deltas;
    assert!(deltas.len() >= 50, "{}", deltas.len());
    assert!(clients[0].deltas.is_empty());
    let mut views = gs_engine::replication::ReceivedViews::new();
    for update in deltas {
        let (tick, packet) = super::full::packet(update);
        views.apply(&clients[1].schema, tick, &packet).unwrap();
    }
    let (tick, view) = views.newest().unwrap();
    assert_eq!((tick, view.entities.len()), (h.room.game_tick(), 3));
    assert_eq!(counters(&h).fall_backs, 1);
    assert!(
        clients[0].held == Some(h.room.game_tick()),
        "the other one goes on"
    );
}

/// Makes slot 1 one that is sent views, by hashes that differ.
fn fall_back(h: &mut Harness, clients: &mut [Client]) {
    follow(h, clients, 70, |_| true);
    for _ in 0..3 {
        let mismatch = Some((h.room.game_tick() / 30 * 30, 0xdead));
        let views = false;
        h.client_event(1, &ClientEvent::Resync { mismatch, views });
        follow(h, clients, 70, |_| true);
    }
    assert_eq!(counters(h).fall_backs, 1);
    clients[1].deltas.clear();
}

#[test]
fn acknowledgements_of_confirmed_ticks_are_not_taken_for_those_of_views() {
    let (mut h, mut clients) = match_of(2);
    fall_back(&mut h, &mut clients);
    // It does not know for seconds, and acknowledges ticks of which it was sent views as well.
    follow(&mut h, &mut clients, 180, |_| true);
    assert!(
        clients[1]
            .held
            .is_some_and(|held| held + 3 > h.room.game_tick())
    );
    for update in std::mem::take(&mut clients[1].deltas) {
        let (_, packet) = super::full::packet(&update);
        assert_eq!(packet.baseline_age, 0, "of what it may not have");
    }
    // Then it starts from the views that come from now on.
    let mut views = gs_engine::replication::ReceivedViews::new();
    let (mut from_views, late) = (0, clients[1].ack());
    for n in 0..120_u32 {
        let (tick, bits) = views.ack();
        h.acks[1] = Ack::Of(tick, bits);
        h.input(1, &[(h.room.clock() + 1, 0.0)]);
        if n == 60 {
            // What was under way for long comes with an older clock.
            h.clock_ms -= 500;
            h.acks[1] = late;
            h.input(1, &[]);
            h.clock_ms += 500;
        }
        h.acks[0] = clients[0].ack();
        h.input(0, &[(h.room.clock() + 1, 0.0)]);
        h.sent.clear();
        h.tick();
        for client in &mut clients {
            client.take(&h.sent, true);
        }
        for update in std::mem::take(&mut clients[1].deltas) {
            let (tick, packet) = super::full::packet(&update);
            from_views += u32::from(packet.baseline_age > 0);
            let applied = views.apply(&clients[1].schema, tick, &packet).unwrap();
            assert_eq!(applied, gs_engine::replication::Applied::New, "packet {n}");
        }
    }
    assert!(from_views > 100, "{from_views}");
    assert_eq!(views.newest().unwrap().0, h.room.game_tick());
}

#[test]
fn a_client_whose_module_cannot_run_is_sent_views_from_the_start_or_from_then_on() {
    for waiting in [true, false] {
        let (mut h, mut clients) = match_of(2);
        if !waiting {
            follow(&mut h, &mut clients, 70, |_| true);
        }
        let ask = ClientEvent::Resync {
            mismatch: None,
            views: true,
        };
        h.hello(1);
        h.client_event(1, &ask);
        let changed = h.bodies(1).into_iter().find_map(|body| match body {
            Body::Mode(changed) => Some(changed),
            _ => None,
        });
        let changed = changed.expect("it is told");
        assert_eq!(changed.mode(), wire::AuthorityMode::Full);
        assert_eq!(changed.reason, "its module cannot run");
        assert_eq!(h.hello(1).mode(), wire::AuthorityMode::Full);
        // Asked again, it starts from nothing again, as often as anybody may.
        for _ in 0..10 {
            h.client_event(1, &ask);
        }
        let before = counters(&h);
        assert_eq!((before.fall_backs, before.requests_limited), (1, 9));
        let mut views = gs_engine::replication::ReceivedViews::new();
        clients[1].deltas.clear();
        for _ in 0..90 {
            let (tick, bits) = views.ack();
            h.acks[1] = Ack::Of(tick, bits);
            h.input(1, &[(h.room.clock() + 1, 0.0)]);
            follow(&mut h, &mut clients[..1], 1, |_| true);
            let sent = h.sent.clone();
            clients[1].take(&sent, true);
            for update in std::mem::take(&mut clients[1].deltas) {
                let (tick, packet) = super::full::packet(&update);
                views.apply(&clients[1].schema, tick, &packet).unwrap();
            }
        }
        let (tick, view) = views.newest().unwrap();
        assert_eq!((tick, view.entities.len()), (h.room.game_tick(), 3));
        assert!(h.room.game_tick() > 60);
        assert_eq!(clients[0].held, Some(tick), "the other one goes on");
        assert_eq!(counters(&h).fall_backs, 1);
    }
}

#[test]
fn forged_hashes_and_storms_of_requests_hurt_only_who_sends_them() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 70, |_| true);
    let before = counters(&h);
    let right = h.room.pipeline().confirmed(60).unwrap().hash.unwrap();
    for n in 0..100_u32 {
        let mismatch = match n % 4 {
            0 => None,
            // No such hash was ever sent, one of the future, and the right one.
            1 => Some((61, 5)),
            2 => Some((h.room.game_tick() + 60, 5)),
            _ => Some((60, right)),
        };
        h.client_event(
            1,
            &ClientEvent::Resync {
                mismatch,
                views: false,
            },
        );
    }
    follow(&mut h, &mut clients, 5, |_| true);
    let after = counters(&h);
    assert_eq!(after.resyncs - before.resyncs, 2);
    assert_eq!(after.requests_limited - before.requests_limited, 98);
    assert_eq!((after.mismatches, after.fall_backs), (0, 0));
    assert!(after.keyframes - before.keyframes <= 2);
    assert_eq!(clients[0].keyframes.len(), 1);
    assert_eq!(clients[1].held, Some(h.room.game_tick()));
}

#[test]
fn reports_of_what_differed_are_counted_and_limited() {
    let mut h = Harness::validated(2).started();
    let difference = wire::Difference {
        kind: "\u{7}x".repeat(200),
        field: "é".repeat(200),
        ..Default::default()
    };
    let desync = ClientEvent::Desync {
        tick: 30,
        differences: vec![difference; 16],
    };
    for _ in 0..50 {
        h.client_event(0, &desync);
    }
    assert_eq!(counters(&h).desyncs, 3);
    assert!(!h.is_ended());
}

#[test]
fn quiet_ticks_share_packets_and_the_clock_goes_on() {
    let mut h = Harness::validated(2).started();
    h.sent.clear();
    h.run(seconds(2.0), &[0, 1]);
    let packets = h.states().len();
    assert!((58..=70).contains(&packets), "{packets} in 120 ticks");
    h.sent.clear();
    for n in 0..120_u32 {
        for slot in 0..2 {
            h.input(slot, &[(h.room.clock() + 1, (n % 9) as f32 / 9.0)]);
        }
        h.tick();
    }
    assert!(h.states().len() >= 118, "{}", h.states().len());
}

#[test]
fn sixty_four_players_who_all_move_fit_lossy_packets_and_get_their_statuses() {
    let (mut h, mut clients) = match_of(64);
    follow(&mut h, &mut clients, 30, |_| true);
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..40 {
        follow(&mut h, &mut clients, 1, |_| n % 2 == 0);
        for (_, channel, update) in h.states() {
            if channel == Channel::Lossy {
                seen.extend(update.slots.iter().map(|status| status.slot));
            }
        }
    }
    assert_eq!(seen.len(), 64);
    follow(&mut h, &mut clients, 20, |_| true);
    assert!(clients.iter().all(|c| c.held == Some(h.room.game_tick())));
}

#[test]
fn a_slow_line_is_no_reason_to_send_a_crowd_everything_twice() {
    let (mut h, mut clients) = match_of(64);
    follow(&mut h, &mut clients, 60, |_| true);
    let before = counters(&h).catch_ups;
    let mut random = 1_u32;
    for _ in 0..120 {
        // Everyone acknowledges a quarter of a second late, and nothing can be foreseen.
        let late = h.room.game_tick().saturating_sub(15);
        for slot in 0..64 {
            h.acks[slot] = Ack::Of(late, 0);
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = (random >> 8) as f32 / (1 << 24) as f32;
            h.input(slot, &[(h.room.clock() + 1, x)]);
        }
        h.sent.clear();
        h.tick();
        clients
            .iter_mut()
            .for_each(|client| client.take(&h.sent, true));
    }
    assert_eq!(counters(&h).catch_ups, before);
    assert!(clients.iter().all(|c| c.held == Some(h.room.game_tick())));
    for (_, channel, update) in h.states() {
        assert_eq!(channel, Channel::Lossy);
        let Some(state_update::Body::Confirmed(confirmed)) = update.body else {
            panic!("{update:?}");
        };
        assert!(
            confirmed.first_tick > h.room.game_tick() - 15,
            "it does not hold 15 ticks"
        );
    }
}

#[test]
fn events_come_from_confirmed_ticks_only() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    let told = |h: &Harness| {
        let told = h.bodies(0).into_iter();
        told.filter(|body| matches!(body, Body::Game(_))).count()
    };
    // Slot 1's next frames do not come, so the ticks wait for them.
    h.tick();
    h.tick();
    h.command(0, game::SHOUT);
    let tick = h.room.game_tick();
    h.sent.clear();
    while h.room.game_tick() == tick {
        assert_eq!(told(&h), 0);
        h.input(0, &[(h.room.clock() + 1, 0.0)]);
        h.tick();
    }
    assert_eq!(told(&h), 1);
}

#[test]
fn the_last_ticks_reach_everyone_who_follows_before_the_result() {
    let (mut h, mut clients) = match_of(2);
    follow(&mut h, &mut clients, 60, |_| true);
    h.command(0, game::FINISH);
    follow(&mut h, &mut clients, 10, |_| false);
    assert!(h.is_ended());
    let last = h.room.game_tick();
    for client in &clients {
        assert_eq!(client.held, Some(last));
    }
    assert_eq!(h.ended().ticks, last);
    let ended = h.events.iter();
    let ended = ended.filter(|e| matches!(e, super::super::RoomEvent::Ended(_)));
    assert_eq!(ended.count(), 1);
}

#[test]
fn a_state_over_its_declared_limit_ends_the_match() {
    // The manifest allows 1 MiB.
    let mut h = Harness::with(2, |config| {
        config.mode = AuthorityMode::Validated;
        config.options = r#"{"save_bytes": 1048577}"#.to_owned();
    });
    h.acks = vec![Ack::Of(0, 0); 2];
    h.run(seconds(0.5), &[0, 1]);
    let reason = h.ended().reason.clone().unwrap();
    assert!(
        h.ended().failed && reason.contains("max_save_bytes"),
        "{reason}"
    );
}

#[test]
fn a_large_state_goes_in_pieces_over_several_ticks() {
    let (mut h, mut clients) = (
        Harness::with(2, |config| {
            config.mode = AuthorityMode::Validated;
            config.options = r#"{"save_bytes": 400000}"#.to_owned();
        }),
        vec![Client::new(0, 2), Client::new(1, 2)],
    );
    follow(&mut h, &mut clients, 40, |_| true);
    for client in &clients {
        assert_eq!(client.keyframes[0].2.len(), 400_000);
        assert_eq!(client.held, Some(h.room.game_tick()));
    }
}
