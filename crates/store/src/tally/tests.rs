use chrono::TimeDelta;
use gs_matchmaker::Rating;

use super::*;

fn player(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n) + 1)
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
}

/// Slots in order: team, placement and score of each.
fn outcome(slots: &[(Option<u8>, u8, i32)]) -> MatchOutcome {
    let slot = |(n, &(team, placement, score)): (usize, &(Option<u8>, u8, i32))| SlotOutcome {
        slot: n as u8,
        placement,
        team,
        score,
        statistics: vec![("hits".to_owned(), score)],
    };
    MatchOutcome {
        outcome: Outcome::Finished,
        reason: None,
        details: None,
        slots: slots.iter().enumerate().map(slot).collect(),
        boards: Vec::new(),
        started_at: None,
        ended_at: at(1000),
        ticks: 1,
    }
}

const PLAYERS: [Uuid; 4] = [
    Uuid::from_u128(1),
    Uuid::from_u128(2),
    Uuid::from_u128(3),
    Uuid::from_u128(4),
];

fn played(rated: bool) -> Played<'static> {
    Played {
        id: Uuid::nil(),
        rated,
        players: &PLAYERS,
        capacity: 4,
        filled: &[],
    }
}

fn board(name: &str, rule: BoardRule, statistic: Option<&str>) -> CountsOn {
    CountsOn {
        board: name.to_owned(),
        season: crate::ALL_TIME.to_owned(),
        rule,
        statistic: statistic.map(str::to_owned),
    }
}

/// Wins, draws and losses of each slot of one match.
fn standings(slots: &[(Option<u8>, u8, i32)]) -> Vec<(u64, u64, u64)> {
    let outcome = outcome(slots);
    let mut sums = HashMap::new();
    count_statistics(&counted(&played(true), &outcome), &outcome, &mut sums);
    (0..slots.len() as u8)
        .map(|n| &sums[&player(n)])
        .map(|s| (s.wins, s.draws, s.losses))
        .collect()
}

const WON: (u64, u64, u64) = (1, 0, 0);
const DRAWN: (u64, u64, u64) = (0, 1, 0);
const LOST: (u64, u64, u64) = (0, 0, 1);

#[test]
fn whoever_alone_comes_first_wins_and_those_who_share_it_draw() {
    assert_eq!(standings(&[(None, 1, 9), (None, 2, 5)]), [WON, LOST]);
    assert_eq!(
        standings(&[(None, 1, 9), (None, 1, 9), (None, 3, 1)]),
        [DRAWN, DRAWN, LOST]
    );
    assert_eq!(standings(&[(None, 1, 9)]), [WON]);
    // Those who left before the end may have been the better ones.
    assert_eq!(standings(&[(None, 2, 9), (None, 3, 9)]), [LOST, LOST]);
}

#[test]
fn a_team_comes_where_the_best_of_it_did() {
    let (red, blue) = (Some(0), Some(1));
    assert_eq!(
        standings(&[(red, 1, 9), (blue, 2, 8), (red, 1, 0), (blue, 2, 3)]),
        [WON, LOST, WON, LOST]
    );
    assert_eq!(
        standings(&[(red, 1, 9), (blue, 3, 8), (red, 2, 0), (blue, 4, 3)]),
        [WON, LOST, WON, LOST]
    );
    assert_eq!(
        standings(&[(red, 1, 9), (blue, 1, 8), (red, 1, 0), (None, 1, 3)]),
        [DRAWN; 4]
    );
}

#[test]
fn statistics_add_up_over_matches() {
    let mut sums = HashMap::new();
    let mut first = outcome(&[(None, 1, -3), (None, 2, -5)]);
    first.ended_at = at(2000);
    count_statistics(&counted(&played(true), &first), &first, &mut sums);
    let rated_once = sums[&player(0)].rating;
    assert!(rated_once.value > Rating::default().value);
    let mut second = outcome(&[(None, 2, -4), (None, 1, 7)]);
    second.slots[0].statistics = vec![("hits".to_owned(), 10), ("falls".to_owned(), -1)];
    count_statistics(&counted(&played(true), &second), &second, &mut sums);

    let ada = &sums[&player(0)];
    assert_eq!((ada.matches, ada.wins, ada.draws, ada.losses), (2, 1, 0, 1));
    assert_eq!((ada.best_score, ada.total_score), (Some(-3), -7));
    let named = [("falls".to_owned(), -1), ("hits".to_owned(), 7)];
    assert_eq!(ada.statistics, BTreeMap::from(named));
    assert_eq!(ada.last_played_at, Some(at(2000)));
    assert!(ada.rating.value < rated_once.value);
    assert!(ada.rating.uncertainty < rated_once.uncertainty);
    assert_eq!(sums[&player(1)].best_score, Some(7));
}

#[test]
fn what_a_match_changes_of_ratings_begins_where_idle_time_took_them() {
    let mut sums = HashMap::new();
    let mut first = outcome(&[(None, 1, 3), (None, 2, 1)]);
    first.ended_at = at(0);
    let steps = count_statistics(&counted(&played(true), &first), &first, &mut sums);
    assert_eq!(steps[0].before, Rating::default());
    assert_eq!(steps[1].after, sums[&player(1)].rating);
    let days = 40;
    let mut second = outcome(&[(None, 1, 3), (None, 2, 1)]);
    second.ended_at = DateTime::UNIX_EPOCH + TimeDelta::days(days);
    let idle = steps[0].after.idle(days as f64);
    assert!(idle.uncertainty > steps[0].after.uncertainty);
    let later = count_statistics(&counted(&played(true), &second), &second, &mut sums);
    assert_eq!(later[0].before, idle);
    assert!(later[0].after.uncertainty < idle.uncertainty);
    // One that ended before it and comes late finds no time between them, and moves none back.
    let late = count_statistics(&counted(&played(true), &first), &first, &mut sums);
    assert_eq!(late[0].before, later[0].after);
    assert_eq!(sums[&player(0)].last_played_at, Some(second.ended_at));
}

#[test]
fn the_score_of_a_slot_that_a_substitute_was_in_is_nobodys() {
    let mut result = outcome(&[(None, 1, 9), (None, 2, 5)]);
    result.boards = vec![board("default", BoardRule::Best, None)];
    let filled = Played {
        filled: &[0],
        ..played(true)
    };
    let slots = counted(&filled, &result);
    let mut sums = HashMap::new();
    let steps = count_statistics(&slots, &result, &mut sums);
    let ada = &sums[&player(0)];
    assert_eq!((ada.matches, ada.wins), (1, 1));
    assert_eq!((ada.best_score, ada.total_score), (None, 0));
    assert!(ada.statistics.is_empty());
    assert_eq!(ada.last_played_at, Some(at(1000)));
    assert!(steps[0].after.value > steps[0].before.value);
    assert_eq!(sums[&player(1)].best_score, Some(5));
    let scores = board_scores("arena", &slots, &result);
    assert_eq!(scores.len(), 1);
    assert_eq!(scores[0].player_id, player(1));
    assert_eq!(winner(&filled, &result), Some(player(0)));
}

#[test]
fn whoever_takes_a_slot_that_was_free_counts_among_the_others_only() {
    let (red, blue) = (Some(0), Some(1));
    let at_first = Played {
        players: &PLAYERS[..3],
        filled: &[3],
        ..played(true)
    };
    // Blue's first place is the newcomer's.
    let result = outcome(&[(red, 2, 9), (blue, 3, 5), (red, 4, 2), (blue, 1, 9)]);
    assert!(check(&at_first, &result).is_ok());
    let mut sums = HashMap::new();
    count_statistics(&counted(&at_first, &result), &result, &mut sums);
    assert_eq!(sums.len(), 3);
    assert_eq!((sums[&player(0)].losses, sums[&player(2)].losses), (1, 1));
    assert_eq!(sums[&player(1)].wins, 1);
    assert!(sums[&player(1)].rating.value > sums[&player(0)].rating.value);
    assert_eq!(winner(&at_first, &result), None);
    let solo = outcome(&[(None, 2, 9), (None, 3, 5), (None, 4, 2), (None, 1, 9)]);
    let mut sums = HashMap::new();
    count_statistics(&counted(&at_first, &solo), &solo, &mut sums);
    assert!(sums.values().all(|s| s.losses == 1));
}

#[test]
fn names_of_statistics_are_bounded_and_sums_do_not_overflow() {
    let mut sums = HashMap::new();
    for n in 0..MAX_STATISTICS + 8 {
        let mut result = outcome(&[(None, 1, i32::MAX)]);
        result.slots[0].statistics = vec![(format!("s{n}"), 1), ("s0".to_owned(), 1)];
        count_statistics(&counted(&played(true), &result), &result, &mut sums);
    }
    let sums = &sums[&player(0)];
    assert_eq!(sums.statistics.len(), MAX_STATISTICS);
    assert_eq!(sums.statistics["s0"], MAX_STATISTICS as i64 + 9);
    assert_eq!(
        sums.total_score,
        i64::from(i32::MAX) * (MAX_STATISTICS as i64 + 8)
    );
}

#[test]
fn a_void_or_unrated_match_counts_for_nothing() {
    let finished = outcome(&[(None, 1, 9), (None, 2, 5)]);
    assert_eq!(counted(&played(true), &finished).len(), 2);
    assert!(counted(&played(false), &finished).is_empty());
    let mut void = finished.clone();
    void.outcome = Outcome::Void;
    assert!(counted(&played(true), &void).is_empty());
    assert_eq!(winner(&played(true), &void), None);
    assert_eq!(winner(&played(false), &finished), Some(player(0)));
    let mut abandoned = finished;
    abandoned.outcome = Outcome::Abandoned;
    assert_eq!(counted(&played(true), &abandoned).len(), 2);
}

#[test]
fn each_board_takes_the_score_that_it_is_of() {
    let mut result = outcome(&[(None, 1, 9), (None, 2, 5)]);
    result.ended_at = at(1000) + TimeDelta::microseconds(700);
    result.slots[1].statistics.clear();
    result.boards = vec![
        board("default", BoardRule::Best, None),
        board("hits", BoardRule::Sum, Some("hits")),
        board("coins", BoardRule::Sum, Some("coins")),
    ];
    let slots = counted(&played(true), &result);
    let scores: Vec<_> = board_scores("arena", &slots, &result)
        .into_iter()
        .map(|s| (s.board.board, s.player_id, s.scored.score, s.scored.at))
        .collect();
    let expected = [("default", 0, 9), ("default", 1, 5), ("hits", 0, 9)]
        .map(|(board, n, score)| (board.to_owned(), player(n), score, at(1000)));
    assert_eq!(scores, expected);
}

#[test]
fn boards_keep_the_same_whatever_order_scores_come_in() {
    let scores = [(5, 30), (9, 20), (9, 10), (1, 40), (3, 40)].map(|(score, millis)| Scored {
        score,
        at: at(millis),
    });
    for (rule, score, millis) in [
        (BoardRule::Best, 9, 10),
        (BoardRule::Latest, 3, 40),
        (BoardRule::Sum, 27, 40),
    ] {
        for turn in 0..scores.len() {
            let mut order = scores;
            order.rotate_left(turn);
            for _ in 0..2 {
                order.reverse();
                let kept = order
                    .iter()
                    .fold(None, |kept, &new| Some(keep(rule, kept, new)));
                let expected = Scored {
                    score,
                    at: at(millis),
                };
                assert_eq!(kept, Some(expected), "{rule:?} of {order:?}");
            }
        }
    }
}

#[test]
fn a_result_that_contradicts_its_match_is_refused() {
    let good = outcome(&[(None, 1, 9), (None, 2, 5)]);
    assert!(check(&played(true), &good).is_ok());
    let refused = |change: &dyn Fn(&mut MatchOutcome)| {
        let mut bad = good.clone();
        change(&mut bad);
        check(&played(true), &bad).unwrap_err().to_string()
    };
    assert!(refused(&|r| r.slots[1].slot = 4).contains("has no slot 4"));
    assert!(refused(&|r| r.slots[1].slot = 0).contains("names slot 0 twice"));
    let boards = |count: usize| {
        move |result: &mut MatchOutcome| {
            let names = (0..count).map(|n| format!("b{}", n % 17));
            result.boards = names.map(|n| board(&n, BoardRule::Best, None)).collect();
        }
    };
    assert!(refused(&boards(17)).contains("counts on 17 boards; at most 16"));
    let twice = refused(&|r| r.boards = vec![board("b", BoardRule::Best, None); 2]);
    assert!(twice.contains("names board \"b\" twice"), "{twice}");
}
