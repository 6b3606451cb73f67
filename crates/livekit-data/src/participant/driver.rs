//! Moves bytes between a [`Connection`] and its sockets.

use super::Shared;
use super::signalling::WebSocket;
use crate::{CloseReason, Connection, Encoder, Event, Message, Session};
use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Packets from the handles.
pub(super) struct Queues {
    pub(super) lossy: mpsc::Receiver<Message>,
    pub(super) reliable: mpsc::Receiver<Message>,
}

pub(super) struct Driver<H> {
    connection: Connection,
    socket: UdpSocket,
    datagram: Box<[u8]>,
    signals: SplitStream<WebSocket>,
    signal_sender: mpsc::Sender<Frame>,
    signal_task: JoinHandle<()>,
    queues: Queues,
    shared: Arc<Shared>,
    handler: H,
    /// Set once the connection has been told to leave.
    leaving: bool,
    /// The handler could not take an event.
    overflowed: bool,
    /// Lossy packets that the connection dropped and that were reported.
    lossy_dropped: u64,
}

impl<H: FnMut(Event) -> bool + Send> Driver<H> {
    pub(super) fn new(
        connection: Connection,
        socket: UdpSocket,
        websocket: WebSocket,
        queues: Queues,
        shared: Arc<Shared>,
        handler: H,
    ) -> Self {
        let (mut sink, signals) = websocket.split();
        let (signal_sender, mut to_send) = mpsc::channel(SIGNAL_QUEUE);
        // Apart, so that a stalled TCP connection does not hold up datagrams.
        let signal_task = tokio::spawn(async move {
            while let Some(frame) = to_send.recv().await {
                if sink.send(frame).await.is_err() {
                    return;
                }
            }
            let _ = sink.close().await;
        });
        Driver {
            connection,
            socket,
            datagram: vec![0; MAX_DATAGRAM].into(),
            signals,
            signal_sender,
            signal_task,
            queues,
            shared,
            handler,
            leaving: false,
            overflowed: false,
            lossy_dropped: 0,
        }
    }

    /// Runs until packets can be sent.
    pub(super) async fn join(&mut self) -> Result<(Session, Encoder), CloseReason> {
        // A socket counts as not writable until it has been asked once.
        let _ = self.socket.writable().await;
        loop {
            if let ControlFlow::Break(reason) = self.flush() {
                return Err(reason);
            }
            if let (Some(session), Some(encoder)) =
                (self.connection.session(), self.connection.encoder())
            {
                return Ok((session.clone(), encoder));
            }
            self.step().await;
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
        drop(self.signal_sender);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.signal_task).await;
        self.shared.done.send_replace(true);
    }

    /// Does what the connection wants done.
    fn flush(&mut self) -> ControlFlow<CloseReason> {
        while let Some(transmit) = self.connection.poll_transmit() {
            // A full socket buffer is a lossy line: what matters is retransmitted.
            let _ = self
                .socket
                .try_send_to(&transmit.contents, transmit.destination);
        }
        while let Some(signal) = self.connection.poll_signal() {
            if self
                .signal_sender
                .try_send(Frame::Binary(signal.into()))
                .is_err()
            {
                self.connection.handle_signal_lost();
            }
        }
        while let Some(event) = self.connection.poll_event() {
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
        let due = self
            .connection
            .poll_timeout()
            .map(tokio::time::Instant::from_std);
        let timeout = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let takes_reliable = !self.leaving && self.connection.reliable_waiting() < RELIABLE_AHEAD;
        tokio::select! {
            _ = self.socket.readable() => self.receive(),
            message = self.queues.lossy.recv(), if !self.leaving => match message {
                Some(message) => self.send_lossy(message),
                None => self.leave(), // every handle was dropped
            },
            message = self.queues.reliable.recv(), if takes_reliable => match message {
                Some(message) => self.send_reliable(message),
                None => self.leave(),
            },
            frame = self.signals.next() => match frame {
                Some(Ok(Frame::Binary(signal))) => {
                    self.connection.handle_signal(&signal, Instant::now());
                }
                Some(Ok(Frame::Close(_)) | Err(_)) | None => self.connection.handle_signal_lost(),
                Some(Ok(_)) => {}
            },
            () = self.shared.leave.notified(), if !self.leaving => self.leave(),
            () = timeout => self.connection.handle_timeout(Instant::now()),
        }
    }

    fn receive(&mut self) {
        for _ in 0..RECEIVE_BATCH {
            match self.socket.try_recv_from(&mut self.datagram) {
                Ok((len, from)) => {
                    self.connection
                        .handle_datagram(from, &self.datagram[..len], Instant::now());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // A datagram that bounced is reported here; the next one may be good.
                Err(_) => {}
            }
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
    }

    fn accept_reliable(&mut self, message: Message) {
        self.shared
            .reliable_queued
            .fetch_sub(message.bytes.len(), Ordering::Relaxed);
        if let Err(error) = self.connection.send(message) {
            // Room was checked, so this can only be a connection that is about to report its end.
            tracing::debug!(%error, "a reliable packet was not sent");
        }
    }

    /// Takes no more packets, sends those that were accepted, and leaves.
    fn leave(&mut self) {
        self.leaving = true;
        self.queues.lossy.close();
        self.queues.reliable.close();
        // All of it fits: the handles queue 256 kB at most, which the connection has room for
        // beyond what it is ahead.
        while let Ok(message) = self.queues.reliable.try_recv() {
            self.accept_reliable(message);
        }
        self.connection.leave(Instant::now());
    }

    fn publish_stats(&mut self) {
        let stats = self.connection.stats();
        let shared = &self.shared;
        // The handles count the ones that they drop in the same place.
        let dropped = stats.lossy_dropped_sending - self.lossy_dropped;
        if dropped > 0 {
            shared
                .lossy_dropped_sending
                .fetch_add(dropped, Ordering::Relaxed);
            self.lossy_dropped = stats.lossy_dropped_sending;
        }
        shared.duplicates.store(stats.duplicates, Ordering::Relaxed);
        shared.malformed.store(stats.malformed, Ordering::Relaxed);
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

/// Signalling messages to send are a ping every few seconds; this many waiting means that the
/// connection hangs.
const SIGNAL_QUEUE: usize = 16;

/// For the last signalling message to go out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
