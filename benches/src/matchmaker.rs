//! `matchmaker`: how long a pass over a queue takes, and how good its matches are.
//!
//! Queues of 20,000 and 100,000 groups, two against two and five against five with parties, skill
//! N(1500, 350), three regions, limits that widen with waiting. Beside it, first fit: the oldest takes
//! the first others who are legal. Both are held against what the best set of matches is worth where
//! that can be found out: in small batches by trying every set, and one against one, where it is a
//! maximum weight matching. All are judged by the one objective of `gs_matchmaker::Quality`.

mod first_fit;
mod optimum;
mod queue;

use std::collections::HashMap;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use cpu_time::ThreadTime;
use gs_matchmaker::{Effort, Group, ProposedMatch, Rules, match_batch, match_batch_with, total};
use serde_json::{Value, json};

use self::optimum::Best;
use self::queue::{DUEL, FIVE, Mode, TWO, now};
use crate::report::Report;

/// Runs it.
pub(crate) fn run(quick: bool) -> anyhow::Result<Report> {
    let mut report = Report::new("matchmaker", "first fit, oldest first");
    let rounds = if quick { 3 } else { 7 };
    let mut peer = json!({});
    for groups in SIZES {
        let (mut worst, mut peers_worst) = (0.0f64, 0.0f64);
        for mode in [TWO, FIVE] {
            eprintln!("{groups} groups, {}", mode.name);
            let (ours, first) = passes(&mode, groups, rounds)?;
            worst = worst.max(ours.ms);
            peers_worst = peers_worst.max(first.ms);
            let suffix = format!("{groups}_{}", mode.name);
            ours.record(&suffix, &mut report.metrics);
            first.record(&suffix, &mut peer);
            report.metrics[format!("quality_vs_first_fit_{suffix}")] =
                ratio(ours.worth, first.worth);
            report.metrics[format!("loss_vs_first_fit_{suffix}")] = ratio(ours.loss, first.loss);
            report.lines.push(ours.line(&suffix, "ours"));
            report.lines.push(first.line(&suffix, "first fit"));
        }
        report.metrics[format!("pass_ms_{groups}")] = json!(tenths(worst));
        peer[format!("pass_ms_{groups}")] = json!(tenths(peers_worst));
    }
    let of_all = |metrics: &Value, key: &str, choose: fn(f64, f64) -> f64| {
        let keys = SIZES
            .iter()
            .flat_map(|size| [TWO, FIVE].map(|m| format!("{key}_{size}_{}", m.name)));
        keys.filter_map(|key| metrics[key].as_f64()).reduce(choose)
    };
    report.metrics["quality_vs_first_fit"] =
        json!(of_all(&report.metrics, "quality_vs_first_fit", f64::min));
    report.metrics["loss_vs_first_fit"] =
        json!(of_all(&report.metrics, "loss_vs_first_fit", f64::max));
    optima(quick, &mut report, &mut peer)?;
    report.peer_metrics(peer);
    Ok(report)
}

/// What a way of matching did with a queue.
struct Outcome {
    /// The median round.
    ms: f64,
    worth: f64,
    /// For each who waits, in the mean: the part of the most that they could be worth which is lost,
    /// all of it where they are not matched.
    loss: f64,
    matches: usize,
    players: usize,
    waiting: usize,
    /// Means over the players who are matched.
    value: f64,
    spread: f64,
    imbalance: f64,
    latency: f64,
    wait: f64,
}

impl Outcome {
    fn new(
        mut times: Vec<f64>,
        matches: &[ProposedMatch],
        groups: &[Group],
        rules: &Rules,
    ) -> Self {
        times.sort_by(f64::total_cmp);
        let players: usize = matches.iter().map(|m| m.slots.len()).sum();
        let waiting: usize = groups.iter().map(|g| g.members.len()).sum();
        let mean = |figure: fn(&ProposedMatch) -> f64| {
            let sum: f64 = matches
                .iter()
                .map(|m| m.slots.len() as f64 * figure(m))
                .sum();
            sum / players as f64
        };
        let worth = total(matches);
        Self {
            ms: times.get(times.len() / 2).copied().unwrap_or_default(),
            worth,
            loss: 1.0 - worth / most(groups, rules),
            matches: matches.len(),
            players,
            waiting,
            value: mean(|m| m.quality.value),
            spread: mean(|m| m.quality.spread),
            imbalance: mean(|m| m.quality.imbalance),
            latency: mean(|m| m.quality.latency),
            wait: mean(|m| m.quality.wait),
        }
    }

    fn record(&self, suffix: &str, metrics: &mut Value) {
        for (key, value) in [
            ("pass_ms", tenths(self.ms)),
            ("matches", self.matches as f64),
            (
                "matched_players_pct",
                tenths(100.0 * self.players as f64 / self.waiting as f64),
            ),
            ("value", thousandths(self.value)),
            ("spread", tenths(self.spread)),
            ("imbalance", tenths(self.imbalance)),
            ("latency_ms", tenths(self.latency)),
            ("wait_s", tenths(self.wait)),
        ] {
            metrics[format!("{key}_{suffix}")] = json!(value);
        }
    }

    fn line(&self, suffix: &str, what: &str) -> String {
        format!(
            "{suffix:11} {what:9} {:8.1} ms  {:6} matches, {:5.1} % of {} players; mean spread {:5.1}, \
             imbalance {:5.1}, {:5.1} ms, waited {:4.1} s; loss {:.3}",
            self.ms,
            self.matches,
            100.0 * self.players as f64 / self.waiting as f64,
            self.waiting,
            self.spread,
            self.imbalance,
            self.latency,
            self.wait,
            self.loss,
        )
    }
}

/// Passes of both over the same queues, in turns.
fn passes(mode: &Mode, groups: usize, rounds: u64) -> anyhow::Result<(Outcome, Outcome)> {
    let rules = mode.rules();
    let (mut ours_ms, mut first_ms) = (Vec::new(), Vec::new());
    let mut last = None;
    for round in 0..rounds {
        let queue = mode.queue(groups, SEED + round);
        let began = ThreadTime::now();
        let found = first_fit::matches(&queue, &rules, now());
        first_ms.push(began.elapsed().as_secs_f64() * 1e3);
        let began = ThreadTime::now();
        let ours = match_batch(&queue, &rules, now());
        ours_ms.push(began.elapsed().as_secs_f64() * 1e3);
        last = Some((queue, ours, found));
    }
    let (queue, ours, found) = last.context("no rounds")?;
    legal(&ours, &queue, &rules)?;
    let first = judged(&found, &queue, &rules)?;
    Ok((
        Outcome::new(ours_ms, &ours, &queue, &rules),
        Outcome::new(first_ms, &first, &queue, &rules),
    ))
}

/// The matches of first fit, with the best teams and region for each.
fn judged(
    found: &[Vec<usize>],
    queue: &[Group],
    rules: &Rules,
) -> anyhow::Result<Vec<ProposedMatch>> {
    let judged = found.iter().map(|members| {
        let members: Vec<&Group> = members.iter().map(|&group| &queue[group]).collect();
        rules
            .propose(&members, now())
            .context("first fit made a match that is not legal")
    });
    judged.collect()
}

/// Every match is legal, and nobody is in two.
fn legal(matches: &[ProposedMatch], queue: &[Group], rules: &Rules) -> anyhow::Result<()> {
    let mut waiting: HashMap<_, &Group> = queue.iter().map(|group| (group.id, group)).collect();
    for found in matches {
        let members = found.groups.iter().map(|id| waiting.remove(id));
        let members: Option<Vec<&Group>> = members.collect();
        let members = members.context("a group is in two matches")?;
        let judged = rules
            .propose(&members, now())
            .context("a match is not legal")?;
        let off = (judged.quality.value - found.quality.value).abs();
        ensure!(
            off < 1e-9,
            "a match is worth {off} less or more than it says"
        );
    }
    Ok(())
}

/// What finds out how much the best matches are worth.
type Solver = fn(&[Group], &Rules, DateTime<Utc>) -> Best;

/// Both against what the best matches are worth.
fn optima(quick: bool, report: &mut Report, peer: &mut Value) -> anyhow::Result<()> {
    let (few, many) = if quick { (100, 2) } else { (1000, 10) };
    let kinds: [(Mode, usize, u64, Solver); 3] = [
        (DUEL, FEW, few, optimum::of_few),
        (TWO, FEW, few, optimum::of_few),
        (DUEL, MANY, many, optimum::of_pairs),
    ];
    for batch in 0..few {
        let (queue, rules) = (DUEL.queue(FEW, SEED + batch), DUEL.rules());
        let tried = optimum::of_few(&queue, &rules, now());
        let matching = optimum::of_pairs(&queue, &rules, now());
        let off = (tried.any - matching.any)
            .abs()
            .max((tried.fair - matching.fair).abs());
        ensure!(
            off < 1e-3,
            "two ways to find the best matches differ by {off}"
        );
    }
    let mut all = Vec::new();
    for (mode, groups, batches, best) in kinds {
        let rules = mode.rules();
        let mut sums = Sums::default();
        for batch in 0..batches {
            let queue = mode.queue(groups, SEED + batch);
            sums.add(&queue, &rules, best(&queue, &rules, now()))?;
        }
        sums.report(&format!("{}_{groups}", mode.name), report, peer);
        all.push(sums);
    }
    let worst = |figure: fn(&Sums) -> f64| all.iter().map(figure).fold(f64::INFINITY, f64::min);
    report.metrics["quality_vs_optimum"] =
        json!(thousandths(worst(|sums| sums.search / sums.best.any)));
    let loss = all.iter().map(Sums::loss).fold(0.0, f64::max);
    report.metrics["loss_vs_optimum"] = json!(thousandths(loss));
    peer["quality_vs_optimum"] = json!(thousandths(worst(|sums| sums.first / sums.best.any)));
    Ok(())
}

/// What batches are worth together.
#[derive(Default)]
struct Sums {
    best: Best,
    most: f64,
    /// As the service matches: small batches exactly.
    ours: f64,
    /// As large queues are matched, whatever the size.
    search: f64,
    first: f64,
}

impl Sums {
    fn add(&mut self, queue: &[Group], rules: &Rules, best: Best) -> anyhow::Result<()> {
        let search = Effort {
            exact_groups: 0,
            ..Effort::default()
        };
        let ours = total(&match_batch(queue, rules, now()));
        let search = total(&match_batch_with(queue, rules, now(), search));
        for worth in [ours, search] {
            // The matching counts in steps.
            let off = worth - best.any;
            ensure!(
                off < 1e-3,
                "a set of matches is worth {off} more than the best"
            );
        }
        let first = judged(&first_fit::matches(queue, rules, now()), queue, rules)?;
        self.best.any += best.any;
        self.best.fair += best.fair;
        self.most += most(queue, rules);
        self.ours += ours;
        self.search += search;
        self.first += total(&first);
        Ok(())
    }

    /// What is lost for each that the best matches lose.
    fn loss(&self) -> f64 {
        (self.most - self.search) / (self.most - self.best.any)
    }

    fn report(&self, name: &str, report: &mut Report, peer: &mut Value) {
        let quality = [self.ours, self.search, self.first].map(|worth| worth / self.best.any);
        let [whole, search, first] = quality.map(|quality| 100.0 * quality);
        report.lines.push(format!(
            "{name}: {whole:.2} % of the best, {search:.2} % without the exact solution of small batches \
             ({:.2} % of the best that keeps the promise to the oldest); first fit {first:.2} %",
            100.0 * self.search / self.best.fair,
        ));
        for (key, value) in [
            ("quality_vs_optimum", quality[1]),
            ("quality_vs_fair_optimum", self.search / self.best.fair),
            (
                "quality_vs_fair_optimum_with_exact",
                self.ours / self.best.fair,
            ),
            ("loss_vs_optimum", self.loss()),
        ] {
            report.metrics[format!("{key}_{name}")] = json!(thousandths(value));
        }
        peer[format!("quality_vs_optimum_{name}")] = json!(thousandths(quality[2]));
    }
}

/// What all who wait would be worth if everyone were in a match without a flaw.
fn most(groups: &[Group], rules: &Rules) -> f64 {
    groups
        .iter()
        .map(|group| rules.weight_of(group, now()))
        .sum()
}

fn ratio(ours: f64, theirs: f64) -> Value {
    json!(thousandths(ours / theirs))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

const SIZES: [usize; 2] = [20_000, 100_000];
/// As many as every set of can be tried.
const FEW: usize = 12;
const MANY: usize = 300;
const SEED: u64 = 20_240_601;
