use super::*;

/// A server of 60 ticks a second at the far end of a line with delay and jitter, the client's
/// clocks at this one, in virtual time.
struct Play {
    up_ms: fn(f64) -> f64,
    down_ms: f64,
    jitter_ms: f64,
    seconds: f64,
    drift: f64,
}

struct Played {
    playback: PlaybackClock,
    made: Vec<Tick>,
    views: Vec<f64>,
    /// Margins that were reported in the last third.
    late: Vec<f64>,
    server_tick: f64,
}

enum Delivery {
    State { tick: Tick, report: (Tick, f64) },
    Frame(Tick),
}

impl Play {
    fn run(&self) -> Played {
        let mut random = Random(5);
        let mut playback = PlaybackClock::new(60);
        let mut input = InputClock::new(60);
        let server_tick = |now_ms: f64| 5000.0 + now_ms * 0.06 * (1.0 + self.drift);
        let mut wire: Vec<(f64, Delivery)> = Vec::new();
        let mut last_tick = server_tick(0.0) as Tick;
        let mut newest = (0, 0.0);
        let (mut made, mut views, mut late) = (Vec::new(), Vec::new(), Vec::new());
        let mut now_ms = 0.0;
        while now_ms < self.seconds * 1000.0 {
            while f64::from(last_tick) < server_tick(now_ms).floor() {
                last_tick += 1;
                let at = now_ms + self.down_ms + random.next() * self.jitter_ms;
                let (tick, report) = (last_tick, newest);
                wire.push((at, Delivery::State { tick, report }));
            }
            wire.sort_by(|a, b| a.0.total_cmp(&b.0));
            let arrived = wire.partition_point(|(at, _)| *at <= now_ms);
            for (at, delivery) in wire.drain(..arrived) {
                match delivery {
                    Delivery::State { tick, report } => {
                        playback.handle_state(tick, ms(at));
                        if report.0 > 0 {
                            input.handle_margin(report.0, report.1, ms(at));
                            if at > self.seconds * 700.0 {
                                late.push(report.1);
                            }
                        }
                    }
                    Delivery::Frame(tick) if tick > newest.0 => {
                        newest = (tick, f64::from(tick) - server_tick(at));
                    }
                    Delivery::Frame(_) => {}
                }
            }
            if playback.started() {
                let now = ms(now_ms);
                views.push(playback.advance(now));
                let up = (self.up_ms)(now_ms);
                let round_trip = ms(up + self.down_ms);
                for tick in input.due(playback.estimate(now), round_trip, now) {
                    made.push(tick);
                    let at = now_ms + up + random.next() * self.jitter_ms;
                    wire.push((at, Delivery::Frame(tick)));
                }
            }
            now_ms += 4.0;
        }
        Played {
            playback,
            made,
            views,
            late,
            server_tick: server_tick(now_ms - 4.0),
        }
    }
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn inputs_settle_a_tick_or_two_early_on_a_good_line() {
    let played = Play {
        up_ms: |_| 10.0,
        down_ms: 10.0,
        jitter_ms: 1.0,
        seconds: 20.0,
        drift: 0.0,
    }
    .run();
    assert!(least(&played.late) > 0.0 && most(&played.late) < 4.0);
    let first = played.made[0];
    let expected: Vec<Tick> = (first..).take(played.made.len()).collect();
    assert_eq!(played.made, expected, "each tick once, without a gap");
}

#[test]
fn inputs_stay_in_time_on_a_long_and_jittery_line_and_when_the_clocks_drift_apart() {
    for drift in [-0.002, 0.002] {
        let played = Play {
            up_ms: |_| 80.0,
            down_ms: 60.0,
            jitter_ms: 25.0,
            seconds: 30.0,
            drift,
        }
        .run();
        let missed = played.late.iter().filter(|margin| **margin < 0.0).count();
        assert!((missed as f64) < played.late.len() as f64 * 0.02);
        assert!(most(&played.late) < 10.0);
    }
}

#[test]
fn a_route_that_gets_250_ms_longer_is_caught_by_a_jump() {
    let played = Play {
        up_ms: |now_ms| if now_ms < 8000.0 { 20.0 } else { 270.0 },
        down_ms: 20.0,
        jitter_ms: 2.0,
        seconds: 20.0,
        drift: 0.0,
    }
    .run();
    assert!(least(&played.late) > -1.0, "{}", least(&played.late));
}

#[test]
fn the_picture_never_runs_backwards_and_follows_some_ticks_behind() {
    let played = Play {
        up_ms: |_| 40.0,
        down_ms: 40.0,
        jitter_ms: 20.0,
        seconds: 20.0,
        drift: 0.0,
    }
    .run();
    let settled = &played.views[500..];
    assert!(settled.is_sorted());
    let behind = played.server_tick - settled[settled.len() - 1];
    assert!(
        behind > 3.0 && behind < 5.0 + played.playback.delay(),
        "{behind}"
    );
}

#[test]
fn after_a_sleep_only_the_last_few_ticks_need_inputs() {
    let mut input = InputClock::new(60);
    let round_trip = ms(50.0);
    let due = input.due(100.0, round_trip, ms(0.0));
    assert!(due.end - due.start <= MAX_FRAMES_AT_ONCE);
    let due = input.due(700.0, round_trip, ms(10_000.0));
    assert!(
        due.end - due.start <= MAX_FRAMES_AT_ONCE && due.end > 700,
        "{due:?}"
    );
    // Ten more seconds of which nothing was heard of the server but that it stood still.
    let due = input.due(702.0, round_trip, ms(20_000.0));
    assert!(due.end < 720, "{due:?}");
}

#[test]
fn no_time_and_no_tick_is_too_large() {
    let mut playback = PlaybackClock::new(120);
    let mut input = InputClock::new(120);
    for (tick, now) in [(1, 0), (Tick::MAX, 1), (5, u32::MAX), (Tick::MAX, 3)] {
        let now = Duration::from_secs(now.into());
        playback.handle_state(tick, now);
        assert!(playback.advance(now).is_finite());
        let due = input.due(playback.estimate(now), Duration::MAX / 4, now);
        assert!(due.count() <= MAX_FRAMES_AT_ONCE as usize);
        input.handle_margin(tick, f64::from(i32::MIN), now);
    }
}
