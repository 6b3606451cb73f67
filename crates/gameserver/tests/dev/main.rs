//! `gameserver dev` as its user meets it: it gets ready, says what is wrong, and cleans up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../sandbox/tests/support/mod.rs"]
mod module;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the tests of the other processes use the rest")]
mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use support::{Running, eventually, games, gameserver, is_alive, output};

/// A running `gameserver dev`.
struct Dev {
    process: Running,
    data: PathBuf,
    url: String,
}

impl Dev {
    /// Starts it on a free port and waits for its `ready` line.
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let process = Running::start(
            gameserver()
                .args(["dev", "--port", "0", "--data-dir"])
                .arg(data)
                .args(arguments),
        );
        let url = process.url.clone();
        let data = data.to_owned();
        Self { process, data, url }
    }

    /// Process id of the LiveKit server that it runs.
    fn livekit_pid(&self) -> Pid {
        let text = std::fs::read_to_string(self.data.join("livekit.pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }
}

#[test]
fn it_gets_ready_serves_games_and_pages_and_ctrl_c_ends_it_with_its_livekit_server() {
    let data = tempfile::tempdir().unwrap();
    let dev = Dev::start(data.path(), &["--games", games().to_str().unwrap()]);
    let livekit = dev.livekit_pid();
    assert!(is_alive(livekit));
    let games: serde_json::Value = get(&format!("{}/games", dev.url)).json().unwrap();
    let ids: Vec<&str> = games["games"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.contains(&"arena") && ids.contains(&"tic-tac-toe"),
        "{ids:?}"
    );
    let page = get(&dev.url).text().unwrap();
    assert!(page.contains("<html"), "{page}");
    assert!(
        get(&format!("{}/metrics", dev.url))
            .text()
            .unwrap()
            .contains("gameserver_rooms 0")
    );
    for path in ["/", "/metrics", "/games", "/nowhere"] {
        let client = reqwest::blocking::Client::new();
        let problem = client.put(format!("{}{path}", dev.url)).send().unwrap();
        assert_eq!(
            problem.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
    }

    assert!(dev.process.interrupt().success());
    eventually("the LiveKit server is gone", || !is_alive(livekit));
}

#[test]
fn a_livekit_server_that_dies_is_started_again_and_reported() {
    let data = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(data.path(), &["--games", games().to_str().unwrap()]);
    let first = dev.livekit_pid();
    kill_process(first, Signal::KILL).unwrap();
    dev.process.wait_for_log("the LiveKit server died");
    dev.process.wait_for_log("the LiveKit server is back");
    let second = dev.livekit_pid();
    assert!(second != first && is_alive(second));
}

#[test]
fn a_livekit_server_that_hangs_is_ended_and_started_again() {
    let data = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(data.path(), &["--games", games().to_str().unwrap()]);
    let first = dev.livekit_pid();
    kill_process(first, Signal::STOP).unwrap();
    dev.process
        .wait_for_log("the LiveKit server does not answer");
    dev.process.wait_for_log("the LiveKit server is back");
    assert!(dev.livekit_pid() != first && !is_alive(first));
}

#[test]
fn a_livekit_server_left_behind_by_a_killed_run_is_ended_by_the_next() {
    let data = tempfile::tempdir().unwrap();
    let games = games();
    let arguments = ["--games", games.to_str().unwrap()];
    let dev = Dev::start(data.path(), &arguments);
    let leftover = dev.livekit_pid();
    dev.process.kill();
    assert!(is_alive(leftover));
    let again = Dev::start(data.path(), &arguments);
    eventually("the leftover is gone", || !is_alive(leftover));
    assert!(is_alive(again.livekit_pid()));
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = tempfile::tempdir().unwrap();
    let error = refused(&[
        "dev",
        "--port",
        &port,
        "--data-dir",
        data.path().to_str().unwrap(),
    ]);
    assert!(
        error.contains(&format!("port {port} is taken")) && error.contains("--port"),
        "{error}"
    );
}

#[test]
fn a_data_directory_serves_one_server_at_a_time() {
    let data = tempfile::tempdir().unwrap();
    let dev = Dev::start(data.path(), &["--games", games().to_str().unwrap()]);
    let error = refused(&[
        "dev",
        "--port",
        "0",
        "--data-dir",
        data.path().to_str().unwrap(),
    ]);
    assert!(
        error.contains("in use") && error.contains("--data-dir"),
        "{error}"
    );
    assert!(is_alive(dev.livekit_pid()));
}

#[test]
fn a_client_that_never_finishes_its_request_does_not_hold_up_the_end() {
    let data = tempfile::tempdir().unwrap();
    let dev = Dev::start(data.path(), &["--games", games().to_str().unwrap()]);
    let mut stalled = TcpStream::connect(dev.url.strip_prefix("http://").unwrap()).unwrap();
    stalled
        .write_all(b"POST /auth/guest HTTP/1.1\r\nhost: x\r\ncontent-le")
        .unwrap();
    // Answered after the bytes above were read, by the same accept loop.
    get(&format!("{}/healthz", dev.url));
    assert!(dev.process.interrupt().success());
}

#[test]
fn a_bad_configuration_stops_the_start_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "game:\n  authority_mode: solo\n").unwrap();
    for command in [vec!["dev", "--config"], vec!["config", "check"]] {
        let mut arguments = command;
        arguments.push(file.to_str().unwrap());
        let error = refused(&arguments);
        assert!(
            error.contains("config.yaml:2: game.authority_mode") && error.contains("full"),
            "{error}"
        );
    }
}

#[test]
fn validated_for_a_module_that_hides_state_stops_the_start_with_the_line_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let hides = module::MANIFEST.replace("\"hidden_state\": false", "\"hidden_state\": true");
    let bytes = module::game_with_manifest(&hides, &[]);
    std::fs::write(folder.path().join("cards.wasm"), bytes).unwrap();
    let file = folder.path().join("config.yaml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        ["config", "check", file.to_str().unwrap()].map(str::to_owned)
    };
    let cards = "games:\n  cards:\n    module: cards.wasm\n";
    for (text, place) in [
        (
            format!("{cards}    authority_mode: validated\n"),
            "config.yaml:4: games.cards.authority_mode: ",
        ),
        (
            format!("game:\n  authority_mode: validated\n{cards}"),
            "config.yaml:2: game.authority_mode: ",
        ),
    ] {
        let arguments = check(&text);
        let error = refused(&arguments.each_ref().map(String::as_str));
        assert!(
            error.contains(place) && error.contains("choose `full`"),
            "{error}"
        );
    }
}

#[test]
fn a_refused_module_refused_options_and_a_missing_livekit_server_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.wasm"), b"not a module").unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "games:\n  broken:\n    module: broken.wasm\n").unwrap();
    let data = folder.path().join("data");
    let common = ["dev", "--port", "0", "--data-dir", data.to_str().unwrap()];
    let error = refused(&[&common[..], &["--config", file.to_str().unwrap()]].concat());
    assert!(
        error.contains("games.broken.module") && error.contains("broken.wasm"),
        "{error}"
    );

    let arena = games().join("arena.wasm");
    let text = format!(
        "games:\n  arena:\n    module: {}\n    options: {{speed: 9}}\n",
        arena.display()
    );
    std::fs::write(&file, text).unwrap();
    let error = refused(&[&common[..], &["--config", file.to_str().unwrap()]].concat());
    assert!(
        error.contains("options") && error.contains("speed"),
        "{error}"
    );

    let games = games();
    let nowhere = [
        "--games",
        games.to_str().unwrap(),
        "--livekit-server",
        "/nonexistent/livekit-server",
    ];
    let error = refused(&[&common[..], &nowhere].concat());
    assert!(error.contains("/nonexistent/livekit-server"), "{error}");
}

#[test]
fn an_unreachable_livekit_server_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let file = folder.path().join("config.yaml");
    let text = format!(
        "livekit:\n  host: http://127.0.0.1:{port}\n  api_key: key\n  api_secret: {}\n",
        "s".repeat(32)
    );
    std::fs::write(&file, text).unwrap();
    let (data, games) = (folder.path().join("data"), games());
    let error = refused(&[
        "dev",
        "--port",
        "0",
        "--data-dir",
        data.to_str().unwrap(),
        "--config",
        file.to_str().unwrap(),
        "--games",
        games.to_str().unwrap(),
    ]);
    assert!(
        error.contains("unreachable") && error.contains(&port.to_string()),
        "{error}"
    );
    assert!(!error.contains("sss"), "{error}");
}

/// Runs a command that must fail; answers its standard error.
fn refused(arguments: &[&str]) -> String {
    let output = output(gameserver().args(arguments));
    assert!(!output.status.success(), "{arguments:?} should have failed");
    String::from_utf8(output.stderr).unwrap()
}

fn get(url: &str) -> reqwest::blocking::Response {
    // The first test to come here installs it for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::blocking::get(url)
        .unwrap()
        .error_for_status()
        .unwrap()
}
