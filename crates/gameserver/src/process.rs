//! What every long-running command does as a process: signals, file limits, its own directory.

use std::fs::{File, TryLockError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http_server;

/// Listens for HTTP. `setting` names what chooses the port, for whoever finds it taken.
pub(crate) fn listen(host: IpAddr, port: u16, setting: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(host, port);
    http_server::listen(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} is taken by another program; end it, or choose another port with {setting}"
        ),
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

/// Cancels at Ctrl-C or SIGTERM; the second time the process ends at once.
pub(crate) fn end_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            #[cfg(unix)]
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            #[cfg(not(unix))]
            let _ = tokio::signal::ctrl_c().await;
            if shutdown.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("ending; once more ends at once");
            shutdown.cancel();
        }
    });
    Ok(())
}

/// Lets the process have as many files, and so connections, as the system allows it.
#[cfg(unix)]
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_file_limit() {}

/// How many connections fit into the limit of open files, beside what else is open.
pub(crate) fn bound_by_files(connections: usize) -> usize {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let fit = files.saturating_sub(OTHER_FILES).max(1);
        if fit < connections {
            tracing::warn!(
                "server.max_connections is {connections}, but the system lets the process have \
                 {files} open files: {fit} connections are taken; raise the limit (`ulimit -n`, \
                 LimitNOFILE=)"
            );
            return fit;
        }
    }
    connections
}

/// Where a server that listens there is reached from this machine.
pub(crate) fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Waits until all tasks have ended, but not for ever.
pub(crate) async fn wait_for(tasks: &TaskTracker, limit: Duration) {
    tasks.close();
    if tokio::time::timeout(limit, tasks.wait()).await.is_err() {
        tracing::warn!(
            "some work did not end within {} s and is dropped",
            limit.as_secs()
        );
    }
}

/// Asks the server itself, so that the line is printed when all of it answers.
#[allow(
    clippy::print_stdout,
    reason = "this line is what the command answers; the log goes to standard error"
)]
pub(crate) async fn print_when_ready(
    address: SocketAddr,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(READY_TIMEOUT)
        .no_proxy()
        .build()?;
    let url = local_url(address);
    let ready = async {
        while !client
            .get(format!("{url}/readyz"))
            .send()
            .await
            .is_ok_and(|r| r.status().is_success())
        {
            tokio::time::sleep(READY_POLL).await;
        }
    };
    tokio::select! {
        () = ready => println!("ready {url}"),
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(READY_TIMEOUT) => {
            tracing::warn!(
                "not ready after {} s; {url}/readyz says what is missing",
                READY_TIMEOUT.as_secs()
            );
        }
    }
    Ok(())
}

/// Makes a directory that only its owner may read: it holds keys.
pub(crate) fn make_private(directory: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).with_context(|| {
        format!(
            "cannot make {}; choose another place with --data-dir",
            directory.display()
        )
    })
}

/// Two servers on one directory would end each other's LiveKit server.
pub(crate) fn lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by another gameserver; end it, or choose another place with --data-dir",
            directory.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Files beside players' connections: those to the database, LiveKit and players' rooms.
const OTHER_FILES: usize = 512;
const READY_POLL: Duration = Duration::from_millis(20);
const READY_TIMEOUT: Duration = Duration::from_secs(10);
