//! Opens connections over TCP, through a proxy where there is one.

use super::proxy::Proxies;
use super::tls::{RootCertificates, Tls};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) type Io = Box<dyn Stream>;

/// A connection, and which way it goes.
pub(super) struct Connected {
    pub(super) io: Io,
    /// This machine's address on the way to the server.
    pub(super) local: IpAddr,
    /// The server's address, or the proxy's.
    pub(super) remote: IpAddr,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error(transparent)]
    Unreachable(io::Error),
    #[error("{proxy}: {reason}")]
    Proxy { proxy: String, reason: String },
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
}

/// What all connections of a participant have in common.
#[derive(Debug)]
pub(super) struct Dialler {
    tls: Tls,
    proxies: Proxies,
}

impl Dialler {
    pub(super) fn new(roots: RootCertificates, proxies: Proxies) -> Self {
        Dialler {
            tls: Tls::new(roots),
            proxies,
        }
    }

    /// Opens a connection that is to be used with this security, which is not set up yet.
    pub(super) async fn connect(
        &self,
        host: &str,
        port: u16,
        security: Security,
    ) -> Result<Connected, DialError> {
        let encrypted = security == Security::Tls;
        let wrong = |reason: &str| DialError::Proxy {
            proxy: "the proxy that is set".into(),
            reason: reason.into(),
        };
        let Some(proxy) = self.proxies.find(host, port, encrypted).map_err(wrong)? else {
            let connected = connect(host, port).await;
            return connected.map_err(DialError::Unreachable);
        };
        let failed = |reason: String| DialError::Proxy {
            proxy: proxy.name(),
            reason,
        };
        let mut connected = connect(&proxy.host, proxy.port)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if proxy.encrypted {
            let encrypted = self.tls.encrypt(&proxy.host, connected.io).await;
            connected.io = encrypted.map_err(|error| failed(error.to_string()))?;
        }
        proxy
            .tunnel(&mut connected.io, host, port)
            .await
            .map_err(failed)?;
        if connected.local.is_loopback() {
            // The proxy is on this machine; datagrams go without it.
            connected.local = route(host, port).await.unwrap_or(connected.local);
        }
        Ok(connected)
    }

    /// Encrypts a connection.
    pub(super) async fn encrypt(&self, host: &str, io: Io) -> io::Result<Io> {
        self.tls.encrypt(host, io).await
    }
}

/// Up to a few addresses of a name; IPv4 first, as that is what LiveKit offers for media unless
/// told otherwise, and the families in turn, as RFC 8305 has it.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((host, port)).await?;
    let (v4, v6): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv4);
    Ok(in_turn(&v4, &v6))
}

fn in_turn(v4: &[SocketAddr], v6: &[SocketAddr]) -> Vec<SocketAddr> {
    let longer = v4.len().max(v6.len());
    let pairs = (0..longer).flat_map(|at| [v4.get(at), v6.get(at)]);
    pairs.flatten().copied().take(MAX_ADDRESSES).collect()
}

async fn connect(host: &str, port: u16) -> io::Result<Connected> {
    let tcp = connect_first(&resolve(host, port).await?).await?;
    tcp.set_nodelay(true)?;
    Ok(Connected {
        local: tcp.local_addr()?.ip(),
        remote: tcp.peer_addr()?.ip(),
        io: Box::new(tcp),
    })
}

/// Connects to whichever answers first, beginning with the next when one takes long.
async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(*address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(connected) = attempts.next() => match connected {
                Ok(tcp) => return Ok(tcp),
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

/// The address that datagrams to this host would leave from; sends nothing.
async fn route(host: &str, port: u16) -> io::Result<IpAddr> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve(host, port).await? {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket.local_addr()?.ip()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Trying more would take longer than joining may.
const MAX_ADDRESSES: usize = 8;

/// RFC 8305, section 5.
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_tried_in_turn_and_not_without_end() {
        let address = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        let v4: Vec<_> = (1..=3).map(|port| address("192.0.2.1", port)).collect();
        let v6: Vec<_> = (1..=100).map(|port| address("::1", port)).collect();
        let order = in_turn(&v4, &v6);
        assert_eq!(order[..5], [v4[0], v6[0], v4[1], v6[1], v4[2]]);
        assert_eq!(order.len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hold_up_one_that_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bad = unused.local_addr().unwrap();
        drop(unused);
        let tcp = connect_first(&[bad, good]).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), good);
        assert!(connect_first(&[bad]).await.is_err());
        assert!(connect_first(&[]).await.is_err());
    }
}
