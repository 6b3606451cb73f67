//! Leaderboards and statistics.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use serde_json::{Value, json};

use crate::world::{Account, World, text};

async fn board(world: &World, query: &str, token: Option<&str>) -> Value {
    let answer = world
        .get(&format!("/leaderboard/arena?{query}"), token)
        .await;
    answer.expect(StatusCode::OK)
}

fn rows(board: &Value) -> Vec<(u64, String, i64)> {
    let entries = board["entries"].as_array().unwrap().iter();
    entries
        .map(|e| {
            let (rank, score) = (e["rank"].as_u64(), e["score"].as_i64());
            (rank.unwrap(), text(&e["username"]), score.unwrap())
        })
        .collect()
}

async fn players<const N: usize>(world: &World) -> [Account; N] {
    let mut accounts = Vec::new();
    for n in 0..N {
        accounts.push(world.register(&format!("player-{n:02}")).await);
    }
    accounts.try_into().unwrap()
}

#[tokio::test]
async fn a_board_lists_the_best_of_each_and_says_where_it_goes_on() {
    let world = World::new().await;
    let players = players::<6>(&world).await;
    // Scores 10, 20, 20, 30, 40, 40; those who come later in the match list got theirs later.
    world.play([&players[0], &players[1]], [10, 20]).await;
    world.play([&players[2], &players[3]], [20, 30]).await;
    world.play([&players[4], &players[5]], [40, 40]).await;
    world.play([&players[0], &players[3]], [5, 25]).await;

    let all = board(&world, "", None).await;
    assert_eq!(
        (&all["game"], &all["board"]),
        (&json!("arena"), &json!("default"))
    );
    assert_eq!((&all["season"], &all["total"]), (&json!("all"), &json!(6)));
    assert_eq!(
        (&all["resets_at"], &all["next_cursor"]),
        (&Value::Null, &Value::Null)
    );
    let (mut first, second) = (text(&all["entries"][0]["player_id"]), &players[5].id);
    let ranks: Vec<u64> = rows(&all).iter().map(|(rank, ..)| *rank).collect();
    assert_eq!(ranks, [1, 1, 3, 4, 4, 6]);
    let scores: Vec<i64> = rows(&all).iter().map(|(.., score)| *score).collect();
    assert_eq!(scores, [40, 40, 30, 20, 20, 10]);
    // Of two in one match, at the same time, the lower id is first.
    assert_eq!(first, players[4].id.clone().min(second.clone()));
    assert_eq!(rows(&all)[3].1, "player-01");

    // Page by page it is the same list.
    let mut paged = Vec::new();
    let mut query = "limit=1".to_owned();
    loop {
        let page = board(&world, &query, None).await;
        assert_eq!(page["total"], 6);
        paged.extend(rows(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=1&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, rows(&all));

    let around = board(&world, "around=me&limit=3", Some(&players[3].access)).await;
    assert_eq!(rows(&around)[1], (3, "player-03".to_owned(), 30));
    let by_id = board(&world, &format!("around={}&limit=3", players[3].id), None).await;
    assert_eq!(around, by_id);
    // At an end the page is filled up from the other side.
    let around = board(&world, "around=me&limit=3", Some(&players[0].access)).await;
    assert_eq!(around["entries"][2]["player_id"], players[0].id);
    assert_eq!(around["entries"].as_array().unwrap().len(), 3);
    first = text(&around["entries"][2]["at"]);
    assert!(first.parse::<DateTime<Utc>>().is_ok(), "{first}");
}

#[tokio::test]
async fn a_season_ends_at_its_time_and_stays_readable() {
    let world = World::new().await;
    // Noon: the day does not end meanwhile.
    let past_noon = (Utc::now() - TimeDelta::hours(12)).num_seconds_from_midnight();
    world.clock.advance(24 * 60 * 60 - i64::from(past_noon));
    let [ada, bob] = players(&world).await;
    world.play([&ada, &bob], [30, 20]).await;
    let before = board(&world, "board=kills", None).await;
    let season = text(&before["season"]);
    assert_eq!(rows(&before)[0], (1, "player-00".to_owned(), 3));
    world.play([&ada, &bob], [10, 50]).await;
    let sums = board(&world, "board=kills", None).await;
    assert_eq!(sums["season"], json!(season));
    assert_eq!(rows(&sums)[0], (1, "player-01".to_owned(), 7));
    let resets_at: DateTime<Utc> = text(&sums["resets_at"]).parse().unwrap();
    assert!(resets_at > Utc::now());

    world.clock.advance(24 * 60 * 60);
    // Tokens are old by now, and boards need none.
    let next = board(&world, "board=kills", None).await;
    assert_ne!(next["season"], json!(season));
    assert_eq!((&next["entries"], &next["total"]), (&json!([]), &json!(0)));
    let last = board(&world, &format!("board=kills&season={season}"), None).await;
    assert_eq!(rows(&last), rows(&sums));
    assert_eq!(last["resets_at"], Value::Null);
    let never = board(&world, "board=kills&season=1999-12-31", None).await;
    assert_eq!(never["entries"], json!([]));
}

#[tokio::test]
async fn what_no_board_can_answer_is_refused() {
    let world = World::new().await;
    let [ada, bob] = players(&world).await;
    world.play([&ada, &bob], [30, 20]).await;
    let get = async |path: &str| world.get(&format!("/leaderboard/{path}"), None).await;
    get("chess").await.expect(StatusCode::NOT_FOUND);
    get("arena?board=nothing")
        .await
        .expect(StatusCode::NOT_FOUND);
    get("%00").await.expect(StatusCode::NOT_FOUND);
    for season in ["2026-13-01", "today", "", "2026-1-1", "%00"] {
        let refused = get(&format!("arena?season={season}")).await;
        assert_eq!(refused.refused_field(), "season", "{season}");
    }
    for limit in ["0", "101", "-1", "1.5", "ten", ""] {
        let refused = get(&format!("arena?limit={limit}")).await;
        assert_eq!(refused.refused_field(), "limit", "{limit}");
    }
    get("arena?around=me")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    for around in ["you", "", "%F0%9F%92%A5", "0"] {
        let refused = get(&format!("arena?around={around}")).await;
        assert_eq!(refused.refused_field(), "around", "{around}");
    }
    let stranger = get(&format!("arena?around={}", uuid::Uuid::nil())).await;
    assert_eq!(stranger.expect(StatusCode::OK)["entries"], json!([]));

    let cursor = text(&board(&world, "limit=1", None).await["next_cursor"]);
    let both = get(&format!(
        "arena?around={}&cursor={cursor}",
        uuid::Uuid::nil()
    ))
    .await;
    assert_eq!(both.refused_field(), "around");
    let other_board = get(&format!("arena?board=kills&cursor={cursor}")).await;
    assert_eq!(other_board.refused_field(), "cursor");
    let altered = cursor.replace(
        &cursor[..1],
        if cursor.starts_with('A') { "B" } else { "A" },
    );
    for cursor in [
        &altered,
        &cursor[1..],
        "",
        "x",
        &uuid::Uuid::nil().to_string(),
    ] {
        let refused = get(&format!("arena?cursor={cursor}")).await;
        assert_eq!(refused.refused_field(), "cursor", "{cursor}");
    }
}

#[tokio::test]
async fn answers_of_boards_say_how_long_they_may_be_kept() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let public = world.get("/leaderboard/arena", None).await;
    assert_eq!(public.headers["cache-control"], "public, max-age=1");
    let own = world
        .get("/leaderboard/arena?around=me", Some(&ada.access))
        .await;
    assert_eq!(own.headers["cache-control"], "private, no-store");
}

#[tokio::test]
async fn statistics_add_up_what_a_player_did() {
    let world = World::new().await;
    let [ada, bob] = players(&world).await;
    let stats = async |path: &str, token: Option<&str>| {
        let answer = world.get(&format!("/stats/arena/{path}"), token).await;
        answer.expect(StatusCode::OK)
    };
    let fresh = stats(&ada.id, None).await;
    for (name, value) in [
        ("matches", json!(0)),
        ("wins", json!(0)),
        ("losses", json!(0)),
        ("draws", json!(0)),
        ("best_score", Value::Null),
        ("rank", Value::Null),
        ("last_played_at", Value::Null),
        ("rating", json!(1500)),
        ("rating_uncertainty", json!(350)),
        ("statistics", json!({})),
        ("total_score", json!(0)),
        ("username", json!("player-00")),
        ("game", json!("arena")),
    ] {
        assert_eq!(fresh[name], value, "{name}");
    }
    world.play([&ada, &bob], [30, 20]).await;
    world.play([&ada, &bob], [10, 50]).await;
    world.play([&ada, &bob], [20, 20]).await;
    let own = stats("me", Some(&ada.access)).await;
    for (name, value) in [
        ("player_id", json!(ada.id)),
        ("matches", json!(3)),
        ("wins", json!(1)),
        ("losses", json!(1)),
        ("draws", json!(1)),
        ("best_score", json!(30)),
        ("total_score", json!(60)),
        ("rank", json!(2)),
        ("statistics", json!({"kills": 6})),
        ("mode", Value::Null),
    ] {
        assert_eq!(own[name], value, "{name}");
    }
    assert!(own["rating_uncertainty"].as_i64().unwrap() < 350);
    assert!(text(&own["last_played_at"]).ends_with('Z'));
    assert_eq!(stats(&bob.id, None).await["rank"], 1);
    let one_mode = stats(&format!("{}?mode=default", ada.id), None).await;
    assert_eq!(
        (&one_mode["matches"], &one_mode["mode"]),
        (&json!(3), &json!("default"))
    );
    let other_mode = stats(&format!("{}?mode=four", ada.id), None).await;
    assert_eq!(other_mode["matches"], 0);
    assert_eq!(other_mode["rating"], 1500);
}

#[tokio::test]
async fn statistics_of_nobody_are_refused() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let get = async |path: &str| world.get(&format!("/stats/{path}"), None).await;
    get(&format!("chess/{}", ada.id))
        .await
        .expect(StatusCode::NOT_FOUND);
    get("arena/me").await.expect(StatusCode::UNAUTHORIZED);
    for player in ["nobody", "%00", &uuid::Uuid::nil().to_string()] {
        get(&format!("arena/{player}"))
            .await
            .expect(StatusCode::NOT_FOUND);
    }
    for mode in ["nothing", "", "Default", "%07"] {
        let refused = get(&format!("arena/{}?mode={mode}", ada.id)).await;
        assert_eq!(refused.refused_field(), "mode", "{mode}");
    }
}

#[tokio::test]
async fn ratings_follow_results_into_the_next_match() {
    let world = World::new().await;
    let [ada, bob] = players(&world).await;
    for _ in 0..3 {
        world.play([&ada, &bob], [30, 20]).await;
    }
    world.enqueue(&ada).await;
    world.clock.advance_ms(1);
    world.enqueue(&bob).await;
    world.authority_is_ready().await;
    let found = &world.wait_for(&ada, "matched").await["match"];
    let rating = |n: usize| found["players"][n]["rating"].as_i64().unwrap();
    assert!(rating(0) > 1550 && rating(1) < 1450, "{found}");
}
