//! LiveKit's webhooks.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use gs_api::Settings;
use gs_store::{MatchOutcome, Matches as _, Outcome, Presence as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{Account, Answer, LIVEKIT_KEY, LIVEKIT_SECRET, World};

/// A token as LiveKit makes it, for this body, that ends this many seconds from now.
fn sign(body: &str, ends_in: i64) -> String {
    let hash = STANDARD.encode(Sha256::digest(body.as_bytes()));
    let now = Utc::now().timestamp();
    let claims = json!({"iss": LIVEKIT_KEY, "sha256": hash, "nbf": now + ends_in - 300,
        "exp": now + ends_in});
    token(&claims, jsonwebtoken::Algorithm::HS256)
}

fn token(claims: &Value, algorithm: jsonwebtoken::Algorithm) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(LIVEKIT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), claims, &key).unwrap()
}

async fn post(world: &World, body: &str, token: &str) -> Answer {
    let request = Request::post("/webhooks/livekit")
        .header("content-type", "application/webhook+json")
        .header("authorization", token)
        .body(Body::from(body.to_owned()));
    world.call(request.unwrap()).await
}

/// Sends an event as LiveKit does.
async fn tell(world: &World, event: Value) {
    let body = event.to_string();
    post(world, &body, &sign(&body, 300))
        .await
        .expect(StatusCode::OK);
}

fn event(id: &str, kind: &str, room: (&str, &str), identity: &str) -> Value {
    json!({
        "event": kind, "id": id, "createdAt": Utc::now().timestamp().to_string(),
        "room": {"name": room.0, "sid": room.1, "metadata": "{\"game\": \"arena\"}"},
        "participant": {"sid": "PA_1", "identity": identity, "state": "ACTIVE"},
    })
}

/// Two players in a match; its room's name.
async fn matched(world: &World) -> (Account, Account, String) {
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.enqueue(&ada).await;
    world.enqueue(&bob).await;
    let (id, _) = world.authority_is_ready().await;
    let room = world.store.match_by_id(id).await.unwrap().unwrap().room;
    (ada, bob, room)
}

async fn in_room(world: &World, room: &str) -> Vec<String> {
    let players = world.store.room_players(room).await.unwrap();
    players.iter().map(|p| p.to_string()).collect()
}

#[tokio::test]
async fn who_joins_and_leaves_a_room_is_known() {
    let world = World::new().await;
    let (ada, bob, room) = matched(&world).await;
    let here = (room.as_str(), "RM_1");
    tell(&world, event("1", "room_started", here, "")).await;
    tell(&world, event("2", "participant_joined", here, &ada.id)).await;
    tell(&world, event("3", "participant_joined", here, &bob.id)).await;
    tell(&world, event("4", "participant_joined", here, "authority")).await;
    let mut both = [ada.id.clone(), bob.id.clone()];
    both.sort();
    assert_eq!(in_room(&world, &room).await, both);
    tell(&world, event("5", "participant_left", here, &ada.id)).await;
    assert_eq!(in_room(&world, &room).await, [bob.id.as_str()]);
    // A repetition of what is past changes nothing.
    tell(&world, event("2", "participant_joined", here, &ada.id)).await;
    assert_eq!(in_room(&world, &room).await, [bob.id]);
    tell(&world, event("6", "room_finished", here, "")).await;
    assert!(in_room(&world, &room).await.is_empty());
}

#[tokio::test]
async fn events_of_other_rooms_and_of_other_kinds_are_ignored() {
    let world = World::new().await;
    let (ada, _, room) = matched(&world).await;
    let kinds = [
        "track_published",
        "egress_ended",
        "participant_connection_aborted",
        "",
        "new_kind",
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        tell(
            &world,
            event(&format!("kind-{n}"), kind, (&room, "RM_1"), &ada.id),
        )
        .await;
    }
    for (n, place) in [
        ("arena-ffffffff", "RM_1"),
        (&room, "RM_another"),
        (&room, ""),
        ("", ""),
    ]
    .into_iter()
    .enumerate()
    {
        tell(
            &world,
            event(&format!("room-{n}"), "participant_joined", place, &ada.id),
        )
        .await;
    }
    for (n, identity) in ["", "authority", "x#1", &uuid::Uuid::now_v7().to_string()]
        .into_iter()
        .enumerate()
    {
        tell(
            &world,
            event(
                &format!("who-{n}"),
                "participant_joined",
                (&room, "RM_1"),
                identity,
            ),
        )
        .await;
    }
    tell(&world, json!({})).await;
    tell(
        &world,
        json!({"event": "participant_joined", "participant": {"state": "NEW_STATE"}}),
    )
    .await;
    tell(&world, json!([1, 2, 3])).await;
    assert!(in_room(&world, &room).await.is_empty());
}

#[tokio::test]
async fn events_out_of_order_do_no_harm() {
    let world = World::new().await;
    let (ada, bob, room) = matched(&world).await;
    let here = (room.as_str(), "RM_1");
    tell(&world, event("1", "participant_left", here, &ada.id)).await;
    tell(&world, event("2", "room_finished", here, "")).await;
    tell(&world, event("3", "participant_joined", here, &bob.id)).await;
    tell(&world, event("4", "room_started", here, "")).await;
    assert_eq!(in_room(&world, &room).await, [bob.id.as_str()]);
    // Who joined is told only after the match has ended: nobody is there any more.
    tell(&world, event("5", "room_finished", here, "")).await;
    let found = world.store.match_by_room(&room).await.unwrap().unwrap();
    let now = Utc::now();
    let outcome = MatchOutcome {
        outcome: Outcome::Void,
        reason: None,
        details: None,
        slots: Vec::new(),
        boards: Vec::new(),
        started_at: None,
        ended_at: now,
        ticks: 0,
    };
    world
        .store
        .store_result(found.id, found.epoch, outcome, now)
        .await
        .unwrap();
    tell(&world, event("6", "participant_joined", here, &ada.id)).await;
    assert!(in_room(&world, &room).await.is_empty());
}

#[tokio::test]
async fn what_livekit_did_not_sign_so_is_refused() {
    let world = World::new().await;
    let (ada, _, room) = matched(&world).await;
    let body = event("1", "participant_joined", (&room, "RM_1"), &ada.id).to_string();
    let good = sign(&body, 300);
    let hash = STANDARD.encode(Sha256::digest(body.as_bytes()));
    let exp = Utc::now().timestamp() + 300;
    let claims = |iss: &str| json!({"iss": iss, "sha256": hash, "exp": exp});
    let hs256 = jsonwebtoken::Algorithm::HS256;
    let unsigned = {
        let part =
            |json: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
        format!(
            "{}.{}.",
            part(json!({"alg": "none", "typ": "JWT"})),
            part(claims(LIVEKIT_KEY))
        )
    };
    let other_key =
        jsonwebtoken::EncodingKey::from_secret(b"another-secret-of-32-characters-or-more");
    let header = jsonwebtoken::Header::new(hs256);
    let forged = jsonwebtoken::encode(&header, &claims(LIVEKIT_KEY), &other_key).unwrap();
    let tokens = [
        String::new(),
        "x".to_owned(),
        format!("Bearer {good}"),
        unsigned,
        forged,
        token(&claims("another-key"), hs256),
        token(&claims(LIVEKIT_KEY), jsonwebtoken::Algorithm::HS512),
        token(&json!({"iss": LIVEKIT_KEY, "exp": exp}), hs256),
        token(
            &json!({"iss": LIVEKIT_KEY, "sha256": "", "exp": exp}),
            hs256,
        ),
        token(
            &json!({"iss": LIVEKIT_KEY, "sha256": "????", "exp": exp}),
            hs256,
        ),
        token(&json!({"iss": LIVEKIT_KEY, "sha256": hash}), hs256),
        sign(&format!("{body} "), 300),
        // Two minutes over, which no difference of clocks explains.
        sign(&body, -120),
        // Not before three minutes from now.
        sign(&body, 480),
    ];
    for token in &tokens {
        post(&world, &body, token)
            .await
            .expect(StatusCode::UNAUTHORIZED);
    }
    let other_body = body.replace(&ada.id, &uuid::Uuid::now_v7().to_string());
    post(&world, &other_body, &good)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let player = post(&world, &body, &format!("Bearer {}", ada.access)).await;
    player.expect(StatusCode::UNAUTHORIZED);
    let not_text = Request::post("/webhooks/livekit")
        .body(Body::from(&b"\xff\xfe"[..]))
        .unwrap();
    world.call(not_text).await.expect(StatusCode::BAD_REQUEST);
    let long = " ".repeat(512 * 1024 + 1);
    post(&world, &long, &sign(&long, 300))
        .await
        .expect(StatusCode::PAYLOAD_TOO_LARGE);
    assert!(in_room(&world, &room).await.is_empty());
    post(&world, &body, &good).await.expect(StatusCode::OK);
    assert_eq!(in_room(&world, &room).await, [ada.id]);
}

#[tokio::test]
async fn a_long_event_fits() {
    let world = World::new().await;
    let mut long = event("1", "room_started", ("arena-1", "RM_1"), "");
    long["room"]["metadata"] = "x".repeat(300 * 1024).into();
    tell(&world, long).await;
}

#[tokio::test]
async fn a_server_without_a_key_for_webhooks_takes_none() {
    let world = World::with(Settings::default()).await;
    let answer = post(&world, "{}", &sign("{}", 300)).await;
    answer.expect(StatusCode::NOT_FOUND);
}
