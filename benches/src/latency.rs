//! `latency`: from an input to its effect in a received state, beside a plain echo.
//!
//! One player of a running match aims somewhere else at a moment that is uniformly random against
//! the tick, and waits for a state that shows it. In between, the same two players echo packets
//! over the same LiveKit server without the authority: the same four hops, without the game.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gs_engine::schema::Schema;
use livekit_data::Channel;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use crate::bot::{Bot, ECHO, Received, send};
use crate::report::{Latencies, Report};
use crate::server::{Seat, Server, root, seats};

/// Runs it.
pub(crate) async fn run(quick: bool, schema: Arc<Schema>) -> anyhow::Result<Report> {
    let server = Server::start(&root(), 2).await?;
    let seats = seats(&server.url, "latency", 2).await?;
    let (to_me, inbox) = mpsc::channel();
    let me = Bot::join(&seats[0], schema.clone(), Some(to_me)).await?;
    let (to_peer, peer_inbox) = mpsc::channel();
    let peer = Bot::join(&seats[1], schema, Some(to_peer)).await?;
    let echoing = echo_back(&peer, peer_inbox, &seats[0]);
    // Both must be heard for the match to start.
    let mut random = StdRng::seed_from_u64(SEED);
    wait_for_start(&me, &peer).await?;

    let (rounds, per_round) = if quick { (4, 150) } else { (10, 400) };
    let (mut inputs, mut echoes) = (Latencies::default(), Latencies::default());
    let measured = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        for round in 0..rounds {
            eprintln!("round {}/{rounds}", round + 1);
            for _ in 0..per_round {
                inputs.add(input_to_state(&me, &inbox, &mut random)?);
                echoes.add(echo(&me, &inbox, &seats[1], &mut random)?);
                peer.send_input(0.0)?;
            }
        }
        Ok((inputs, echoes))
    });
    let (inputs, echoes) = measured.await??;
    echoing.abort();
    server.stop().await?;

    let mut report = Report::new("latency", "plain echo over the same LiveKit server");
    let (ours, theirs) = (inputs.quantiles_us(), echoes.quantiles_us());
    report.metrics = json!({
        "input_to_state_p50_us": ours[0], "input_to_state_p99_us": ours[1],
        "input_to_state_p999_us": ours[2], "lost": inputs.lost,
    });
    report.peer_metrics(json!({
        "echo_p50_us": theirs[0], "echo_p99_us": theirs[1], "echo_p999_us": theirs[2],
        "lost": echoes.lost,
    }));
    report.lines = vec![
        inputs.line("input to its effect in a received state"),
        echoes.line("plain echo"),
        format!(
            "over the echo: p50 {:.2} ms (aim: half a tick + 1 ms = 9.33), p99 {:.2} ms (aim: a tick + 1 ms = 17.67)",
            (ours[0] - theirs[0]) as f64 / 1e3,
            (ours[1] - theirs[1]) as f64 / 1e3,
        ),
    ];
    Ok(report)
}

/// Aims elsewhere at a random moment; answers how long it took until a state showed it.
fn input_to_state(
    me: &Bot,
    inbox: &Receiver<Received>,
    random: &mut impl Rng,
) -> anyhow::Result<Option<Duration>> {
    pause(random);
    let mut before = None;
    while let Ok(message) = inbox.try_recv() {
        if let Received::Aim(aim, _) = message {
            before = aim.or(before);
        }
    }
    // A quarter to three quarters of a turn away, so that no rounding hides it.
    let old = before.map_or(0.0, |column| {
        column as f32 / AIM_STEPS * std::f32::consts::TAU
    });
    let turn = random.random_range(0.25f32..0.75) * std::f32::consts::TAU;
    let new = (old + turn + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU)
        - std::f32::consts::PI;
    let wanted =
        (new.rem_euclid(std::f32::consts::TAU) / std::f32::consts::TAU * AIM_STEPS).round() as i32;
    let sent = Instant::now();
    me.send_input(new)?;
    while let Ok(message) = inbox.recv_timeout(GIVE_UP.saturating_sub(sent.elapsed())) {
        if let Received::Aim(Some(aim), at) = message
            && ring_distance(aim, wanted) <= 1
        {
            return Ok(Some(at.saturating_duration_since(sent)));
        }
    }
    Ok(None)
}

fn echo(
    me: &Bot,
    inbox: &Receiver<Received>,
    peer: &Seat,
    random: &mut impl Rng,
) -> anyhow::Result<Option<Duration>> {
    pause(random);
    let stamp = random.next_u64().to_le_bytes();
    let mut payload = [7; ECHO_BYTES];
    payload[..8].copy_from_slice(&stamp);
    let sent = Instant::now();
    send(
        &me.participant,
        ECHO,
        &payload,
        Channel::Lossy,
        &peer.identity,
    )?;
    while let Ok(message) = inbox.recv_timeout(GIVE_UP.saturating_sub(sent.elapsed())) {
        if let Received::Echo(bytes, at) = message
            && bytes.starts_with(&stamp)
        {
            return Ok(Some(at.saturating_duration_since(sent)));
        }
    }
    Ok(None)
}

fn echo_back(peer: &Bot, inbox: Receiver<Received>, to: &Seat) -> tokio::task::JoinHandle<()> {
    let (participant, to) = (peer.participant.clone(), to.identity.clone());
    tokio::task::spawn_blocking(move || {
        while let Ok(message) = inbox.recv() {
            if let Received::Echo(bytes, _) = message {
                let _ = send(&participant, ECHO, &bytes, Channel::Lossy, &to);
            }
        }
    })
}

async fn wait_for_start(me: &Bot, peer: &Bot) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    let running = |bot: &Bot| bot.tick.load(std::sync::atomic::Ordering::Relaxed) > STARTED;
    while !running(me) || !running(peer) {
        if Instant::now() > deadline {
            bail!("the match did not start");
        }
        me.send_input(0.0)
            .context("the bench's player left its room")?;
        peer.send_input(0.0)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// One to two ticks, uniformly: every phase of a tick is as likely as any other.
fn pause(random: &mut impl Rng) {
    std::thread::sleep(TICK + TICK.mul_f64(random.random::<f64>()));
}

fn ring_distance(a: i32, b: i32) -> i32 {
    let steps = AIM_STEPS as i32;
    let d = (a - b).rem_euclid(steps);
    d.min(steps - d)
}

/// `aim` has 10 bits in Arena's net state.
const AIM_STEPS: f32 = 1024.0;
const TICK: Duration = Duration::from_nanos(16_666_667);
const GIVE_UP: Duration = Duration::from_millis(250);
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A second into the match, when spawning is over.
const STARTED: u32 = 60;
const ECHO_BYTES: usize = 200;
const SEED: u64 = 1;
