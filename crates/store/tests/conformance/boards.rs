use std::time::Instant;

use gs_store::{
    ALL_TIME, BoardCursor, BoardKey, BoardPage, BoardRule, BoardStart, CountsOn, Outcome, Standing,
    Store, StoreOutcome,
};
use uuid::Uuid;

use crate::world::{
    PATIENCE, POLL, SharedStore, at, board_becomes, counts_on, default_board, end, play, players,
    ranks, running_match, running_match_with, solo, standing_becomes,
};

pub(crate) async fn best_keeps_the_highest_score_and_when_it_was_reached_first(store: SharedStore) {
    let rule = BoardRule::Best;
    let steps = [
        (-10, 20, (-10, 20)),
        (-12, 21, (-10, 20)),
        (-10, 22, (-10, 20)),
        (3, 23, (3, 23)),
        // The match ended before the last one, and was stored after it.
        (3, 19, (3, 19)),
        (2, 18, (3, 19)),
        (i32::MAX, 17, (i64::from(i32::MAX), 17)),
    ];
    keeps(&*store, rule, &steps).await;
}

pub(crate) async fn latest_keeps_the_match_that_ended_last(store: SharedStore) {
    let rule = BoardRule::Latest;
    let steps = [
        (10, 20, (10, 20)),
        (-4, 21, (-4, 21)),
        (99, 19, (-4, 21)),
        (5, 21, (5, 21)),
        (4, 21, (5, 21)),
        (i32::MIN, 22, (i64::from(i32::MIN), 22)),
    ];
    keeps(&*store, rule, &steps).await;
}

pub(crate) async fn sum_adds_scores_up(store: SharedStore) {
    let max = i64::from(i32::MAX);
    let steps = [
        (10, 20, (10, 20)),
        (-30, 25, (-20, 25)),
        (0, 21, (-20, 25)),
        (i32::MAX, 26, (max - 20, 26)),
        (i32::MAX, 24, (2 * max - 20, 26)),
    ];
    keeps(&*store, BoardRule::Sum, &steps).await;
}

pub(crate) async fn equal_scores_share_a_rank_and_who_was_first_is_listed_first(
    store: SharedStore,
) {
    let ids = players(&*store, 6).await;
    let best = [counts_on(BoardRule::Best)];
    play(&*store, &ids[3..5], 1, solo(&[7, 9], 30, &best)).await;
    play(&*store, &ids[1..3], 2, solo(&[7, 7], 20, &best)).await;
    play(&*store, &[ids[0], ids[5]], 3, solo(&[5, 7], 30, &best)).await;
    let entries = [
        (ids[4], 9, 30),
        (ids[1], 7, 20),
        (ids[2], 7, 20),
        (ids[3], 7, 30),
        (ids[5], 7, 30),
        (ids[0], 5, 30),
    ];
    let page = board_becomes(&*store, &default_board(), &entries).await;
    let shared: Vec<u64> = page.entries.iter().map(|e| e.rank).collect();
    assert_eq!(shared, [1, 2, 2, 2, 2, 6]);
    assert_eq!(page.next, None);
    assert_eq!(page.entries[0].username, "player-4");
}

pub(crate) async fn pages_follow_each_other_without_a_gap_also_among_equals(store: SharedStore) {
    let ids = players(&*store, 24).await;
    let scores: Vec<i32> = (0..24)
        .map(|n| [50, 40, 40, 10][n % 4] + n as i32 / 12)
        .collect();
    let result = solo(&scores, 8, &[counts_on(BoardRule::Best)]);
    play(&*store, &ids, 1, result).await;
    let entries: Vec<_> = ids
        .iter()
        .zip(&scores)
        .map(|(&id, &score)| (id, i64::from(score), 8))
        .collect();
    let board = default_board();
    let whole = board_becomes(&*store, &board, &entries).await;
    assert_eq!(whole.next, None);
    for entry in &whole.entries {
        let higher = whole.entries.iter().filter(|e| e.score > entry.score);
        assert_eq!(entry.rank, 1 + higher.count() as u64);
    }
    for limit in [1, 5, 6, 8, 23, 24, 25] {
        let (mut start, mut seen) = (BoardStart::Top, Vec::new());
        loop {
            let page = store.board_page(&board, start, limit).await.unwrap();
            assert_eq!(page.total, 24);
            assert!(page.entries.len() <= limit as usize);
            seen.extend(page.entries);
            match page.next {
                Some(next) => start = BoardStart::After(next),
                None => break,
            }
            assert!(seen.len() < 24, "a page of {limit} ends with an empty one");
        }
        assert_eq!(seen, whole.entries, "in pages of {limit}");
    }
}

pub(crate) async fn a_page_begins_after_a_place_where_nobody_is(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let best = [counts_on(BoardRule::Best)];
    play(&*store, &ids, 1, solo(&[40, 30, 20, 10], 8, &best)).await;
    let board = default_board();
    let entries = [
        (ids[0], 40, 8),
        (ids[1], 30, 8),
        (ids[2], 20, 8),
        (ids[3], 10, 8),
    ];
    board_becomes(&*store, &board, &entries).await;
    let first = store.board_page(&board, BoardStart::Top, 2).await.unwrap();
    let cursor = first.next.unwrap();
    // The entry that the cursor names moves up; nobody is skipped or listed twice.
    play(&*store, &ids[1..2], 2, solo(&[99], 9, &best)).await;
    let entries = [
        (ids[1], 99, 9),
        (ids[0], 40, 8),
        (ids[2], 20, 8),
        (ids[3], 10, 8),
    ];
    board_becomes(&*store, &board, &entries).await;
    let after = |cursor| BoardStart::After(cursor);
    let rest = store.board_page(&board, after(cursor), 9).await.unwrap();
    assert_eq!(ranks(&rest.entries), [(3, ids[2]), (4, ids[3])]);

    let cursor = |score, player_id| BoardCursor {
        score,
        at: at(8),
        player_id,
    };
    let nothing = after(cursor(10, Uuid::max()));
    let end = store.board_page(&board, nothing, 9).await.unwrap();
    assert_eq!((end.entries, end.next, end.total), (Vec::new(), None, 4));
    let everything = after(cursor(i64::MAX, Uuid::nil()));
    let all = store.board_page(&board, everything, 9).await.unwrap();
    assert_eq!(all.entries.len(), 4);
    let lowest = after(cursor(i64::MIN, Uuid::nil()));
    let none = store.board_page(&board, lowest, 9).await.unwrap();
    assert!(none.entries.is_empty());
    // Times decide among equals.
    let late = BoardCursor {
        at: at(9),
        ..cursor(20, Uuid::nil())
    };
    let rest = store.board_page(&board, after(late), 9).await.unwrap();
    assert_eq!(ranks(&rest.entries), [(4, ids[3])]);
}

pub(crate) async fn a_page_around_a_player_has_the_player_in_its_middle(store: SharedStore) {
    let ids = players(&*store, 8).await;
    let best = [counts_on(BoardRule::Best)];
    let scores = [80, 70, 60, 50, 50, 50, 20, 10];
    play(&*store, &ids[..7], 1, solo(&scores[..7], 8, &best)).await;
    play(&*store, &ids[7..], 2, solo(&scores[7..], 8, &best)).await;
    let entries: Vec<_> = ids
        .iter()
        .zip(scores)
        .map(|(&id, s)| (id, s.into(), 8))
        .collect();
    let board = default_board();
    let whole = board_becomes(&*store, &board, &entries).await.entries;
    for (place, own) in whole.iter().enumerate() {
        for limit in [1_usize, 2, 3, 5, 8, 20] {
            let start = BoardStart::Around(own.player_id);
            let page = store.board_page(&board, start, limit as u32).await.unwrap();
            let first = place
                .saturating_sub((limit - 1) / 2)
                .min(whole.len().saturating_sub(limit));
            let end = (first + limit).min(whole.len());
            let which = format!("{limit} around place {place}");
            assert_eq!(page.entries, whole[first..end], "{which}");
            assert_eq!(page.total, 8);
            let next = page.next.map(|next| next.player_id);
            let last = (end < whole.len()).then(|| whole[end - 1].player_id);
            assert_eq!(next, last, "{which}");
        }
    }
    let stranger = BoardStart::Around(Uuid::now_v7());
    let page = store.board_page(&board, stranger, 9).await.unwrap();
    assert_eq!((page.entries, page.next), (Vec::new(), None));
}

pub(crate) async fn a_board_that_nobody_is_on_is_empty(store: SharedStore) {
    let ids = players(&*store, 1).await;
    play(
        &*store,
        &ids,
        1,
        solo(&[1], 8, &[counts_on(BoardRule::Best)]),
    )
    .await;
    board_becomes(&*store, &default_board(), &[(ids[0], 1, 8)]).await;
    for (game, board, season) in [
        ("arena", "default", "2026-11-23"),
        ("arena", "other", ALL_TIME),
        ("zen", "default", ALL_TIME),
        ("", "", ""),
    ] {
        let key = BoardKey {
            game: game.to_owned(),
            board: board.to_owned(),
            season: season.to_owned(),
        };
        for start in [BoardStart::Top, BoardStart::Around(ids[0])] {
            let page = store.board_page(&key, start, 9).await.unwrap();
            assert_eq!(page, BoardPage::default());
        }
        assert_eq!(store.standing(&key, ids[0]).await.unwrap(), None);
    }
    let stranger = Uuid::now_v7();
    let standing = store.standing(&default_board(), stranger).await.unwrap();
    assert_eq!(standing, None);
    let none = store.seasons("arena", "other", 9).await.unwrap();
    assert!(none.is_empty());
}

pub(crate) async fn seasons_are_boards_of_their_own_newest_first(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let weeks = ["2026-11-09", "2026-11-23", "2026-11-16"];
    for (number, week) in (1..).zip(weeks) {
        let weekly = CountsOn {
            board: "weekly".to_owned(),
            season: week.to_owned(),
            ..counts_on(BoardRule::Sum)
        };
        let boards = [weekly, counts_on(BoardRule::Sum)];
        play(
            &*store,
            &ids,
            number,
            solo(&[number as i32, 10], 8, &boards),
        )
        .await;
    }
    let seasons = store.seasons("arena", "weekly", 9).await.unwrap();
    assert_eq!(seasons, ["2026-11-23", "2026-11-16", "2026-11-09"]);
    assert_eq!(
        store.seasons("arena", "weekly", 2).await.unwrap(),
        seasons[..2]
    );
    assert_eq!(
        store.seasons("arena", "default", 9).await.unwrap(),
        [ALL_TIME]
    );
    for (score, week) in (1..).zip(weeks) {
        let key = BoardKey {
            board: "weekly".to_owned(),
            season: week.to_owned(),
            ..default_board()
        };
        board_becomes(&*store, &key, &[(ids[1], 10, 8), (ids[0], score, 8)]).await;
    }
    let all = [(ids[1], 30, 8), (ids[0], 6, 8)];
    board_becomes(&*store, &default_board(), &all).await;
}

pub(crate) async fn a_board_of_a_statistic_lists_those_who_have_it(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let coins = CountsOn {
        board: "coins".to_owned(),
        statistic: Some("coins".to_owned()),
        ..counts_on(BoardRule::Sum)
    };
    let boards = [coins, counts_on(BoardRule::Best)];
    let key = BoardKey {
        board: "coins".to_owned(),
        ..default_board()
    };
    for (number, counts) in (1..).zip([[Some(0), Some(7), None], [Some(2), None, None]]) {
        let mut result = solo(&[10, 5, 1], 8, &boards);
        for (slot, count) in result.slots.iter_mut().zip(counts) {
            slot.statistics = count.into_iter().map(|c| ("coins".to_owned(), c)).collect();
        }
        play(&*store, &ids, number, result).await;
    }
    board_becomes(&*store, &key, &[(ids[1], 7, 8), (ids[0], 2, 8)]).await;
    let scores = [(ids[0], 10, 8), (ids[1], 5, 8), (ids[2], 1, 8)];
    board_becomes(&*store, &default_board(), &scores).await;
}

pub(crate) async fn what_does_not_count_enters_no_board(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let boards = [counts_on(BoardRule::Sum)];
    let mut void = solo(&[10, 5], 8, &boards);
    void.outcome = Outcome::Void;
    play(&*store, &ids, 1, void).await;
    let unrated = running_match_with(&*store, &ids, 2, |new| new.rated = false).await;
    end(&*store, unrated, solo(&[10, 5], 8, &boards)).await;
    let board = default_board();
    let page = store.board_page(&board, BoardStart::Top, 9).await.unwrap();
    assert_eq!(page, BoardPage::default());
    let seasons = store.seasons("arena", "default", 9).await.unwrap();
    assert!(seasons.is_empty());

    // One that counts afterwards is alone on it.
    play(&*store, &ids[..1], 3, solo(&[1], 9, &boards)).await;
    board_becomes(&*store, &board, &[(ids[0], 1, 9)]).await;
}

pub(crate) async fn a_repeated_result_counts_once(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            // Another result of the same match is as little another match.
            let result = solo(&[10 + n % 2, 5], 8, &[counts_on(BoardRule::Sum)]);
            tokio::spawn(async move { store.store_result(id, 1, result, at(9)).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += usize::from(task.await.unwrap() == StoreOutcome::Stored);
    }
    assert_eq!(stored, 1);
    let late = solo(&[1000, 5], 8, &[counts_on(BoardRule::Sum)]);
    let again = store.store_result(id, 1, late, at(10)).await.unwrap();
    assert_eq!(again, StoreOutcome::AlreadyStored);

    let ended = store.match_by_id(id).await.unwrap().unwrap();
    let score = ended.slots[0].result.as_ref().unwrap().score.into();
    let entries = [(ids[0], score, 8), (ids[1], 5, 8)];
    board_becomes(&*store, &default_board(), &entries).await;
    let modes = store.statistics("arena", ids[0], at(0)).await.unwrap();
    assert_eq!((modes[0].1.matches, modes[0].1.total_score), (1, score));
}

pub(crate) async fn results_that_end_at_once_all_count(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let boards = [
        counts_on(BoardRule::Sum),
        CountsOn {
            board: "best".to_owned(),
            ..counts_on(BoardRule::Best)
        },
    ];
    let mut tasks = Vec::new();
    for number in 1..=12 {
        // The same players in turned order, so that rows are wanted in every order.
        let mut order = ids.clone();
        order.rotate_left(number as usize % 3);
        let id = running_match(&*store, &order, number).await;
        let scores: Vec<i32> = order
            .iter()
            .map(|id| 1 + ids.iter().position(|other| other == id).unwrap() as i32)
            .collect();
        let result = solo(&scores, i64::from(20 - number), &boards);
        tasks.push((id, result));
    }
    // A bad one among them does not take the others with it.
    let bad = running_match(&*store, &ids, 13).await;
    let mut refused = solo(&[1, 1, 1], 30, &boards);
    refused.slots[1].slot = 9;
    tasks.push((bad, refused));
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|(id, result)| {
            let store = store.clone();
            tokio::spawn(async move { store.store_result(id, 1, result, at(40)).await })
        })
        .collect();
    for (number, task) in (1..).zip(tasks) {
        let stored = task.await.unwrap();
        if number == 13 {
            assert!(stored.is_err(), "{stored:?}");
        } else {
            assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        }
    }

    let sums = [(ids[2], 36, 19), (ids[1], 24, 19), (ids[0], 12, 19)];
    board_becomes(&*store, &default_board(), &sums).await;
    let key = BoardKey {
        board: "best".to_owned(),
        ..default_board()
    };
    let bests = [(ids[2], 3, 8), (ids[1], 2, 8), (ids[0], 1, 8)];
    board_becomes(&*store, &key, &bests).await;
    for (n, &id) in ids.iter().enumerate() {
        let modes = store.statistics("arena", id, at(0)).await.unwrap();
        let sums = &modes[0].1;
        assert_eq!((sums.matches, sums.wins + sums.losses), (12, 12));
        assert_eq!(sums.wins, if n == 2 { 12 } else { 0 });
        assert_eq!(sums.last_played_at, Some(at(19)));
        assert_eq!(sums.statistics["falls"], -12);
    }
}

pub(crate) async fn ranks_are_made_anew_while_they_are_read(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let other = CountsOn {
        board: "other".to_owned(),
        ..counts_on(BoardRule::Sum)
    };
    let boards = [counts_on(BoardRule::Best), other];
    play(&*store, &ids, 1, solo(&[3, 2, 1], 8, &boards)).await;
    let entries = [(ids[0], 3, 8), (ids[1], 2, 8), (ids[2], 1, 8)];
    board_becomes(&*store, &default_board(), &entries).await;
    for (game, board, expected) in [
        ("arena", None, 6),
        ("arena", Some("other"), 3),
        ("zen", None, 0),
    ] {
        let id = store.request_rebuild(game, board).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        let rebuilt = loop {
            let rebuild = store.rebuild(id).await.unwrap().unwrap();
            let standing = store.standing(&default_board(), ids[1]).await.unwrap();
            let unchanged = Standing {
                rank: 2,
                score: 2,
                total: 3,
            };
            assert_eq!(standing, Some(unchanged));
            if rebuild.done {
                break rebuild;
            }
            assert!(Instant::now() < deadline, "the rebuild stays {rebuild:?}");
            tokio::time::sleep(POLL).await;
        };
        assert_eq!(rebuilt.entries, expected, "{game} {board:?}");
    }
    assert_eq!(store.rebuild(Uuid::now_v7()).await.unwrap(), None);
    play(&*store, &ids[2..], 2, solo(&[9], 9, &boards)).await;
    let entries = [(ids[2], 9, 9), (ids[0], 3, 8), (ids[1], 2, 8)];
    board_becomes(&*store, &default_board(), &entries).await;
}

/// Plays matches of one player, and compares after each what a board of this rule has: score and
/// second. Each step is a score, the second in which its match ends, and what follows.
async fn keeps(store: &dyn Store, rule: BoardRule, steps: &[(i32, i64, (i64, i64))]) {
    let player = players(store, 1).await[0];
    let board = default_board();
    for (number, &(score, ended, kept)) in (1..).zip(steps) {
        play(
            store,
            &[player],
            number,
            solo(&[score], ended, &[counts_on(rule)]),
        )
        .await;
        let standing = Standing {
            rank: 1,
            score: kept.0,
            total: 1,
        };
        standing_becomes(store, &board, player, Some(standing)).await;
        board_becomes(store, &board, &[(player, kept.0, kept.1)]).await;
    }
}
