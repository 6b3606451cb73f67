//! Players who queue together.

use axum::http::StatusCode;
use gs_matchmaker::Rules;
use serde_json::{Value, json};

use crate::world::{Account, World, text};

/// Two teams of two.
async fn teams_of_two() -> World {
    World::with_rules(Rules {
        skill: None,
        ..Rules::for_players(4, 2)
    })
    .await
}

async fn create(world: &World, leader: &Account) -> Value {
    let answer = world
        .post("/parties", Some(&leader.access), json!({}))
        .await;
    answer.expect(StatusCode::CREATED)
}

async fn join(world: &World, account: &Account, party: &Value) -> Value {
    let body = json!({"code": party["code"]});
    let answer = world
        .post("/parties/join", Some(&account.access), body)
        .await;
    answer.expect(StatusCode::OK)
}

async fn queue(world: &World, account: &Account, party: &Value) -> crate::world::Answer {
    let body = json!({"game": "arena", "party_id": party["party_id"]});
    world
        .post("/match/queue", Some(&account.access), body)
        .await
}

async fn four(world: &World) -> [Account; 4] {
    [
        world.register("Ada").await,
        world.register("Bob").await,
        world.register("Cleo").await,
        world.register("Dan").await,
    ]
}

#[tokio::test]
async fn a_party_plays_together_in_one_team() {
    let world = teams_of_two().await;
    let [ada, bob, cleo, dan] = four(&world).await;
    let party = create(&world, &ada).await;
    let code = text(&party["code"]);
    assert!(
        code.len() == 6 && !code.contains(['I', 'L', 'O', 'U']),
        "{code}"
    );
    let lower = json!({"code": code.to_lowercase()});
    let joined = world.post("/parties/join", Some(&bob.access), lower).await;
    let joined = joined.expect(StatusCode::OK);
    assert_eq!(joined["leader"], ada.id);
    let members = json!([
        {"player_id": ada.id, "username": "Ada"},
        {"player_id": bob.id, "username": "Bob"},
    ]);
    assert_eq!(joined["members"], members);
    let path = format!("/parties/{}", text(&party["party_id"]));
    let seen = world
        .get(&path, Some(&ada.access))
        .await
        .expect(StatusCode::OK);
    assert_eq!(seen["members"], members);

    let queued = queue(&world, &ada, &party)
        .await
        .expect(StatusCode::ACCEPTED);
    assert_eq!(queued["party_id"], party["party_id"]);
    let own = world.status(&bob, "").await;
    assert_eq!(
        (&own["status"], &own["party_id"]),
        (&json!("queued"), &party["party_id"])
    );
    world.enqueue(&cleo).await;
    world.enqueue(&dan).await;
    world.authority_is_ready().await;
    let matched = world.wait_for(&bob, "matched").await;
    let players = matched["match"]["players"].as_array().unwrap();
    let team = |account: &Account| {
        let own = players.iter().find(|p| p["player_id"] == account.id);
        own.unwrap()["team"].as_u64().unwrap()
    };
    assert_eq!(team(&ada), team(&bob));
    assert_eq!(team(&cleo), team(&dan));
    assert_ne!(team(&ada), team(&cleo));
}

#[tokio::test]
async fn only_the_leader_queues_and_only_what_fits() {
    let world = teams_of_two().await;
    let [ada, bob, cleo, dan] = four(&world).await;
    let party = create(&world, &ada).await;
    join(&world, &bob, &party).await;
    let refused = queue(&world, &bob, &party)
        .await
        .expect(StatusCode::FORBIDDEN);
    assert_eq!(refused["type"], "urn:gameserver:problem:not-the-leader");
    assert_eq!(
        queue(&world, &dan, &party).await.status,
        StatusCode::NOT_FOUND
    );
    join(&world, &cleo, &party).await;
    let refused = queue(&world, &ada, &party).await;
    assert_eq!(refused.refused_field(), "party_id");
    let body = json!({"game": "arena", "party_id": "p"});
    let no_id = world.post("/match/queue", Some(&ada.access), body).await;
    assert_eq!(no_id.refused_field(), "party_id");
}

#[tokio::test]
async fn a_member_who_is_queued_already_is_named() {
    let world = teams_of_two().await;
    let [ada, bob, ..] = four(&world).await;
    let party = create(&world, &ada).await;
    join(&world, &bob, &party).await;
    let ticket = world.enqueue(&bob).await;
    let refused = queue(&world, &ada, &party)
        .await
        .expect(StatusCode::CONFLICT);
    assert_eq!(
        (&refused["player_id"], &refused["ticket_id"]),
        (&json!(bob.id), &json!(ticket))
    );
    let newest = world.get("/match/status", Some(&ada.access)).await;
    assert_eq!(
        newest.status,
        StatusCode::NOT_FOUND,
        "nobody is queued in part"
    );
}

#[tokio::test]
async fn who_leaves_takes_the_party_out_of_the_queue_and_not_apart() {
    let world = teams_of_two().await;
    let [ada, bob, cleo, _] = four(&world).await;
    let party = create(&world, &ada).await;
    join(&world, &bob, &party).await;
    queue(&world, &ada, &party)
        .await
        .expect(StatusCode::ACCEPTED);
    let id = text(&party["party_id"]);
    let member = |player: &Account| format!("/parties/{id}/members/{}", player.id);
    let refused = world.delete(&member(&ada), Some(&bob.access)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let left = world.delete(&member(&bob), Some(&bob.access)).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    for player in [&ada, &bob] {
        let status = world.status(player, "").await;
        assert_eq!(status["status"], "cancelled");
        assert!(
            text(&status["reason"]).contains("left the party"),
            "{status}"
        );
    }
    let path = format!("/parties/{id}");
    assert_eq!(
        world.get(&path, Some(&bob.access)).await.status,
        StatusCode::NOT_FOUND
    );
    // The leader takes somebody out, leaves in turn, and the party is another's, then gone.
    join(&world, &bob, &party).await;
    let taken = world.delete(&member(&bob), Some(&ada.access)).await;
    assert_eq!(taken.status, StatusCode::NO_CONTENT);
    join(&world, &cleo, &party).await;
    world
        .delete(&member(&ada), Some(&ada.access))
        .await
        .expect(StatusCode::NO_CONTENT);
    let seen = world
        .get(&path, Some(&cleo.access))
        .await
        .expect(StatusCode::OK);
    assert_eq!(seen["leader"], cleo.id);
    world
        .delete(&member(&cleo), Some(&cleo.access))
        .await
        .expect(StatusCode::NO_CONTENT);
    let body = json!({"code": party["code"]});
    let gone = world.post("/parties/join", Some(&ada.access), body).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_player_is_in_one_party_and_codes_are_codes() {
    let world = teams_of_two().await;
    let [ada, bob, ..] = four(&world).await;
    let party = create(&world, &ada).await;
    let again = world.post("/parties", Some(&ada.access), json!({})).await;
    let again = again.expect(StatusCode::CONFLICT);
    assert_eq!(again["party_id"], party["party_id"]);
    create(&world, &bob).await;
    let body = json!({"code": party["code"]});
    let elsewhere = world.post("/parties/join", Some(&bob.access), body).await;
    assert_eq!(elsewhere.status, StatusCode::CONFLICT);
    for code in ["", "ABC", "ABCDEFG", "ABC-EF", "ÄBCDEF", "ABCDEI"] {
        let body = json!({"code": code});
        let refused = world.post("/parties/join", Some(&bob.access), body).await;
        assert_eq!(refused.refused_field(), "code", "{code}");
    }
}

#[tokio::test]
async fn a_banned_member_takes_the_party_out_of_the_queue() {
    let world = teams_of_two().await;
    let [ada, bob, ..] = four(&world).await;
    let party = create(&world, &ada).await;
    join(&world, &bob, &party).await;
    queue(&world, &ada, &party)
        .await
        .expect(StatusCode::ACCEPTED);
    world.ban(&bob).await;
    assert_eq!(world.status(&ada, "").await["status"], "cancelled");
    // And out of the party: the others go on without.
    let path = format!("/parties/{}", text(&party["party_id"]));
    let seen = world.get(&path, Some(&ada.access)).await;
    let seen = seen.expect(StatusCode::OK);
    assert_eq!(
        seen["members"],
        json!([{"player_id": ada.id, "username": "Ada"}])
    );
}
