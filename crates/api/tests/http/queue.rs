//! From the queue to a room and its history.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use chrono::TimeDelta;
use gs_api::{Environment as _, Limits, Rate};
use gs_store::{MatchOutcome, Matches as _, Outcome, SlotOutcome, StoreOutcome, Tickets as _};
use serde_json::{Value, json};

use crate::world::{Account, DEADLINE, World, request, send, text};

/// Two players who can join a match; its id and epoch.
async fn matched(world: &World) -> (Account, Account, uuid::Uuid, u64) {
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.enqueue(&ada).await;
    // Whoever comes in the same millisecond may be put first.
    world.clock.advance(1);
    world.enqueue(&bob).await;
    let (id, epoch) = world.authority_is_ready().await;
    (ada, bob, id, epoch)
}

#[tokio::test]
async fn two_who_queue_are_matched_into_a_room() {
    let world = World::new().await;
    let (ada, bob, id, _) = matched(&world).await;
    let status = world.wait_for(&ada, "matched").await;
    let found = &status["match"];
    assert_eq!(found["match_id"], id.to_string());
    assert_eq!(
        (&found["game"], &found["url"]),
        (&json!("arena"), &json!("ws://127.0.0.1:7880"))
    );
    assert_eq!(found["identity"], ada.id);
    let players = json!([
        {"player_id": ada.id, "username": "Ada", "team": null, "rating": 1500},
        {"player_id": bob.id, "username": "Bob", "team": null, "rating": 1500},
    ]);
    assert_eq!(found["players"], players);
    let room = text(&found["room"]);
    let digits = room.strip_prefix("arena-").unwrap();
    assert!(
        digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()),
        "{room}"
    );
    assert_eq!(
        *world.rooms.created.lock().unwrap(),
        [(room.clone(), "arena".to_owned())]
    );

    let claims = claims(&text(&found["token"]));
    assert_eq!(
        (&claims["sub"], &claims["name"]),
        (&json!(ada.id), &json!("Ada"))
    );
    assert_eq!(claims["video"]["room"], room);
    assert_eq!(claims["video"]["canPublish"], false);
    assert_eq!(claims["video"]["canPublishData"], true);
    assert_eq!(world.wait_for(&bob, "matched").await["match"]["room"], room);

    let answer = world
        .get(&format!("/auth/token?room={room}"), Some(&bob.access))
        .await;
    let token = answer.expect(StatusCode::OK);
    assert_eq!(
        (&token["identity"], &token["room"]),
        (&json!(bob.id), &json!(room))
    );
    assert!(text(&token["expires_at"]).ends_with('Z'));
    assert_eq!(self::claims(&text(&token["token"]))["sub"], bob.id);
}

#[tokio::test]
async fn a_waiting_status_answers_when_the_match_is_ready() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let ticket = world.enqueue(&ada).await;
    let path = format!("/match/status?wait=25&ticket_id={ticket}");
    let waiting = tokio::spawn(send(
        world.router.clone(),
        request("GET", &path, Some(&ada.access), None),
    ));
    let bob = world.register("Bob").await;
    world.enqueue(&bob).await;
    let answer = tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap()
        .unwrap();
    let status = answer.expect(StatusCode::OK);
    assert_eq!(status["ticket_id"], ticket);
    assert!(
        status["status"] == "placing" || status["status"] == "matched",
        "{status}"
    );
    assert!(status["waited_ms"].is_u64());
}

#[tokio::test]
async fn a_waiting_status_ends_when_the_server_stops() {
    let mut world = World::new().await;
    let ada = world.register("Ada").await;
    world.enqueue(&ada).await;
    let call = request("GET", "/match/status?wait=25", Some(&ada.access), None);
    let waiting = tokio::spawn(send(world.router.clone(), call));
    world.stop().await;
    let answer = tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.expect(StatusCode::OK)["status"], "queued");
    let ready = world
        .get("/readyz", None)
        .await
        .expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready["missing"], json!(["matchmaking"]));
}

#[tokio::test]
async fn a_private_code_keeps_strangers_out() {
    let world = World::new().await;
    let mut friends = Vec::new();
    for (name, code) in [("Ada", Some("tea")), ("Bob", None), ("Cyd", Some("tea"))] {
        let account = world.register(name).await;
        let body = json!({"game": "arena", "code": code});
        let answer = world
            .post("/match/queue", Some(&account.access), body)
            .await;
        answer.expect(StatusCode::ACCEPTED);
        friends.push(account);
    }
    world.authority_is_ready().await;
    let status = world.wait_for(&friends[2], "matched").await;
    let names: Vec<String> = status["match"]["players"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| text(&p["username"]))
        .collect();
    assert_eq!(names, ["Ada", "Cyd"]);
    assert_eq!(world.status(&friends[1], "").await["status"], "queued");
}

#[tokio::test]
async fn queueing_twice_names_the_earlier_ticket_until_it_is_cancelled() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let ticket = world.enqueue(&ada).await;
    let again = world
        .post("/match/queue", Some(&ada.access), json!({"game": "arena"}))
        .await;
    assert_eq!(again.expect(StatusCode::CONFLICT)["ticket_id"], ticket);
    let path = format!("/match/queue/{ticket}");
    world
        .delete(&path, Some(&ada.access))
        .await
        .expect(StatusCode::NO_CONTENT);
    assert_eq!(world.status(&ada, "").await["status"], "cancelled");
    assert_ne!(world.enqueue(&ada).await, ticket);
}

#[tokio::test]
async fn a_player_who_queues_too_often_has_to_wait() {
    let queue = Rate {
        burst: 3,
        interval: std::time::Duration::from_secs(60),
    };
    let world = World::with_limits(Limits {
        queue,
        ..Limits::default()
    })
    .await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    for _ in 0..3 {
        let ticket = world.enqueue(&ada).await;
        world
            .delete(&format!("/match/queue/{ticket}"), Some(&ada.access))
            .await
            .expect(StatusCode::NO_CONTENT);
    }
    let refused = world
        .post("/match/queue", Some(&ada.access), json!({"game": "arena"}))
        .await;
    let seconds: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    refused.expect(StatusCode::TOO_MANY_REQUESTS);
    world.enqueue(&bob).await;
    world.clock.advance(60);
    world.enqueue(&ada).await;
}

#[tokio::test]
async fn a_ticket_is_forgotten_a_day_after_its_end() {
    let world = World::new().await;
    let ada = world.guest().await;
    let ticket = world.enqueue(&ada).await;
    world
        .delete(&format!("/match/queue/{ticket}"), Some(&ada.access))
        .await
        .expect(StatusCode::NO_CONTENT);
    let id: uuid::Uuid = ticket.parse().unwrap();
    assert!(world.store.ticket(id).await.unwrap().is_some());
    world.clock.advance(24 * 60 * 60 + 60);
    let forgotten = async {
        while world.store.ticket(id).await.unwrap().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, forgotten)
        .await
        .expect("the ticket is still there");
}

#[tokio::test]
async fn a_matched_ticket_cannot_be_cancelled() {
    let world = World::new().await;
    let (ada, ..) = matched(&world).await;
    let ticket = text(&world.wait_for(&ada, "matched").await["ticket_id"]);
    let path = format!("/match/queue/{ticket}");
    world
        .delete(&path, Some(&ada.access))
        .await
        .expect(StatusCode::CONFLICT);
}

#[tokio::test]
async fn somebody_elses_ticket_is_not_found() {
    let world = World::new().await;
    let (ada, eve) = (world.register("Ada").await, world.register("Eve").await);
    let ticket = world.enqueue(&ada).await;
    let path = format!("/match/status?ticket_id={ticket}");
    world
        .get(&path, Some(&eve.access))
        .await
        .expect(StatusCode::NOT_FOUND);
    let path = format!("/match/queue/{ticket}");
    world
        .delete(&path, Some(&eve.access))
        .await
        .expect(StatusCode::NOT_FOUND);
    world
        .get("/match/status?ticket_id=1", Some(&ada.access))
        .await
        .expect(StatusCode::NOT_FOUND);
    assert_eq!(world.status(&ada, "").await["status"], "queued");
}

#[tokio::test]
async fn a_token_for_a_room_of_others_is_refused_like_one_that_does_not_exist() {
    let world = World::new().await;
    let (ada, ..) = matched(&world).await;
    let eve = world.register("Eve").await;
    let room = text(&world.wait_for(&ada, "matched").await["match"]["room"]);
    let ask = async |room: &str| {
        let answer = world
            .get(&format!("/auth/token?room={room}"), Some(&eve.access))
            .await;
        answer.expect(StatusCode::FORBIDDEN)
    };
    assert_eq!(ask(&room).await, ask("arena-ffffffff").await);
    let answer = world.get("/auth/token", Some(&eve.access)).await;
    assert_eq!(answer.refused_field(), "room");
}

#[tokio::test]
async fn a_ticket_whose_player_is_silent_times_out() {
    let world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let body = json!({"game": "arena", "mode": "four"});
    for account in [&ada, &bob] {
        let answer = world
            .post("/match/queue", Some(&account.access), body.clone())
            .await;
        answer.expect(StatusCode::ACCEPTED);
    }
    world.clock.advance(40);
    assert_eq!(world.status(&bob, "").await["status"], "queued");
    world.clock.advance(40);
    // The timed-out ticket is looked at by another way than asking, which would be a heartbeat.
    let ada_id: uuid::Uuid = ada.id.parse().unwrap();
    let timed_out = async {
        use gs_store::TicketStatus;
        loop {
            let ticket = world.store.newest_ticket(ada_id).await.unwrap().unwrap();
            if ticket.status == TicketStatus::TimedOut {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, timed_out)
        .await
        .expect("the ticket never timed out");
    let status = world.status(&ada, "").await;
    assert_eq!(status["status"], "timed_out");
    assert!(status["reason"].is_string());
    assert_eq!(world.status(&bob, "").await["status"], "queued");
}

#[tokio::test]
async fn a_match_that_no_authority_takes_fails_and_its_room_is_deleted() {
    let world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.enqueue(&ada).await;
    world.enqueue(&bob).await;
    world.wait_for(&ada, "placing").await;
    world.clock.advance(16);
    let failed = world.wait_for(&ada, "failed").await;
    assert!(text(&failed["reason"]).contains("authority"), "{failed}");
    assert!(failed.get("match").is_none());
    world.wait_for(&bob, "failed").await;
    world.enqueue(&ada).await;
    let deleted = async {
        while world.rooms.deleted.lock().unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, deleted)
        .await
        .expect("the room was not deleted");
}

#[tokio::test]
async fn without_livekit_the_ticket_fails_and_says_so() {
    let world = World::new().await;
    world.rooms.unreachable.store(true, Ordering::SeqCst);
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.enqueue(&ada).await;
    world.enqueue(&bob).await;
    let failed = world.wait_for(&bob, "failed").await;
    let reason = text(&failed["reason"]);
    assert!(reason.contains("LiveKit is unreachable"), "{reason}");
    assert!(!reason.contains("secret-host"), "{reason}");
}

#[tokio::test]
async fn a_finished_match_is_in_the_history() {
    let world = World::new().await;
    let (ada, bob, id, epoch) = matched(&world).await;
    let room = text(&world.wait_for(&ada, "matched").await["match"]["room"]);
    let started = world.clock.now();
    world.store.match_started(id, epoch, started).await.unwrap();
    let slot = |slot: u8, placement: u8, score: i32| SlotOutcome {
        slot,
        placement,
        team: None,
        score,
        statistics: vec![("tags".to_owned(), score)],
    };
    let outcome = MatchOutcome {
        outcome: Outcome::Finished,
        reason: None,
        details: Some(r#"{"reports":[]}"#.to_owned()),
        slots: vec![slot(0, 2, 3), slot(1, 1, 7)],
        boards: Vec::new(),
        started_at: Some(started),
        ended_at: started + TimeDelta::seconds(5),
        ticks: 300,
    };
    let stored = world
        .store
        .store_result(id, epoch, outcome, world.clock.now())
        .await
        .unwrap();
    assert_eq!(stored, StoreOutcome::Stored);

    let one = world
        .get(&format!("/matches/{id}"), None)
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        (&one["status"], &one["outcome"]),
        (&json!("ended"), &json!("finished"))
    );
    assert_eq!(
        (&one["winner"], &one["ticks"]),
        (&json!(bob.id), &json!(300))
    );
    assert_eq!(one["players"][1]["placement"], 1);
    assert_eq!(
        (&one["authority_mode"], &one["rated"], &one["details"]),
        (&json!("validated"), &json!(true), &json!({"reports": []}))
    );
    assert_eq!(one["players"][0]["statistics"], json!({"tags": 3}));
    let path = format!("/players/{}/matches", ada.id);
    let list = world.get(&path, None).await.expect(StatusCode::OK);
    assert_eq!(list, json!({"matches": [one], "next_cursor": null}));
    let first = world
        .get(&format!("{path}?limit=1"), None)
        .await
        .expect(StatusCode::OK);
    let cursor = text(&first["next_cursor"]);
    for altered in [
        &cursor[1..],
        "",
        "x",
        &id.to_string(),
        &cursor.to_lowercase(),
    ] {
        let refused = world.get(&format!("{path}?cursor={altered}"), None).await;
        assert_eq!(refused.refused_field(), "cursor", "{altered}");
    }
    let path = format!("{path}?cursor={cursor}");
    let rest = world.get(&path, None).await.expect(StatusCode::OK);
    assert_eq!(rest["matches"], json!([]));

    let answer = world
        .get(&format!("/auth/token?room={room}"), Some(&ada.access))
        .await;
    answer.expect(StatusCode::CONFLICT);
    let status = world.status(&ada, "").await;
    assert!(status.get("match").is_none(), "{status}");
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
