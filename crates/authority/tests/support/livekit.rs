//! A real LiveKit server for a test, and what tests do with it.

use livekit_data::{CloseReason, Event, Events};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

pub(crate) const KEY: &str = "devkey";
pub(crate) const SECRET: &str = "secretsecretsecretsecretsecretsecret";

/// How long a test waits for anything that has to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server on free loopback ports; ends with the value.
pub(crate) struct LiveKit {
    process: Mutex<Child>,
    port: u16,
    directory: tempfile::TempDir,
}

impl LiveKit {
    /// The server that the tests of one file share; it lives as long as one of them uses it.
    pub(crate) fn shared() -> Arc<LiveKit> {
        static SHARED: Mutex<Weak<LiveKit>> = Mutex::new(Weak::new());
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(LiveKit::start(true));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    pub(crate) fn start(auto_create: bool) -> LiveKit {
        // Between finding a port free and using it another process may take it.
        for _ in 0..2 {
            let server = LiveKit::spawn(auto_create);
            if server.answers() {
                return server;
            }
            eprintln!(
                "livekit-server did not start; its log says:\n{}",
                server.log()
            );
        }
        panic!("livekit-server did not start");
    }

    fn spawn(auto_create: bool) -> LiveKit {
        let directory = tempfile::tempdir().unwrap();
        let (port, tcp_port, udp_port) = free_ports();
        let config = directory.path().join("livekit.yaml");
        std::fs::write(
            &config,
            configuration(port, tcp_port, udp_port, auto_create),
        )
        .unwrap();
        let log = std::fs::File::create(directory.path().join("livekit.log")).unwrap();
        let spawned = Command::new(binary())
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let process = spawned.unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        LiveKit {
            process: Mutex::new(process),
            port,
            directory,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("livekit.log")).unwrap_or_default()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    fn answers(&self) -> bool {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if self.process.lock().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            if probe(self.port).is_ok_and(|answer| answer.ends_with("OK")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for LiveKit {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// The next event for which `pick` gives something, within the deadline.
pub(crate) async fn wait_for<T>(
    events: &mut Events,
    mut pick: impl FnMut(&Event) -> Option<T>,
) -> T {
    let wait = async {
        loop {
            let event = events.next().await.expect("the events go on");
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("within the deadline")
}

pub(crate) async fn wait_for_join(events: &mut Events, identity: &str) -> Arc<str> {
    wait_for(events, |event| match event {
        Event::ParticipantJoined {
            identity: joined,
            sid,
        } if **joined == *identity => Some(sid.clone()),
        _ => None,
    })
    .await
}

pub(crate) async fn wait_for_close(events: &mut Events) -> CloseReason {
    wait_for(events, |event| match event {
        Event::Closed(reason) => Some(reason.clone()),
        _ => None,
    })
    .await
}

fn binary() -> PathBuf {
    std::env::var_os("LIVEKIT_SERVER").map_or_else(|| "livekit-server".into(), PathBuf::from)
}

fn configuration(port: u16, tcp_port: u16, udp_port: u16, auto_create: bool) -> String {
    format!(
        "port: {port}\n\
         bind_addresses: [127.0.0.1]\n\
         keys: {{{KEY}: {SECRET}}}\n\
         enable_data_tracks: false\n\
         rtc:\n  \
           udp_port: {udp_port}\n  \
           tcp_port: {tcp_port}\n  \
           node_ip: 127.0.0.1\n  \
           use_external_ip: false\n  \
           enable_loopback_candidate: true\n  \
           interfaces: {{includes: [lo]}}\n\
         room: {{auto_create: {auto_create}}}\n\
         logging: {{level: warn}}\n"
    )
}

fn free_ports() -> (u16, u16, u16) {
    let tcp = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [port, tcp_port] = tcp
        .each_ref()
        .map(|socket| socket.local_addr().unwrap().port());
    (port, tcp_port, udp.local_addr().unwrap().port())
}

fn probe(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const MISSING: &str = "livekit-server is not on PATH, and LIVEKIT_SERVER does not name it; install \
    it with `go install github.com/livekit/livekit-server/cmd/server@v1.13.5` and name the binary \
    livekit-server";
