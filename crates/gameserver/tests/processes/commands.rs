//! Commands that answer something and end.

use gs_test_services::Postgres;
use serde_json::Value;

use crate::support::{gameserver, output};
use crate::world::{World, answer, client, get, guest, refused};

#[test]
fn migrate_says_what_it_applied_and_what_would_be() {
    let world = World::new();
    let unmigrated = refused(&world.run(&["migrate", "--check"]));
    assert!(
        unmigrated.contains("to be applied") && unmigrated.contains("gameserver migrate"),
        "{unmigrated}"
    );
    let applied = answer(&world.run(&["migrate"]));
    assert!(applied.starts_with("applied "), "{applied}");
    assert!(answer(&world.run(&["migrate", "--check"])).contains("up to date"));
    assert!(answer(&world.run(&["migrate"])).contains("up to date already"));
}

#[test]
fn migrations_run_once_though_several_start_at_once() {
    let world = World::new();
    let applied: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| answer(&world.run(&["migrate"]))))
            .collect();
        let lines = |text: String| text.lines().filter(|l| l.starts_with("applied ")).count();
        runs.into_iter().map(|run| lines(run.join().unwrap())).sum()
    });
    let count = Postgres::shared().sql(&world.database, "SELECT count(*) FROM _sqlx_migrations");
    assert_eq!(applied.to_string(), count.trim());
}

#[test]
fn a_process_on_a_schema_that_is_too_old_says_what_to_run() {
    let world = World::new();
    for command in ["api", "authority"] {
        let error = refused(&world.run(&[command]));
        assert!(error.contains("gameserver migrate"), "{error}");
    }
}

#[test]
fn what_a_process_lacks_in_its_configuration_is_named() {
    let world = World::migrated();
    let lacks = |key: &str, command: &[&str]| {
        world.configure(|config| {
            config.as_object_mut().unwrap().remove(key);
        });
        refused(&world.run(command))
    };
    assert!(lacks("livekit", &["api"]).contains("livekit.host"));
    assert!(lacks("database", &["api"]).contains("needs `database.url`"));
    assert!(lacks("games", &["authority"]).contains("no games to serve"));
    world.configure(|config| {
        config.as_object_mut().unwrap().remove("database");
        config.as_object_mut().unwrap().remove("redis");
    });
    for command in [&["migrate"][..], &["authority"], &["keys", "rotate"]] {
        let error = refused(&world.run(command));
        assert!(
            error.contains("needs `database.url` and `redis.url`"),
            "{error}"
        );
    }
    std::fs::remove_file(&world.file).unwrap();
    let error = refused(&world.run(&["api"]));
    assert!(
        error.contains("cannot be read") && error.contains("--config"),
        "{error}"
    );
}

#[test]
fn boards_are_rebuilt_without_a_server_and_misspelt_names_are_refused() {
    let world = World::migrated();
    let rebuilt = answer(&world.run(&["board", "rebuild", "tic-tac-toe"]));
    assert!(
        rebuilt.starts_with("rebuilt all boards: 0 entries"),
        "{rebuilt}"
    );
    let rebuilt = answer(&world.run(&["board", "rebuild", "tic-tac-toe", "weekly"]));
    assert!(rebuilt.starts_with("rebuilt weekly"), "{rebuilt}");
    let error = refused(&world.run(&["board", "rebuild", "chess"]));
    assert!(
        error.contains("no game `chess`; there are: tic-tac-toe"),
        "{error}"
    );
    let error = refused(&world.run(&["board", "rebuild", "tic-tac-toe", "daily"]));
    assert!(
        error.contains("no board `daily`; it has: default, weekly"),
        "{error}"
    );
}

#[test]
fn a_rotated_key_signs_and_tokens_of_the_one_before_stay_good() {
    let world = World::migrated();
    let api = world.api();
    let (old, _) = guest(&api.url);
    let rotated = answer(&world.run(&["keys", "rotate"]));
    assert!(rotated.contains("signs from now on"), "{rotated}");
    let export = |token: &str| {
        let call = client().get(format!("{}/account/export", api.url));
        call.bearer_auth(token).send().unwrap().status()
    };
    assert_eq!(export(&old), 200);
    let (new, _) = guest(&api.url);
    assert_eq!(export(&new), 200);
    assert_eq!(export("forged"), 401);
}

#[test]
fn the_openapi_document_is_that_of_the_api() {
    let printed = answer(&output(gameserver().arg("openapi")));
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert!(document["paths"]["/auth/login"]["post"].is_object());
    let world = World::migrated();
    let api = world.api();
    let served: Value = get(&format!("{}/openapi.json", api.url)).json().unwrap();
    assert_eq!(document, served);
}
