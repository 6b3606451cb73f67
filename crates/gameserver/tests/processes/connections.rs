//! Thousands of connections that send nothing, or too slowly, beside requests that go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::eventually;
use crate::world::{World, client, get};

/// As many as the issue asks for, or as the system lets this process and the server have.
fn connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let files = limit.maximum.map_or(usize::MAX, |n| n as usize);
    assert!(
        files >= 2_048,
        "too few open files are allowed; raise `ulimit -n` to 2048 or more"
    );
    (files - 1_024).min(10_000)
}

fn counter(url: &str, name: &str) -> u64 {
    let text = get(&format!("{url}/metrics")).text().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

#[test]
fn ten_thousand_connections_that_send_nothing_hold_up_nobody_and_are_closed() {
    let count = connections();
    let world = World::migrated();
    world.configure(|config| {
        config["server"]["max_connections"] = (count + 500).to_string().into();
        config["server"]["max_connections_per_address"] = (count + 500).to_string().into();
    });
    let api = world.api();
    let address = api.url.strip_prefix("http://").unwrap();
    // One kept-alive connection for the requests that go on.
    let client = client();
    let games = || {
        let began = Instant::now();
        let answer = client.get(format!("{}/games", api.url)).send().unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().unwrap();
        began.elapsed()
    };
    games();
    let mut longest = Duration::ZERO;
    let mut silent = Vec::new();
    for n in 0..count {
        let mut stream = TcpStream::connect(address).unwrap();
        // A third each says nothing, begins a head, and sends a head without its body.
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET /games HT").unwrap(),
            _ => {
                let head = "POST /auth/guest HTTP/1.1\r\nhost: x\r\ncontent-type: \
                            application/json\r\ncontent-length: 100\r\n\r\n{";
                stream.write_all(head.as_bytes()).unwrap();
            }
        }
        silent.push(stream);
        if n % 100 == 0 {
            longest = longest.max(games());
        }
    }
    eprintln!("{count} connections; the longest request beside them took {longest:?}");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    // Those without a head go after ten seconds; those without a body are answered with an error
    // before.
    let waiting = (count - count / 3) as u64;
    let name = "gameserver_http_connections_timed_out_total{what=\"head\"} ";
    eventually("those without a head are closed", || {
        counter(&api.url, name) >= waiting
    });
    for stream in silent.iter_mut().take(2) {
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut nothing = [0];
        assert_eq!(stream.read(&mut nothing).unwrap_or(0), 0);
    }
    games();
    drop(silent);
    eventually("all places are free again", || {
        counter(&api.url, "gameserver_http_connections ") < 10
    });
}

#[test]
fn an_address_with_too_many_connections_is_told_so_and_others_are_served() {
    let world = World::migrated();
    world.configure(|config| config["server"]["max_connections_per_address"] = "20".into());
    let api = world.api();
    let address = api.url.strip_prefix("http://").unwrap();
    let mut held: Vec<TcpStream> = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        if !text.is_empty() {
            break text;
        }
        held.push(stream);
        assert!(held.len() <= 20);
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("your address"), "{refused}");
    held.clear();
    eventually("there is room again", || {
        client()
            .get(format!("{}/healthz", api.url))
            .send()
            .is_ok_and(|r| r.status() == 200)
    });
}
