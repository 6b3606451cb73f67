//! Rules: who waits for what, who is asked, and what processes do that die.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use gs_api::{Environment as _, Limits, Rate, Settings};
use gs_matchmaker::{
    AttributeKind, AttributeRule, LatencyRule, PartySkill, PlayerCount, Rules, SkillRule,
    SkillSource, Steps,
};
use gs_store::{Matches as _, Tickets as _};
use serde_json::{Value, json};

use crate::sessions::ADMIN_KEY;
use crate::world::{Account, World, text};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Two players, 100 apart at first, 400 after ten seconds and any after twenty.
fn by_skill() -> Rules {
    Rules {
        skill: Some(SkillRule {
            source: SkillSource::Rating,
            tolerance: Steps {
                start: 100.0,
                steps: vec![(seconds(10), 400.0), (seconds(20), f64::INFINITY)],
            },
            party: PartySkill::Average,
        }),
        ..Rules::for_players(2, 0)
    }
}

fn with_acceptance() -> Rules {
    Rules {
        acceptance: Some(seconds(15)),
        skill: None,
        ..Rules::for_players(2, 0)
    }
}

async fn queue(world: &World, account: &Account, body: Value) -> Value {
    let mut whole = json!({"game": "arena"});
    for (key, value) in body.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let answer = world
        .post("/match/queue", Some(&account.access), whole)
        .await;
    answer.expect(StatusCode::ACCEPTED)
}

async fn accept(world: &World, account: &Account, ticket: &Value, accept: bool) -> StatusCode {
    let body = json!({"ticket_id": ticket["ticket_id"], "accept": accept});
    let answer = world
        .post("/match/accept", Some(&account.access), body)
        .await;
    answer.status
}

/// Two players whose ratings are far apart, since one has beaten the other.
async fn far_apart(world: &World) -> (Account, Account) {
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.play([&ada, &bob], [30, 20]).await;
    let rating = async |of: &Account| {
        let stats = world.get("/stats/arena/me", Some(&of.access)).await;
        stats.expect(StatusCode::OK)["rating"].as_i64().unwrap()
    };
    let apart = rating(&ada).await - rating(&bob).await;
    assert!((100..400).contains(&apart), "{apart}");
    (ada, bob)
}

#[tokio::test]
async fn two_of_distant_rating_wait_see_why_and_meet_when_it_widens() {
    let world = World::with_rules(by_skill()).await;
    let (ada, bob) = far_apart(&world).await;
    queue(&world, &ada, json!({})).await;
    queue(&world, &bob, json!({})).await;
    let status = world.status(&ada, "").await;
    assert_eq!(status["status"], "queued");
    assert_eq!(status["tolerance"], 100.0);
    assert_eq!(status["next_widening"]["rule"], "skill");
    assert_eq!(status["next_widening"]["tolerance"], 400.0);
    let next = status["next_widening"]["in_ms"].as_u64().unwrap();
    assert!((1..=10_000).contains(&next), "{next}");
    assert_eq!(status["players_waiting"], 1);
    assert_eq!(status["players_fitting"], 0);
    assert_eq!(
        status["excluded_by"],
        json!({"rule": "skill", "players": 1})
    );
    assert!(text(&status["reason"]).contains("skill"), "{status}");
    world.clock.advance(11);
    world.authority_is_ready().await;
    let matched = world.wait_for(&bob, "matched").await;
    assert!(matched.get("tolerance").is_none() && matched.get("players_waiting").is_none());
}

#[tokio::test]
async fn regions_and_attributes_keep_apart_whom_they_do_not_fit() {
    let rules = Rules {
        skill: None,
        latency: Some(LatencyRule {
            regions: vec!["eu".to_owned(), "us".to_owned()],
            max_ms: Steps::fixed(80.0),
        }),
        attributes: vec![
            AttributeRule {
                name: "map".to_owned(),
                kind: AttributeKind::Overlap {
                    values: vec!["dust".to_owned(), "ice".to_owned()],
                },
                required: false,
            },
            AttributeRule {
                name: "level".to_owned(),
                kind: AttributeKind::Within {
                    steps: Steps::fixed(5.0),
                },
                required: true,
            },
        ],
        ..Rules::for_players(2, 0)
    };
    let world = World::with_rules(rules).await;
    let ada = world.register("Ada").await;
    for (attributes, field) in [
        (json!({"level": 1, "hat": "red"}), "attributes.hat"),
        (json!({"level": "one"}), "attributes.level"),
        (json!({"map": ["dust"]}), "attributes.level"),
        (json!({"level": 1, "map": ["moon"]}), "attributes.map"),
        (json!({"level": 1, "map": []}), "attributes.map"),
        (json!({"level": 1, "map": 7}), "attributes.map"),
    ] {
        let body = json!({"game": "arena", "attributes": attributes});
        let refused = world.post("/match/queue", Some(&ada.access), body).await;
        assert_eq!(refused.refused_field(), field, "{attributes}");
    }
    let (bob, cleo, dan) = (
        world.register("Bob").await,
        world.register("Cleo").await,
        world.register("Dan").await,
    );
    let near = |region: &str| json!({region: 20, "mars": 1});
    let wish = |level: u8, map: &str, region: &str| json!({"attributes": {"level": level, "map": [map]}, "latency_ms": near(region)});
    queue(&world, &ada, wish(1, "dust", "eu")).await;
    queue(&world, &bob, wish(9, "dust", "eu")).await;
    queue(&world, &cleo, wish(2, "ice", "eu")).await;
    queue(&world, &dan, wish(2, "dust", "us")).await;
    let status = world.status(&ada, "").await;
    assert_eq!(
        (&status["players_waiting"], &status["players_fitting"]),
        (&json!(3), &json!(0))
    );
    let eve = world.register("Eve").await;
    queue(&world, &eve, wish(3, "dust", "eu")).await;
    world.authority_is_ready().await;
    let matched = world.wait_for(&ada, "matched").await;
    assert_eq!(matched["match"]["region"], "eu");
    let players = matched["match"]["players"].as_array().unwrap();
    let mut names: Vec<String> = players.iter().map(|p| text(&p["username"])).collect();
    names.sort();
    assert_eq!(names, ["Ada", "Eve"]);
    for waiting in [&bob, &cleo, &dan] {
        assert_eq!(world.status(waiting, "").await["status"], "queued");
    }
}

#[tokio::test]
async fn ratings_are_what_the_server_knows() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    for field in ["rating", "skill", "mmr", "uncertainty"] {
        let body = json!({"game": "arena", field: 3000});
        let refused = world.post("/match/queue", Some(&ada.access), body).await;
        assert_eq!(refused.refused_field(), field);
    }
    let body = json!({"game": "arena", "attributes": {"rating": 3000}});
    let refused = world.post("/match/queue", Some(&ada.access), body).await;
    assert_eq!(refused.refused_field(), "attributes.rating");
}

#[tokio::test]
async fn all_accept_and_only_then_the_match_is_made() {
    let world = World::with_rules(with_acceptance()).await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let first = queue(&world, &ada, json!({})).await;
    assert_eq!(
        accept(&world, &ada, &first, true).await,
        StatusCode::CONFLICT,
        "nobody is asked yet"
    );
    let second = queue(&world, &bob, json!({})).await;
    let asked = world.wait_for(&ada, "accepting").await;
    assert_eq!(asked["accept"]["players"], 2);
    assert_eq!(asked["accept"]["accepted"], 0);
    assert_eq!(asked["accept"]["you"], Value::Null);
    assert!(text(&asked["accept"]["until"]).ends_with('Z'));
    for _ in 0..2 {
        // Twice is as good as once.
        let status = accept(&world, &ada, &first, true).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let status = accept(&world, &ada, &first, false).await;
    assert_eq!(status, StatusCode::CONFLICT, "the contrary does not count");
    let status = world.status(&ada, "").await;
    assert_eq!(
        (&status["status"], &status["accept"]["you"]),
        (&json!("accepting"), &json!(true))
    );
    assert_eq!(status["accept"]["accepted"], 1);
    assert!(world.rooms.created.lock().unwrap().is_empty());
    assert_eq!(
        accept(&world, &ada, &second, true).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        accept(&world, &bob, &second, true).await,
        StatusCode::NO_CONTENT
    );
    world.authority_is_ready().await;
    world.wait_for(&ada, "matched").await;
    world.wait_for(&bob, "matched").await;
}

#[tokio::test]
async fn who_declines_leaves_and_the_others_wait_on_in_front() {
    let world = World::with_rules(with_acceptance()).await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    queue(&world, &ada, json!({})).await;
    world.clock.advance(5);
    let declined = queue(&world, &bob, json!({})).await;
    world.wait_for(&ada, "accepting").await;
    assert_eq!(
        accept(&world, &bob, &declined, false).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(world.status(&bob, "").await["status"], "cancelled");
    let status = world.status(&ada, "").await;
    assert_eq!(
        (&status["status"], &status["returned"]),
        (&json!("queued"), &json!(true))
    );
    assert!(status["waited_ms"].as_u64().unwrap() >= 5_000, "{status}");
    // Whoever comes next meets the one who waited.
    let cleo = world.register("Cleo").await;
    queue(&world, &cleo, json!({})).await;
    world.wait_for(&ada, "accepting").await;
    // To cancel is to decline, too.
    let ticket = world.status(&cleo, "").await;
    let path = format!("/match/queue/{}", text(&ticket["ticket_id"]));
    let left = world.delete(&path, Some(&cleo.access)).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    assert_eq!(world.status(&ada, "").await["status"], "queued");
}

#[tokio::test]
async fn who_says_nothing_times_out_and_the_others_wait_on() {
    let world = World::with_rules(with_acceptance()).await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let first = queue(&world, &ada, json!({})).await;
    queue(&world, &bob, json!({})).await;
    world.wait_for(&ada, "accepting").await;
    assert_eq!(
        accept(&world, &ada, &first, true).await,
        StatusCode::NO_CONTENT
    );
    world.clock.advance(16);
    let bob = world.wait_for(&bob, "timed_out").await;
    assert!(text(&bob["reason"]).contains("accept"), "{bob}");
    let status = world.wait_for(&ada, "queued").await;
    assert_eq!(status["returned"], true);
}

#[tokio::test]
async fn a_ticket_that_waits_for_too_long_times_out_with_the_reason() {
    let rules = Rules {
        match_timeout: seconds(30),
        ..by_skill()
    };
    let world = World::with_rules(rules).await;
    let ada = world.register("Ada").await;
    queue(&world, &ada, json!({})).await;
    world.clock.advance(29);
    assert_eq!(world.status(&ada, "wait=1").await["status"], "queued");
    world.clock.advance(2);
    let status = world.wait_for(&ada, "timed_out").await;
    assert!(text(&status["reason"]).contains("30 s"), "{status}");
    queue(&world, &ada, json!({})).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_matches_nobody_twice() {
    let world = World::with_rules(by_skill()).await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.clock.advance(30);
    queue(&world, &ada, json!({})).await;
    world.clock.advance(-30);
    let status = world.status(&ada, "").await;
    assert_eq!(
        (&status["status"], &status["waited_ms"]),
        (&json!("queued"), &json!(0))
    );
    queue(&world, &bob, json!({})).await;
    assert_eq!(world.status(&bob, "wait=1").await["status"], "queued");
    world.clock.advance(31);
    world.authority_is_ready().await;
    world.wait_for(&ada, "matched").await;
    world.wait_for(&bob, "matched").await;
}

#[tokio::test]
async fn fewer_players_will_do_after_a_while() {
    let rules = Rules {
        players: PlayerCount {
            min: 2,
            max: 3,
            fewer_after: seconds(10),
        },
        ..by_skill()
    };
    let world = World::with_rules(rules).await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    queue(&world, &ada, json!({})).await;
    queue(&world, &bob, json!({})).await;
    assert_eq!(world.status(&ada, "wait=1").await["status"], "queued");
    world.clock.advance(10);
    world.authority_is_ready().await;
    let matched = world.wait_for(&ada, "matched").await;
    assert_eq!(matched["match"]["players"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_address_does_not_fill_the_queue() {
    let limits = Limits {
        queue_address: Rate {
            burst: 10,
            interval: seconds(60),
        },
        ..World::settings().limits
    };
    let world = World::with_limits(limits).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let guest = world.guest().await;
        let body = json!({"game": "arena", "mode": "four"});
        let answer = world.post("/match/queue", Some(&guest.access), body).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers.contains_key("retry-after"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..10], [StatusCode::ACCEPTED; 10]);
    assert_eq!(statuses[10..], [StatusCode::TOO_MANY_REQUESTS; 2]);
}

#[tokio::test]
async fn livekit_may_be_away_for_a_moment() {
    let world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.rooms.unreachable_for.store(2, Ordering::SeqCst);
    queue(&world, &ada, json!({})).await;
    queue(&world, &bob, json!({})).await;
    world.authority_is_ready().await;
    world.wait_for(&ada, "matched").await;
    assert_eq!(world.rooms.unreachable_for.load(Ordering::SeqCst), 0);
}

/// Killed between the two steps, a process leaves a match without a room.
#[tokio::test]
async fn a_match_that_was_left_without_a_room_gets_one() {
    let mut world = World::new().await;
    world.stop().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let (first, second) = (world.enqueue(&ada).await, world.enqueue(&bob).await);
    let new = world.new_match(&[(&first, &ada), (&second, &bob)]);
    world.store.form_match(new).await.unwrap();
    let stop = world.run_another().await;
    world.authority_is_ready().await;
    world.wait_for(&ada, "matched").await;
    assert_eq!(world.rooms.created.lock().unwrap().len(), 1);
    stop.send(()).unwrap();
}

#[tokio::test]
async fn one_process_leads_and_another_takes_over() {
    let mut world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    // Another holder leads: this process matches nobody.
    let (now, hour) = (world.clock.now(), seconds(3_600));
    let lead = world.store.lead_queue("arena", "another", now, hour).await;
    assert_eq!(lead.unwrap(), Some(1));
    world.enqueue(&ada).await;
    world.enqueue(&bob).await;
    assert_eq!(world.status(&ada, "wait=2").await["status"], "queued");
    // Once it has given up the lead, it does.
    world.store.give_up_queues("another").await.unwrap();
    world.authority_is_ready().await;
    world.wait_for(&ada, "matched").await;
    // A server that shuts down gives it up, too.
    world.stop().await;
    let now = world.clock.now();
    let lead = world.store.lead_queue("arena", "another", now, hour).await;
    assert!(lead.unwrap().is_some());
}

#[tokio::test]
async fn when_the_leader_dies_another_process_goes_on() {
    let mut world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    world.play([&ada, &bob], [30, 20]).await;
    let other = world.run_another().await;
    world.kill().await;
    world.enqueue(&ada).await;
    world.enqueue(&bob).await;
    // Its lead runs out.
    world.clock.advance(2);
    world.authority_is_ready().await;
    world.wait_for(&ada, "matched").await;
    other.send(()).unwrap();
}

#[tokio::test]
async fn operators_see_who_waits_and_why() {
    let settings = Settings {
        admin_key: Some(gs_api::Secret::new(ADMIN_KEY)),
        ..World::settings()
    };
    let world = World::with_settings_and_rules(settings, by_skill()).await;
    let (ada, bob) = far_apart(&world).await;
    queue(&world, &ada, json!({})).await;
    world.clock.advance(3);
    queue(&world, &bob, json!({})).await;
    let queues = world.get("/admin/queues", Some(ADMIN_KEY)).await;
    let queues = queues.expect(StatusCode::OK);
    let arena = &queues["queues"][0];
    assert_eq!(
        (&arena["game"], &arena["mode"]),
        (&json!("arena"), &json!("default"))
    );
    assert_eq!(
        (&arena["groups"], &arena["players"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(arena["by_tolerance"], json!({"100": 2}));
    assert!(arena["oldest_wait_ms"].as_u64().unwrap() >= 3_000);
    let path = "/admin/queues/arena?mode=default&limit=1";
    let waiting = world
        .get(path, Some(ADMIN_KEY))
        .await
        .expect(StatusCode::OK);
    assert_eq!(waiting["total"], 2);
    let first = &waiting["groups"][0];
    assert_eq!(first["players"], json!([ada.id]));
    assert!(text(&first["reason"]).contains("skill"), "{first}");
    assert_eq!(first["excluded_by"]["rule"], "skill");
    let refused = world.get("/admin/queues", Some(&ada.access)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let unknown = world.get("/admin/queues/chess", Some(ADMIN_KEY)).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn each_rated_match_is_in_the_history_of_a_rating() {
    let world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let mut played = Vec::new();
    for scores in [[30, 20], [10, 20], [30, 20]] {
        played.push(world.play([&ada, &bob], scores).await.to_string());
    }
    let page = |query: &str| format!("/stats/arena/me/ratings?{query}");
    let first = world.get(&page("limit=2"), Some(&ada.access)).await;
    let first = first.expect(StatusCode::OK);
    let ids = |page: &Value| -> Vec<String> {
        let changes = page["ratings"].as_array().unwrap();
        changes.iter().map(|c| text(&c["match_id"])).collect()
    };
    assert_eq!(ids(&first), [played[2].clone(), played[1].clone()]);
    let cursor = text(&first["next_cursor"]);
    let rest = world
        .get(
            &page(&format!("limit=2&cursor={cursor}")),
            Some(&ada.access),
        )
        .await;
    let rest = rest.expect(StatusCode::OK);
    assert_eq!(
        (ids(&rest), &rest["next_cursor"]),
        (vec![played[0].clone()], &Value::Null)
    );
    let change = &rest["ratings"][0];
    assert_eq!(change["before"], 1500);
    assert!(change["after"].as_i64() > Some(1500) && change["uncertainty"].as_i64() < Some(350));
    let stats = world
        .get("/stats/arena/me", Some(&ada.access))
        .await
        .expect(StatusCode::OK);
    assert_eq!(stats["rating"], first["ratings"][0]["after"]);
    assert_eq!(stats["placement_matches_left"], 7);
    let others = format!("/stats/arena/{}/ratings", ada.id);
    assert_eq!(
        ids(&world.get(&others, None).await.expect(StatusCode::OK)).len(),
        3
    );
    let altered = world.get(&page("cursor=AAAA"), Some(&bob.access)).await;
    assert_eq!(altered.refused_field(), "cursor");
    let foreign = world
        .get(&page(&format!("cursor={cursor}")), Some(&bob.access))
        .await;
    assert_eq!(foreign.refused_field(), "cursor");
}
