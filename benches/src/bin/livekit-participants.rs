//! Participants of `livekit-data`, for the benches `echo`, `flood` and `fleet`, in a process of
//! their own: the same jobs, asked for in the same way, as `peers/livekit-go` does with the
//! official Go SDK.
//!
//! Each line of standard input is a request in JSON, each line of standard output its answer; the
//! end of the input ends the program.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use livekit_data::{Channel, ConnectOptions, Event, Packet, Participant, SendError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

fn main() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok()
        .context("a TLS provider is installed already")?;
    // One thread is enough for what is asked here; a second one would be woken with each packet.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut room = Room::default();
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let (answer, back) = runtime.block_on(async move {
            // On a worker, where a task that sends wakes a neighbour and no other thread.
            tokio::spawn(async move { (room.handle(&asked).await, room) }).await
        })?;
        room = back;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{}", answer?)?;
        output.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    received: Arc<Received>,
}

struct Member {
    participant: Participant,
    /// Identity of whom it sends to.
    to: [String; 1],
}

/// What all members together got.
struct Received {
    started: Instant,
    pongs: Mutex<Vec<u64>>,
    packets: AtomicU64,
    next: AtomicU64,
    disorder: AtomicU64,
    /// Of a member's connection, since the process began.
    reconnecting: AtomicU64,
    resumed: AtomicU64,
    rejoined: AtomicU64,
    closed: AtomicU64,
}

impl Default for Received {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            pongs: Mutex::default(),
            packets: AtomicU64::new(0),
            next: AtomicU64::new(0),
            disorder: AtomicU64::new(0),
            reconnecting: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            rejoined: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }
}

impl Received {
    fn handle(&self, me: &OnceLock<Participant>, event: Event) {
        let count = match &event {
            Event::Reconnecting(_) => Some(&self.reconnecting),
            Event::Resumed => Some(&self.resumed),
            Event::Rejoined { .. } => Some(&self.rejoined),
            Event::Closed(_) => Some(&self.closed),
            _ => None,
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let Event::Data {
            from,
            topic,
            payload,
            channel,
            ..
        } = event
        else {
            return;
        };
        let Some(number) = payload.first_chunk().copied().map(u64::from_le_bytes) else {
            return;
        };
        match &*topic {
            PING => {
                if let Some(me) = me.get() {
                    let to = [from.to_string()];
                    let _ = me.send(packet(PONG, &payload, channel, &to));
                }
            }
            PONG => {
                let took = self.now().saturating_sub(number);
                self.lock_pongs().push(took);
            }
            FLOOD => {
                self.packets.fetch_add(1, Ordering::Relaxed);
                if self.next.swap(number + 1, Ordering::Relaxed) != number {
                    self.disorder.fetch_add(1, Ordering::Relaxed);
                }
            }
            CHAT => {
                self.packets.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn lock_pongs(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.pongs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_for(&self, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + STRAGGLERS;
        while !enough(self) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }

    fn clear(&self) {
        for count in [&self.packets, &self.next, &self.disorder] {
            count.store(0, Ordering::Relaxed);
        }
        self.lock_pongs().clear();
    }
}

impl Room {
    async fn handle(&mut self, asked: &Value) -> anyhow::Result<Value> {
        self.received.clear();
        match text(asked, "do")? {
            "join" => self.join(asked).await,
            "echo" => self.echo(asked).await,
            "flood" => self.flood(asked).await,
            "chat" => self.chat(asked).await,
            other => bail!("no request {other:?}"),
        }
    }

    /// Joins all, so many at once.
    async fn join(&mut self, asked: &Value) -> anyhow::Result<Value> {
        let at_once = number(asked, "at_once")? as usize;
        let asked_members = asked["members"].as_array().context("no members")?;
        let mut joining = JoinSet::new();
        for asked_member in asked_members {
            while joining.len() >= at_once {
                self.joined(joining.join_next().await)?;
            }
            let options = ConnectOptions::new(text(asked, "url")?, text(asked_member, "token")?);
            let to = [text(asked_member, "to")?.to_owned()];
            let received = self.received.clone();
            joining.spawn(async move {
                let me = Arc::new(OnceLock::new());
                let myself = me.clone();
                let handler = move |event| received.handle(&myself, event);
                let participant = Participant::connect_with(options, handler).await?;
                let _ = me.set(participant.clone());
                anyhow::Ok(Member { participant, to })
            });
        }
        while let Some(joined) = joining.join_next().await {
            self.joined(Some(joined))?;
        }
        Ok(json!({ "joined": self.members.len() }))
    }

    fn joined(
        &mut self,
        joined: Option<Result<anyhow::Result<Member>, tokio::task::JoinError>>,
    ) -> anyhow::Result<()> {
        if let Some(joined) = joined {
            self.members.push(joined??);
        }
        Ok(())
    }

    /// The first sends to the second at a steady rate, who sends each packet back.
    async fn echo(&self, asked: &Value) -> anyhow::Result<Value> {
        let (channel, mut payload) = (channel(asked), vec![0; number(asked, "bytes")? as usize]);
        let per_second = number(asked, "per_second")?;
        let count = (per_second * number(asked, "seconds")?) as usize;
        let sender = self.members.first().context("nobody has joined")?;
        let begun = tokio::time::Instant::now();
        for i in 0..count {
            let due = Duration::from_secs_f64(i as f64 / per_second);
            tokio::time::sleep_until(begun + due).await;
            payload[..8].copy_from_slice(&self.received.now().to_le_bytes());
            sender
                .participant
                .send(packet(PING, &payload, channel, &sender.to))?;
        }
        self.received
            .wait_for(|received| received.lock_pongs().len() >= count)
            .await;
        Ok(json!({ "sent": count, "latencies_ns": *self.received.lock_pongs() }))
    }

    /// The first sends to the second at a steady rate, who counts.
    async fn flood(&self, asked: &Value) -> anyhow::Result<Value> {
        let (channel, mut payload) = (channel(asked), vec![0; number(asked, "bytes")? as usize]);
        let per_second = number(asked, "per_second")?;
        let count = (per_second * number(asked, "seconds")?) as u64;
        let sender = self.members.first().context("nobody has joined")?;
        let dropped = sender.participant.stats().lossy_dropped_sending;
        let begun = Instant::now();
        let (mut schedule, mut sent, mut refused) = (begun, 0, 0);
        while sent < count {
            let mut due = ((schedule.elapsed().as_secs_f64() * per_second) as u64 + 1).min(count);
            if due > sent + BURST {
                // This thread was late. It does not make up for it by what no sender would do.
                due = sent + BURST;
                schedule = Instant::now() - Duration::from_secs_f64(due as f64 / per_second);
            }
            while sent < due {
                payload[..8].copy_from_slice(&sent.to_le_bytes());
                let packet = packet(FLOOD, &payload, channel, &sender.to);
                match sender.participant.send(packet) {
                    Ok(()) => {}
                    Err(SendError::Full) => refused += 1,
                    Err(error) => return Err(error.into()),
                }
                sent += 1;
            }
            // Finer than the runtime's timer, and outside of it.
            tokio::task::block_in_place(|| std::thread::sleep(PAUSE));
        }
        let took = begun.elapsed();
        let received = &self.received;
        let packets = |received: &Received| received.packets.load(Ordering::Relaxed);
        received
            .wait_for(|received| packets(received) >= count)
            .await;
        Ok(json!({
            "sent": count, "refused": refused, "received": packets(received),
            "per_second": count as f64 / took.as_secs_f64(),
            "dropped_sending": sender.participant.stats().lossy_dropped_sending - dropped,
            "disorder": received.disorder.load(Ordering::Relaxed),
        }))
    }

    /// Each sends to its neighbour at a steady rate, all of them spread over time.
    async fn chat(&self, asked: &Value) -> anyhow::Result<Value> {
        let (channel, payload) = (channel(asked), vec![0; number(asked, "bytes")? as usize]);
        let each = number(asked, "per_second")?;
        let total = (each * number(asked, "seconds")?) as usize as u64 * self.members.len() as u64;
        let per_second = each * self.members.len() as f64;
        let (begun, mut sent) = (Instant::now(), 0);
        while sent < total {
            let due = ((begun.elapsed().as_secs_f64() * per_second) as u64 + 1).min(total);
            while sent < due {
                let sender = &self.members[sent as usize % self.members.len()];
                sender
                    .participant
                    .send(packet(CHAT, &payload, channel, &sender.to))?;
                sent += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let packets = |received: &Received| received.packets.load(Ordering::Relaxed);
        self.received
            .wait_for(|received| packets(received) >= total)
            .await;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Ok(json!({
            "sent": total, "received": packets(&self.received),
            "reconnecting": count(&self.received.reconnecting),
            "resumed": count(&self.received.resumed),
            "rejoined": count(&self.received.rejoined),
            "closed": count(&self.received.closed),
        }))
    }
}

fn packet<'a>(
    topic: &'a str,
    payload: &'a [u8],
    channel: Channel,
    destinations: &'a [String],
) -> Packet<'a> {
    Packet {
        topic,
        payload,
        channel,
        destinations,
    }
}

fn channel(asked: &Value) -> Channel {
    match asked["reliable"].as_bool() {
        Some(true) => Channel::Reliable,
        _ => Channel::Lossy,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value[key].as_str().with_context(|| format!("no `{key}`"))
}

fn number(value: &Value, key: &str) -> anyhow::Result<f64> {
    value[key].as_f64().with_context(|| format!("no `{key}`"))
}

const PING: &str = "ping";
const PONG: &str = "pong";
const FLOOD: &str = "flood";
const CHAT: &str = "chat";

/// How long to wait for what is under way.
const STRAGGLERS: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(5);
/// Between the packets of a flood, so that they come in small bursts, and the largest of them.
const PAUSE: Duration = Duration::from_micros(250);
const BURST: u64 = 16;
