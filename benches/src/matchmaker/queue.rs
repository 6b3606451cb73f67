//! Who waits: the same seed gives the same queue.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_matchmaker::{
    Group, LatencyRule, Member, PartySkill, PlayerCount, Rating, Rules, SkillRule, SkillSource,
    Steps, Teams,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// A mode with two teams, or with two players for themselves.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    /// In the keys of figures.
    pub(crate) name: &'static str,
    pub(crate) team: u8,
    /// Of a hundred groups, how many have so many players, from one on.
    pub(crate) parties: &'static [u32],
}

pub(crate) const DUEL: Mode = Mode {
    name: "1v1",
    team: 1,
    parties: &[100],
};
pub(crate) const TWO: Mode = Mode {
    name: "2v2",
    team: 2,
    parties: &[75, 25],
};
pub(crate) const FIVE: Mode = Mode {
    name: "5v5",
    team: 5,
    parties: &[60, 20, 10, 5, 5],
};

impl Mode {
    /// Limits on skill, balance and latency that widen, as a game would have them.
    pub(crate) fn rules(&self) -> Rules {
        let widest = WIDEST.as_secs();
        let steps = |start: f64, steps: &[(u64, f64)]| Steps {
            start,
            steps: steps
                .iter()
                .map(|&(after, to)| (Duration::from_secs(after), to))
                .collect(),
        };
        Rules {
            players: PlayerCount::exactly(2 * self.team),
            teams: Teams::Even(2),
            skill: Some(SkillRule {
                source: SkillSource::Rating,
                tolerance: steps(100.0, &[(10, 200.0), (20, 400.0), (widest, f64::INFINITY)]),
                party: PartySkill::Average,
            }),
            balance: Some(steps(60.0, &[(10, 120.0), (30, f64::INFINITY)])),
            latency: Some(LatencyRule {
                regions: REGIONS.map(str::to_owned).to_vec(),
                max_ms: steps(80.0, &[(15, 150.0), (widest, f64::INFINITY)]),
            }),
            ..Rules::default()
        }
    }

    /// So many groups, who have waited for 20 seconds in the mean, the one a little and the other long.
    pub(crate) fn queue(&self, groups: usize, seed: u64) -> Vec<Group> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..groups).map(|_| self.group(&mut random)).collect()
    }

    fn group(&self, random: &mut StdRng) -> Group {
        let mut kind = random.random_range(0..100);
        let sizes = self.parties.iter().take_while(|&&share| {
            let larger = kind >= share;
            kind = kind.wrapping_sub(share);
            larger
        });
        let size = 1 + sizes.count();
        // Friends are about as good as each other.
        let mean = 1500.0 + (350.0f64.powi(2) - FRIENDS.powi(2)).sqrt() * normal(random);
        let members = (0..size).map(|_| {
            let value = mean + FRIENDS * normal(random);
            Member {
                ticket_id: Uuid::from_u128(random.random()),
                player_id: Uuid::from_u128(random.random()),
                skill: value,
                rating: Rating {
                    value,
                    uncertainty: 70.0,
                },
                matches: 50,
            }
        });
        let members = members.collect();
        let waited = (-MEAN_WAIT_S * (1.0 - random.random::<f64>()).ln()).min(LONGEST_WAIT_S);
        let home = random.random_range(0..REGIONS.len());
        let latency = REGIONS.iter().enumerate().map(|(region, name)| {
            let ms = match (region + REGIONS.len() - home) % REGIONS.len() {
                0 => random.random_range(10..60),
                1 => random.random_range(80..140),
                _ => random.random_range(140..250),
            };
            ((*name).to_owned(), ms)
        });
        let latency_ms = latency.collect();
        Group {
            id: Uuid::from_u128(random.random()),
            members,
            code: None,
            queued_at: now() - TimeDelta::milliseconds((waited * 1e3) as i64),
            returned: false,
            attributes: BTreeMap::new(),
            latency_ms,
        }
    }
}

/// After so long, no limit of a mode's rules widens any more.
pub(crate) const WIDEST: Duration = Duration::from_secs(45);

/// When the pass is.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn normal(random: &mut StdRng) -> f64 {
    let uniform = 1.0 - random.random::<f64>();
    (-2.0 * uniform.ln()).sqrt() * (TAU * random.random::<f64>()).cos()
}

const REGIONS: [&str; 3] = ["eu", "us", "ap"];
/// How far members of a party are from its mean.
const FRIENDS: f64 = 150.0;
const MEAN_WAIT_S: f64 = 20.0;
const LONGEST_WAIT_S: f64 = 300.0;
