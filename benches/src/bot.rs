//! A player of Arena without a screen.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::bail;
use gs_engine::replication::{Applied, Packet as View, ReceivedViews};
use gs_engine::schema::Schema;
use gs_engine::snapshot::Codec;
use gs_protocol::{AUTHORITY_IDENTITY, VERSION, topic, wire};
use livekit_data::{Channel, ConnectOptions, Event, Packet, Participant};

use crate::server::Seat;

/// A joined player.
pub(crate) struct Bot {
    /// Its participant.
    pub(crate) participant: Participant,
    /// The newest tick of which state came.
    pub(crate) tick: Arc<AtomicU32>,
    views: Arc<Mutex<ReceivedViews>>,
}

/// What a bot passes on of what it receives.
pub(crate) enum Received {
    /// State of a tick came; the direction in which this slot's player aims, in its columns' units.
    Aim(Option<i32>, Instant),
    /// A packet on [`ECHO`].
    Echo(Vec<u8>, Instant),
}

impl Bot {
    /// Joins, says hello, and waits for the welcome. With `watch`, state is decoded and passed on.
    pub(crate) async fn join(
        seat: &Seat,
        schema: Arc<Schema>,
        watch: Option<mpsc::Sender<Received>>,
    ) -> anyhow::Result<Self> {
        let tick = Arc::new(AtomicU32::new(0));
        let (newest, slot) = (tick.clone(), Arc::new(AtomicU32::new(NO_SLOT)));
        let my_slot = slot.clone();
        let views = Arc::new(Mutex::new(ReceivedViews::new()));
        let received_views = views.clone();
        let handler = move |event: Event| {
            let Event::Data {
                from,
                topic: named,
                payload,
                received,
                ..
            } = event
            else {
                return;
            };
            if &*named == ECHO {
                if let Some(watch) = &watch {
                    let _ = watch.send(Received::Echo(payload.to_vec(), received));
                }
                return;
            }
            if &*from != AUTHORITY_IDENTITY {
                return;
            }
            if &*named == topic::EVENTS {
                if let Ok(event) = gs_protocol::decode_server_event(&payload)
                    && let Some(wire::server_event::Body::Welcome(welcome)) = event.body
                    && let Some(slot) = welcome.slot
                {
                    my_slot.store(slot, Ordering::Relaxed);
                }
                return;
            }
            if &*named != topic::STATE {
                return;
            }
            let Ok(update) = gs_protocol::decode_state_update(&payload) else {
                return;
            };
            newest.fetch_max(update.tick, Ordering::Relaxed);
            let Some(wire::state_update::Body::Delta(delta)) = &update.body else {
                return;
            };
            let Ok(mut views) = received_views.lock() else {
                return;
            };
            let packet = View {
                baseline_age: delta.baseline,
                older_age: delta.older,
                codec: match delta.codec() {
                    wire::Codec::Ranged => Codec::Ranged,
                    wire::Codec::Packed | wire::Codec::Unspecified => Codec::Packed,
                },
                data: &delta.data,
                whole: delta.whole,
            };
            let tick = update.tick.saturating_sub(delta.age);
            let (Ok(Applied::New), Some(watch)) = (views.apply(&schema, tick, &packet), &watch)
            else {
                return;
            };
            let Some(table) = views.view_at(tick) else {
                return;
            };
            let slot = my_slot.load(Ordering::Relaxed);
            let me = table
                .entities
                .iter()
                .find(|e| e.kind == PLAYER && e.id == slot);
            let aim = me.map(|e| table.columns_of(e)[AIM_COLUMN]);
            let _ = watch.send(Received::Aim(aim, received));
        };
        let options = ConnectOptions::new(&seat.url, &seat.token);
        let participant = Participant::connect_with(options, handler).await?;
        let deadline = Instant::now() + WELCOME_TIMEOUT;
        while slot.load(Ordering::Relaxed) == NO_SLOT {
            if Instant::now() > deadline {
                bail!("the authority did not welcome a player");
            }
            let mut hello = Vec::new();
            gs_protocol::encode_client_event(
                &gs_protocol::ClientEvent::Hello { module: None },
                &mut hello,
            )?;
            send(
                &participant,
                topic::EVENTS,
                &hello,
                Channel::Reliable,
                AUTHORITY_IDENTITY,
            )?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Self {
            participant,
            tick,
            views,
        })
    }

    /// Sends one input for the tick after the newest that is known.
    pub(crate) fn send_input(&self, aim: f32) -> anyhow::Result<()> {
        let tick = self.tick.load(Ordering::Relaxed);
        let (ack_tick, ack_bits) = match self.views.lock() {
            Ok(views) => views.ack(),
            Err(_) => bail!("a packet's handler panicked"),
        };
        let mut data = Vec::with_capacity(14);
        for value in [0.0, 0.0, aim] {
            data.extend_from_slice(&f32::to_le_bytes(value));
        }
        data.extend_from_slice(&[0, 0]);
        let input = wire::PlayerInput {
            version: VERSION,
            frames: vec![wire::InputFrame {
                tick: tick + 1,
                data,
            }],
            ack_tick,
            ack_bits,
            ..Default::default()
        };
        let mut packet = Vec::new();
        gs_protocol::encode_player_input(&input, &mut packet)?;
        send(
            &self.participant,
            topic::INPUT,
            &packet,
            Channel::Lossy,
            AUTHORITY_IDENTITY,
        )
    }
}

/// Sends a packet to one participant.
pub(crate) fn send(
    from: &Participant,
    topic: &str,
    payload: &[u8],
    channel: Channel,
    to: &str,
) -> anyhow::Result<()> {
    let destinations = [to.to_owned()];
    Ok(from.send(Packet {
        topic,
        payload,
        channel,
        destinations: &destinations,
    })?)
}

/// Topic of the plain echo, which the authority never sees.
pub(crate) const ECHO: &str = "echo";
/// Index of Arena's `player` among its entity kinds.
const PLAYER: u8 = 0;
/// Index of `aim` among a player's columns.
const AIM_COLUMN: usize = 2;
const NO_SLOT: u32 = u32::MAX;
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
