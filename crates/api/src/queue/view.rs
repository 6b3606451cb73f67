//! What is known of a queue as a whole: read once a second at most, however many ask.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use gs_matchmaker::{Explanation, Group, Member, Queue, Rules};
use gs_store::Ticket;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Shared;
use crate::catalog::GameInfo;
use crate::problem::Problem;

/// The queues that somebody has asked about, by game.
#[derive(Default)]
pub(crate) struct Views(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<View>>>>>);

/// The queues of a game's modes, as of one moment.
#[derive(Clone)]
pub(crate) struct View {
    read_at: DateTime<Utc>,
    /// By mode; a mode that nobody waits for may be absent.
    pub(crate) modes: Arc<BTreeMap<String, ModeView>>,
}

/// Who waits for a mode.
pub(crate) struct ModeView {
    pub(crate) rules: Arc<Rules>,
    pub(crate) groups: Vec<Group>,
    pub(crate) queue: Queue,
}

/// The queues of a game, at most [`crate::Settings::queue_view_age`] old.
pub(crate) async fn view(shared: &Shared, game: &GameInfo) -> Result<View, Problem> {
    let slot = {
        let mut views = shared
            .views
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        views.entry(game.id.clone()).or_default().clone()
    };
    // Whoever comes while it is read waits for that, rather than read it too.
    let mut kept = slot.lock().await;
    let now = shared.now();
    let oldest = now - shared.parts.settings.queue_view_age;
    if let Some(view) = kept
        .as_ref()
        .filter(|v| v.read_at > oldest && v.read_at <= now)
    {
        return Ok(view.clone());
    }
    let tickets = shared.store().queued_tickets(&game.id, MAX_WAITING).await?;
    let rules: Vec<(String, Arc<Rules>)> = game
        .modes
        .iter()
        .map(|mode| (mode.name.clone(), mode.rules.clone()))
        .collect();
    let compile = move || {
        let mut groups = groups(tickets);
        let modes = rules.into_iter().map(|(mode, rules)| {
            let groups = groups.remove(&mode).unwrap_or_default();
            let queue = Queue::new(&groups, &rules);
            let view = ModeView {
                rules,
                groups,
                queue,
            };
            (mode, view)
        });
        modes.collect()
    };
    let modes = tokio::task::spawn_blocking(compile).await;
    let modes = modes.map_err(|error| {
        tracing::error!(%error, "a queue cannot be looked at");
        Problem::internal()
    })?;
    let view = View {
        read_at: now,
        modes: Arc::new(modes),
    };
    *kept = Some(view.clone());
    Ok(view)
}

/// Who waits, by mode, in the order of the tickets.
pub(crate) fn groups(tickets: Vec<Ticket>) -> BTreeMap<String, Vec<Group>> {
    let mut modes: BTreeMap<String, Vec<Group>> = BTreeMap::new();
    let mut places: HashMap<Uuid, usize> = HashMap::with_capacity(tickets.len());
    for ticket in tickets {
        let groups = modes.entry(ticket.mode).or_default();
        let member = Member {
            ticket_id: ticket.id,
            player_id: ticket.player_id,
            skill: ticket.search.skill,
            rating: ticket.search.rating,
            matches: ticket.search.matches,
        };
        if let Some(&place) = places.get(&ticket.group_id) {
            groups[place].members.push(member);
            continue;
        }
        places.insert(ticket.group_id, groups.len());
        groups.push(Group {
            id: ticket.group_id,
            members: vec![member],
            code: ticket.code,
            queued_at: ticket.queued_at,
            returned: ticket.returned,
            attributes: ticket.search.attributes,
            latency_ms: ticket.search.latency_ms,
        });
    }
    modes
}

/// Why a player still waits.
#[derive(Serialize, ToSchema)]
pub(crate) struct Waiting {
    /// How far in skill others may be now; any, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 100.0)]
    tolerance: Option<f64>,
    /// What widens next; nothing, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_widening: Option<Widening>,
    /// How many other players wait for this mode.
    players_waiting: u32,
    /// How many of them could be met now.
    players_fitting: u32,
    /// Which rule keeps most of the others away.
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded_by: Option<Exclusion>,
    #[serde(skip)]
    needed: u8,
}

/// What widens next.
#[derive(Serialize, ToSchema)]
struct Widening {
    /// `skill`, `latency`, `balance`, `players` or `attributes.NAME`.
    #[schema(example = "skill")]
    rule: String,
    /// In how long.
    in_ms: u64,
    /// The tolerance then; any, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 200.0)]
    tolerance: Option<f64>,
}

/// A rule that keeps others away.
#[derive(Serialize, ToSchema)]
struct Exclusion {
    /// `skill`, `latency`, `party`, `code` or `attributes.NAME`.
    #[schema(example = "skill")]
    rule: String,
    /// How many players it keeps away.
    players: u32,
}

/// Why a ticket that is queued still is; none where its game is not served.
pub(super) async fn waiting(shared: &Shared, ticket: &Ticket) -> Result<Option<Waiting>, Problem> {
    let Some(game) = shared.parts.catalog.game(&ticket.game) else {
        return Ok(None);
    };
    let view = view(shared, &game).await?;
    let Some(mode) = view.modes.get(&ticket.mode) else {
        return Ok(None);
    };
    let now = shared.now();
    let explained = match mode.queue.explain(ticket.group_id, now) {
        Some(explained) => Some(explained),
        // Newer than the view: what is known of the ticket itself.
        None => {
            let own = groups(vec![ticket.clone()]);
            let own = own.into_values().flatten().collect::<Vec<_>>();
            let mut explained = Queue::new(&own, &mode.rules).explain(ticket.group_id, now);
            if let Some(explained) = &mut explained {
                let others: usize = mode.groups.iter().map(|g| g.members.len()).sum();
                explained.players_waiting = u32::try_from(others).unwrap_or(u32::MAX);
            }
            explained
        }
    };
    Ok(explained.map(|explained| Waiting::new(explained, mode.rules.players.max)))
}

impl Waiting {
    pub(crate) fn new(explained: Explanation, needed: u8) -> Self {
        Self {
            tolerance: explained.tolerance,
            next_widening: explained.next_widening.map(|next| Widening {
                rule: next.rule,
                in_ms: u64::try_from(next.after.as_millis()).unwrap_or(u64::MAX),
                tolerance: next.tolerance,
            }),
            players_waiting: explained.players_waiting,
            players_fitting: explained.players_fitting,
            excluded_by: explained.excluded_by.map(|excluded| Exclusion {
                rule: excluded.rule,
                players: excluded.players,
            }),
            needed,
        }
    }

    /// The same for people, but for what widens next: who shows that counts it down.
    pub(crate) fn sentence(&self) -> String {
        let (waiting, fitting) = (self.players_waiting, self.players_fitting);
        if waiting == 0 {
            return "nobody else waits for this mode".to_owned();
        }
        let mut text = match (waiting, fitting) {
            (1, 0) => "one other player waits, and does not fit".to_owned(),
            (_, 0) => format!("{waiting} other players wait, and none fits"),
            _ => format!(
                "{fitting} of {waiting} others who wait fit; a match has {} players",
                self.needed
            ),
        };
        if let Some(Exclusion { rule, players }) = &self.excluded_by {
            let by = match (rule.as_str(), self.tolerance) {
                ("skill", Some(tolerance)) => {
                    format!("their skill differs by {tolerance:.0} or more")
                }
                ("skill", None) => "of their skill".to_owned(),
                ("latency", _) => "no region is near enough to both".to_owned(),
                ("party", _) => "their party does not fit beside yours".to_owned(),
                ("code", _) => "they gave another code".to_owned(),
                (rule, _) => format!("of {}", rule.trim_start_matches("attributes.")),
            };
            text += &format!(": {players} because {by}");
        }
        text
    }
}

/// Most tickets of a game that are looked at: beyond, the newest wait until others are gone.
pub(crate) const MAX_WAITING: u32 = 100_000;
