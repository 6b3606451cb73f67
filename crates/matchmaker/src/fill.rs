//! Who takes free slots in matches that run.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Group, Rating, Rules};

/// Finds players for free slots, the oldest slot first. Those who are used are not to be given to
/// [`crate::match_batch`]; only players who wait alone and without a code are.
pub fn fill(
    openings: &[Opening],
    groups: &[Group],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Vec<Filled> {
    let mut openings: Vec<&Opening> = openings.iter().collect();
    openings.sort_by_key(|o| (o.opened_at, o.match_id, o.slot));
    let mut waiting: Vec<&Group> = groups
        .iter()
        .filter(|g| g.queued_at <= now && g.code.is_none() && g.members.len() == 1)
        .collect();
    waiting.sort_by_key(|g| (g.queued_at, g.id));
    let mut filled = Vec::new();
    for opening in openings {
        let fits = |group: &&Group| {
            let Some(rule) = &rules.skill else {
                return true;
            };
            let tolerance = rule.tolerance.at(group.waited(now));
            let skill = rules.skill_of(group);
            opening
                .players
                .iter()
                .all(|player| (player.skill - skill).abs() < tolerance)
        };
        let Some(index) = waiting.iter().position(fits) else {
            continue;
        };
        let group = waiting.remove(index);
        filled.extend(group.members.first().map(|member| Filled {
            match_id: opening.match_id,
            slot: opening.slot,
            ticket_id: member.ticket_id,
            player_id: member.player_id,
            group: group.id,
        }));
    }
    filled
}

/// A free slot in a match that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// The match.
    pub match_id: Uuid,
    /// The slot.
    pub slot: u8,
    /// The slot's team, where there are teams.
    pub team: Option<u8>,
    /// Since when it is free.
    pub opened_at: DateTime<Utc>,
    /// Who plays there now.
    pub players: Vec<Playing>,
    /// The match's region, where it has one.
    pub region: Option<String>,
}

/// Somebody who plays in a match that has a free slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Playing {
    /// The team, where there are teams.
    pub team: Option<u8>,
    /// The skill, by [`crate::SkillRule::source`].
    pub skill: f64,
    /// The rating.
    pub rating: Rating,
}

/// A player for a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The match.
    pub match_id: Uuid,
    /// The slot.
    pub slot: u8,
    /// The ticket that brought the player here.
    pub ticket_id: Uuid,
    /// Who is to play.
    pub player_id: Uuid,
    /// The player's group.
    pub group: Uuid,
}
