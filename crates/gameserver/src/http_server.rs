//! The HTTP server: accepts connections within bounds, serves a router on them, and ends in order.
//!
//! A peer that says nothing, or speaks too slowly, costs a connection for some seconds and no more;
//! [`activity`] says when one is closed, [`admission`] how many there may be.

mod activity;
mod admission;
mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use activity::Timeouts;
use admission::{Admission, Refusal};
use connection::{Connections, Ended};

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Open connections in all.
    pub(crate) connections: usize,
    /// Open connections of one address (an IPv6 /64 network).
    pub(crate) per_address: usize,
    /// Who speaks for many and is bound by the first number alone.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// What the server counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerMetrics {
    open: Gauge,
    accepted: Counter,
    refused: Family<[(&'static str, &'static str); 1], Counter>,
    timed_out: Family<[(&'static str, &'static str); 1], Counter>,
}

impl ServerMetrics {
    /// Names them to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gameserver_http_connections",
            "Open connections",
            self.open.clone(),
        );
        registry.register(
            "gameserver_http_connections_accepted",
            "Connections that were served",
            self.accepted.clone(),
        );
        registry.register(
            "gameserver_http_connections_refused",
            "Connections beyond a bound, by which",
            self.refused.clone(),
        );
        registry.register(
            "gameserver_http_connections_timed_out",
            "Connections closed for what did not come, by what",
            self.timed_out.clone(),
        );
    }
}

/// Listens on an address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A server that is started again gets its port back at once.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown`, then closes the listener, lets requests under way end for at most
/// `grace`, and cuts off the rest.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
    grace: Duration,
) {
    serve_with(
        listener,
        router,
        bounds,
        metrics,
        shutdown,
        grace,
        Timeouts::default(),
    )
    .await;
}

async fn serve_with(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
    grace: Duration,
    timeouts: Timeouts,
) {
    let admission = Arc::new(Admission::new(bounds));
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let connections = Connections::new(router, timeouts, shutdown.clone(), cut.clone());
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut accept_fails = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most often there are no file descriptors left, until connections close.
                if !accept_fails {
                    tracing::error!(%error, "connections cannot be accepted; trying on");
                }
                accept_fails = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        accept_fails = false;
        let permit = match admission.admit(address.ip()) {
            Ok(permit) => permit,
            Err(refusal) => {
                metrics
                    .refused
                    .get_or_create(&[("bound", refusal.name())])
                    .inc();
                if let Ok(slot) = refusals.clone().try_acquire_owned() {
                    tasks.spawn(async move {
                        refuse(stream, refusal).await;
                        drop(slot);
                    });
                }
                continue;
            }
        };
        metrics.accepted.inc();
        let served = connections.serve(stream, address);
        let metrics = metrics.clone();
        tasks.spawn(async move {
            metrics.open.inc();
            if let Ended::TimedOut(what) = served.await {
                metrics
                    .timed_out
                    .get_or_create(&[("what", what.name())])
                    .inc();
            }
            metrics.open.dec();
            drop(permit);
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        tracing::warn!(
            connections = tasks.len(),
            "requests did not end within {} s and are cut off",
            grace.as_secs_f32()
        );
        cut.cancel();
        tasks.wait().await;
    }
}

/// Says why in HTTP/1, for whoever understands that, and closes.
async fn refuse(mut stream: TcpStream, refusal: Refusal) {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": refusal.detail(),
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         retry-after: 5\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // A request that is on its way would make the system discard the answer: it is read.
        let mut request = [0; 1_024];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut request).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(REFUSAL_TIME, tell).await;
}

/// Connections that the system holds for us until they are accepted; Linux cuts it to its own bound.
const BACKLOG: u32 = 4_096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections at a time that are told why they are refused; those beyond are closed without.
const REFUSALS: usize = 128;
const REFUSAL_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
