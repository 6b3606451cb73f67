use std::time::Instant;

use gs_sandbox::{Limits, Sandbox};

use super::*;
use crate::host::LoadedGame;
use crate::room::{Patience, RoomConfig, RoomPlayer, RoomResult};
use crate::ticker::{TaskStats, Ticker};

#[path = "../../../sandbox/tests/support/mod.rs"]
mod module;

const PERIOD: Duration = Duration::from_millis(16);
const SLOW: Duration = Duration::from_millis(17);
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_game_that_is_slow_for_long_is_too_much() {
    let mut load = Load::new(PERIOD);
    let slow = (0..).take_while(|_| !load.is_too_much(SLOW)).count();
    assert_eq!(slow, 117, "two seconds of slow ticks");
}

#[test]
fn what_counts_is_time_and_not_how_many_ticks_it_makes() {
    for (period, busy, ticks) in [(16, 160, 12), (16, 400, 4), (100, 160, 12), (16, 30_000, 3)] {
        let mut load = Load::new(Duration::from_millis(period));
        let busy = Duration::from_millis(busy);
        let borne = (0..).take_while(|_| !load.is_too_much(busy)).count();
        assert_eq!(borne, ticks, "{busy:?} of {period} ms");
    }
}

#[test]
fn a_machine_that_is_busy_now_and_then_is_not() {
    let mut load = Load::new(PERIOD);
    for second in 0..1_000 {
        for tick in 0..60 {
            // A stall of a second each minute, and a slow tick each second.
            let slow = second % 60 == 0 || tick == 0;
            assert!(!load.is_too_much(if slow { SLOW } else { PERIOD / 2 }));
        }
    }
}

#[test]
fn a_module_that_loops_for_ever_ends_its_own_match_and_holds_up_no_other() {
    // The loop lasts ten periods of the other room, more than a room makes up for.
    let sandbox = Sandbox::new(Limits {
        step_deadline: Duration::from_secs(1),
        max_instances: 8,
        ..Limits::default()
    })
    .unwrap();
    let ticker = Ticker::start(2).unwrap();
    let mut healthy = Running::start(&sandbox, &ticker, &[]);
    healthy.wait_for_tick(2);
    let endless = r#"(func (export "gs_step") (param i32) (result i32) (loop (br 0)) unreachable)"#;
    let mut looping = Running::start(&sandbox, &ticker, &[("gs_step", endless)]);

    let ended = looping.wait_for_end();
    assert!(ended.failed, "{ended:?}");
    let reason = ended.reason.unwrap();
    assert!(reason.contains("longer than 1000 ms"), "{reason}");
    assert!(looping.cost.longest_ns.load(Relaxed) >= 1_000_000_000);

    let tick = healthy.gauges.tick.load(Relaxed);
    assert!(tick >= 7, "it ran meanwhile, up to tick {tick}");
    healthy.wait_for_tick(tick + 3);
    assert_eq!(healthy.cost.skipped.load(Relaxed), 0);
    assert!(healthy.events.try_recv().is_err(), "its match goes on");
}

/// A room of a module with one player, who is there, on tick threads and without a connection.
struct Running {
    gauges: Arc<RoomGauges>,
    cost: Arc<TaskStats>,
    events: tokio_mpsc::Receiver<RoomEvent>,
    /// The room lives as long as there is somebody to command it.
    _commands: mpsc::Sender<Command>,
}

impl Running {
    fn start(sandbox: &Sandbox, ticker: &Ticker, changes: &[(&str, &str)]) -> Self {
        let manifest = module::MANIFEST.replace("\"tick_rate\": 60", "\"tick_rate\": 10");
        let bytes = module::game_with_manifest(&manifest, changes);
        let game = LoadedGame::of_module(&sandbox.compile(bytes).unwrap()).unwrap();
        let identity = "player".to_owned();
        let config = RoomConfig {
            match_id: "m1".to_owned(),
            game: "sum".to_owned(),
            mode: gs_engine::AuthorityMode::Full,
            module_sha256: "00".repeat(32),
            manifest: game.manifest_json.into(),
            epoch: 1,
            seed: 1,
            options: "{}".to_owned(),
            players: vec![Some(RoomPlayer {
                identity: identity.clone(),
                username: identity.clone(),
                team: None,
            })],
            backfill: false,
            unix_ms: 0,
            patience: Patience {
                // The player says nothing more.
                lost_after: DEADLINE * 2,
                ..Patience::default()
            },
        };
        let now = Instant::now();
        let room = Room::new(config, game.simulation, now).unwrap();
        let inbox = Arc::<Inbox>::default();
        inbox.push(Message::Joined {
            identity: identity.into(),
            at: now,
        });
        let (commands, driver_commands) = mpsc::channel();
        let (driver_events, mut events) = tokio_mpsc::channel(64);
        let gauges = Arc::<RoomGauges>::default();
        let rate = room.tick_rate();
        let driver = Driver::new(room, inbox, driver_commands, driver_events, gauges.clone());
        let cost = ticker.add(rate, Box::new(driver));
        let started = wait_for(|| events.try_recv().ok());
        assert_eq!(started, RoomEvent::Started);
        Self {
            gauges,
            cost,
            events,
            _commands: commands,
        }
    }

    fn wait_for_tick(&self, tick: u32) {
        wait_for(|| (self.gauges.tick.load(Relaxed) >= tick).then_some(()));
    }

    fn wait_for_end(&mut self) -> RoomResult {
        wait_for(|| match self.events.try_recv() {
            Ok(RoomEvent::Ended(result)) => Some(result),
            _ => None,
        })
    }
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}");
        // The machine's cores are for the rooms.
        std::thread::sleep(Duration::from_millis(2));
    }
}
