//! Which matches to make of those who wait.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Group, Quality, Rules, Teams};

/// Proposes matches out of those who wait in one mode. The same groups, rules and time give the same
/// proposals, in whatever order the groups come.
///
/// A proposal takes effect when the store moves its tickets in one step; until then nothing has
/// happened, and a ticket that is gone by then only costs the proposal. Groups that are not queued
/// yet at `now` wait.
pub fn match_batch(groups: &[Group], rules: &Rules, now: DateTime<Utc>) -> Vec<ProposedMatch> {
    let mut waiting: Vec<&Group> = groups.iter().filter(|g| g.queued_at <= now).collect();
    waiting.sort_by_key(|g| (g.queued_at, g.id));
    let mut by_code: BTreeMap<Option<&str>, Vec<&Group>> = BTreeMap::new();
    for group in waiting {
        by_code
            .entry(group.code.as_deref())
            .or_default()
            .push(group);
    }
    let mut proposals = Vec::new();
    for mut waiting in by_code.into_values() {
        while !waiting.is_empty() {
            let seed = waiting.remove(0);
            let least = if seed.code.is_some() { 2 } else { 1 };
            let size = usize::from(rules.players.max.max(least));
            let (mut chosen, mut players) = (vec![seed], seed.members.len());
            for other in &waiting {
                if players + other.members.len() <= size
                    && chosen.iter().all(|g| rules.may_meet(g, other, now))
                {
                    chosen.push(other);
                    players += other.members.len();
                }
            }
            if players == size
                && let Some(slots) = deal(&chosen, rules)
            {
                waiting.retain(|g| !chosen.iter().any(|c| c.id == g.id));
                proposals.push(ProposedMatch {
                    slots,
                    groups: chosen.iter().map(|g| g.id).collect(),
                    region: rules.region_for(&chosen, now).map(|(r, _)| r.to_owned()),
                    quality: Quality::default(),
                });
            }
        }
    }
    proposals
}

/// A match that can be formed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedMatch {
    /// Who plays, in the order of slots.
    pub slots: Vec<ProposedSlot>,
    /// The groups that play.
    pub groups: Vec<Uuid>,
    /// The region that is best for them, where the rules know regions.
    pub region: Option<String>,
    /// How good it is.
    pub quality: Quality,
}

/// A player in a proposed match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposedSlot {
    /// The ticket that brought the player here.
    pub ticket_id: Uuid,
    /// Who plays.
    pub player_id: Uuid,
    /// The team, where there are teams.
    pub team: Option<u8>,
}

/// Puts the largest groups first where there is most room.
fn deal(groups: &[&Group], rules: &Rules) -> Option<Vec<ProposedSlot>> {
    let players: usize = groups.iter().map(|g| g.members.len()).sum();
    let mut room: Vec<usize> = match &rules.teams {
        Teams::Everyone => vec![players],
        Teams::Even(count) => {
            let count = usize::from(*count);
            (0..count)
                .map(|team| players / count + usize::from(team < players % count))
                .collect()
        }
        Teams::Sizes(sizes) => sizes.iter().map(|&size| usize::from(size)).collect(),
    };
    let mut largest_first = groups.to_vec();
    largest_first.sort_by_key(|g| std::cmp::Reverse(g.members.len()));
    let mut slots = Vec::with_capacity(players);
    for group in largest_first {
        let (team, left) = room
            .iter_mut()
            .enumerate()
            .rev()
            .max_by_key(|(_, left)| **left)?;
        *left = left.checked_sub(group.members.len())?;
        let team = u8::try_from(team).ok().filter(|_| rules.team_count() > 0);
        slots.extend(group.members.iter().map(|member| ProposedSlot {
            ticket_id: member.ticket_id,
            player_id: member.player_id,
            team,
        }));
    }
    Some(slots)
}
