//! Moves bytes between a [`Connection`] and its sockets.

use super::dial::Connected;
use super::relays::{RelayIo, RelayStreams};
use super::signal::{Signal, SignalEvent};
use super::signalling::Server;
use super::sockets::Sockets;
use super::tracks::{OutgoingFrame, TrackRequest, Waiting};
use super::{ConnectError, JoinStage, Shared, lock};
use crate::{CloseReason, Connection, Encoder, Event, Message, Stats};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::Sleep;

/// Packets from the handles.
pub(super) struct Queues {
    pub(super) lossy: mpsc::Receiver<Message>,
    pub(super) reliable: mpsc::Receiver<Message>,
    pub(super) frames: mpsc::Receiver<OutgoingFrame>,
    pub(super) tracks: mpsc::Receiver<TrackRequest>,
}

pub(super) struct Driver<H> {
    pub(super) connection: Connection,
    sockets: Sockets,
    datagram: Box<[u8]>,
    signal: Signal,
    /// Connected already, for the first WebSocket.
    connected: Option<Connected>,
    relays: RelayStreams,
    timer: Pin<Box<Sleep>>,
    queues: Queues,
    pub(super) shared: Arc<Shared>,
    pub(super) publishing: Waiting,
    handler: H,
    /// Why the last WebSocket could not be opened.
    failure: Option<ConnectError>,
    /// Set once the connection has been told to leave.
    leaving: bool,
    /// The handler could not take an event.
    overflowed: bool,
    /// Reliable packets that a handle took and the connection did not.
    not_sent: u64,
    /// What was published of the counters.
    stats: Stats,
}

impl<H: FnMut(Event) -> bool + Send> Driver<H> {
    pub(super) fn new(
        connection: Connection,
        sockets: Sockets,
        server: Arc<Server>,
        connected: Connected,
        queues: Queues,
        shared: Arc<Shared>,
        handler: H,
    ) -> Self {
        Driver {
            connection,
            sockets,
            datagram: vec![0; MAX_DATAGRAM].into(),
            relays: RelayStreams::new(server.dialler()),
            signal: Signal::new(server),
            connected: Some(connected),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            queues,
            shared,
            publishing: Waiting::new(),
            handler,
            failure: None,
            leaving: false,
            overflowed: false,
            not_sent: 0,
            stats: Stats::default(),
        }
    }

    /// Runs until packets can be sent.
    pub(super) async fn join(&mut self) -> Result<Encoder, ConnectError> {
        self.sockets.writable().await;
        loop {
            if let ControlFlow::Break(reason) = self.flush() {
                let refused = ConnectError::Refused { reason };
                return Err(self.failure.take().unwrap_or(refused));
            }
            if let Some(encoder) = self.connection.encoder() {
                self.publish_session();
                return Ok(encoder);
            }
            self.step().await;
        }
    }

    /// What a join waits for.
    pub(super) fn stage(&self) -> JoinStage {
        match self.signal.is_open() {
            true => JoinStage::Media,
            false => JoinStage::Signal,
        }
    }

    /// Runs until the connection is over.
    pub(super) async fn run(mut self) {
        let reason = loop {
            if let ControlFlow::Break(reason) = self.flush() {
                break if self.overflowed {
                    CloseReason::SlowConsumer
                } else {
                    reason
                };
            }
            self.step().await;
        };
        tracing::debug!(%reason, "participant closed");
        let _ = self.shared.closed.set(reason.clone());
        (self.handler)(Event::Closed(reason));
        drop(self.handler);
        // The queue closes first, so that a handle that sees `done` cannot send any more.
        drop(self.queues);
        self.shared.drained.notify_waiters();
        let close = async { tokio::join!(self.signal.close(), self.relays.close()) };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
        self.shared.done.send_replace(true);
    }

    /// Does what the connection wants done.
    fn flush(&mut self) -> ControlFlow<CloseReason> {
        if self.connection.wants_subscriber_addresses() {
            match self.sockets.add_second() {
                Ok(addresses) => self.connection.set_subscriber_addresses(&addresses),
                Err(error) => return ControlFlow::Break(CloseReason::Other(error.to_string())),
            }
        }
        if let Some(dial) = self.connection.poll_dial() {
            self.failure = None;
            self.signal.dial(dial, self.connected.take());
        }
        while let Some(transmit) = self.connection.poll_transmit() {
            self.sockets
                .send(transmit.source, transmit.destination, &transmit.contents);
        }
        while let Some((id, message)) = self.connection.poll_relay_transmit() {
            self.relays.send(id, message);
        }
        while let Some(request) = self.connection.poll_relay() {
            self.relays.request(request);
        }
        while let Some(signal) = self.connection.poll_signal() {
            if !self.signal.send(signal) {
                self.connection.handle_signal_lost(Instant::now());
            }
        }
        while let Some(event) = self.connection.poll_event() {
            match &event {
                Event::Closed(_) => {}
                Event::Rejoined { .. } => self.publish_session(),
                Event::PermissionsChanged(permissions) => {
                    let may_send = permissions.can_publish_data;
                    self.shared.may_send.store(may_send, Ordering::Relaxed);
                }
                Event::Track(event) => self.answer_publishers(event),
                _ => {}
            }
            match event {
                Event::Closed(reason) => return ControlFlow::Break(reason),
                event if self.overflowed => drop(event),
                event => self.overflowed = !(self.handler)(event),
            }
        }
        if self.overflowed && !self.leaving {
            self.leave();
        }
        self.publish_stats();
        ControlFlow::Continue(())
    }

    /// Waits for something to happen and hands it to the connection.
    async fn step(&mut self) {
        let due = self.connection.poll_timeout();
        // One that goes off too early costs less than moving it with every packet.
        if let Some(due) = due.map(tokio::time::Instant::from_std)
            && (due < self.timer.deadline() || self.timer.is_elapsed())
        {
            self.timer.as_mut().reset(due);
        }
        let takes_reliable = !self.leaving && self.connection.reliable_waiting() < RELIABLE_AHEAD;
        tokio::select! {
            at = self.sockets.readable() => self.receive(at),
            message = self.queues.lossy.recv(), if !self.leaving => match message {
                Some(message) => self.send_lossy(message),
                None => self.leave(), // every handle was dropped
            },
            message = self.queues.reliable.recv(), if takes_reliable => match message {
                Some(message) => self.send_reliable(message),
                None => self.leave(),
            },
            Some(frame) = self.queues.frames.recv(), if !self.leaving => self.send_frame(&frame),
            Some(request) = self.queues.tracks.recv(), if !self.leaving => {
                self.handle_track_request(request);
            }
            () = self.shared.latest_waiting.notified(), if !self.leaving => self.send_latest(),
            event = self.signal.next() => self.handle_signal(event),
            event = self.relays.next() => self.handle_relay(event),
            () = self.shared.leave.notified(), if !self.leaving => self.leave(),
            () = &mut self.timer, if due.is_some() => {
                self.connection.handle_timeout(Instant::now());
            }
        }
    }

    fn handle_signal(&mut self, event: SignalEvent) {
        let now = Instant::now();
        match event {
            SignalEvent::Connected => self.connection.handle_connected(now),
            SignalEvent::Opened(route) => {
                let moved = self.sockets.follow(route);
                if let Ok(Some(addresses)) = moved
                    && let Err(error) = self.connection.set_local_addresses(&addresses)
                {
                    tracing::debug!(%error, "cannot use the new local address");
                }
                self.connection.handle_dialled(now);
            }
            SignalEvent::Failed(error) => {
                tracing::debug!(%error, "cannot open the connection for signalling");
                let failure = error.as_dial_failure();
                self.failure = Some(error);
                self.connection.handle_dial_failed(failure, now);
            }
            SignalEvent::Message(message) => self.connection.handle_signal(&message, now),
            SignalEvent::Lost => self.connection.handle_signal_lost(now),
        }
    }

    fn handle_relay(&mut self, event: RelayIo) {
        let (connection, now) = (&mut self.connection, Instant::now());
        match event {
            RelayIo::Resolved(id, found) => connection.handle_relay_resolved(id, &found, now),
            RelayIo::Open(id, server) => connection.handle_relay_open(id, server, now),
            RelayIo::Data(id, bytes) => connection.handle_relay_data(id, &bytes, now),
            RelayIo::Lost(id) => connection.handle_relay_lost(id, now),
        }
    }

    fn receive(&mut self, at: usize) {
        for _ in 0..RECEIVE_BATCH {
            let Some((local, from, len)) = self.sockets.receive(at, &mut self.datagram) else {
                break;
            };
            let datagram = &self.datagram[..len];
            self.connection
                .handle_datagram(local, from, datagram, Instant::now());
        }
    }

    fn send_lossy(&mut self, message: Message) {
        // The connection counts what it drops, and refuses only when it is about to close.
        let _ = self.connection.send(message);
        for _ in 0..SEND_BATCH {
            let Ok(message) = self.queues.lossy.try_recv() else {
                break;
            };
            let _ = self.connection.send(message);
        }
    }

    fn send_latest(&mut self) {
        let mut latest = lock(&self.shared.latest);
        while let Some((key, message)) = latest.pop() {
            let _ = self.connection.send_latest(message, key);
        }
    }

    fn send_reliable(&mut self, message: Message) {
        self.accept_reliable(message);
        for _ in 0..SEND_BATCH {
            if self.connection.reliable_waiting() >= RELIABLE_AHEAD {
                break;
            }
            let Ok(message) = self.queues.reliable.try_recv() else {
                break;
            };
            self.accept_reliable(message);
        }
        self.shared.drained.notify_waiters();
    }

    fn accept_reliable(&mut self, message: Message) {
        self.shared
            .reliable_queued
            .fetch_sub(message.bytes.len(), Ordering::Relaxed);
        if let Err(error) = self.connection.send(message) {
            // Room was checked, so this can only be a connection that is about to report its end,
            // or one that has just lost its permission.
            tracing::debug!(%error, "a reliable packet was not sent");
            self.not_sent += 1;
        }
    }

    /// Takes no more packets, sends those that were accepted, and leaves.
    fn leave(&mut self) {
        self.leaving = true;
        self.queues.lossy.close();
        self.queues.reliable.close();
        self.queues.frames.close();
        self.queues.tracks.close();
        // All of it fits: the handles queue 256 kB at most, which the connection has room for
        // beyond what it is ahead.
        while let Ok(message) = self.queues.reliable.try_recv() {
            self.accept_reliable(message);
        }
        self.connection.leave(Instant::now());
    }

    fn publish_session(&self) {
        let session = self.connection.session().cloned().map(Arc::new);
        *lock(&self.shared.session) = session;
        let may_send = self.connection.permissions().can_publish_data;
        self.shared.may_send.store(may_send, Ordering::Relaxed);
    }

    fn publish_stats(&mut self) {
        let mut stats = self.connection.stats();
        stats.reliable_lost += self.not_sent;
        if stats != self.stats {
            self.stats = stats;
            *lock(&self.shared.stats) = stats;
        }
    }
}

/// LiveKit's datagrams stay below 1,300 bytes; a longer one is cut and then refused.
const MAX_DATAGRAM: usize = 2_048;

/// Datagrams, and packets, that are taken in a row before anything else has its turn: some 50 µs
/// each at worst.
const RECEIVE_BATCH: usize = 64;
const SEND_BATCH: usize = 64;

/// Reliable bytes that the connection may hold ahead of the line. Little, so that the handles'
/// own queue fills and its senders are told.
const RELIABLE_AHEAD: usize = 128 * 1024;

/// For the last signalling message to go out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
