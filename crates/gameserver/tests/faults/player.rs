//! A player without a screen, who puts up with whatever fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gs_protocol::{AUTHORITY_IDENTITY, ClientEvent, VERSION, topic, wire};
use livekit_data::{Channel, ConnectOptions, Event, Packet, Participant};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cluster::choose_cryptography;

/// The APIs of a deployment, asked in turn until one answers.
#[derive(Clone)]
pub(crate) struct Apis {
    client: reqwest::Client,
    urls: Arc<[String]>,
    turn: Arc<AtomicUsize>,
}

impl Apis {
    pub(crate) fn new(urls: impl IntoIterator<Item = String>) -> Self {
        choose_cryptography();
        let client = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            .build()
            .unwrap();
        Self {
            client,
            urls: urls.into_iter().collect(),
            turn: Arc::default(),
        }
    }

    /// Calls until an answer comes that is the caller's to deal with: no lost connection, no error
    /// of the server's.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let turn = self.turn.fetch_add(1, Relaxed);
            let url = format!("{}{path}", self.urls[turn % self.urls.len()]);
            let failed = match self.once(&method, &url, bearer, body).await {
                Ok((status, answer)) if !status.is_server_error() => return (status, answer),
                Ok((status, answer)) => format!("{status} {answer}"),
                Err(error) => error.to_string(),
            };
            assert!(
                Instant::now() < deadline,
                "{method} {path} fails for {PATIENCE:?}: {failed}"
            );
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The same for a call that has to succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call(Method::GET, path, None, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn once(
        &self,
        method: &Method,
        url: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let mut request = self.client.request(method.clone(), url);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(text.into())))
    }
}

/// A guest.
pub(crate) struct Player {
    apis: Apis,
    access_token: String,
    refresh_token: String,
}

/// What became of an attempt to play a match.
#[derive(Debug)]
pub(crate) enum Played {
    /// The match is over.
    Over {
        /// Its id.
        id: String,
        /// `finished`, `void`, …
        outcome: String,
        /// What the authority told this player of a result that it had stored.
        acknowledged: Option<Acknowledged>,
    },
    /// There was no match.
    None(String),
}

/// A result that an authority said is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) outcome: wire::Outcome,
    /// Placement and score by slot.
    pub(crate) slots: Vec<(u32, u32, i32)>,
}

impl Player {
    pub(crate) async fn guest(apis: &Apis) -> Self {
        let (status, answer) = apis
            .call(Method::POST, "/auth/guest", None, Some(&json!({})))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        Self {
            apis: apis.clone(),
            access_token: text(&answer, "access_token"),
            refresh_token: text(&answer, "refresh_token"),
        }
    }

    /// Plays a match against whoever gives the same code.
    pub(crate) async fn play(&mut self, game: &str, code: &str) -> Played {
        self.refresh().await;
        let found = match self.queue(game, code).await {
            Ok(found) => found,
            Err(reason) => return Played::None(reason),
        };
        let id = text(&found, "match_id");
        let deadline = Instant::now() + PATIENCE;
        let mut acknowledged = None;
        loop {
            // Where the connection is lost, the match goes on without this player until it is back.
            acknowledged = acknowledged.or(self.join(&found, &id, deadline).await);
            let now = self.look(&id).await;
            if text(&now, "status") == "ended" {
                return Played::Over {
                    id,
                    outcome: text(&now, "outcome"),
                    acknowledged,
                };
            }
            assert!(
                Instant::now() < deadline,
                "not over within {PATIENCE:?}: {now}"
            );
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn look(&self, id: &str) -> Value {
        let now = self.apis.get(&format!("/matches/{id}")).await;
        // Players are told of matches that can be played.
        assert_ne!(text(&now, "status"), "failed", "{now}");
        now
    }

    /// Trades the refresh token in. A lost answer is asked for again, and must be the same.
    async fn refresh(&mut self) {
        let body = json!({ "refresh_token": self.refresh_token });
        let (status, answer) = self
            .apis
            .call(Method::POST, "/auth/refresh", None, Some(&body))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        self.access_token = text(&answer, "access_token");
        self.refresh_token = text(&answer, "refresh_token");
    }

    /// Queues and waits for the match; else why there is none.
    async fn queue(&self, game: &str, code: &str) -> Result<Value, String> {
        self.wait_for_match(&json!({ "game": game, "code": code }))
            .await
    }

    /// Queues with this request and waits for the match; else why there is none.
    pub(crate) async fn wait_for_match(&self, request: &Value) -> Result<Value, String> {
        let bearer = Some(self.access_token.as_str());
        let (status, ticket) = self
            .apis
            .call(Method::POST, "/match/queue", bearer, Some(request))
            .await;
        // A conflict is a ticket whose answer was lost.
        assert!(
            matches!(status, StatusCode::ACCEPTED | StatusCode::CONFLICT),
            "{status} {ticket}"
        );
        let path = format!(
            "/match/status?ticket_id={}&wait=2",
            text(&ticket, "ticket_id")
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, answer) = self.apis.call(Method::GET, &path, bearer, None).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            match text(&answer, "status").as_str() {
                "matched" => return Ok(answer["match"].clone()),
                "queued" | "placing" => {}
                over => return Err(format!("{over}: {}", answer["reason"])),
            }
            assert!(
                Instant::now() < deadline,
                "no match within {PATIENCE:?}: {answer}"
            );
        }
    }

    /// Takes part until the authority says that the match is over; what it said of a stored result.
    /// Nothing where the match ends unheard, or the connection is lost.
    async fn join(&self, found: &Value, id: &str, deadline: Instant) -> Option<Acknowledged> {
        let (told, mut events) = mpsc::unbounded_channel();
        let handler = move |event: Event| {
            // Whoever listened may be gone.
            let _ = match event {
                Event::Data {
                    from,
                    topic: named,
                    payload,
                    ..
                } if &*from == AUTHORITY_IDENTITY && &*named == topic::EVENTS => {
                    let event = gs_protocol::decode_server_event(&payload);
                    told.send(event.expect("the authority's events can be read").body)
                }
                Event::Closed(_) => told.send(None),
                _ => Ok(()),
            };
        };
        let options = ConnectOptions::new(text(found, "url"), text(found, "token"));
        let joined = Participant::connect_with(options, handler);
        let participant = tokio::time::timeout(JOIN_TIMEOUT, joined)
            .await
            .ok()?
            .ok()?;
        let mut welcome = false;
        let mut heard = Instant::now();
        let mut beat = tokio::time::interval(HEARTBEAT);
        while Instant::now() < deadline {
            if heard.elapsed() > SILENCE {
                // The authority is dead and will have a successor, or it said its last unheard.
                if text(&self.look(id).await, "status") == "ended" {
                    return None;
                }
                heard = Instant::now();
            }
            tokio::select! {
                _ = beat.tick() => say(&participant, welcome),
                event = events.recv() => match event.flatten() {
                    Some(event) => {
                        heard = Instant::now();
                        match event {
                            wire::server_event::Body::Welcome(told) => {
                                welcome = true;
                                if let Some(ended) = told.ended.filter(|ended| ended.stored) {
                                    return Some(acknowledged(&ended));
                                }
                            }
                            wire::server_event::Body::Ended(ended) if ended.stored => {
                                return Some(acknowledged(&ended));
                            }
                            _ => {}
                        }
                    }
                    // The room is gone.
                    None => return None,
                },
            }
        }
        None
    }
}

/// `hello` until the authority has answered it, then a heartbeat.
fn say(participant: &Participant, welcome: bool) {
    let mut payload = Vec::new();
    let (topic, channel) = if welcome {
        let heartbeat = wire::PlayerInput {
            version: VERSION,
            ..Default::default()
        };
        gs_protocol::encode_player_input(&heartbeat, &mut payload).unwrap();
        (topic::INPUT, Channel::Lossy)
    } else {
        let hello = ClientEvent::Hello { module: None };
        gs_protocol::encode_client_event(&hello, &mut payload).unwrap();
        (topic::EVENTS, Channel::Reliable)
    };
    // What fails is said again.
    let _ = participant.send(Packet {
        topic,
        payload: &payload,
        channel,
        destinations: &[AUTHORITY_IDENTITY.to_owned()],
    });
}

fn acknowledged(ended: &wire::MatchEnded) -> Acknowledged {
    let slot = |slot: &wire::SlotResult| (slot.slot, slot.placement, slot.score);
    Acknowledged {
        outcome: ended.outcome(),
        slots: ended.slots.iter().map(slot).collect(),
    }
}

fn text(value: &Value, key: &str) -> String {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("no `{key}` in {value}"))
        .to_owned()
}

/// How long anything may fail in a row: several outages, each with its recovery.
const PATIENCE: Duration = Duration::from_secs(90);
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than most matches take.
const SILENCE: Duration = Duration::from_secs(3);
const HEARTBEAT: Duration = Duration::from_millis(400);
const RETRY: Duration = Duration::from_millis(100);
