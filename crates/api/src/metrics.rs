//! What the service counts, for Prometheus.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counts requests. Labels are bounded: a path that is no route counts as `none`.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl HttpMetrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
        }
    }

    /// Adds the metrics to a registry, under their whole names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gameserver_http_requests",
            "Requests that were answered, by route and class of status",
            self.requests.clone(),
        );
        registry.register(
            "gameserver_http_request_duration_seconds",
            "How long answers took; long polls of the queue among them",
            self.durations.clone(),
        );
        registry.register(
            "gameserver_http_requests_in_flight",
            "Requests that are being answered",
            self.in_flight.clone(),
        );
    }

    /// Counts a request as in flight until the answer is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answer.
    pub(crate) fn answered(
        &self,
        method: &Method,
        route: &str,
        status: StatusCode,
        took: Duration,
    ) {
        let method = name(method);
        let status = class(status);
        let asked = Asked {
            method,
            route: route.to_owned(),
        };
        self.durations
            .get_or_create(&asked)
            .observe(took.as_secs_f64());
        let answered = Answered {
            method,
            route: asked.route,
            status,
        };
        self.requests.get_or_create(&answered).inc();
    }
}

/// Counts what matchmaking does. Labels are bounded by the games that are served.
#[derive(Clone)]
pub(crate) struct MatchmakingMetrics {
    waiting: Family<ModeLabels, Gauge>,
    matches: Family<ModeLabels, Counter>,
    waits: Family<ModeLabels, Histogram, fn() -> Histogram>,
    passes: Family<GameLabels, Histogram, fn() -> Histogram>,
}

impl MatchmakingMetrics {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Family::default(),
            matches: Family::default(),
            waits: Family::new_with_constructor(waits),
            passes: Family::new_with_constructor(histogram),
        }
    }

    /// Adds the metrics to a registry, under their whole names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gameserver_matchmaking_players_waiting",
            "Players in the queue, as the process that leads it saw it last",
            self.waiting.clone(),
        );
        registry.register(
            "gameserver_matchmaking_matches",
            "Matches that were formed",
            self.matches.clone(),
        );
        registry.register(
            "gameserver_matchmaking_wait_seconds",
            "How long players had waited when their match was formed",
            self.waits.clone(),
        );
        registry.register(
            "gameserver_matchmaking_pass_seconds",
            "How long it took to look at a game's queue and find its matches",
            self.passes.clone(),
        );
    }

    pub(crate) fn waiting(&self, game: &str, mode: &str, players: usize) {
        let players = i64::try_from(players).unwrap_or(i64::MAX);
        self.waiting
            .get_or_create(&ModeLabels::new(game, mode))
            .set(players);
    }

    pub(crate) fn formed(&self, game: &str, mode: &str, waits: impl Iterator<Item = Duration>) {
        let labels = ModeLabels::new(game, mode);
        self.matches.get_or_create(&labels).inc();
        let histogram = self.waits.get_or_create(&labels);
        waits.for_each(|wait| histogram.observe(wait.as_secs_f64()));
    }

    pub(crate) fn pass(&self, game: &str, took: Duration) {
        let labels = GameLabels {
            game: game.to_owned(),
        };
        self.passes
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabels {
    game: String,
    mode: String,
}

impl ModeLabels {
    fn new(game: &str, mode: &str) -> Self {
        Self {
            game: game.to_owned(),
            mode: mode.to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GameLabels {
    game: String,
}

/// A request that is being answered.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: &'static str,
}

/// Methods can be made up; those that no call takes are one.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// 0.5 ms to 32 s: from a read in memory to the longest poll.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 17))
}

/// 0.5 s to 17 min: from whoever is expected to whoever gives up.
fn waits() -> Histogram {
    Histogram::new(exponential_buckets(0.5, 2.0, 12))
}
