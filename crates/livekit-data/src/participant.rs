//! The participant on tokio: one task, one WebSocket, one UDP socket.

use crate::{
    Channel, CloseReason, Config, Connection, Encoder, Event, Message, Packet, SendError, Session,
    Stats, TrackEvent,
};
use dial::Dialler;
use driver::Driver;
use latest::Latest;
use signalling::Server;
use sockets::Sockets;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout_at;
use tracks::{OutgoingFrame, TrackRequest};

mod dial;
mod driver;
mod error;
#[cfg(any(fuzzing, test))]
#[allow(missing_docs)]
pub(crate) mod fuzz;
mod latest;
mod proxy;
mod relays;
mod signal;
mod signalling;
mod sockets;
mod tls;
mod tracks;

pub use error::{ConnectError, JoinStage};
pub use proxy::{Proxies, ProxySettings};
pub use tls::{CertificateError, RootCertificates};

/// Where and how to join.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The LiveKit server: `ws://`, `wss://`, or the same as `http://`, `https://`.
    pub url: String,
    /// The local addresses for datagrams, of either family. If there are none, the one that the
    /// connection to the server uses, and another where that changes: right unless media takes
    /// another route than signalling.
    pub bind: Vec<IpAddr>,
    /// Who may sign the certificates of the server, of TURN servers and of a proxy.
    pub roots: RootCertificates,
    /// Whether signalling, and TURN over TCP, go through an HTTP proxy.
    pub proxies: Proxies,
    /// The token, and what to do when the network fails.
    pub connection: Config,
}

impl ConnectOptions {
    /// Options with everything but the server and the token as is usual. The token has to grant
    /// `roomJoin` for one room.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        let mut connection = Config::new(token);
        connection.seed = RandomState::new().build_hasher().finish();
        ConnectOptions {
            url: url.into(),
            bind: Vec::new(),
            roots: RootCertificates::system(),
            proxies: Proxies::Environment,
            connection,
        }
    }
}

/// A handle on a joined room; clones share it. When the last one is dropped, the participant
/// leaves.
#[derive(Debug, Clone)]
pub struct Participant {
    encoder: Encoder,
    lossy: mpsc::Sender<Message>,
    reliable: mpsc::Sender<Message>,
    frames: mpsc::Sender<OutgoingFrame>,
    tracks: mpsc::Sender<TrackRequest>,
    shared: Arc<Shared>,
}

/// The events of a participant, in order.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
    ended: bool,
}

/// What the handles, the events and the task share.
#[derive(Debug)]
struct Shared {
    /// Bytes of events that wait to be taken.
    event_bytes: AtomicUsize,
    /// Bytes of reliable messages between the handles and the task.
    reliable_queued: AtomicUsize,
    /// The task has taken reliable messages.
    drained: Notify,
    latest: Mutex<Latest>,
    latest_waiting: Notify,
    may_send: AtomicBool,
    session: Mutex<Option<Arc<Session>>>,
    leave: Notify,
    closed: OnceLock<CloseReason>,
    done: watch::Sender<bool>,
    /// What the handles and the queue of events dropped.
    lossy_dropped_sending: AtomicU64,
    lossy_dropped_receiving: AtomicU64,
    frames_dropped_sending: AtomicU64,
    /// What the connection counted.
    stats: Mutex<Stats>,
}

impl Participant {
    /// Joins a room and queues its events.
    ///
    /// The queue takes 4,096 events, and 16 MB. When three quarters of either are in use, lossy
    /// packets are dropped and counted; when it is full, the participant leaves and the events end with
    /// [`CloseReason::SlowConsumer`], because a reliable packet would be lost.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; each one says what to check.
    pub async fn connect(options: ConnectOptions) -> Result<(Self, Events), ConnectError> {
        let (sender, queue) = mpsc::channel(EVENT_QUEUE);
        let shared = Arc::new(Shared::new());
        let counters = shared.clone();
        let enqueue = move |event: Event| {
            // Closing has its own place, where there is always room.
            if matches!(event, Event::Closed(_)) || sender.is_closed() {
                return true;
            }
            let lossy = matches!(
                event,
                Event::Data {
                    channel: Channel::Lossy,
                    ..
                } | Event::Track(TrackEvent::Frame(_))
            );
            let size = event.size();
            let bytes = counters.event_bytes.load(Ordering::Relaxed) + size;
            if lossy && (sender.capacity() <= EVENT_QUEUE / 4 || bytes > EVENT_BYTES / 4 * 3) {
                counters
                    .lossy_dropped_receiving
                    .fetch_add(1, Ordering::Relaxed);
                return true;
            }
            if bytes > EVENT_BYTES {
                return false;
            }
            // Counted before it can be taken.
            counters.event_bytes.fetch_add(size, Ordering::Relaxed);
            !matches!(
                sender.try_send(event),
                Err(mpsc::error::TrySendError::Full(_))
            )
        };
        let participant = join(options, shared.clone(), enqueue).await?;
        Ok((
            participant,
            Events {
                queue,
                shared,
                ended: false,
            },
        ))
    }

    /// Joins a room and calls `handler` with each event, on the task that reads the sockets: the
    /// shortest way there is. It must return within microseconds, since nothing is sent or
    /// received meanwhile. It may be called before this function returns, with participants that
    /// are in the room already and packets that arrive at once. The last event is
    /// [`Event::Closed`].
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; each one says what to check. No [`Event::Closed`] then.
    pub async fn connect_with(
        options: ConnectOptions,
        mut handler: impl FnMut(Event) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        join(options, Arc::new(Shared::new()), move |event| {
            handler(event);
            true
        })
        .await
    }

    /// Sends a packet. Never waits, and may be called from any thread.
    ///
    /// A lossy packet is dropped and counted where the line has no room for it.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the payload does not fit, [`SendError::Full`] when too many
    /// reliable packets wait (about 512 kB, or 1,024 packets not yet seen by the task),
    /// [`SendError::NotPermitted`] without the permission to publish data,
    /// [`SendError::Closed`] when the participant has left.
    pub fn send(&self, packet: Packet<'_>) -> Result<(), SendError> {
        self.send_encoded(self.encode(&packet)?)
    }

    /// Sends a packet, and waits for its turn where too many reliable ones wait before it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), except [`SendError::Full`].
    pub async fn send_in_turn(&self, packet: Packet<'_>) -> Result<(), SendError> {
        let message = self.encode(&packet)?;
        loop {
            let mut drained = std::pin::pin!(self.shared.drained.notified());
            drained.as_mut().enable();
            match self.send_encoded(message.clone()) {
                Err(SendError::Full) => drained.await,
                sent => return sent,
            }
        }
    }

    /// Sends a lossy packet of which only the latest counts: where the line has no room for it,
    /// it waits, until a later one on the same topic to the same destinations takes its place. At
    /// most 64 wait; a reliable packet is sent as by [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_latest(&self, packet: Packet<'_>) -> Result<(), SendError> {
        let message = self.encode(&packet)?;
        if packet.channel == Channel::Reliable {
            return self.send_encoded(message);
        }
        self.check_may_send()?;
        let mut latest = lock(&self.shared.latest);
        let dropped = latest.put(latest::key(&packet), message);
        drop(latest);
        if dropped {
            let dropped = &self.shared.lossy_dropped_sending;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.latest_waiting.notify_one();
        Ok(())
    }

    /// Encodes a packet, to send it several times.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the payload does not fit.
    pub fn encode(&self, packet: &Packet<'_>) -> Result<Message, SendError> {
        self.encoder.encode(packet)
    }

    /// Sends an encoded packet, of this participant or of another in the same process.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_encoded(&self, message: Message) -> Result<(), SendError> {
        self.check_may_send()?;
        match message.channel() {
            Channel::Lossy => match self.lossy.try_send(message) {
                Err(mpsc::error::TrySendError::Closed(_)) => Err(SendError::Closed),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    self.shared
                        .lossy_dropped_sending
                        .fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Ok(()) => Ok(()),
            },
            Channel::Reliable => {
                let len = message.bytes.len();
                let queued = &self.shared.reliable_queued;
                let sent = if queued.fetch_add(len, Ordering::Relaxed) + len > RELIABLE_BYTES {
                    Err(SendError::Full)
                } else {
                    self.reliable
                        .try_send(message)
                        .map_err(|error| match error {
                            mpsc::error::TrySendError::Full(_) => SendError::Full,
                            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
                        })
                };
                if sent.is_err() {
                    queued.fetch_sub(len, Ordering::Relaxed);
                }
                sent
            }
        }
    }

    fn check_may_send(&self) -> Result<(), SendError> {
        if self.lossy.is_closed() {
            return Err(SendError::Closed);
        }
        if !self.shared.may_send.load(Ordering::Relaxed) {
            return Err(SendError::NotPermitted);
        }
        Ok(())
    }

    /// What is known of the room and the server; of the new session after a rejoin.
    pub fn session(&self) -> Arc<Session> {
        let session = lock(&self.shared.session).clone();
        session.expect("set before there is a handle")
    }

    /// What was counted since joining.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let mut stats = *lock(&shared.stats);
        stats.lossy_dropped_sending += shared.lossy_dropped_sending.load(Ordering::Relaxed);
        stats.tracks.dropped_sending += shared.frames_dropped_sending.load(Ordering::Relaxed);
        stats.lossy_dropped_receiving += shared.lossy_dropped_receiving.load(Ordering::Relaxed);
        stats
    }

    /// Leaves the room: waits until what was sent reliably has reached the server, tells it, and
    /// returns when that is done; at most about three seconds. Returns at once if the
    /// participant has left already.
    pub async fn close(&self) {
        self.shared.leave.notify_one();
        // The sender is in `shared`, so waiting ends with the value alone.
        let _ = self.shared.done.subscribe().wait_for(|done| *done).await;
    }
}

impl Events {
    /// The next event; after [`Event::Closed`] there is none.
    pub async fn next(&mut self) -> Option<Event> {
        match self.queue.recv().await {
            Some(event) => Some(self.taken(event)),
            None => self.end(),
        }
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.queue.try_recv() {
            Ok(event) => Some(self.taken(event)),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => self.end(),
        }
    }

    fn taken(&self, event: Event) -> Event {
        let bytes = &self.shared.event_bytes;
        bytes.fetch_sub(event.size(), Ordering::Relaxed);
        event
    }

    fn end(&mut self) -> Option<Event> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        // Without a reason the task was stopped with its runtime.
        let reason = self.shared.closed.get().cloned();
        Some(Event::Closed(reason.unwrap_or(CloseReason::ConnectionLost)))
    }
}

impl Shared {
    fn new() -> Self {
        Shared {
            event_bytes: AtomicUsize::new(0),
            reliable_queued: AtomicUsize::new(0),
            drained: Notify::new(),
            latest: Mutex::default(),
            latest_waiting: Notify::new(),
            may_send: AtomicBool::new(true),
            session: Mutex::new(None),
            leave: Notify::new(),
            closed: OnceLock::new(),
            done: watch::Sender::new(false),
            lossy_dropped_sending: AtomicU64::new(0),
            lossy_dropped_receiving: AtomicU64::new(0),
            frames_dropped_sending: AtomicU64::new(0),
            stats: Mutex::default(),
        }
    }
}

/// Nothing that is locked here is left half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Joins, then leaves the rest to a task. `handler` says whether it could take the event.
async fn join(
    options: ConnectOptions,
    shared: Arc<Shared>,
    handler: impl FnMut(Event) -> bool + Send + 'static,
) -> Result<Participant, ConnectError> {
    let dialler = Dialler::new(options.roots, options.proxies);
    let server = Arc::new(Server::parse(&options.url, dialler)?);
    let join_timeout = options.connection.join_timeout;
    let deadline = tokio::time::Instant::now() + join_timeout;
    let late = |stage| ConnectError::Timeout {
        stage,
        after: join_timeout,
    };
    let dial = timeout_at(deadline, server.dial()).await;
    let connected = dial.map_err(|_| late(JoinStage::Reach))??;
    // The address that reaches the server's signalling is the one to offer for media as well.
    let sockets = Sockets::bind(&options.bind, connected.local).map_err(ConnectError::Bind)?;
    let mut config = options.connection;
    // What reaching the server has left of it.
    config.join_timeout = deadline.saturating_duration_since(tokio::time::Instant::now());
    let connection = Connection::new(config, &sockets.addresses(), Instant::now())?;

    let (lossy, lossy_queue) = mpsc::channel(LOSSY_QUEUE);
    let (reliable, reliable_queue) = mpsc::channel(RELIABLE_QUEUE);
    let (frames, frames_queue) = mpsc::channel(FRAME_QUEUE);
    let (tracks, tracks_queue) = mpsc::channel(TRACK_QUEUE);
    let queues = driver::Queues {
        lossy: lossy_queue,
        reliable: reliable_queue,
        frames: frames_queue,
        tracks: tracks_queue,
    };
    let mut driver = Driver::new(
        connection,
        sockets,
        server,
        connected,
        queues,
        shared.clone(),
        handler,
    );
    let encoder = match driver.join().await {
        Err(ConnectError::Refused {
            reason: CloseReason::JoinTimedOut,
        }) => return Err(late(driver.stage())),
        joined => joined?,
    };
    tokio::spawn(driver.run());
    Ok(Participant {
        encoder,
        lossy,
        reliable,
        frames,
        tracks,
        shared,
    })
}

/// A second of events for a busy room: 60 times a second from 60 participants.
const EVENT_QUEUE: usize = 4_096;

/// What these events may take: a peer's can be 65 kB each, and its frames of data tracks 1.2 MB.
const EVENT_BYTES: usize = 16 << 20;

/// Lossy packets between the handles and the task: one tick's packets for a room of 250.
const LOSSY_QUEUE: usize = 256;

/// Reliable packets between the handles and the task, in number and in bytes.
const RELIABLE_QUEUE: usize = 1_024;
const RELIABLE_BYTES: usize = 256 * 1024;

/// Frames between the handles and the task: a tick's for sixty tracks.
const FRAME_QUEUE: usize = 64;

/// Requests about tracks between the handles and the task; the next one waits.
const TRACK_QUEUE: usize = 64;
