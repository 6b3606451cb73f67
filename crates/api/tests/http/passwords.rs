//! Which passwords are taken, and that hashing them holds nobody else up.

use std::time::Instant;

use axum::http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{Answer, World, request, send};

async fn register(world: &World, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    world.post("/auth/register", None, body).await
}

async fn login(world: &World, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    world.post("/auth/login", None, body).await
}

#[tokio::test]
async fn passwords_that_everybody_guesses_are_refused() {
    let world = World::new().await;
    let ada = world.register("Adalbert").await;
    for password in [
        "password",
        "12345678",
        "123456789",
        "1234567890",
        "password1",
        "Password1",
        "passw0rd",
        "iloveyou",
        "sunshine",
        "princess",
        "football",
        "baseball",
        "qwertyuiop",
        "qwerty123",
        "1q2w3e4r",
        "trustno1",
        "11111111",
        "superman",
        "starwars",
        // Far down the list of those with eight characters or more: within its first 3,000.
        "nevermor",
        "ducati99",
        "greyhoun",
        // The product and the name.
        "gameserver",
        "GameServer",
        "adalbert",
        "ADALBERT",
        "aaaaaaaaaaaaaaaa",
        "abcdefgh",
    ] {
        let refused = register(&world, "Adalbert", password).await;
        assert_eq!(refused.refused_field(), "password", "{password}");
        let body = json!({"current_password": "correct horse", "new_password": password});
        let refused = world.post("/auth/password", Some(&ada.access), body).await;
        assert_eq!(refused.refused_field(), "new_password", "{password}");
    }
}

#[tokio::test]
async fn passwords_of_any_composition_and_length_in_bounds_are_taken() {
    let world = World::new().await;
    let long = "x9 Quokka! ".repeat(12);
    for (index, password) in [
        "zq8#vLp1",
        "only lower case letters",
        "84719203846172",
        "        spaces around        ",
        "пароль из четырёх слов",
        "🦀🐙🦑🐡🐠🦈🐬🐳",
        &long[..64],
        &long[..128],
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("player_{index}");
        register(&world, &name, password)
            .await
            .expect(StatusCode::CREATED);
        login(&world, &name, password).await.expect(StatusCode::OK);
        // Nothing is cut off, changed in case or trimmed.
        for other in [
            password.trim().to_owned() + "x",
            format!("{password} "),
            format!("{password}{password}"),
            password[..password.len() - password.chars().last().unwrap().len_utf8()].to_owned(),
        ] {
            login(&world, &name, &other)
                .await
                .expect(StatusCode::UNAUTHORIZED);
        }
        if password.to_uppercase() != password {
            login(&world, &name, &password.to_uppercase())
                .await
                .expect(StatusCode::UNAUTHORIZED);
        }
    }
    for password in ["zq8#vLp", "пароль!", "🦀🐙🦑🐡🐠🦈🐬", &long[..129], ""] {
        let refused = register(&world, "Ada", password).await;
        assert_eq!(refused.refused_field(), "password", "{password}");
    }
}

#[tokio::test]
async fn a_password_is_the_same_however_a_keyboard_composes_it() {
    let world = World::new().await;
    // A letter with its accent in one character, and a letter and its accent.
    register(&world, "Ada", "caf\u{e9} au lait, s'il vous pla\u{ee}t")
        .await
        .expect(StatusCode::CREATED);
    login(&world, "Ada", "cafe\u{301} au lait, s'il vous plai\u{302}t")
        .await
        .expect(StatusCode::OK);
    login(&world, "Ada", "cafe au lait, s'il vous plait")
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

/// All but the hash takes microseconds.
#[tokio::test]
async fn an_unknown_name_takes_the_work_of_a_wrong_password() {
    let world = World::new().await;
    world.register("Ada").await;
    for (before, username) in ["Ada", "Nobody", "not a name!", ""].iter().enumerate() {
        let metric = |checked| format!("gameserver_passwords_checked_total {checked}\n");
        assert!(world.metrics().contains(&metric(before)), "{username:?}");
        login(&world, username, "incorrect horse")
            .await
            .expect(StatusCode::UNAUTHORIZED);
        assert!(
            world.metrics().contains(&metric(before + 1)),
            "{username:?}"
        );
    }
}

/// Many times as many sign-ins as there is room for, and someone who plays on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_sign_ins_stalls_nobody_else() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let started = Instant::now();
    let mut storm = JoinSet::new();
    for _ in 0..400 {
        let body = json!({"username": "Ada", "password": "incorrect horse"});
        let call = request("POST", "/auth/login", None, Some(body));
        storm.spawn(send(world.router.clone(), call));
    }
    let others = async {
        for _ in 0..20 {
            let me = world.get("/match/status", Some(&ada.access)).await;
            me.expect(StatusCode::NOT_FOUND);
        }
        started.elapsed()
    };
    let (answers, done) = tokio::join!(storm.join_all(), others);
    let storm_took = started.elapsed();
    let refused = answers
        .iter()
        .filter(|a| a.status == StatusCode::SERVICE_UNAVAILABLE);
    let mut turned_away = 0;
    for answer in refused {
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        turned_away += 1;
    }
    let checked = answers
        .iter()
        .filter(|a| a.status == StatusCode::UNAUTHORIZED)
        .count();
    assert_eq!(checked + turned_away, 400, "{answers:?}");
    // On a machine that is slow enough, some of those who were let in wait for too long.
    assert!(
        checked >= 8 && turned_away >= 100,
        "{checked} {turned_away}"
    );
    // Twenty calls in a row come to an end before the passwords of those who were let in do.
    assert!(done < storm_took, "{done:?} {storm_took:?}");
}
