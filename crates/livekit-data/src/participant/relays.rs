//! The streams to TURN servers, and their names.

use super::dial::{Connected, Dialler, Io, Security, resolve};
use crate::{RelayId, RelayRequest, RelaySecurity};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A task for each stream; none as long as datagrams get through without.
pub(super) struct RelayStreams {
    dialler: Arc<Dialler>,
    /// Made for the first request.
    events: Option<Events>,
    streams: Vec<(RelayId, mpsc::Sender<Vec<u8>>)>,
    tasks: JoinSet<()>,
}

type Events = (mpsc::Sender<RelayIo>, mpsc::Receiver<RelayIo>);

/// What happened.
pub(super) enum RelayIo {
    Resolved(RelayId, Vec<SocketAddr>),
    Open(RelayId, IpAddr),
    Data(RelayId, Vec<u8>),
    Lost(RelayId),
}

impl RelayStreams {
    pub(super) fn new(dialler: Arc<Dialler>) -> Self {
        RelayStreams {
            dialler,
            events: None,
            streams: Vec::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) fn request(&mut self, request: RelayRequest) {
        while self.tasks.try_join_next().is_some() {}
        let events = self.events.get_or_insert_with(|| mpsc::channel(EVENTS));
        let events = events.0.clone();
        match request {
            RelayRequest::Resolve { id, host, port } => {
                self.tasks.spawn(async move {
                    let found = resolve(&host, port).await.unwrap_or_default();
                    let _ = events.send(RelayIo::Resolved(id, found)).await;
                });
            }
            RelayRequest::Open {
                id,
                host,
                port,
                security,
            } => {
                let (sender, messages) = mpsc::channel(MESSAGES);
                self.streams.push((id, sender));
                let dialler = self.dialler.clone();
                self.tasks.spawn(async move {
                    let ended = run(&dialler, id, &host, port, security, messages, &events).await;
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a stream to a TURN server failed");
                    }
                    let _ = events.send(RelayIo::Lost(id)).await;
                });
            }
            // The task writes what it has and ends.
            RelayRequest::Close { id } => self.streams.retain(|(known, _)| *known != id),
        }
    }

    /// Sends a whole message, or drops it where the stream is slow: it is a lossy line, and what
    /// matters is sent again.
    pub(super) fn send(&self, id: RelayId, message: Vec<u8>) {
        if let Some((_, sender)) = self.streams.iter().find(|(known, _)| *known == id) {
            let _ = sender.try_send(message);
        }
    }

    /// The next thing that happens. Nothing is lost when it is dropped and called again.
    pub(super) async fn next(&mut self) -> RelayIo {
        if let Some((_, events)) = &mut self.events
            && let Some(event) = events.recv().await
        {
            return event;
        }
        std::future::pending().await
    }

    /// Sends what waits, and closes.
    pub(super) async fn close(mut self) {
        self.streams.clear();
        // Nobody waits for what they still tell.
        self.events = None;
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Opens a stream and moves bytes until either side ends it.
async fn run(
    dialler: &Dialler,
    id: RelayId,
    host: &str,
    port: u16,
    security: RelaySecurity,
    mut messages: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<RelayIo>,
) -> io::Result<()> {
    let (stream, server) = tokio::select! {
        opened = open(dialler, host, port, security) => opened?,
        // There are no messages before it is open, so this is its end.
        _ = messages.recv() => return Ok(()),
    };
    if events.send(RelayIo::Open(id, server)).await.is_err() {
        return Ok(());
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        while let Some(message) = messages.recv().await {
            writer.write_all(&message).await?;
            writer.flush().await?;
        }
        writer.shutdown().await
    };
    let read = async {
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            let len = reader.read(&mut buffer).await?;
            let data = RelayIo::Data(id, buffer[..len].to_vec());
            if len == 0 || events.send(data).await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}

async fn open(
    dialler: &Dialler,
    host: &str,
    port: u16,
    security: RelaySecurity,
) -> io::Result<(Io, IpAddr)> {
    let wanted = match security {
        RelaySecurity::Plain => Security::Plain,
        RelaySecurity::Tls => Security::Tls,
    };
    let Connected { mut io, remote, .. } = dialler
        .connect(host, port, wanted)
        .await
        .map_err(io::Error::other)?;
    if wanted == Security::Tls {
        io = dialler.encrypt(host, io).await?;
    }
    Ok((io, remote))
}

/// Reads that the participant has not taken yet; the stream waits when it is slow.
const EVENTS: usize = 16;

/// A quarter of a second at 1,000 packets a second; later ones would only be late.
const MESSAGES: usize = 256;

/// A dozen datagrams.
const READ_BUFFER: usize = 16 * 1024;
