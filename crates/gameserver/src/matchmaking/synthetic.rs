//! Streams of tickets that are made up, everything in them from one seed.
//!
//! - Groups come independently of each other (a Poisson process) at an even rate.
//! - Skill is N(1500, 350), and the rating knows it. Members of a party are alike: half of the
//!   variance is theirs in common. New players are rated as everybody begins, whatever their skill.
//! - A party has two players, or with every second chance one more, up to the largest.
//! - Everybody lives in one region, 15 to 65 ms away, and is 80 to 180 ms further from any other.
//! - Patience is exponential: whoever waits is as likely to give up now as at any other time.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use gs_matchmaker::{AttributeValue, PLACEMENT_MATCHES, Rating};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::stream::{Arrival, Player};

/// What to make up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Population {
    pub(super) seed: u64,
    pub(super) players_per_minute: f64,
    pub(super) hours: f64,
    /// The share of groups that are parties, from 0 to 1.
    pub(super) parties: f64,
    pub(super) largest_party: u8,
    /// The share of players who are in their placement matches, from 0 to 1.
    pub(super) new_players: f64,
    /// Regions, and how many live there relative to the others; none: nobody measures any.
    pub(super) regions: Vec<Weighted>,
    /// Attributes, and what groups say there.
    pub(super) attributes: BTreeMap<String, Vec<Weighted>>,
    /// Mean time after which players give up, in seconds; none: they do not.
    pub(super) patience: Option<f64>,
}

/// Something that is chosen in proportion to its weight.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weighted {
    pub(super) name: String,
    pub(super) weight: f64,
}

impl Population {
    /// The groups that come, in order.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        let mut random = Random(Pcg64Mcg::seed_from_u64(self.seed));
        let most = f64::from(self.largest_party.max(1));
        // 2, 3, … with halving chances, the rest of them all at the largest.
        let party = if most < 2.0 {
            1.0
        } else {
            3.0 - 0.5_f64.powf(most - 2.0)
        };
        let mean_size = 1.0 + self.parties * (party - 1.0);
        let mean_gap_ms = 60_000.0 * mean_size / self.players_per_minute;
        let end_ms = self.end_ms() as f64;
        let mut arrivals = Vec::new();
        let mut now_ms = 0.0;
        loop {
            now_ms += mean_gap_ms * random.exponential();
            if now_ms >= end_ms {
                return arrivals;
            }
            arrivals.push(self.arrival(now_ms as u64, &mut random));
        }
    }

    /// How long it goes on, in milliseconds.
    pub(super) fn end_ms(&self) -> u64 {
        (self.hours * 3_600_000.0) as u64
    }

    fn arrival(&self, arrives_ms: u64, random: &mut Random) -> Arrival {
        let mut size = 1;
        if self.largest_party >= 2 && random.uniform() < self.parties {
            size = 2;
            while size < self.largest_party && random.uniform() < 0.5 {
                size += 1;
            }
        }
        let deviation = Rating::default().uncertainty;
        let (shared, own) = match size {
            1 => (0.0, 1.0),
            _ => (0.5_f64.sqrt() * random.normal(), 0.5_f64.sqrt()),
        };
        let members = (0..size).map(|_| {
            let skill = Rating::default().value + deviation * (shared + own * random.normal());
            if random.uniform() < self.new_players {
                let matches = random.below(PLACEMENT_MATCHES.into()) as u32;
                let Rating { value, uncertainty } = Rating::default();
                return Player {
                    skill: value,
                    rating: value,
                    uncertainty,
                    matches,
                };
            }
            Player {
                skill,
                rating: skill,
                uncertainty: KNOWN,
                matches: MATCHES,
            }
        });
        let members = members.collect();
        Arrival {
            arrives_ms,
            mode: "default".to_owned(),
            members,
            latency_ms: self.latencies(random),
            attributes: (self.attributes.iter())
                .filter_map(|(name, values)| {
                    let value = &values.get(random.choose(values)?)?.name;
                    let number = value.parse().ok().filter(|n: &f64| n.is_finite());
                    let value = number.map_or_else(
                        || AttributeValue::Text(value.clone()),
                        AttributeValue::Number,
                    );
                    Some((name.clone(), value))
                })
                .collect(),
            left_after_ms: self
                .patience
                .map(|seconds| (seconds * 1_000.0 * random.exponential()) as u64),
            matched_after_ms: None,
        }
    }

    fn latencies(&self, random: &mut Random) -> BTreeMap<String, u32> {
        let Some(home) = random.choose(&self.regions) else {
            return BTreeMap::new();
        };
        let near = 15 + random.below(51);
        let regions = self.regions.iter().enumerate().map(|(index, region)| {
            let further = if index == home {
                0
            } else {
                80 + random.below(101)
            };
            (region.name.clone(), (near + further) as u32)
        });
        regions.collect()
    }
}

struct Random(Pcg64Mcg);

impl Random {
    /// Above 0, below 1.
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// With mean 1.
    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// With mean 0 and deviation 1: Box and Muller's.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.uniform() * end as f64) as u64
    }

    /// The place of one of them; none where there are none.
    fn choose(&mut self, from: &[Weighted]) -> Option<usize> {
        let mut rest = self.uniform() * from.iter().map(|one| one.weight).sum::<f64>();
        let chosen = from.iter().position(|one| {
            rest -= one.weight;
            rest < 0.0
        });
        chosen.or(from.len().checked_sub(1))
    }
}

/// What remains uncertain of a rating after some dozens of matches.
const KNOWN: f64 = 80.0;
const MATCHES: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn population() -> Population {
        let weighted = |name: &str, weight| Weighted {
            name: name.to_owned(),
            weight,
        };
        Population {
            seed: 7,
            players_per_minute: 60.0,
            hours: 4.0,
            parties: 0.25,
            largest_party: 4,
            new_players: 0.1,
            regions: vec![weighted("eu", 3.0), weighted("us", 1.0)],
            attributes: BTreeMap::from([(
                "map".to_owned(),
                vec![weighted("dust", 1.0), weighted("7", 1.0)],
            )]),
            patience: Some(90.0),
        }
    }

    #[test]
    fn a_seed_gives_one_stream_and_another_seed_another() {
        let other = Population {
            seed: 8,
            ..population()
        };
        assert_eq!(population().arrivals(), population().arrivals());
        assert_ne!(population().arrivals(), other.arrivals());
    }

    #[test]
    fn who_comes_is_as_it_was_asked_for() {
        let arrivals = population().arrivals();
        let groups = arrivals.len() as f64;
        let players: Vec<&Player> = arrivals.iter().flat_map(|a| &a.members).collect();
        let count = players.len() as f64;
        let near = |found: f64, expected: f64, by: f64| {
            assert!(
                (found - expected).abs() < by,
                "{found}, expected {expected}"
            );
        };
        // Each bound is about four standard errors.
        near(count / 240.0, 60.0, 3.0);
        let parties = arrivals.iter().filter(|a| a.members.len() > 1).count();
        near(parties as f64 / groups, 0.25, 0.02);
        assert_eq!(arrivals.iter().map(|a| a.members.len()).max(), Some(4));
        let new = players
            .iter()
            .filter(|p| p.matches < PLACEMENT_MATCHES)
            .count();
        near(new as f64 / count, 0.1, 0.012);
        let known: Vec<f64> = players
            .iter()
            .filter(|p| p.matches == MATCHES)
            .map(|p| p.rating)
            .collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let variance = known.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / known.len() as f64;
        near(mean, 1_500.0, 15.0);
        near(variance.sqrt(), 350.0, 10.0);
        let eu = arrivals
            .iter()
            .filter(|a| a.latency_ms["eu"] < a.latency_ms["us"])
            .count();
        near(eu as f64 / groups, 0.75, 0.02);
        let patience = arrivals.iter().filter_map(|a| a.left_after_ms).sum::<u64>();
        near(patience as f64 / groups / 1_000.0, 90.0, 4.0);
        let map = |a: &&Arrival| a.attributes["map"] == AttributeValue::Number(7.0);
        near(
            arrivals.iter().filter(map).count() as f64 / groups,
            0.5,
            0.03,
        );
    }
}
