//! One connection: HTTP/1 or HTTP/2 on a socket whose every byte is noticed.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, Version};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::activity::{Activity, Missing, Timeouts};

/// Serves connections, all alike.
pub(super) struct Connections {
    builder: Builder<TokioExecutor>,
    router: Router,
    timeouts: Timeouts,
    /// No more requests than those under way.
    shutdown: CancellationToken,
    /// Not even those.
    cut: CancellationToken,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In order, or by the peer.
    Closed,
    /// Something did not come in time.
    TimedOut(Missing),
}

impl Connections {
    pub(super) fn new(
        router: Router,
        timeouts: Timeouts,
        shutdown: CancellationToken,
        cut: CancellationToken,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // The connection's activity says when; hyper's own timer would close idle ones as early.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self {
            builder,
            router,
            timeouts,
            shutdown,
            cut,
        }
    }

    /// Serves one, to its end.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> impl Future<Output = Ended> + use<> {
        let activity = Arc::new(Activity::new(self.timeouts, Instant::now()));
        // Answers are small, and somebody waits for them.
        let _ = stream.set_nodelay(true);
        let (builder, router) = (self.builder.clone(), self.router.clone());
        let (shutdown, cut) = (self.shutdown.clone(), self.cut.clone());
        async move {
            let io = TokioIo::new(Watched {
                stream,
                activity: activity.clone(),
            });
            let service = service_fn({
                let activity = activity.clone();
                move |request| answer(router.clone(), request, address, activity.clone())
            });
            let mut connection = pin!(builder.serve_connection(io, service));
            let mut shutdown = pin!(shutdown.cancelled());
            let mut cut = pin!(cut.cancelled());
            let mut sleep = pin!(tokio::time::sleep_until(activity.poll_timeout().0.into()));
            let mut ending = false;
            std::future::poll_fn(move |cx| {
                if !ending && shutdown.as_mut().poll(cx).is_ready() {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                if connection.as_mut().poll(cx).is_ready() || cut.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ended::Closed);
                }
                let (deadline, missing) = activity.poll_timeout();
                if sleep.deadline() != deadline.into() {
                    sleep.as_mut().reset(deadline.into());
                }
                sleep.as_mut().poll(cx).map(|()| Ended::TimedOut(missing))
            })
            .await
        }
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    address: SocketAddr,
    activity: Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let under_way = UnderWay::begin(activity, request.version() == Version::HTTP_2);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(address));
    let response = router.call(request).await?;
    Ok(response.map(|body| Body::new(Sent { body, under_way })))
}

/// A request that is not answered yet.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: Arc<Activity>, multiplexed: bool) -> Self {
        activity.handle_request(multiplexed, Instant::now());
        Self(activity)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.handle_answered(Instant::now());
    }
}

/// An answer's body; the request is under way until it is gone.
struct Sent {
    body: Body,
    #[expect(dead_code, reason = "held until the body is dropped")]
    under_way: UnderWay,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells when bytes move.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.activity.handle_write(Instant::now());
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.handle_read(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Browsers send some 20 headers, proxies add a few.
const MAX_HEADERS: usize = 64;
/// The longest header is an access token of some 300 bytes; hyper takes no less than 8 KiB.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Requests at a time on one HTTP/2 connection: a proxy's, which opens more connections.
const MAX_STREAMS: u32 = 256;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
