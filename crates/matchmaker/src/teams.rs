//! Which group of a match plays in which team.

use crate::{MAX_PLAYERS, Teams};

/// What a group brings into its team.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    /// How many players.
    pub(crate) players: u8,
    /// The sum of their ratings.
    pub(crate) rating: f64,
}

/// Groups of a match on their teams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dealt {
    /// The most that the means of two teams differ.
    pub(crate) imbalance: f64,
    /// The team of each group.
    pub(crate) teams: [u8; SLOTS],
}

/// Team sizes of a match of so many players. Everyone for themselves is one team of all.
pub(crate) fn sizes(teams: &Teams, players: u8) -> Vec<u8> {
    match teams {
        Teams::Everyone => vec![players],
        Teams::Even(count) => {
            let count = (*count).max(1);
            let (each, more) = (players / count, players % count);
            (0..count)
                .map(|team| each + u8::from(team < more))
                .collect()
        }
        Teams::Sizes(sizes) => sizes.clone(),
    }
}

/// Whether parties fit into teams of these sizes, the largest parties first. Single players need not
/// be asked for, since they fit wherever there is room.
pub(crate) fn packs(parties: &mut [u8], sizes: &[u8]) -> bool {
    parties.sort_unstable_by(|a, b| b.cmp(a));
    let mut free = [0; SLOTS];
    let free = &mut free[..sizes.len()];
    free.copy_from_slice(sizes);
    let mut steps = PACKING_STEPS;
    place_parties(parties, free, &mut steps)
}

fn place_parties(parties: &[u8], free: &mut [u8], steps: &mut u32) -> bool {
    let Some((party, others)) = parties.split_first() else {
        return true;
    };
    for team in 0..free.len() {
        // Teams with the same room are the same.
        let room = free[team];
        if room < *party || free[..team].contains(&room) || *steps == 0 {
            continue;
        }
        *steps -= 1;
        free[team] -= party;
        if place_parties(others, free, steps) {
            return true;
        }
        free[team] += party;
    }
    false
}

/// Deals whole groups out to teams of exactly these sizes, such that the means of the teams differ
/// as little as possible. Exact for matches of up to ten players, but that a difference below
/// `enough` is good enough; of larger ones the best that some attempts and exchanges of two
/// groups find. None where the groups do not fit.
pub(crate) fn deal(shares: &[Share], sizes: &[u8], enough: f64) -> Option<Dealt> {
    let needed: usize = sizes.iter().map(|s| usize::from(*s)).sum();
    let present: usize = shares.iter().map(|s| usize::from(s.players)).sum();
    if needed != present || present > SLOTS || shares.iter().any(|s| s.players == 0) {
        return None;
    }
    if sizes.len() == 1 {
        let teams = [0; SLOTS];
        let imbalance = 0.0;
        return Some(Dealt { imbalance, teams });
    }
    let mut order = [0; SLOTS];
    let order = &mut order[..shares.len()];
    for (index, place) in order.iter_mut().enumerate() {
        *place = index as u8;
    }
    // The largest first, since they have the fewest places to go; of equals the best first, so that
    // the last ones even out what is left.
    order.sort_unstable_by(|&a, &b| {
        let (x, y) = (&shares[usize::from(a)], &shares[usize::from(b)]);
        let by_rating = y.rating.total_cmp(&x.rating);
        (y.players.cmp(&x.players)).then(by_rating).then(a.cmp(&b))
    });
    let mut search = Search {
        shares,
        order,
        sizes,
        enough,
        free: [0; SLOTS],
        sums: [0.0; SLOTS],
        teams: [0; SLOTS],
        best: None,
        steps: if present <= EXACT {
            MAX_STEPS
        } else {
            MAX_STEPS_OF_MANY / sizes.len() as u32
        },
    };
    search.free[..sizes.len()].copy_from_slice(sizes);
    search.place(0);
    let steps = search.steps;
    let mut dealt = search.best?;
    if steps == 0 && dealt.imbalance > enough {
        exchange(&mut dealt, shares, sizes, enough);
    }
    Some(dealt)
}

struct Search<'a> {
    shares: &'a [Share],
    order: &'a [u8],
    sizes: &'a [u8],
    enough: f64,
    free: [u8; SLOTS],
    sums: [f64; SLOTS],
    teams: [u8; SLOTS],
    best: Option<Dealt>,
    steps: u32,
}

impl Search<'_> {
    /// Tries all teams for a group, the weakest first, and then the next group. Answers whether to
    /// stop.
    fn place(&mut self, depth: usize) -> bool {
        let Some(&group) = self.order.get(depth) else {
            let imbalance = difference(&self.sums, self.sizes);
            if self.best.is_none_or(|best| imbalance < best.imbalance) {
                let teams = self.teams;
                self.best = Some(Dealt { imbalance, teams });
            }
            return imbalance <= self.enough;
        };
        let share = self.shares[usize::from(group)];
        let mut tried = 0u64;
        loop {
            let weakest = self.weakest(share.players, tried);
            let Some(team) = weakest else {
                return false;
            };
            tried |= 1 << team;
            // Teams of one size that are still empty are all the same.
            let size = self.sizes[team];
            if self.free[team] == size {
                for (other, free) in self.free[..self.sizes.len()].iter().enumerate() {
                    if *free == size && self.sizes[other] == size {
                        tried |= 1 << other;
                    }
                }
            }
            if self.steps == 0 {
                if self.best.is_some() {
                    return true;
                }
            } else {
                self.steps -= 1;
            }
            let before = self.sums[team];
            self.free[team] -= share.players;
            self.sums[team] += share.rating;
            self.teams[usize::from(group)] = team as u8;
            let stop = self.place(depth + 1) || self.hopeless();
            self.free[team] += share.players;
            self.sums[team] = before;
            if stop {
                return true;
            }
        }
    }

    fn weakest(&self, players: u8, tried: u64) -> Option<usize> {
        let mut weakest: Option<(f64, usize)> = None;
        for (team, size) in self.sizes.iter().enumerate() {
            if tried & 1 << team == 0 && self.free[team] >= players {
                let mean = self.sums[team] / f64::from(*size);
                if weakest.is_none_or(|(least, _)| mean < least) {
                    weakest = Some((mean, team));
                }
            }
        }
        weakest.map(|(_, team)| team)
    }

    /// Whether the attempts are spent without any way found: parties that hardly fit are not worth
    /// more of them.
    fn hopeless(&self) -> bool {
        self.steps == 0 && self.best.is_none()
    }
}

/// Exchanges groups of one size between the strongest or the weakest team and another as long as
/// that brings the teams closer: no other exchange does.
fn exchange(dealt: &mut Dealt, shares: &[Share], sizes: &[u8], enough: f64) {
    let mut sums = [0.0; SLOTS];
    for (team, share) in dealt.teams.iter().zip(shares) {
        sums[usize::from(*team)] += share.rating;
    }
    for _ in 0..MAX_ROUNDS {
        if dealt.imbalance <= enough {
            return;
        }
        let mean = |team: &usize| sums[*team] / f64::from(sizes[*team]);
        let filled = || (0..sizes.len()).filter(|team| sizes[*team] > 0);
        let weakest = filled().min_by(|a, b| mean(a).total_cmp(&mean(b)));
        let strongest = filled().max_by(|a, b| mean(a).total_cmp(&mean(b)));
        let mut best: Option<(f64, usize, usize)> = None;
        // Of two teams, the one's exchanges are the other's.
        let strongest = strongest.filter(|_| sizes.len() > 2);
        for extreme in [weakest, strongest].into_iter().flatten() {
            for a in (0..shares.len()).filter(|a| usize::from(dealt.teams[*a]) == extreme) {
                for b in 0..shares.len() {
                    let other = usize::from(dealt.teams[b]);
                    if other == extreme || shares[a].players != shares[b].players {
                        continue;
                    }
                    let moved = shares[b].rating - shares[a].rating;
                    let before = (sums[extreme], sums[other]);
                    (sums[extreme], sums[other]) = (before.0 + moved, before.1 - moved);
                    let imbalance = difference(&sums, sizes);
                    (sums[extreme], sums[other]) = before;
                    if imbalance < best.map_or(dealt.imbalance, |(least, ..)| least) {
                        best = Some((imbalance, a, b));
                    }
                }
            }
        }
        let Some((imbalance, a, b)) = best else {
            return;
        };
        let moved = shares[b].rating - shares[a].rating;
        sums[usize::from(dealt.teams[a])] += moved;
        sums[usize::from(dealt.teams[b])] -= moved;
        dealt.teams.swap(a, b);
        dealt.imbalance = imbalance;
    }
}

/// The most that the means of two teams differ. A team of nobody has none.
fn difference(sums: &[f64], sizes: &[u8]) -> f64 {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (sum, size) in sums.iter().zip(sizes) {
        if *size > 0 {
            let mean = sum / f64::from(*size);
            low = low.min(mean);
            high = high.max(mean);
        }
    }
    (high - low).max(0.0)
}

/// Most groups of a match.
pub(crate) const SLOTS: usize = MAX_PLAYERS as usize;
/// Players up to whom all ways are tried.
const EXACT: usize = 10;
/// Attempts at placing a group: enough for all ways of ten players into whatever teams, of which
/// there are the most, 6,300 with some three steps each, for teams of 3, 3, 2 and 2.
const MAX_STEPS: u32 = 20_000;
/// The same of more than ten players, by the number of teams: a first try costs as much as there are
/// players, and exchanges find more than further tries do.
const MAX_STEPS_OF_MANY: u32 = 4_000;
/// Attempts at fitting parties in. The first is nearly always right where there is a way; the many
/// ways of parties that hardly fit into large teams are not worth more.
const PACKING_STEPS: u32 = 1_000;
/// Exchanges; each is the best there is, so that a few are nearly all that is to be had.
const MAX_ROUNDS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(parties: &[(u8, f64)]) -> Vec<Share> {
        let share = |&(players, rating): &(u8, f64)| Share { players, rating };
        parties.iter().map(share).collect()
    }

    /// By trying every team for every group.
    fn by_force(shares: &[Share], sizes: &[u8]) -> Option<f64> {
        let teams = sizes.len();
        let ways = teams.pow(shares.len() as u32);
        let imbalance = |way: usize| {
            let (mut sums, mut counts) = (vec![0.0; teams], vec![0; teams]);
            for (index, share) in shares.iter().enumerate() {
                let team = way / teams.pow(index as u32) % teams;
                sums[team] += share.rating;
                counts[team] += share.players;
            }
            (counts == sizes).then(|| difference(&sums, sizes))
        };
        (0..ways).filter_map(imbalance).min_by(f64::total_cmp)
    }

    #[test]
    fn small_matches_are_dealt_out_as_evenly_as_can_be() {
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for sizes in [
            &[2, 2][..],
            &[3, 3],
            &[5, 5],
            &[4, 1],
            &[3, 2, 2],
            &[2, 2, 2],
            &[1; 4],
        ] {
            for _ in 0..60 {
                let mut left: u8 = sizes.iter().sum();
                let mut parties = Vec::new();
                while left > 0 {
                    let players = (1 + random(3) as u8).min(left);
                    let rating = f64::from(players) * random(1_000) as f64;
                    parties.push((players, rating));
                    left -= players;
                }
                let shares = shares(&parties);
                let dealt = deal(&shares, sizes, 0.0);
                let best = by_force(&shares, sizes);
                assert_eq!(
                    dealt.is_some(),
                    best.is_some(),
                    "{parties:?} into {sizes:?}"
                );
                if let (Some(dealt), Some(best)) = (dealt, best) {
                    assert!(
                        (dealt.imbalance - best).abs() < 1e-9,
                        "{parties:?} into {sizes:?}"
                    );
                    let mut counts = vec![0; sizes.len()];
                    for (team, share) in dealt.teams.iter().zip(&shares) {
                        counts[usize::from(*team)] += share.players;
                    }
                    assert_eq!(counts, sizes);
                }
            }
        }
    }

    #[test]
    fn large_matches_are_dealt_out_whole_and_nearly_evenly() {
        let parties: Vec<(u8, f64)> = (0..40)
            .map(|n| {
                let players = [1, 1, 2, 1, 3][n % 5];
                (
                    players,
                    f64::from(players) * (900.0 + (n * 37 % 64) as f64 * 20.0),
                )
            })
            .collect();
        let parties = shares(&parties);
        assert_eq!(parties.iter().map(|p| p.players).sum::<u8>(), 64);
        for sizes in [vec![32, 32], vec![16; 4], vec![8; 8], vec![24, 24, 16]] {
            let dealt = deal(&parties, &sizes, 0.0).unwrap();
            let mut counts = vec![0; sizes.len()];
            for (team, share) in dealt.teams.iter().zip(&parties) {
                counts[usize::from(*team)] += share.players;
            }
            assert_eq!(counts, sizes);
            assert!(dealt.imbalance < 30.0, "{sizes:?}: {}", dealt.imbalance);
        }
    }

    #[test]
    fn parties_that_do_not_fit_are_not_dealt_out() {
        assert!(deal(&shares(&[(2, 0.0), (2, 0.0), (2, 0.0)]), &[3, 3], 0.0).is_none());
        assert!(deal(&shares(&[(1, 0.0), (1, 0.0)]), &[2, 2], 0.0).is_none());
        assert!(!packs(&mut [2, 2, 2], &[3, 3]));
        assert!(packs(&mut [2, 3, 2, 3], &[5, 5]));
        assert!(packs(&mut [5, 4, 4, 3, 2, 2], &[10, 10]));
        assert!(packs(&mut [], &[1]));
    }

    #[test]
    fn sizes_of_even_teams_differ_by_one_at_most() {
        assert_eq!(sizes(&Teams::Even(2), 5), [3, 2]);
        assert_eq!(sizes(&Teams::Even(3), 7), [3, 2, 2]);
        assert_eq!(sizes(&Teams::Everyone, 7), [7]);
        assert_eq!(sizes(&Teams::Sizes(vec![4, 1]), 5), [4, 1]);
    }
}
