//! Who plays with whom, and how good they are: from waiting tickets to proposed matches, and from
//! results to ratings.
//!
//! Pure: the same tickets, rules and time give the same proposals, in whatever order the tickets
//! come. A proposal takes effect when the store moves its tickets in one step; until then nothing
//! has happened, and a ticket that is gone by then only costs the proposal.

mod rating;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use rating::{RatedPlayer, Rating, rate};

/// Proposes as many matches as the waiting tickets of one game allow, first come first served
/// among those of the same mode and code.
///
/// A match takes exactly [`Mode::players`] tickets, and a private one at least two: whoever gives a
/// code waits for a friend, also where the game can be played alone. Tickets of a mode that has no rule are left
/// alone, as are those that are not queued yet at `now` and all but the first of a player.
pub fn match_batch(
    tickets: &[WaitingTicket],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Vec<ProposedMatch> {
    let mut waiting: Vec<&WaitingTicket> = tickets.iter().filter(|t| t.queued_at <= now).collect();
    waiting.sort_by_key(|t| (t.queued_at, t.ticket_id));
    let mut seen = HashSet::new();
    waiting.retain(|t| seen.insert(t.player_id));

    let mut groups: BTreeMap<(&str, Option<&str>), Vec<&WaitingTicket>> = BTreeMap::new();
    for ticket in waiting {
        groups
            .entry((&ticket.mode, ticket.code.as_deref()))
            .or_default()
            .push(ticket);
    }
    let mut proposals = Vec::new();
    for ((mode, code), group) in groups {
        let Some(mode) = rules.modes.iter().find(|m| m.name == mode) else {
            continue;
        };
        let least = if code.is_some() { 2 } else { 1 };
        for members in group.chunks_exact(usize::from(mode.players.max(least))) {
            proposals.push(ProposedMatch {
                mode: mode.name.clone(),
                members: assign_teams(members, mode.teams),
            });
        }
    }
    proposals
}

/// A player who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingTicket {
    /// The ticket's id.
    pub ticket_id: Uuid,
    /// Who waits.
    pub player_id: Uuid,
    /// In which of the game's modes.
    pub mode: String,
    /// A private match with whoever gives the same code.
    pub code: Option<String>,
    /// Since when.
    pub queued_at: DateTime<Utc>,
}

/// How matches of one game are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// One entry a mode; names are unique.
    pub modes: Vec<Mode>,
}

/// How matches of one mode are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Its name.
    pub name: String,
    /// How many players a match has, 1–64.
    pub players: u8,
    /// How many teams they are spread over; 0: everyone for themselves.
    pub teams: u8,
}

/// A match that can be formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedMatch {
    /// In which mode.
    pub mode: String,
    /// Who plays, in the order of slots.
    pub members: Vec<Member>,
}

/// A player in a proposed match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The ticket that brought the player here.
    pub ticket_id: Uuid,
    /// Who plays.
    pub player_id: Uuid,
    /// The team, where there are teams.
    pub team: Option<u8>,
}

/// Deals players out to teams one by one, so that no team is larger than another by two.
fn assign_teams(members: &[&WaitingTicket], teams: u8) -> Vec<Member> {
    let teams = (0..teams).cycle().map(Some).chain(std::iter::repeat(None));
    members
        .iter()
        .zip(teams)
        .map(|(t, team)| Member {
            ticket_id: t.ticket_id,
            player_id: t.player_id,
            team,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn ticket(n: u128, mode: &str, code: Option<&str>) -> WaitingTicket {
        WaitingTicket {
            ticket_id: Uuid::from_u128(n),
            player_id: Uuid::from_u128(1000 + n),
            mode: mode.to_owned(),
            code: code.map(str::to_owned),
            queued_at: at(n as i64),
        }
    }

    fn rules(players: u8, teams: u8) -> Rules {
        let mode = |name: &str| Mode {
            name: name.to_owned(),
            players,
            teams,
        };
        Rules {
            modes: vec![mode("duel"), mode("brawl")],
        }
    }

    fn ids(proposals: &[ProposedMatch]) -> Vec<Vec<u128>> {
        proposals
            .iter()
            .map(|p| p.members.iter().map(|m| m.ticket_id.as_u128()).collect())
            .collect()
    }

    #[test]
    fn who_came_first_plays_first() {
        let waiting: Vec<_> = (1..=5).rev().map(|n| ticket(n, "duel", None)).collect();
        assert_eq!(
            ids(&match_batch(&waiting, &rules(2, 0), at(9))),
            [[1, 2], [3, 4]]
        );
    }

    #[test]
    fn modes_and_codes_are_kept_apart() {
        let waiting = [
            ticket(1, "duel", None),
            ticket(2, "brawl", None),
            ticket(3, "duel", Some("tea")),
            ticket(4, "duel", Some("cake")),
            ticket(5, "duel", Some("tea")),
            ticket(6, "unheard-of", None),
            ticket(7, "unheard-of", None),
        ];
        assert_eq!(ids(&match_batch(&waiting, &rules(2, 0), at(9))), [[3, 5]]);
    }

    #[test]
    fn a_private_match_waits_for_a_friend_where_one_could_play_alone() {
        let alone = [ticket(1, "duel", None), ticket(2, "duel", Some("tea"))];
        assert_eq!(ids(&match_batch(&alone, &rules(1, 0), at(9))), [[1]]);
        let friends = [
            ticket(2, "duel", Some("tea")),
            ticket(3, "duel", Some("tea")),
        ];
        assert_eq!(ids(&match_batch(&friends, &rules(1, 0), at(9))), [[2, 3]]);
    }

    #[test]
    fn teams_are_dealt_out_evenly() {
        let waiting: Vec<_> = (1..=5).map(|n| ticket(n, "duel", None)).collect();
        let proposals = match_batch(&waiting, &rules(5, 2), at(9));
        let teams: Vec<_> = proposals[0].members.iter().map(|m| m.team).collect();
        assert_eq!(teams, [Some(0), Some(1), Some(0), Some(1), Some(0)]);
        let alone = match_batch(&waiting, &rules(5, 0), at(9));
        assert!(alone[0].members.iter().all(|m| m.team.is_none()));
    }

    #[test]
    fn a_ticket_from_the_future_waits() {
        let waiting = [ticket(1, "duel", None), ticket(2, "duel", None)];
        assert_eq!(match_batch(&waiting, &rules(2, 0), at(1)), []);
    }

    fn tickets() -> impl Strategy<Value = Vec<WaitingTicket>> {
        let one = (0u128..200, 0u128..60, 0usize..3, 0usize..3, 0i64..50);
        proptest::collection::vec(one, 0..80).prop_map(|rows| {
            let mut waiting: Vec<_> = rows
                .into_iter()
                .map(|(id, player, mode, code, queued)| WaitingTicket {
                    ticket_id: Uuid::from_u128(id),
                    player_id: Uuid::from_u128(player),
                    mode: ["duel", "brawl", "unheard-of"][mode].to_owned(),
                    code: [None, Some("tea"), Some("cake")][code].map(str::to_owned),
                    queued_at: at(queued),
                })
                .collect();
            waiting.sort_by_key(|t| t.ticket_id);
            waiting.dedup_by_key(|t| t.ticket_id);
            waiting
        })
    }

    proptest! {
        #[test]
        fn nobody_plays_twice_and_every_match_is_whole(
            waiting in tickets(), players in 1u8..9, teams in 0u8..4, now in 0i64..60,
        ) {
            let proposals = match_batch(&waiting, &rules(players, teams), at(now));
            let mut seen = HashSet::new();
            for proposal in &proposals {
                let code = waiting.iter().find(|t| t.ticket_id == proposal.members[0].ticket_id);
                let least = if code.unwrap().code.is_some() { 2 } else { 1 };
                prop_assert_eq!(proposal.members.len(), usize::from(players.max(least)));
                let mut codes = HashSet::new();
                for member in &proposal.members {
                    prop_assert!(seen.insert(member.player_id), "{} plays twice", member.player_id);
                    let ticket = waiting.iter().find(|t| t.ticket_id == member.ticket_id).unwrap();
                    prop_assert_eq!(ticket.player_id, member.player_id);
                    prop_assert_eq!(&ticket.mode, &proposal.mode);
                    prop_assert!(ticket.queued_at <= at(now));
                    prop_assert_eq!(member.team.is_some(), teams > 0);
                    codes.insert(&ticket.code);
                }
                prop_assert_eq!(codes.len(), 1);
            }
        }

        #[test]
        fn whoever_is_left_could_not_fill_a_match(waiting in tickets(), players in 1u8..9) {
            let proposals = match_batch(&waiting, &rules(players, 0), at(60));
            let placed: HashSet<_> =
                proposals.iter().flat_map(|p| &p.members).map(|m| m.player_id).collect();
            let mut left: BTreeMap<_, HashSet<_>> = BTreeMap::new();
            let mut first: Vec<_> = waiting.iter().collect();
            first.sort_by_key(|t| (t.queued_at, t.ticket_id));
            let mut players_seen = HashSet::new();
            first.retain(|t| players_seen.insert(t.player_id));
            for ticket in first.iter().filter(|t| t.mode != "unheard-of") {
                if !placed.contains(&ticket.player_id) {
                    left.entry((&ticket.mode, &ticket.code)).or_default().insert(ticket.player_id);
                }
            }
            for ((_, code), group) in left {
                let least = if code.is_some() { 2 } else { 1 };
                prop_assert!(group.len() < usize::from(players.max(least)));
            }
        }

        #[test]
        fn the_order_of_tickets_does_not_matter(
            (waiting, shuffled) in tickets().prop_flat_map(|w| {
                (Just(w.clone()), Just(w).prop_shuffle())
            }),
            players in 1u8..9,
        ) {
            let rules = rules(players, 2);
            prop_assert_eq!(
                match_batch(&waiting, &rules, at(60)),
                match_batch(&shuffled, &rules, at(60))
            );
        }
    }
}
