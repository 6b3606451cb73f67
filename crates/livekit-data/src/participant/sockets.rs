//! The UDP sockets of a participant.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use tokio::net::UdpSocket;

/// One socket for each local address: usually one, or two with two peer connections.
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    /// How many of them are for the first peer connection.
    primary: usize,
    /// The addresses were chosen, and do not follow the route to the server.
    chosen: bool,
}

impl Sockets {
    pub(super) fn bind(chosen: &[IpAddr], route: IpAddr) -> io::Result<Self> {
        let mut sockets = Sockets {
            sockets: Vec::new(),
            primary: 0,
            chosen: !chosen.is_empty(),
        };
        let ips = if chosen.is_empty() { &[route] } else { chosen };
        for &ip in ips {
            sockets.sockets.push(bind(ip)?);
        }
        sockets.primary = sockets.sockets.len();
        // A socket counts as not writable until it has been asked once, which receiving does too.
        Ok(sockets)
    }

    /// The addresses of the first peer connection's sockets.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let primary = self.sockets.iter().take(self.primary);
        primary.map(|(address, _)| *address).collect()
    }

    /// Binds as many again, for a second peer connection, and returns their addresses.
    pub(super) fn add_second(&mut self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.truncate(self.primary);
        for at in 0..self.primary {
            let socket = bind(self.sockets[at].0.ip())?;
            self.sockets.push(socket);
        }
        let second = self.sockets.iter().skip(self.primary);
        Ok(second.map(|(address, _)| *address).collect())
    }

    /// The server is reached from this address now. Returns the new addresses of the first peer
    /// connection if that is news.
    pub(super) fn follow(&mut self, route: IpAddr) -> io::Result<Option<Vec<SocketAddr>>> {
        let known = self
            .sockets
            .iter()
            .any(|(address, _)| address.ip() == route);
        if self.chosen || known {
            return Ok(None);
        }
        let socket = bind(route)?;
        // Those of a second peer connection stay, as it is the server that moves that.
        self.sockets.splice(..self.primary, [socket]);
        self.primary = 1;
        Ok(Some(self.addresses()))
    }

    /// Sends unless the system's buffer is full: that is a lossy line, and what matters is sent
    /// again.
    pub(super) fn send(&self, source: SocketAddr, destination: SocketAddr, contents: &[u8]) {
        let own = self.sockets.iter().find(|(address, _)| *address == source);
        if let Some((_, socket)) = own.or(self.sockets.first()) {
            let _ = socket.try_send_to(contents, destination);
        }
    }

    /// Waits until every socket can be written to.
    pub(super) async fn writable(&self) {
        for (_, socket) in &self.sockets {
            let _ = socket.writable().await;
        }
    }

    /// Waits until a socket has something.
    pub(super) async fn readable(&self) -> usize {
        poll_fn(|cx| {
            for (at, (_, socket)) in self.sockets.iter().enumerate() {
                if socket.poll_recv_ready(cx).is_ready() {
                    return Poll::Ready(at);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next datagram of a socket: its local address, its sender and its length; none when
    /// there is no more.
    pub(super) fn receive(
        &self,
        at: usize,
        datagram: &mut [u8],
    ) -> Option<(SocketAddr, SocketAddr, usize)> {
        let (local, socket) = self.sockets.get(at)?;
        // A datagram that bounced is reported as an error; the next one may be good.
        for _ in 0..BOUNCED {
            match socket.try_recv_from(datagram) {
                Ok((len, from)) => return Some((*local, from, len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => {}
            }
        }
        None
    }
}

fn bind(ip: IpAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let address = SocketAddr::new(ip, 0);
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // The system may grant less; that costs packets only under a burst.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    Ok((socket.local_addr()?, socket))
}

/// A burst from a room of 100 at 1 kB each, some ten times over.
const SOCKET_BUFFER: usize = 1 << 20;

/// Errors in a row before others have their turn.
const BOUNCED: usize = 16;
