//! The participant on tokio: one task, one WebSocket, one UDP socket.

use crate::{
    Channel, CloseReason, Connection, Encoder, Event, Message, Packet, SendError, Session, Stats,
};
use driver::Driver;
use signalling::Server;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout_at;

mod driver;
mod error;
mod signalling;

pub use error::{ConnectError, JoinStage};

/// Where and how to join. The token is never shown.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The LiveKit server: `ws://`, `wss://`, or the same as `http://`, `https://`.
    pub url: String,
    /// An access token that grants `roomJoin` for one room.
    pub token: String,
    /// How long joining may take in all; 10 s unless set.
    pub join_timeout: Duration,
    /// The local address for datagrams. Unless set, the one that the connection to the server
    /// uses, which is right unless media takes another route than signalling.
    pub bind: Option<IpAddr>,
}

impl ConnectOptions {
    /// Options with everything but the server and the token as is usual.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        ConnectOptions {
            url: url.into(),
            token: token.into(),
            join_timeout: Duration::from_secs(10),
            bind: None,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("url", &self.url)
            .field("join_timeout", &self.join_timeout)
            .field("bind", &self.bind)
            .finish_non_exhaustive()
    }
}

/// A handle on a joined room; clones share it. When the last one is dropped, the participant
/// leaves.
#[derive(Debug, Clone)]
pub struct Participant {
    encoder: Encoder,
    session: Session,
    lossy: mpsc::Sender<Message>,
    reliable: mpsc::Sender<Message>,
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
    /// Bytes of reliable messages between the handles and the task.
    reliable_queued: AtomicUsize,
    leave: Notify,
    closed: OnceLock<CloseReason>,
    done: watch::Sender<bool>,
    lossy_dropped_sending: AtomicU64,
    lossy_dropped_receiving: AtomicU64,
    duplicates: AtomicU64,
    malformed: AtomicU64,
}

impl Participant {
    /// Joins a room and queues its events.
    ///
    /// The queue takes 4,096 events. When three quarters of it are in use, lossy packets are
    /// dropped and counted; when it is full, the participant leaves and the events end with
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
            let lossy = matches!(
                event,
                Event::Data {
                    channel: Channel::Lossy,
                    ..
                }
            );
            if lossy && sender.capacity() <= EVENT_QUEUE / 4 {
                counters
                    .lossy_dropped_receiving
                    .fetch_add(1, Ordering::Relaxed);
                return true;
            }
            // Closing has its own place, where there is always room.
            let closing = matches!(event, Event::Closed(_));
            closing
                || !matches!(
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
    /// [`SendError::Closed`] when the participant has left.
    pub fn send(&self, packet: Packet<'_>) -> Result<(), SendError> {
        let message = self.encoder.encode(&packet)?;
        match packet.channel {
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

    /// What joining told about the room and the server.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What was counted since joining.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            lossy_dropped_sending: shared.lossy_dropped_sending.load(Ordering::Relaxed),
            lossy_dropped_receiving: shared.lossy_dropped_receiving.load(Ordering::Relaxed),
            duplicates: shared.duplicates.load(Ordering::Relaxed),
            malformed: shared.malformed.load(Ordering::Relaxed),
        }
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
            Some(event) => Some(event),
            None => self.end(),
        }
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.queue.try_recv() {
            Ok(event) => Some(event),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => self.end(),
        }
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
            reliable_queued: AtomicUsize::new(0),
            leave: Notify::new(),
            closed: OnceLock::new(),
            done: watch::Sender::new(false),
            lossy_dropped_sending: AtomicU64::new(0),
            lossy_dropped_receiving: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }
    }
}

/// Joins, then leaves the rest to a task. `handler` says whether it could take the event.
async fn join(
    options: ConnectOptions,
    shared: Arc<Shared>,
    handler: impl FnMut(Event) -> bool + Send + 'static,
) -> Result<Participant, ConnectError> {
    let server = Server::parse(&options.url)?;
    let deadline = tokio::time::Instant::now() + options.join_timeout;
    let late = |stage| ConnectError::Timeout {
        stage,
        after: options.join_timeout,
    };

    let dial = timeout_at(deadline, server.dial()).await;
    let tcp = dial.map_err(|_| late(JoinStage::Reach))??;
    // The address that reaches the server's signalling is the one to offer for media as well.
    let route = tcp
        .local_addr()
        .map_err(|source| server.unreachable(source))?
        .ip();
    let socket = bind(options.bind.unwrap_or(route))?;
    let local = socket.local_addr().map_err(ConnectError::Bind)?;
    let connection = Connection::new(local, Instant::now())?;

    let upgrade = server.upgrade(tcp, connection.join_path(), &options.token);
    let websocket = timeout_at(deadline, upgrade)
        .await
        .map_err(|_| late(JoinStage::Signal))??;

    let (lossy, lossy_queue) = mpsc::channel(LOSSY_QUEUE);
    let (reliable, reliable_queue) = mpsc::channel(RELIABLE_QUEUE);
    let queues = driver::Queues {
        lossy: lossy_queue,
        reliable: reliable_queue,
    };
    let mut driver = Driver::new(
        connection,
        socket,
        websocket,
        queues,
        shared.clone(),
        handler,
    );
    let joined = timeout_at(deadline, driver.join()).await;
    let (session, encoder) = joined
        .map_err(|_| late(JoinStage::Media))?
        .map_err(|reason| ConnectError::Refused { reason })?;
    tokio::spawn(driver.run());
    Ok(Participant {
        encoder,
        session,
        lossy,
        reliable,
        shared,
    })
}

fn bind(ip: IpAddr) -> Result<UdpSocket, ConnectError> {
    let address = SocketAddr::new(ip, 0);
    let bind = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        // The system may grant less; that costs packets only under a burst.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    };
    bind().map_err(ConnectError::Bind)
}

/// A second of events for a busy room: 60 times a second from 60 participants.
const EVENT_QUEUE: usize = 4_096;

/// Lossy packets between the handles and the task: one tick's packets for a room of 250.
const LOSSY_QUEUE: usize = 256;

/// Reliable packets between the handles and the task, in number and in bytes.
const RELIABLE_QUEUE: usize = 1_024;
const RELIABLE_BYTES: usize = 256 * 1024;

/// A burst from a room of 100 at 1 kB each, some ten times over.
const SOCKET_BUFFER: usize = 1 << 20;
