//! A LiveKit server for a test.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::ports::{free_tcp_port, free_udp_port};
use crate::process::Process;

/// A LiveKit server on free loopback ports; ends with the value, or with the process.
pub struct LiveKit {
    process: Process,
    options: LiveKitOptions,
    ports: Ports,
}

/// How a LiveKit server is set up; by default it makes no rooms unasked, and knows nobody.
#[derive(Clone, Debug, Default)]
pub struct LiveKitOptions {
    /// Whether a room is made for whoever joins it first.
    pub auto_create: bool,
    /// Port on 127.0.0.1 of the Redis server that it keeps its rooms in.
    pub redis_port: Option<u16>,
    /// Whether it takes part in ICE as one that only answers.
    pub ice_lite: bool,
    /// Where it sends its events.
    pub webhook_url: Option<String>,
    /// Whether participants may publish data tracks.
    pub data_tracks: bool,
    /// Its own TURN server.
    pub turn: Option<Turn>,
    /// Whether its signalling is at `::1` in place of 127.0.0.1. Its datagrams are not: pion takes
    /// no address that begins with 96 zero bits for one of IPv6.
    pub ipv6: bool,
}

/// How a LiveKit server's own TURN server is reached.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Over UDP.
    Udp,
    /// Over TLS, with this certificate and key in PEM. Participants are told of port 443 whatever
    /// the port is, as behind a load balancer; see [`LiveKit::turn_tls_port`].
    Tls {
        /// Name that participants are told.
        domain: String,
        /// Text of the certificate.
        certificate: String,
        /// Text of its key.
        key: String,
    },
}

impl LiveKitOptions {
    /// A server that makes a room for whoever joins it first.
    pub fn auto_create() -> Self {
        Self {
            auto_create: true,
            ..Self::default()
        }
    }
}

#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    tcp: u16,
    udp: u16,
    turn_udp: u16,
    turn_tls: u16,
}

impl LiveKit {
    /// Name of the key that every server of this kind has.
    pub const KEY: &str = "devkey";
    /// The key's secret.
    pub const SECRET: &str = "secretsecretsecretsecretsecretsecret";

    /// The server that the tests of this process share, which makes rooms for whoever joins;
    /// counted, so that what holds it may as well hold one of its own.
    ///
    /// # Panics
    /// Where there is no LiveKit server; the text says how to install it.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<LiveKit>> = OnceLock::new();
        let start = || Arc::new(Self::start(LiveKitOptions::auto_create()));
        SHARED.get_or_init(start).clone()
    }

    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// Where there is no LiveKit server; the text says how to install it.
    pub fn start(options: LiveKitOptions) -> Self {
        // Between finding a port free and using it another process may take it.
        for _ in 0..3 {
            let server = Self {
                process: Process::new("livekit-server", Signal::KILL),
                options: options.clone(),
                ports: Ports {
                    http: free_tcp_port(),
                    tcp: free_tcp_port(),
                    udp: free_udp_port(),
                    turn_udp: free_udp_port(),
                    turn_tls: free_tcp_port(),
                },
            };
            if server.run() {
                return server;
            }
            eprintln!(
                "livekit-server ended at its start:\n{}",
                server.process.log()
            );
        }
        panic!("livekit-server does not start");
    }

    /// `ws://127.0.0.1:PORT`, or `ws://[::1]:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.http_address())
    }

    /// Port of its TURN server over TLS, where it has one.
    pub fn turn_tls_port(&self) -> u16 {
        self.ports.turn_tls
    }

    /// `http://127.0.0.1:PORT`.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_address())
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again after [`kill`](Self::kill), on the same ports, and waits until it answers.
    ///
    /// # Panics
    /// Where it runs, or does not start.
    pub fn restart(&self) {
        assert!(
            self.run(),
            "livekit-server does not start again:\n{}",
            self.process.log()
        );
    }

    /// Its process id.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn run(&self) -> bool {
        let program = std::env::var_os("LIVEKIT_SERVER").unwrap_or("livekit-server".into());
        let found = Command::new(&program).arg("--version").output();
        assert!(found.is_ok(), "{MISSING}");
        let mut command = Command::new(program);
        command.env("LIVEKIT_CONFIG", self.configuration());
        self.process.spawn(&mut command);
        self.process.wait_until(|| self.answers())
    }

    fn configuration(&self) -> String {
        let Ports { http, tcp, udp, .. } = self.ports;
        let ip = self.ip();
        let (key, secret) = (Self::KEY, Self::SECRET);
        let LiveKitOptions {
            auto_create,
            data_tracks,
            ice_lite,
            ..
        } = self.options;
        let mut text = format!(
            "port: {http}\n\
             bind_addresses: ['{ip}']\n\
             keys: {{{key}: {secret}}}\n\
             enable_data_tracks: {data_tracks}\n\
             rtc:\n  \
               udp_port: {udp}\n  \
               tcp_port: {tcp}\n  \
               node_ip: 127.0.0.1\n  \
               use_external_ip: false\n  \
               enable_loopback_candidate: true\n  \
               use_ice_lite: {ice_lite}\n  \
               interfaces: {{includes: [{LOOPBACK_INTERFACE}]}}\n\
             room: {{auto_create: {auto_create}}}\n\
             logging: {{level: warn}}\n"
        );
        if let Some(port) = self.options.redis_port {
            text.push_str(&format!("redis: {{address: '127.0.0.1:{port}'}}\n"));
        }
        if let Some(url) = &self.options.webhook_url {
            text.push_str(&format!("webhook: {{api_key: {key}, urls: ['{url}']}}\n"));
        }
        if let Some(turn) = &self.options.turn {
            text.push_str(&self.turn_configuration(turn));
        }
        text
    }

    fn turn_configuration(&self, turn: &Turn) -> String {
        let Ports {
            turn_udp, turn_tls, ..
        } = self.ports;
        let way = match turn {
            Turn::Udp => format!("udp_port: {turn_udp}"),
            Turn::Tls {
                domain,
                certificate,
                key,
            } => {
                let file = |name: &str, text: &str| {
                    let path = self.process.directory().join(name);
                    std::fs::write(&path, text).expect("the server's directory can be written");
                    path.display().to_string()
                };
                format!(
                    "tls_port: {turn_tls}, domain: {domain}, cert_file: '{}', key_file: '{}'",
                    file("turn.crt", certificate),
                    file("turn.key", key)
                )
            }
        };
        // What it relays to is on this machine too, which it refuses by default.
        format!(
            "turn: {{enabled: true, bind_addresses: [127.0.0.1], {way}, \
             allow_restricted_peer_cidrs: ['127.0.0.0/8']}}\n"
        )
    }

    fn ip(&self) -> IpAddr {
        match self.options.ipv6 {
            true => Ipv6Addr::LOCALHOST.into(),
            false => Ipv4Addr::LOCALHOST.into(),
        }
    }

    fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.ports.http)
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.http_address())?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.ends_with("OK"))
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const LOOPBACK_INTERFACE: &str = if cfg!(target_os = "linux") {
    "lo"
} else {
    "lo0"
};
const MISSING: &str = "livekit-server is not on PATH, and LIVEKIT_SERVER does not name it; install \
    it with `go install github.com/livekit/livekit-server/cmd/server@v1.13.5` and name the binary \
    livekit-server";
