//! The games of this repository are the same linked natively and as modules, tick by tick.

use std::path::Path;
use std::time::Duration;

use game_sdk::{Game, native};
use gs_engine::Simulation;
use gs_engine::sync_test::{Settings, SyncTest};
use gs_sandbox::{GameModule, Limits, Sandbox};

/// Plays seeded matches natively, in the sandbox, and with NaNs as in a browser.
fn is_the_same_everywhere<G: Game>() {
    let limits = Limits {
        max_instances: 2,
        // A busy machine may hold a test still for longer than a match would bear.
        step_deadline: Duration::from_secs(20),
        ..Limits::default()
    };
    let sandboxes = [Sandbox::new(limits), Sandbox::like_a_browser(limits)];
    let mut modules = sandboxes.map(|sandbox| {
        let module = module(&sandbox.expect("this machine gives a sandbox"), G::NAME);
        module.instantiate().expect("there is room for one")
    });
    let [server, browser] = &mut modules;
    assert_eq!(
        server.manifest(),
        native::<G>().manifest(),
        "target/games/{0}.wasm is of another version; build it with `cargo xtask game games/{0}`",
        G::NAME
    );
    for (seed, players) in [(1, *G::PLAYERS.start()), (2, *G::PLAYERS.end())] {
        let (mut linked, mut viewer) = (native::<G>(), native::<G>());
        let settings = Settings {
            seed,
            ticks: TICKS,
            players,
            options: "{}".into(),
        };
        let mut test = SyncTest::new(&mut linked, settings).expect("the manifest is sound");
        test.peer("its module in the sandbox", server);
        test.peer("its module with NaNs as in a browser", browser);
        test.viewer(&mut viewer);
        match test.run(&mut |_| {}) {
            Ok(summary) => assert!(
                summary.ticks == TICKS && summary.rerun_ticks > TICKS / 10,
                "{summary:?}"
            ),
            Err(failure) => panic!(
                "{}: {failure}\n(where the module is older than the source, build it with `cargo \
                 xtask game games/{})`",
                G::NAME,
                G::NAME
            ),
        }
    }
}

fn module(sandbox: &Sandbox, name: &str) -> GameModule {
    let games = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/games");
    let file = games.join(format!("{name}.wasm"));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "no {} ({error}); build it with `cargo xtask game games/{name}`",
            file.display()
        )
    });
    sandbox.compile(bytes).expect("it keeps the ABI")
}

#[test]
fn arena_is_the_same_everywhere() {
    is_the_same_everywhere::<arena::Arena>();
}

#[test]
fn clash_is_the_same_everywhere() {
    is_the_same_everywhere::<clash::Clash>();
}

#[test]
fn tic_tac_toe_is_the_same_everywhere() {
    is_the_same_everywhere::<tic_tac_toe::TicTacToe>();
}

#[test]
fn the_client_reads_every_manifest_as_the_server_does() {
    let sandbox = Sandbox::new(Limits::default()).expect("this machine gives a sandbox");
    for name in [
        arena::Arena::NAME,
        clash::Clash::NAME,
        tic_tac_toe::TicTacToe::NAME,
    ] {
        let module = module(&sandbox, name);
        let default_rate = Limits::default().default_tick_rate;
        let read = gs_client::manifest_json::parse(module.manifest_json(), default_rate);
        let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&read, module.manifest(), "{name}");
    }
}

/// Half a minute of play.
const TICKS: u32 = 1_800;
