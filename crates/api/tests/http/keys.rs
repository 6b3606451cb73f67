//! The keys that sign access tokens: their rotation, and tokens that were made up.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gs_store::{Accounts as _, SigningKey};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::world::{Account, World, request, send};

async fn status(world: &World, token: &str) -> StatusCode {
    world.get("/match/status", Some(token)).await.status
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The newest of the store's keys.
async fn newest_key(world: &World) -> SigningKey {
    let candidate = SigningKey {
        id: uuid::Uuid::now_v7(),
        secret: vec![0; 32],
        created_at: chrono::Utc::now(),
    };
    let keys = world.store.signing_keys(candidate).await.unwrap();
    keys.into_iter().next().unwrap()
}

fn sign(secret: &[u8], header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let mut mac: Hmac<sha2::Sha256> = Hmac::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    format!(
        "{text}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

#[tokio::test]
async fn tokens_name_their_key_and_hold_nothing_but_ids_and_times() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let header = part(&ada.access, 0);
    assert_eq!(header["alg"], "HS256");
    assert_eq!(header["kid"], newest_key(&world).await.id.to_string());
    let claims = part(&ada.access, 1);
    let mut names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "sid", "sub"]);
    assert_eq!(claims["sub"], ada.id.as_str());
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 900);
}

#[tokio::test]
async fn a_new_key_signs_and_the_one_before_is_accepted_until_its_tokens_run_out() {
    let world = World::new().await;
    let other = world.another_process().await;
    let ada = world.register("Ada").await;
    let first = newest_key(&world).await;
    let id = gs_api::rotate_signing_key(&*world.store, &*world.clock)
        .await
        .unwrap();
    assert_eq!(newest_key(&world).await.id, id);
    assert_ne!(first.id, id);

    // A process that starts now signs with the new key; one that runs learns of it by its tokens.
    let third = world.another_process().await;
    let body = json!({"username": "Ada", "password": "correct horse"});
    let login = request("POST", "/auth/login", None, Some(body));
    let signed_in = Account::of(send(third.clone(), login).await.expect(StatusCode::OK));
    assert_eq!(part(&signed_in.access, 0)["kid"], id.to_string());
    world.clock.advance(10);
    for router in [&world.router, &other, &third] {
        for token in [&signed_in.access, &ada.access] {
            let call = request("GET", "/match/status", Some(token), None);
            send(router.clone(), call)
                .await
                .expect(StatusCode::NOT_FOUND);
        }
    }
    let body = json!({"refresh_token": ada.refresh});
    let answer = world.post("/auth/refresh", None, body).await;
    let refreshed = Account::of(answer.expect(StatusCode::OK));
    assert_eq!(part(&refreshed.access, 0)["kid"], id.to_string());

    world.clock.advance(15 * 60);
    assert_eq!(status(&world, &ada.access).await, StatusCode::UNAUTHORIZED);
    // Replaced longer ago than a token lives: the next rotation forgets it.
    world.clock.advance(60 * 60);
    gs_api::rotate_signing_key(&*world.store, &*world.clock)
        .await
        .unwrap();
    let candidate = newest_key(&world).await;
    let kept = world.store.signing_keys(candidate).await.unwrap();
    assert!(kept.iter().all(|key| key.id != first.id), "{kept:?}");
    assert!(kept.iter().any(|key| key.id == id), "{kept:?}");
}

#[tokio::test]
async fn made_up_tokens_are_refused() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let key = newest_key(&world).await;
    let (header, claims) = (part(&ada.access, 0), part(&ada.access, 1));
    // The way in which the others are made is right but for what each changes.
    let right = sign(&key.secret, &header, &claims);
    assert_eq!(status(&world, &right).await, StatusCode::NOT_FOUND);

    let with = |value: &Value, name: &str, changed: Value| {
        let mut value = value.clone();
        match changed {
            Value::Null => value.as_object_mut().unwrap().remove(name),
            changed => value
                .as_object_mut()
                .unwrap()
                .insert(name.to_owned(), changed),
        };
        value
    };
    let mut tokens = Vec::new();
    for (name, changed) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS384")),
        ("alg", json!("HS512")),
        ("alg", json!("RS256")),
        ("alg", json!("ES256")),
        ("alg", json!("EdDSA")),
        ("alg", json!("")),
        ("alg", Value::Null),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!(uuid::Uuid::now_v7().to_string())),
        ("kid", json!(5)),
    ] {
        let header = with(&header, name, changed);
        tokens.push((header.to_string(), sign(&key.secret, &header, &claims)));
    }
    for (name, changed) in [
        ("iss", json!("somebody")),
        ("iss", Value::Null),
        ("aud", json!("gameserver-pages")),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("exp", json!(1)),
        ("exp", json!(-1)),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("sub", json!(uuid::Uuid::now_v7().to_string())),
        ("sub", json!("ada")),
        ("sub", Value::Null),
        ("sid", json!(uuid::Uuid::now_v7().to_string())),
        ("sid", json!("1")),
        ("sid", Value::Null),
    ] {
        let claims = with(&claims, name, changed);
        tokens.push((claims.to_string(), sign(&key.secret, &header, &claims)));
    }
    // Another key, an empty one, and the hash of the public part.
    for secret in [&[7; 32][..], &[], key.id.to_string().as_bytes()] {
        tokens.push(("secret".to_owned(), sign(secret, &header, &claims)));
    }
    // A key that the token brings along.
    let own = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32])});
    for (name, value) in [
        ("jwk", own),
        ("jku", json!("https://example.org/keys.json")),
        ("x5u", json!("https://example.org/key.pem")),
    ] {
        let header = with(&header, name, value);
        tokens.push((header.to_string(), sign(&[7; 32], &header, &claims)));
    }
    let (text, signature) = right.rsplit_once('.').unwrap();
    for cut in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        text.to_owned(),
        format!("{text}."),
        format!("{text}.{}", &signature[..signature.len() - 1]),
        format!("{text}.{}", signature.chars().rev().collect::<String>()),
        format!("{right}.{signature}"),
        format!("{right} "),
        format!("{right}A"),
        right.to_uppercase(),
        "A".repeat(8_000),
        format!("{}.{}", "A".repeat(60_000), signature),
    ] {
        tokens.push((cut.clone(), cut));
    }
    let hs512 = Header {
        kid: Some(key.id.to_string()),
        ..Header::new(Algorithm::HS512)
    };
    let other = jsonwebtoken::encode(&hs512, &claims, &EncodingKey::from_secret(&key.secret));
    tokens.push(("HS512".to_owned(), other.unwrap()));
    for (what, token) in tokens {
        let answer = world.get("/match/status", Some(&token)).await;
        // Of a token that is right but for a space around it nothing is lost.
        if token.trim() == right {
            continue;
        }
        assert_eq!(
            answer.status,
            StatusCode::UNAUTHORIZED,
            "{what:.200}: {answer:?}"
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let problem = answer.expect(StatusCode::UNAUTHORIZED).to_string();
        assert!(!problem.contains(signature), "{problem}");
    }
    // Every byte of the right one counts. The last character has bits to spare: four texts are one.
    for at in 0..right.len() - 1 {
        let mut altered = right.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(
            status(&world, &altered).await,
            StatusCode::UNAUTHORIZED,
            "{altered}"
        );
    }
}

#[tokio::test]
async fn tokens_of_other_kinds_sign_nobody_in() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let minted =
        livekit_rooms::RoomTokens::new(crate::world::LIVEKIT_KEY, crate::world::LIVEKIT_SECRET);
    let room = minted
        .player_token(&ada.id, &ada.username, "arena-00000000")
        .unwrap();
    for token in [
        ada.refresh.as_str(),
        &room.token,
        &ada.id,
        "null",
        "undefined",
    ] {
        assert_eq!(
            status(&world, token).await,
            StatusCode::UNAUTHORIZED,
            "{token}"
        );
    }
    let body = json!({"refresh_token": ada.access});
    world
        .post("/auth/refresh", None, body)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    for scheme in ["Basic", "Bearer", "Token", "", "Bearer:"] {
        let mut call = request("GET", "/match/status", None, None);
        let value = match scheme {
            "Bearer" => "Bearer".to_owned(),
            scheme => format!("{scheme} {}", ada.access),
        };
        call.headers_mut()
            .insert("authorization", value.parse().unwrap());
        world.call(call).await.expect(StatusCode::UNAUTHORIZED);
    }
    // In the query a token is no token.
    let path = format!("/match/status?access_token={}", ada.access);
    world
        .get(&path, None)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}
