//! How close matches come to the best possible ones, which are found by trying all.

use gs_matchmaker::{Effort, Group, LatencyRule, Rules, match_batch_with, total};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::checker::is_widest;
use crate::world::{REGIONS, at, group, open_rules, steps};

/// The most that any set of matches is worth where the oldest that must play does, and how much all
/// players count.
fn optimum(groups: &[Group], rules: &Rules) -> (f64, f64) {
    let now = at(30.0);
    let sets = 1usize << groups.len();
    let worth_of = |set: usize| {
        let chosen = groups
            .iter()
            .enumerate()
            .filter(|(index, _)| set & 1 << index != 0);
        let chosen: Vec<&Group> = chosen.map(|(_, group)| group).collect();
        let players: usize = chosen.iter().map(|g| g.members.len()).sum();
        if players != usize::from(rules.players.max) {
            return None;
        }
        rules.propose(&chosen, now).map(|m| total(&[m]))
    };
    let legal: Vec<(usize, f64)> = (1..sets).filter_map(|s| Some((s, worth_of(s)?))).collect();
    let mut best = vec![0.0f64; sets];
    for set in 1..sets {
        let first = 1 << set.trailing_zeros();
        best[set] = best[set & !first];
        for (one, worth) in legal
            .iter()
            .filter(|(one, _)| one & first != 0 && one & !set == 0)
        {
            best[set] = best[set].max(worth + best[set & !one]);
        }
    }
    let weight = groups.iter().map(|g| rules.weight_of(g, now)).sum();
    let mut oldest: Vec<usize> = (0..groups.len()).collect();
    oldest.retain(|&index| is_widest(&groups[index], rules, now));
    oldest.sort_by_key(|&index| (groups[index].queued_at, groups[index].id));
    for index in oldest {
        let with = legal.iter().filter(|(set, _)| set & 1 << index != 0);
        let most = with
            .map(|(set, worth)| worth + best[(sets - 1) & !set])
            .reduce(f64::max);
        if let Some(most) = most {
            return (most, weight);
        }
    }
    (best[sets - 1], weight)
}

/// Groups with skills N(1500, 350), at home in one of three regions, some of them parties, who came
/// within half a minute.
fn queue(count: u32, largest: usize, seed: u64) -> Vec<Group> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut unit = move || f64::from(random.next_u32()) / 4_294_967_296.0;
    let mut queue = Vec::new();
    for id in 1..=count {
        let normal = (0..12).map(|_| unit()).sum::<f64>() - 6.0;
        let size = [1, 1, 1, 2, 2, 3][(unit() * 6.0) as usize].min(largest);
        let skills: Vec<f64> = (0..size)
            .map(|_| 1_500.0 + 350.0 * normal + 100.0 * unit())
            .collect();
        let mut group = group(u128::from(id), &skills);
        group.queued_at = at(30.0 * unit());
        let home = (unit() * 3.0) as usize;
        for (index, region) in REGIONS.into_iter().enumerate() {
            let far = if index == home { 15.0 } else { 90.0 };
            group
                .latency_ms
                .insert(region.to_owned(), (far + 60.0 * unit()) as u32);
        }
        queue.push(group);
    }
    queue
}

/// Compares both ways of matching with the optimum over 25 queues: their worth all together and at
/// least, and how much less than everything is lost.
fn check(players: u8, teams: u8, (count, largest): (u32, usize), mean: f64, least: f64) {
    let mut rules = open_rules(players, teams);
    rules.skill = Rules::default().skill;
    rules.latency = Some(LatencyRule {
        regions: REGIONS.map(str::to_owned).to_vec(),
        max_ms: steps(80.0, &[(10, 200.0)]),
    });
    let heuristic = Effort {
        exact_groups: 0,
        ..Effort::default()
    };
    let efforts = [Effort::default(), heuristic];
    let (mut sums, mut most, mut all) = ([0.0; 2], 0.0, 0.0);
    for seed in 0..25 {
        let groups = queue(count, largest, seed);
        let (optimum, weight) = optimum(&groups, &rules);
        for (sum, effort) in sums.iter_mut().zip(efforts) {
            let worth = total(&match_batch_with(&groups, &rules, at(30.0), effort));
            assert!(worth <= optimum + 1e-9, "better than the best: seed {seed}");
            assert!(
                worth >= least * optimum,
                "{worth} of {optimum}: seed {seed}, {effort:?}"
            );
            *sum += worth;
        }
        most += optimum;
        all += weight;
    }
    // As many groups as are solved exactly.
    assert!(
        (sums[0] - most).abs() < 1e-6 * most,
        "{} of {most}",
        sums[0]
    );
    assert!(sums[1] >= mean * most, "{} of {most}", sums[1]);
    // What is lost of everybody in a perfect match, where the part that cannot be had hides nothing.
    let (lost, least_lost) = (all - sums[1], all - most);
    assert!(
        lost <= 1.02 * least_lost,
        "{lost} lost, {least_lost} at least"
    );
}

#[test]
fn duels_are_as_good_as_can_be() {
    check(2, 2, (12, 1), 0.995, 0.95);
}

#[test]
fn two_against_two_are_as_good_as_can_be() {
    check(4, 2, (12, 1), 0.995, 0.95);
    check(4, 2, (11, 2), 0.995, 0.95);
}

#[test]
fn five_against_five_are_as_good_as_can_be() {
    check(10, 2, (12, 3), 0.99, 0.9);
}

#[test]
fn three_teams_and_everyone_for_themselves_are_as_good_as_can_be() {
    check(6, 3, (11, 2), 0.99, 0.9);
    check(5, 0, (12, 2), 0.99, 0.9);
}
