//! Players for free slots of matches that run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gs_matchmaker::{Filled, Group, Opening, Playing, Rules, fill};
use gs_store::{FillSlot, MatchOpening, StoreResult};
use uuid::Uuid;

use crate::Shared;
use crate::catalog::{GameInfo, GameMode};
use crate::queue::search;

/// The openings of a game's modes, with how good those are who play there.
pub(super) async fn openings(
    shared: &Shared,
    game: &Arc<GameInfo>,
) -> StoreResult<BTreeMap<String, Vec<Opening>>> {
    let mut by_mode: BTreeMap<String, Vec<Opening>> = BTreeMap::new();
    if !game.modes.iter().any(|mode| mode.rules.backfill) {
        return Ok(by_mode);
    }
    for opening in shared.store().openings(&game.id).await? {
        let Some(mode) = game.modes.iter().find(|m| m.name == opening.mode) else {
            continue;
        };
        if mode.rules.backfill {
            let opening = with_skills(shared, game, mode, opening).await?;
            by_mode.entry(mode.name.clone()).or_default().push(opening);
        }
    }
    Ok(by_mode)
}

async fn with_skills(
    shared: &Shared,
    game: &GameInfo,
    mode: &GameMode,
    opening: MatchOpening,
) -> StoreResult<Opening> {
    let (store, now) = (shared.store(), shared.now());
    let ids: Vec<Uuid> = opening.players.iter().map(|p| p.player_id).collect();
    let skills = store
        .matchmaking_skills(&game.id, &mode.name, &ids, now)
        .await?;
    let playing = opening.players.into_iter().zip(skills);
    let playing = playing.map(|(player, skill)| Playing {
        team: player.team,
        skill: search::skill(&mode.rules, &skill),
        rating: skill.rating,
        attributes: player.attributes,
    });
    Ok(Opening {
        match_id: opening.match_id,
        slot: opening.slot,
        team: opening.team,
        opened_at: opening.opened_at,
        players: playing.collect(),
        region: opening.region,
    })
}

/// Who is to take which opening, and takes those out of the groups.
pub(super) fn choose(
    openings: &[Opening],
    groups: &mut Vec<Group>,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Vec<Filled> {
    let filled = fill(openings, groups, rules, now);
    let used: HashSet<Uuid> = filled.iter().map(|f| f.group).collect();
    groups.retain(|group| !used.contains(&group.id));
    filled
}

/// Sends players to the openings that were chosen for them. Answers false where another process
/// leads the queue.
pub(super) async fn send(shared: &Shared, epoch: u64, chosen: &[Filled]) -> StoreResult<bool> {
    let (store, now) = (shared.store(), shared.now());
    for filled in chosen {
        let sent = store
            .fill_slot(
                filled.match_id,
                filled.slot,
                filled.ticket_id,
                Some(epoch),
                now,
            )
            .await?;
        match sent {
            FillSlot::Filling => tracing::info!(match.id = %filled.match_id, slot = filled.slot,
                ticket.id = %filled.ticket_id, "a substitute is on the way"),
            FillSlot::TicketGone | FillSlot::SlotTaken => {}
            FillSlot::NotLeading => return Ok(false),
        }
    }
    Ok(true)
}
