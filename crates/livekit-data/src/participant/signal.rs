//! The WebSocket while it is opened, used and lost.

use super::ConnectError;
use super::dial::Connected;
use super::signalling::{Server, WebSocket};
use crate::{Dial, DialFailure};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio_tungstenite::tungstenite::Message as Frame;

/// One WebSocket after the other, each with the messages that wait to go out over it.
pub(super) struct Signal {
    server: Arc<Server>,
    state: State,
    outgoing: VecDeque<Vec<u8>>,
    flushing: bool,
}

enum State {
    Closed,
    Connecting(Pending<(Dial, Connected)>),
    Opening(Pending<(WebSocket, IpAddr)>),
    Open(Box<WebSocket>),
}

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send>>;

/// What happened to it.
pub(super) enum SignalEvent {
    /// The server is reached.
    Connected,
    /// It is open, and goes from this address.
    Opened(IpAddr),
    Failed(ConnectError),
    Message(Bytes),
    Lost,
}

impl Signal {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Signal {
            server,
            state: State::Closed,
            outgoing: VecDeque::new(),
            flushing: false,
        }
    }

    /// Opens another WebSocket in place of the one before, over `connected` if there is one already.
    pub(super) fn dial(&mut self, dial: Dial, connected: Option<Connected>) {
        self.outgoing.clear();
        self.flushing = false;
        self.state = match connected {
            Some(connected) => self.open(dial, connected),
            None => {
                let server = self.server.clone();
                State::Connecting(Box::pin(async move { Ok((dial, server.dial().await?)) }))
            }
        };
    }

    fn open(&self, dial: Dial, connected: Connected) -> State {
        let server = self.server.clone();
        State::Opening(Box::pin(async move {
            let token = dial.token.expose();
            let websocket = server.upgrade(connected.io, &dial.path, token).await?;
            Ok((websocket, connected.local))
        }))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Queues a message; false if so many wait that the WebSocket must hang.
    pub(super) fn send(&mut self, message: Vec<u8>) -> bool {
        if self.outgoing.len() >= MAX_OUTGOING {
            self.state = State::Closed;
            return false;
        }
        self.outgoing.push_back(message);
        true
    }

    /// The next thing that happens; sends what waits meanwhile. Nothing is lost when it is
    /// dropped and called again.
    pub(super) async fn next(&mut self) -> SignalEvent {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SignalEvent> {
        match &mut self.state {
            State::Closed => Poll::Pending,
            State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                Ok((dial, connected)) => {
                    self.state = self.open(dial, connected);
                    Poll::Ready(SignalEvent::Connected)
                }
                Err(error) => self.failed(error),
            },
            State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                Ok((websocket, route)) => {
                    self.state = State::Open(Box::new(websocket));
                    Poll::Ready(SignalEvent::Opened(route))
                }
                Err(error) => self.failed(error),
            },
            State::Open(_) => self.poll_open(cx),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<SignalEvent> {
        let State::Open(websocket) = &mut self.state else {
            return Poll::Pending;
        };
        let mut websocket = Pin::new(&mut **websocket);
        while !self.outgoing.is_empty() {
            match websocket.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.lost(),
                Poll::Pending => break,
            }
            let message = self.outgoing.pop_front().unwrap_or_default();
            let frame = Frame::Binary(message.into());
            if websocket.as_mut().start_send(frame).is_err() {
                return self.lost();
            }
            self.flushing = true;
        }
        if self.flushing {
            match websocket.as_mut().poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(_)) => return self.lost(),
                Poll::Pending => {}
            }
        }
        loop {
            return match ready!(websocket.as_mut().poll_next(cx)) {
                Some(Ok(Frame::Binary(message))) => Poll::Ready(SignalEvent::Message(message)),
                Some(Ok(Frame::Close(_)) | Err(_)) | None => self.lost(),
                Some(Ok(_)) => continue,
            };
        }
    }

    fn failed(&mut self, error: ConnectError) -> Poll<SignalEvent> {
        self.state = State::Closed;
        Poll::Ready(SignalEvent::Failed(error))
    }

    fn lost(&mut self) -> Poll<SignalEvent> {
        self.state = State::Closed;
        Poll::Ready(SignalEvent::Lost)
    }

    /// Sends what waits, and closes.
    pub(super) async fn close(self) {
        let State::Open(mut websocket) = self.state else {
            return;
        };
        for message in self.outgoing {
            if websocket.feed(Frame::Binary(message.into())).await.is_err() {
                return;
            }
        }
        let _ = SinkExt::close(&mut *websocket).await;
    }
}

impl ConnectError {
    /// What it means for getting back into a room.
    pub(super) fn as_dial_failure(&self) -> DialFailure {
        match self {
            ConnectError::Unauthorized { .. } => DialFailure::Unauthorized,
            ConnectError::RoomNotFound { .. } => DialFailure::RoomNotFound,
            ConnectError::Refused { .. } => DialFailure::Refused,
            ConnectError::UnexpectedStatus { status: 404, .. } => DialFailure::UnknownPath,
            ConnectError::UnexpectedStatus { status, .. } if *status < 500 => DialFailure::Refused,
            _ => DialFailure::Unreachable,
        }
    }
}

/// Signalling messages to send are a ping every few seconds and a handful when connecting; this
/// many waiting mean that the WebSocket hangs.
const MAX_OUTGOING: usize = 16;
