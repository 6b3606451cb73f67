//! One look at the queue of a game: who leads it, and which matches it gives.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt as _};
use gs_matchmaker::{Filled, Group, Opening, ProposedMatch, ProposedSlot, match_batch};
use gs_store::{FormMatch, NewMatch, NewSlot, StoreError, StoreResult, Ticket};
use tokio::time::Instant;

use super::{Placement, backfill};
use crate::Shared;
use crate::catalog::{GameInfo, GameMode};
use crate::environment::{new_id, random};
use crate::queue::view::{self, MAX_WAITING};

/// Whether this process leads a queue.
pub(super) enum Lead {
    /// It does.
    Held { epoch: u64, until: DateTime<Utc> },
    /// Another did when it was asked.
    Refused { at: Instant },
}

impl Placement {
    pub(super) async fn match_game(&mut self, game: &Arc<GameInfo>) -> StoreResult<()> {
        let Some(epoch) = self.lead(&game.id).await? else {
            return Ok(());
        };
        let (store, now) = (self.shared.store(), self.shared.now());
        let openings = backfill::openings(&self.shared, game).await?;
        let mut tickets = store.queued_tickets(&game.id, MAX_WAITING).await?;
        for mode in &game.modes {
            let timeout = mode.rules.match_timeout;
            let overdue = |t: &Ticket| t.mode == mode.name && t.queued_at < now - timeout;
            if !tickets.iter().any(overdue) {
                continue;
            }
            let reason = format!("no match was found within {} s", timeout.as_secs());
            store
                .time_out_tickets(&game.id, &mode.name, now - timeout, &reason, now)
                .await?;
            tickets.retain(|ticket| !overdue(ticket));
        }
        let began = Instant::now();
        let mut batches = tokio::task::spawn_blocking({
            let game = game.clone();
            move || batches(&game, &openings, view::groups(tickets), now)
        });
        // A long look must not cost the lead: somebody else would only take as long.
        let batches = loop {
            tokio::select! {
                done = &mut batches => break done,
                () = tokio::time::sleep(RENEW.to_std().unwrap_or_default()) => {}
            }
            if self.renew(&game.id).await? != Some(epoch) {
                return Ok(());
            }
        };
        let batches = batches.map_err(|error| {
            let game = &game.id;
            StoreError::Invalid(format!("the queue of {game} cannot be matched: {error}"))
        })?;
        self.shared.matchmaking.pass(&game.id, began.elapsed());
        if self.renew(&game.id).await? != Some(epoch) {
            return Ok(());
        }
        let deadline = Instant::now() + FORMING_TIME;
        for Batch {
            mode,
            waiting,
            substitutes,
            proposals,
        } in batches
        {
            let mode = &game.modes[mode];
            self.shared
                .matchmaking
                .waiting(&game.id, &mode.name, waiting);
            if !backfill::send(&self.shared, epoch, &substitutes).await? {
                self.leads.remove(&game.id);
                break;
            }
            if !self
                .form_all(game, mode, epoch, proposals, deadline)
                .await?
            {
                break;
            }
        }
        Ok(())
    }

    /// The epoch under which this process leads a game's queue; none where another does.
    async fn lead(&mut self, game: &str) -> StoreResult<Option<u64>> {
        let now = self.shared.now();
        match self.leads.get(game) {
            Some(Lead::Held { epoch, until }) if *until - now > LEAD - RENEW => Ok(Some(*epoch)),
            Some(Lead::Refused { at }) if at.elapsed() < ASK_AGAIN => Ok(None),
            _ => self.renew(game).await,
        }
    }

    /// Takes or keeps the lead.
    async fn renew(&mut self, game: &str) -> StoreResult<Option<u64>> {
        let now = self.shared.now();
        let ttl = LEAD.to_std().unwrap_or_default();
        let store = self.shared.store();
        let epoch = store
            .lead_queue(game, &self.shared.process, now, ttl)
            .await?;
        let lead = match epoch {
            Some(epoch) => Lead::Held {
                epoch,
                until: now + LEAD,
            },
            None => Lead::Refused { at: Instant::now() },
        };
        self.leads.insert(game.to_owned(), lead);
        Ok(epoch)
    }

    /// Forms matches while there is time and room for them; the others' tickets stay queued, and
    /// the end of a placement is a change that brings the next look. Answers false where another
    /// process leads.
    async fn form_all(
        &mut self,
        game: &Arc<GameInfo>,
        mode: &GameMode,
        epoch: u64,
        proposals: Vec<(ProposedMatch, Vec<Duration>)>,
        deadline: Instant,
    ) -> StoreResult<bool> {
        let shared = self.shared.clone();
        let formed = stream::iter(proposals).map(|(proposed, waits)| {
            let (shared, places) = (shared.clone(), self.places.clone());
            async move {
                let place = places.acquire_owned();
                let Ok(Ok(place)) = tokio::time::timeout_at(deadline, place).await else {
                    return Ok(Formed::NoTime);
                };
                let new = form(&shared, game, mode, epoch, proposed).await?;
                Ok::<_, StoreError>(match new {
                    None => Formed::NotLeading,
                    Some(None) => Formed::TicketsGone,
                    Some(Some(new)) => {
                        shared
                            .matchmaking
                            .formed(&game.id, &mode.name, waits.into_iter());
                        Formed::Match(Box::new(new), place)
                    }
                })
            }
        });
        let mut formed = std::pin::pin!(formed.buffer_unordered(FORMED_AT_ONCE));
        while let Some(one) = formed.next().await {
            match one? {
                Formed::Match(new, place) if new.accept_until.is_none() => {
                    let id = new.id;
                    if self.made.insert(id) {
                        self.making.spawn(super::rooms::make(
                            shared.clone(),
                            id,
                            new.game,
                            new.room,
                            place,
                        ));
                    }
                }
                Formed::Match(..) | Formed::TicketsGone => {}
                Formed::NoTime => return Ok(true),
                Formed::NotLeading => {
                    self.leads.remove(&game.id);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// What one look at a mode's queue gives.
struct Batch {
    /// The mode's place among the game's.
    mode: usize,
    /// How many players wait.
    waiting: usize,
    /// Who is to take free slots of matches that run.
    substitutes: Vec<Filled>,
    /// The matches, and how long each one's players have waited.
    proposals: Vec<(ProposedMatch, Vec<Duration>)>,
}

fn batches(
    game: &GameInfo,
    openings: &BTreeMap<String, Vec<Opening>>,
    mut groups: BTreeMap<String, Vec<Group>>,
    now: DateTime<Utc>,
) -> Vec<Batch> {
    let batch = |(index, mode): (usize, &GameMode)| {
        let mut groups = groups.remove(&mode.name).unwrap_or_default();
        let waiting = groups.iter().map(|g| g.members.len()).sum();
        let openings = openings.get(&mode.name).map(Vec::as_slice);
        let openings = openings.unwrap_or_default();
        let substitutes = backfill::choose(openings, &mut groups, &mode.rules, now);
        let waits: HashMap<_, _> = groups.iter().map(|g| (g.id, g.waited(now))).collect();
        let proposals = match_batch(&groups, &mode.rules, now);
        let with_waits = |proposed: ProposedMatch| {
            let waits = proposed
                .groups
                .iter()
                .filter_map(|id| waits.get(id).copied());
            let waits = waits.collect();
            (proposed, waits)
        };
        Batch {
            mode: index,
            waiting,
            substitutes,
            proposals: proposals.into_iter().map(with_waits).collect(),
        }
    };
    game.modes.iter().enumerate().map(batch).collect()
}

enum Formed {
    Match(Box<NewMatch>, tokio::sync::OwnedSemaphorePermit),
    /// A ticket was cancelled meanwhile.
    TicketsGone,
    NotLeading,
    NoTime,
}

/// Forms the match under a room name that no other has. None where another process leads, and none
/// in it where a ticket is gone.
async fn form(
    shared: &Shared,
    game: &GameInfo,
    mode: &GameMode,
    epoch: u64,
    proposed: ProposedMatch,
) -> StoreResult<Option<Option<NewMatch>>> {
    let slot = |m: ProposedSlot| NewSlot {
        ticket_id: m.ticket_id,
        player_id: m.player_id,
        team: m.team,
    };
    let slots: Vec<NewSlot> = proposed.slots.into_iter().map(slot).collect();
    let taken = u8::try_from(slots.len()).unwrap_or(u8::MAX);
    let now = shared.now();
    let mut new = NewMatch {
        id: new_id(shared.environment()),
        room: String::new(),
        game: game.id.clone(),
        mode: mode.name.clone(),
        module_sha256: game.module_sha256.clone(),
        teams: game.teams,
        options: game.options.clone(),
        authority_mode: mode.authority_mode.clone(),
        rated: mode.rated,
        region: proposed.region,
        capacity: match mode.rules.backfill {
            true => taken.max(mode.rules.players.max),
            false => taken,
        },
        backfill: mode.rules.backfill,
        accept_until: mode.rules.acceptance.map(|time| now + time),
        lead: Some(epoch),
        slots,
        created_at: now,
    };
    for _ in 0..MAX_ROOM_NAMES {
        let number = u32::from_be_bytes(random(shared.environment()));
        new.room = format!("{}-{number:08x}", game.id);
        match shared.store().form_match(new.clone()).await? {
            FormMatch::Formed => {
                tracing::info!(match.id = %new.id, room.id = new.room, game.id = game.id,
                    players = new.slots.len(), "a match is formed");
                return Ok(Some(Some(new)));
            }
            FormMatch::TicketsGone => return Ok(Some(None)),
            FormMatch::NotLeading => return Ok(None),
            FormMatch::RoomTaken => {}
        }
    }
    Err(StoreError::Invalid(format!(
        "{MAX_ROOM_NAMES} room names of {} were taken",
        game.id
    )))
}

/// How long a process leads a queue without a word: so long nobody is matched after it died.
const LEAD: TimeDelta = TimeDelta::seconds(2);
/// How often the lead is renewed.
const RENEW: TimeDelta = TimeDelta::milliseconds(500);
/// How often a process asks whether it may lead that did not.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long one look's matches may take to form; then the queue is looked at anew. Shorter than the
/// lead, which is renewed before.
const FORMING_TIME: Duration = Duration::from_secs(1);
/// Matches formed at the same time: a database commits many at once as quickly as one.
const FORMED_AT_ONCE: usize = 8;
/// With eight hex digits even a second try is rare; beyond this, something else is wrong.
const MAX_ROOM_NAMES: usize = 16;
