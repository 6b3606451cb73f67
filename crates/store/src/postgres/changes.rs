//! Redis as this store uses it: one connection for commands, one for wake-ups, and a task that
//! passes on what others may wait for.
//!
//! Nothing here holds up a call: commands fail within half a second where Redis is away, and what a
//! commit tells Redis is handed to the task, which drops what it cannot pass on. All of it is made
//! anew from PostgreSQL ([`super::follower`]).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::queues;
use crate::{StoreError, StoreResult, Ticket};

/// A handle to Redis; cheap to clone.
#[derive(Clone)]
pub(super) struct Redis(Arc<Inner>);

struct Inner {
    connection: ConnectionManager,
    changes: watch::Sender<u64>,
    news: mpsc::Sender<News>,
    tasks: [AbortHandle; 2],
}

/// What a commit has changed.
enum News {
    /// Something that others may wait for.
    Changed,
    /// Tickets, as they are now.
    Tickets(Vec<Ticket>),
    /// Tickets that are no more.
    Forgotten(Vec<Ticket>),
}

impl Redis {
    /// Needs no Redis to be there. An address that is none is [`StoreError::Invalid`].
    pub(super) fn open(url: &str) -> StoreResult<Self> {
        // The parser's own words may repeat the password.
        let invalid = || {
            let expected = "redis://[user:password@]host:port[/number]";
            StoreError::Invalid(format!("Redis's URL is not like {expected}"))
        };
        let client = redis::Client::open(url).map_err(|_| invalid())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        let changes = watch::Sender::new(0);
        let (news, waiting) = mpsc::channel(MAX_NEWS);
        let process = Uuid::new_v4().to_string();
        let tasks = [
            tokio::spawn(pass_on(connection.clone(), waiting, process.clone())).abort_handle(),
            tokio::spawn(listen(client, changes.clone(), process)).abort_handle(),
        ];
        Ok(Self(Arc::new(Inner {
            connection,
            changes,
            news,
            tasks,
        })))
    }

    /// The connection for commands, shared by all callers.
    pub(super) fn connection(&self) -> ConnectionManager {
        self.0.connection.clone()
    }

    /// Wakes up whoever waits for changes, here and in other processes. Call it after a commit.
    pub(super) fn changed(&self) {
        self.0.changes.send_modify(|n| *n += 1);
        // Where the line is full, one of those in it wakes them up.
        let _ = self.0.news.try_send(News::Changed);
    }

    /// Takes over how tickets stand now. Call it after a commit.
    pub(super) fn tickets_changed(&self, tickets: Vec<Ticket>) {
        let _ = self.0.news.try_send(News::Tickets(tickets));
    }

    /// Forgets tickets whose rows are deleted. Call it after a commit.
    pub(super) fn tickets_forgotten(&self, tickets: Vec<Ticket>) {
        let _ = self.0.news.try_send(News::Forgotten(tickets));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Whether Redis answers.
    pub(super) async fn reachable(&self) -> bool {
        let mut connection = self.connection();
        let pong: redis::RedisResult<String> =
            redis::cmd("PING").query_async(&mut connection).await;
        pong.is_ok()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

/// Tells Redis what commits have changed, many at once.
async fn pass_on(
    mut connection: ConnectionManager,
    mut waiting: mpsc::Receiver<News>,
    process: String,
) {
    let mut news = Vec::with_capacity(MAX_TOGETHER);
    while waiting.recv_many(&mut news, MAX_TOGETHER).await > 0 {
        let mut pipeline = redis::pipe();
        let mut changed = false;
        for one in news.drain(..) {
            match one {
                News::Changed => changed = true,
                News::Tickets(tickets) => {
                    for ticket in &tickets {
                        queues::take_over(&mut pipeline, ticket);
                    }
                }
                News::Forgotten(tickets) => {
                    for ticket in &tickets {
                        queues::forget(&mut pipeline, ticket);
                    }
                }
            }
        }
        if changed {
            pipeline.publish(CHANNEL, &process).ignore();
        }
        // What is lost here is restored from the record, and whoever waits also polls.
        if let Err(error) = pipeline.query_async::<()>(&mut connection).await {
            tracing::debug!(%error, "Redis was not told of a change");
        }
    }
}

/// Passes on what other processes have changed.
async fn listen(client: redis::Client, changes: watch::Sender<u64>, process: String) {
    loop {
        if let Ok(mut messages) = client.get_async_pubsub().await
            && messages.subscribe(CHANNEL).await.is_ok()
        {
            // What was said meanwhile was not heard.
            changes.send_modify(|n| *n += 1);
            let mut messages = messages.into_on_message();
            while let Some(message) = messages.next().await {
                if message.get_payload_bytes() != process.as_bytes() {
                    changes.send_modify(|n| *n += 1);
                }
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

const CHANNEL: &str = "gameserver:changes";
/// Redis is near; a caller has waited long enough then.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(300);
/// The same.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Whoever waits for a change polls each second, so sooner would gain nothing.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// Most commits whose news wait; what comes beyond is restored from the record.
const MAX_NEWS: usize = 4096;
/// Most told in one go.
const MAX_TOGETHER: usize = 256;
