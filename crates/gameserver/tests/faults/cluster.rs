//! A whole deployment on one machine: two APIs, two authorities, PostgreSQL, Redis and LiveKit.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use gs_test_services::{
    LiveKit, LiveKitOptions, Persistence, Postgres, Redis, Server, free_tcp_port,
};

use crate::game;

/// Everything that runs; ends with the value.
pub(crate) struct Cluster {
    // Dropped in this order: those that use a service before it.
    pub(crate) apis: Vec<Node>,
    pub(crate) authorities: Vec<Node>,
    _livekit: LiveKit,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) database_url: String,
    directory: tempfile::TempDir,
}

/// A process of `gameserver`.
pub(crate) struct Node {
    /// Role and number.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) server: Server,
}

impl Cluster {
    /// Starts the services, migrates, starts so many processes, and waits until all are ready.
    pub(crate) fn start(
        postgres: Postgres,
        persistence: Persistence,
        apis: usize,
        authorities: usize,
    ) -> Self {
        let redis = Redis::start_with(persistence);
        let database_url = postgres.database();
        let ports: Vec<u16> = (0..apis + authorities).map(|_| free_tcp_port()).collect();
        let livekit = LiveKit::start(LiveKitOptions {
            redis_port: Some(redis.port()),
            webhook_url: Some(format!("http://127.0.0.1:{}/webhooks/livekit", ports[0])),
            ..LiveKitOptions::default()
        });
        let directory = tempfile::tempdir().unwrap();
        configure(directory.path(), &livekit, &redis, &database_url);
        let node = |(n, &port): (usize, &u16)| {
            let (role, n) = if n < apis {
                ("api", n)
            } else {
                ("authority", n - apis)
            };
            Node::new(role, n, directory.path(), port)
        };
        let mut nodes: Vec<Node> = ports.iter().enumerate().map(node).collect();
        let cluster = Self {
            authorities: nodes.split_off(apis),
            apis: nodes,
            _livekit: livekit,
            redis,
            postgres,
            database_url,
            directory,
        };
        cluster.run(&["migrate"]);
        for node in cluster.nodes() {
            node.server.spawn();
        }
        for node in cluster.nodes() {
            node.server.wait_until_ready();
        }
        cluster
    }

    /// Runs `gameserver` with these arguments and the deployment's configuration to its end.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let output = command(arguments, self.directory.path(), self.apis[0].port())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "gameserver {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// All processes of `gameserver`.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.apis.iter().chain(&self.authorities)
    }

    /// Rows of the database, as [`Postgres::sql`] has them.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.postgres.sql(&self.database_url, sql)
    }

    /// The end of every process's log, for a test that failed.
    pub(crate) fn logs(&self) -> String {
        let tail = |node: &Node| {
            let log = node.server.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            format!("--- {}\n{last}\n", node.name)
        };
        self.nodes().map(tail).collect()
    }
}

impl Node {
    fn new(role: &'static str, n: usize, directory: &Path, port: u16) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let (config, readyz) = (directory.to_owned(), format!("{url}/readyz"));
        let start = move || command(&[role], &config, port);
        let ready = move || get(&readyz).is_some_and(|(status, _)| status == 200);
        Self {
            name: format!("{role} {n}"),
            url,
            server: Server::new(role, start, ready),
        }
    }

    fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').expect("it names its port");
        port.parse().unwrap()
    }
}

/// `GET url`: status and body; none where nobody answers in time.
pub(crate) fn get(url: &str) -> Option<(u16, String)> {
    let url = url.to_owned();
    // A blocking client may not be used on a thread that runs async tasks.
    let ask = move || {
        choose_cryptography();
        let client = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let answer = client.get(&url).send().ok()?;
        Some((answer.status().as_u16(), answer.text().ok()?))
    };
    std::thread::spawn(ask).join().unwrap()
}

/// What HTTP clients need in a process that has not chosen its cryptography.
pub(crate) fn choose_cryptography() {
    // Whoever was first has chosen the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn command(arguments: &[&str], directory: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gameserver"));
    command
        .args(arguments)
        .arg("--config")
        .arg(directory.join("config.yaml"))
        .env("HTTP_PORT", port.to_string())
        .env("RUST_LOG", "info")
        .current_dir(directory);
    command
}

/// Writes the games and the configuration that all processes share.
fn configure(directory: &Path, livekit: &LiveKit, redis: &Redis, database_url: &str) {
    let mut games = serde_json::Map::new();
    for rule in game::RULES {
        let file = directory.join(format!("{rule}.wasm"));
        std::fs::write(&file, game::bytes(rule)).unwrap();
        let game = serde_json::json!({ "module": file, "players": 2, "authority_mode": "full" });
        games.insert(rule.to_owned(), game);
    }
    let config = serde_json::json!({
        "server": {
            "host": "127.0.0.1", "http_port": "${HTTP_PORT}", "sign_ins_per_minute": 60_000,
            "tickets_per_minute": 60_000,
        },
        "authority": { "http_port": "${HTTP_PORT}" },
        "livekit": {
            "host": livekit.url(), "api_key": LiveKit::KEY, "api_secret": LiveKit::SECRET,
        },
        "database": { "url": database_url },
        "redis": { "url": redis.url() },
        "games": games,
    });
    std::fs::write(directory.join("config.yaml"), config.to_string()).unwrap();
}

const LOG_LINES: usize = 60;
