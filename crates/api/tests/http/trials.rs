//! How often somebody may try, who counts as one, and that nobody can lock another one out.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use gs_api::{Limits, Rate, Settings};
use serde_json::{Value, json};

use crate::world::{Answer, World, from_address, request};

const PLENTY: Rate = Rate {
    burst: 10_000,
    interval: Duration::from_millis(1),
};

fn once_an_hour(burst: u32) -> Rate {
    Rate {
        burst,
        interval: Duration::from_secs(3_600),
    }
}

fn login(username: &str, password: &str) -> Request<Body> {
    let body = json!({"username": username, "password": password});
    request("POST", "/auth/login", None, Some(body))
}

#[track_caller]
fn has_to_wait(answer: Answer, at_most: u64) -> Value {
    let seconds = answer.headers["retry-after"].to_str().unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    assert!((1..=at_most).contains(&seconds), "{seconds}");
    let problem = answer.expect(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(problem["type"], "urn:gameserver:problem:too-many-requests");
    problem
}

#[tokio::test]
async fn whoever_guesses_keeps_the_owner_from_signing_in_nowhere_else() {
    let world = World::with_limits(Limits {
        address: PLENTY,
        account: once_an_hour(2),
        queue: PLENTY,
        queue_address: PLENTY,
    })
    .await;
    world.register("Ada").await;
    let from =
        async |call: Request<Body>, address: &str| world.call(from_address(call, address)).await;
    for name in ["Ada", "ADA"] {
        from(login(name, "incorrect horse"), "192.0.2.1:1")
            .await
            .expect(StatusCode::UNAUTHORIZED);
    }
    // The right password does not help there: a guesser would learn it.
    has_to_wait(
        from(login("ada", "correct horse"), "192.0.2.1:2").await,
        3_600,
    );
    from(login("Bob", "incorrect horse"), "192.0.2.1:1")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    from(login("Ada", "correct horse"), "192.0.2.9:1")
        .await
        .expect(StatusCode::OK);
    world.clock.advance(3_600);
    from(login("Ada", "correct horse"), "192.0.2.1:1")
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn an_account_that_is_guessed_from_everywhere_slows_all_down() {
    let world = World::with_limits(Limits {
        address: PLENTY,
        account: once_an_hour(2),
        queue: PLENTY,
        queue_address: PLENTY,
    })
    .await;
    world.register("Ada").await;
    let mut tried = 0;
    let refused = loop {
        let address = format!("192.0.2.{}:1", tried + 1);
        let answer = world
            .call(from_address(login("Ada", "incorrect horse"), &address))
            .await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        answer.expect(StatusCode::UNAUTHORIZED);
        tried += 1;
        assert!(tried < 100);
    };
    has_to_wait(refused, 360);
    assert_eq!(tried, 20, "ten times what one address may");
}

#[tokio::test]
async fn passwords_tried_for_a_change_or_an_erasure_are_counted_too() {
    let world = World::with_limits(Limits {
        address: PLENTY,
        account: once_an_hour(2),
        queue: PLENTY,
        queue_address: PLENTY,
    })
    .await;
    let ada = world.register("Ada").await;
    let wrong = json!({"current_password": "incorrect horse", "new_password": "battery staple"});
    world
        .post("/auth/password", Some(&ada.access), wrong)
        .await
        .expect(StatusCode::FORBIDDEN);
    let erase = async || {
        let body = json!({"password": "incorrect horse"});
        world
            .call(request("DELETE", "/account", Some(&ada.access), Some(body)))
            .await
    };
    erase().await.expect(StatusCode::FORBIDDEN);
    has_to_wait(erase().await, 3_600);
}

#[tokio::test]
async fn every_call_that_signs_in_or_is_costly_counts_for_its_address() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let calls: Vec<(&str, &str, Value)> = vec![
        (
            "POST",
            "/auth/register",
            json!({"username": "Bob", "password": "x"}),
        ),
        ("POST", "/auth/guest", json!({})),
        (
            "POST",
            "/auth/login",
            json!({"username": "Bob", "password": "x"}),
        ),
        ("POST", "/auth/refresh", json!({"refresh_token": "x"})),
    ];
    for (method, path, body) in calls {
        let limited = World::with_limits(Limits {
            address: once_an_hour(1),
            account: PLENTY,
            queue: PLENTY,
            queue_address: PLENTY,
        })
        .await;
        let first = limited
            .call(request(method, path, None, Some(body.clone())))
            .await;
        assert_ne!(first.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        has_to_wait(
            limited.call(request(method, path, None, Some(body))).await,
            3_600,
        );
    }
    // Playing on is not limited by address: a classroom shares one.
    for _ in 0..200 {
        let me = world.get("/match/status", Some(&ada.access)).await;
        me.expect(StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn the_address_that_a_trusted_proxy_names_counts_and_nobody_elses_word_does() {
    let world = World::with(Settings {
        limits: Limits {
            address: once_an_hour(1),
            account: PLENTY,
            queue: PLENTY,
            queue_address: PLENTY,
        },
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        ..World::settings()
    })
    .await;
    let guest = async |peer: &str, forwarded: &[&str]| {
        let mut call = request("POST", "/auth/guest", None, Some(json!({})));
        for value in forwarded {
            call.headers_mut()
                .append("x-forwarded-for", value.parse().unwrap());
        }
        world.call(from_address(call, peer)).await.status
    };
    let (new, seen) = (StatusCode::CREATED, StatusCode::TOO_MANY_REQUESTS);
    for (peer, forwarded, expected) in [
        // Behind a proxy everybody has a bucket of their own.
        ("10.0.0.1:1", &["198.51.100.1"][..], new),
        ("10.0.0.1:1", &["198.51.100.2"], new),
        ("10.0.0.1:1", &["198.51.100.1"], seen),
        // What the caller put before it changes nothing.
        ("10.0.0.1:1", &["1.2.3.4, 198.51.100.1"], seen),
        ("10.0.0.1:1", &["1.2.3.4", "198.51.100.1"], seen),
        ("10.0.0.1:1", &["nonsense, 198.51.100.1"], seen),
        ("10.0.0.1:1", &["10.9.9.9, 198.51.100.1"], seen),
        // Through two proxies.
        ("10.0.0.1:1", &["198.51.100.3, 10.0.0.2"], new),
        ("[fd00::1]:1", &["198.51.100.3, 10.0.0.2"], seen),
        // A peer that is no proxy is who it is, whatever it says.
        ("203.0.113.1:1", &["198.51.100.4"], new),
        ("203.0.113.1:1", &["198.51.100.5"], seen),
        ("10.0.0.1:1", &["198.51.100.4"], new),
        // A proxy that names nobody, or nonsense, is itself the caller.
        ("10.0.0.7:1", &[], new),
        ("10.0.0.7:1", &["unknown"], seen),
        // IPv6 counts by network, and IPv4 within IPv6 as itself.
        ("10.0.0.1:1", &["2001:db8::1"], new),
        ("10.0.0.1:1", &["2001:db8::2"], seen),
        ("10.0.0.1:1", &["::ffff:198.51.100.1"], seen),
    ] {
        assert_eq!(
            guest(peer, forwarded).await,
            expected,
            "{peer} {forwarded:?}"
        );
    }
}
