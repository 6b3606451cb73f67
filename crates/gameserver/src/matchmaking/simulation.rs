//! A queue in virtual time: the passes that the service would make, with the matchmaker it uses.
//!
//! Not simulated are players who do not accept, and slots of running matches that become free.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_matchmaker::{Group, Member, Rating, Rules, SkillSource, match_batch, win_probabilities};
use uuid::Uuid;

use super::stream::Arrival;

/// What became of a stream of tickets under some rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Players who came.
    pub(super) players: usize,
    /// Of these, those whom the rules do not let queue, such as a party larger than a team.
    pub(super) refused: usize,
    /// Those who gave up before they were matched.
    pub(super) gave_up: usize,
    /// Those who waited as long as `match_timeout` lets them.
    pub(super) timed_out: usize,
    /// Those who still waited at the end.
    pub(super) waiting: usize,
    /// How long each player waited who was matched, in seconds.
    pub(super) waits: Vec<f64>,
    /// What each match was like.
    pub(super) matches: Vec<Made>,
    /// How many players waited after each pass that came at a whole minute.
    pub(super) queue: Vec<usize>,
}

/// A match that was made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    /// Root mean square difference in skill of its players.
    pub(super) spread: f64,
    /// The chance that the strongest team (or player) has; none with fewer than two.
    pub(super) favourite: Option<f64>,
    /// Mean round trip, in milliseconds; none where nobody measured any.
    pub(super) latency: Option<f64>,
}

/// Plays a stream until `end_ms`. `progress` is told how much of it has passed, from 0 to 1.
pub(super) fn play(
    arrivals: &[Arrival],
    end_ms: u64,
    rules: &Rules,
    progress: &mut dyn FnMut(f64),
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut coming = arrivals.iter().enumerate().peekable();
    let mut queue: Vec<Waiting> = Vec::new();
    let last = end_ms.div_ceil(PASS_MS);
    for pass in 0..=last {
        let now_ms = pass * PASS_MS;
        let now = at(now_ms);
        while let Some((index, arrival)) = coming.next_if(|(_, a)| a.arrives_ms <= now_ms) {
            outcome.players += arrival.members.len();
            match group(index, arrival, rules) {
                Some(group) => queue.push(Waiting {
                    group,
                    leaves_ms: arrival.left_after_ms.map(|ms| arrival.arrives_ms + ms),
                }),
                None => outcome.refused += arrival.members.len(),
            }
        }
        queue.retain(|one| {
            let players = one.group.members.len();
            if one.leaves_ms.is_some_and(|at| at <= now_ms) {
                outcome.gave_up += players;
                return false;
            }
            if one.group.waited(now) >= rules.match_timeout {
                outcome.timed_out += players;
                return false;
            }
            true
        });
        let groups: Vec<Group> = queue.iter().map(|one| one.group.clone()).collect();
        let mut taken = std::collections::HashSet::new();
        for proposal in match_batch(&groups, rules, now) {
            taken.extend(proposal.groups.iter().copied());
            let members: Vec<&Member> = (groups.iter())
                .filter(|group| proposal.groups.contains(&group.id))
                .flat_map(|group| &group.members)
                .collect();
            let teams = proposal.slots.iter().filter_map(|slot| {
                let member = members.iter().find(|m| m.ticket_id == slot.ticket_id)?;
                Some((slot.team, member.rating))
            });
            let measured = proposal.region.is_some() && proposal.quality.latency > 0.0;
            outcome.matches.push(Made {
                spread: proposal.quality.spread,
                favourite: favourite(teams),
                latency: measured.then_some(proposal.quality.latency),
            });
        }
        queue.retain(|one| {
            let stays = !taken.contains(&one.group.id);
            if !stays {
                let waited = one.group.waited(now).as_secs_f64();
                outcome
                    .waits
                    .extend(one.group.members.iter().map(|_| waited));
            }
            stays
        });
        if now_ms.is_multiple_of(MINUTE_MS) {
            outcome
                .queue
                .push(queue.iter().map(|one| one.group.members.len()).sum());
        }
        progress(pass as f64 / last.max(1) as f64);
    }
    outcome.waiting = queue.iter().map(|one| one.group.members.len()).sum();
    outcome
}

struct Waiting {
    group: Group,
    leaves_ms: Option<u64>,
}

/// The group as these rules see it; none where they do not let it queue.
fn group(index: usize, arrival: &Arrival, rules: &Rules) -> Option<Group> {
    if arrival.members.len() > usize::from(rules.largest_party()) {
        return None;
    }
    // Rules that know less of players than those before them just do not ask.
    let mut attributes = arrival.attributes.clone();
    attributes.retain(|name, _| rules.attributes.iter().any(|rule| rule.name == *name));
    rules.check_attributes(&attributes).ok()?;
    let source = rules.skill.as_ref().map(|skill| skill.source);
    let members = arrival.members.iter().enumerate().map(|(place, player)| {
        let id = id(index, place + 1);
        Member {
            ticket_id: id,
            player_id: id,
            skill: match source {
                Some(SkillSource::BestScore) => player.skill,
                Some(SkillSource::Matches) => f64::from(player.matches),
                Some(SkillSource::Rating) | None => player.rating,
            },
            rating: Rating {
                value: player.rating,
                uncertainty: player.uncertainty,
            },
            matches: player.matches,
        }
    });
    Some(Group {
        id: id(index, 0),
        members: members.collect(),
        code: None,
        queued_at: at(arrival.arrives_ms),
        returned: false,
        attributes,
        latency_ms: arrival.latency_ms.clone(),
    })
}

/// How likely the strongest side wins.
fn favourite(slots: impl Iterator<Item = (Option<u8>, Rating)>) -> Option<f64> {
    let mut teams: Vec<(Option<u8>, Vec<Rating>)> = Vec::new();
    for (team, rating) in slots {
        match teams
            .iter_mut()
            .find(|(of, _)| team.is_some() && *of == team)
        {
            Some((_, ratings)) => ratings.push(rating),
            None => teams.push((team, vec![rating])),
        }
    }
    let teams: Vec<&[Rating]> = teams
        .iter()
        .map(|(_, ratings)| ratings.as_slice())
        .collect();
    if teams.len() < 2 {
        return None;
    }
    win_probabilities(&teams).into_iter().reduce(f64::max)
}

/// The same for the same stream, and different for all in it.
fn id(index: usize, place: usize) -> Uuid {
    Uuid::from_u128(((index as u128 + 1) << 8) | place as u128)
}

fn at(ms: u64) -> DateTime<Utc> {
    // Streams are checked to end within a month.
    DateTime::UNIX_EPOCH + TimeDelta::from_std(Duration::from_millis(ms)).unwrap_or_default()
}

/// The service makes a pass at least this often.
const PASS_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::super::stream::Player;
    use super::*;

    fn arrival(arrives_ms: u64, rating: f64, left_after_ms: Option<u64>) -> Arrival {
        Arrival {
            arrives_ms,
            mode: "default".to_owned(),
            members: vec![Player {
                skill: 7.0,
                rating,
                uncertainty: 80.0,
                matches: 50,
            }],
            attributes: Default::default(),
            latency_ms: Default::default(),
            left_after_ms,
            matched_after_ms: None,
        }
    }

    #[test]
    fn players_meet_in_the_first_pass_in_which_the_rules_let_them() {
        let arrivals = [arrival(0, 1_500.0, None), arrival(400, 1_650.0, None)];
        let outcome = play(&arrivals, 60_000, &Rules::default(), &mut |_| {});
        // 150 apart: from 5 s on, which the second has waited in the pass at 6 s.
        assert_eq!(outcome.waits, [6.0, 5.6]);
        assert_eq!(outcome.matches[0].spread, 150.0);
        let favourite = outcome.matches[0].favourite.unwrap();
        assert!((0.65..0.72).contains(&favourite), "{favourite}");
        assert_eq!(outcome.matches[0].latency, None);
        assert_eq!(outcome.waiting + outcome.timed_out + outcome.gave_up, 0);
        assert_eq!(outcome.queue, [1, 0]);
    }

    #[test]
    fn everybody_who_came_is_accounted_for() {
        let mut party = arrival(0, 1_500.0, None);
        party.members = vec![party.members[0].clone(); 3];
        let arrivals = [
            arrival(0, 900.0, Some(3_000)),
            party,
            arrival(10_000, 1_500.0, None),
            arrival(700_000, 1_500.0, None),
        ];
        let outcome = play(&arrivals, 700_000, &Rules::default(), &mut |_| {});
        assert_eq!(outcome.players, 6);
        // The default rules are for two: a party of three cannot queue.
        assert_eq!(
            (
                outcome.refused,
                outcome.gave_up,
                outcome.timed_out,
                outcome.waiting
            ),
            (3, 1, 1, 1)
        );
        assert_eq!((outcome.waits.len(), outcome.matches.len()), (0, 0));
    }

    #[test]
    fn skill_is_what_the_rules_say_it_is() {
        let mut rules = Rules::default();
        rules.skill.as_mut().unwrap().source = SkillSource::BestScore;
        let arrivals = [arrival(0, 900.0, None), arrival(0, 2_100.0, None)];
        let outcome = play(&arrivals, 1_000, &rules, &mut |_| {});
        assert_eq!(outcome.waits, [0.0, 0.0]);
        let outcome = play(&arrivals, 1_000, &Rules::default(), &mut |_| {});
        assert_eq!(outcome.waiting, 2);
    }
}
