use gs_engine::AuthorityMode;

use super::games::MAX_OPTIONS_BYTES;
use super::*;

fn parse(text: &str) -> Result<Config, String> {
    let env = |name: &str| match name {
        "KEY" => Some("devkey".to_owned()),
        "SECRET" => Some("s".repeat(32)),
        "PORT" => Some("9090".to_owned()),
        "SHORT" => Some("hunter2".to_owned()),
        _ => None,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Config::parse(text, "config.yaml", folder, &env).map_err(|e| e.to_string())
}

fn refused(text: &str, expected: &str) {
    let error = parse(text).expect_err("the configuration should be refused");
    assert_eq!(error, expected, "for:\n{text}");
}

#[test]
fn the_specifications_keys_are_read_and_the_environment_is_filled_in() {
    let config = parse(
        "server:\n  http_port: ${PORT}\nlivekit:\n  host: \"https://example.test\"\n  \
         api_key: \"${KEY}\"\n  api_secret: \"${SECRET}\"\ndatabase:\n  \
         url: \"${DATABASE_URL:-postgres://me:pw@db.test/x}\"\nredis:\n  url: \"redis://cache.test\"\ngame:\n  default_tick_rate: 30\n  \
         authority_mode: \"full\"\ngames:\n  arena:\n    module: Cargo.toml\n    players: 4\n    \
         options: {match_seconds: 20, motd: \"hello ${KEY}\"}\n",
    )
    .unwrap();
    assert_eq!(config.server.http_port, 9090);
    assert_eq!(config.default_tick_rate, Some(30));
    let livekit = config.livekit.unwrap();
    assert_eq!(
        (livekit.host.as_str(), livekit.api_key.as_str()),
        ("https://example.test", "devkey")
    );
    assert_eq!(config.games["arena"].default_mode.players, Some(4));
    let options = &config.games["arena"].options;
    assert_eq!(
        (&options["match_seconds"], &options["motd"]),
        (&20.into(), &"hello devkey".into())
    );
    let services = config.services.unwrap();
    assert_eq!(services.postgres.url.expose(), "postgres://me:pw@db.test/x");
    assert_eq!(services.postgres.shown, "db.test:5432, database x");
    assert_eq!(services.postgres.max_connections, 20);
    assert_eq!(services.redis_shown, "cache.test:6379, database 0");
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parse("\n").unwrap(), Config::default());
}

#[test]
fn errors_name_the_line_the_key_and_the_fix() {
    refused(
        "server:\n  http_port: 80a\n",
        "config.yaml:2: server.http_port: expected a port from 1 to 65535, found `80a`",
    );
    refused(
        "server:\n  http_port: 0\n",
        "config.yaml:2: server.http_port: expected a port from 1 to 65535, found `0`",
    );
    refused(
        "database:\n  url: \"${NOPE}\"\n",
        "config.yaml:2: database.url: the environment variable NOPE is not set; set it, or \
         write ${NOPE:-default}",
    );
    refused(
        "games:\n  arena:\n    module: nowhere.wasm\n",
        &format!(
            "config.yaml:3: games.arena.module: no file at {}/nowhere.wasm; build the game, \
             or mend the path",
            env!("CARGO_MANIFEST_DIR")
        ),
    );
}

#[test]
fn options_that_fit_no_welcome_are_refused_with_their_game() {
    let text = |length: usize| {
        let motd = "x".repeat(length);
        format!("games:\n  arena:\n    module: Cargo.toml\n    options: {{motd: \"{motd}\"}}\n")
    };
    // `{"motd":""}` is around it.
    let most = MAX_OPTIONS_BYTES - 11;
    parse(&text(most)).unwrap();
    let error = parse(&text(most + 1)).unwrap_err();
    let expected = "games.arena.options: 4097 bytes as JSON, expected at most 4096";
    assert!(
        error.starts_with("config.yaml:") && error.contains(expected),
        "{error}"
    );
}

#[test]
fn unknown_keys_and_broken_yaml_name_their_line() {
    let error = parse("server:\n  http_prot: 1\n").unwrap_err();
    assert!(
        error.starts_with("config.yaml:2: ") && error.contains("http_prot"),
        "{error}"
    );
    let error = parse("server:\n  http_port: [1\n").unwrap_err();
    assert!(error.starts_with("config.yaml:"), "{error}");
    let error = parse("server: {}\nserver: {}\n").unwrap_err();
    assert!(error.starts_with("config.yaml:2: "), "{error}");
}

#[test]
fn an_authority_mode_is_chosen_for_all_games_for_one_and_for_one_of_its_modes() {
    let config = parse(
        "game:\n  authority_mode: observer\ngames:\n  a:\n    module: Cargo.toml\n  b:\n    \
         module: Cargo.toml\n    authority_mode: full\n    players: 3\n    modes:\n      \
         casual: {authority_mode: validated, rated: false}\n      crowd: {players: 8}\n",
    )
    .unwrap();
    let chosen = |mode: &ModeConfig| mode.authority_mode.as_ref().map(|setting| setting.mode);
    let (a, b) = (&config.games["a"], &config.games["b"]);
    assert_eq!(chosen(&a.default_mode), Some(AuthorityMode::Observer));
    assert_eq!(chosen(&b.default_mode), Some(AuthorityMode::Full));
    let casual = &b.modes["casual"];
    assert_eq!(chosen(casual), Some(AuthorityMode::Validated));
    assert_eq!((casual.players, casual.rated), (Some(3), Some(false)));
    let crowd = &b.modes["crowd"];
    assert_eq!(chosen(crowd), Some(AuthorityMode::Full));
    assert_eq!((crowd.players, crowd.rated), (Some(8), None));
    let refused = casual.authority_mode.as_ref().unwrap().place.refuse("no");
    assert_eq!(
        refused.to_string(),
        "config.yaml:11: games.b.modes.casual.authority_mode: no"
    );
}

#[test]
fn a_game_that_is_rated_does_not_make_what_players_report_count() {
    let rated = |game: &str, mode: &str| {
        let config = parse(&format!(
            "games:\n  a:\n    module: Cargo.toml\n    rated: true\n    {game}\n    modes:\n      \
             m: {{{mode}}}\n"
        ));
        config.unwrap().games["a"].modes["m"].rated
    };
    let (full, observer) = ("authority_mode: full", "authority_mode: observer");
    assert_eq!(rated(full, "players: 2"), Some(true));
    assert_eq!(rated(full, observer), None);
    assert_eq!(rated("players: 2", observer), None);
    let said = "authority_mode: observer, rated: true";
    assert_eq!(rated(full, said), Some(true));
    assert_eq!(rated(observer, "players: 2"), Some(true));
    assert_eq!(rated(observer, observer), Some(true));
    assert_eq!(rated(observer, full), Some(true));
}

#[test]
fn an_authority_mode_that_does_not_exist_is_refused_with_those_that_do() {
    refused(
        "game:\n  authority_mode: nonsense\n",
        "config.yaml:2: game.authority_mode: there is no authority mode \"nonsense\"; use \
         \"validated\", \"full\" or \"observer\"",
    );
    refused(
        "games:\n  a:\n    module: Cargo.toml\n    rated: perhaps\n",
        "config.yaml:4: games.a.rated: expected true or false, found `perhaps`",
    );
    let error = parse("games:\n  a:\n    module: Cargo.toml\n    modes: {default: {}}\n");
    assert!(error.unwrap_err().contains("games.a.modes.default: "));
}

#[test]
fn a_secret_is_in_no_error_and_in_no_debug_output() {
    let text = "livekit:\n  host: http://h\n  api_key: k\n  api_secret: ${SHORT}\n";
    let error = parse(text).unwrap_err();
    assert!(
        error.contains("livekit.api_secret") && !error.contains("hunter2"),
        "{error}"
    );
    let config = parse(&text.replace("SHORT", "SECRET")).unwrap();
    assert!(!format!("{config:?}").contains("sss"));
}

#[test]
fn the_servers_bounds_proxies_origins_and_key_are_read() {
    let config = parse(
        "server:\n  host: 0.0.0.0\n  trusted_proxies: [10.0.0.0/8, \"::1\"]\n  cors_origins: \
         [\"https://play.example.org\", \"http://localhost:5173\"]\n  admin_key: ${SECRET}\n  \
         max_connections: 500\n  max_connections_per_address: 5\nauthority:\n  http_port: 9\n  \
         max_rooms: 8\n",
    )
    .unwrap();
    let server = &config.server;
    assert_eq!(server.host, Some([0, 0, 0, 0].into()));
    let proxies: Vec<String> = server
        .trusted_proxies
        .iter()
        .map(|n| n.to_string())
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    let origins = server.cors_origins.as_ref().unwrap();
    assert_eq!(
        origins,
        &["https://play.example.org", "http://localhost:5173"]
    );
    assert_eq!(server.admin_key.as_ref().unwrap().expose(), "s".repeat(32));
    assert_eq!(
        (server.max_connections, server.max_connections_per_address),
        (500, 5)
    );
    assert_eq!(
        (config.authority.http_port, config.authority.max_rooms),
        (9, 8)
    );
    assert!(!config.summary().contains("sss"));
    assert_eq!(
        parse("server:\n  cors_origins: [\"*\"]\n")
            .unwrap()
            .server
            .cors_origins,
        None
    );
}

#[test]
fn what_the_server_cannot_be_is_refused_with_its_line() {
    for (text, key, found) in [
        ("host: localhost", "host", "localhost"),
        (
            "trusted_proxies: [10.0.0.0/33]",
            "trusted_proxies",
            "10.0.0.0/33",
        ),
        (
            "cors_origins: [\"https://a.test/path\"]",
            "cors_origins",
            "https://a.test/path",
        ),
        (
            "cors_origins: [\"https://a.test\", \"*\"]",
            "cors_origins",
            "*",
        ),
        (
            "cors_origins: [\"https://A.test\"]",
            "cors_origins",
            "https://A.test",
        ),
        ("max_connections: 0", "max_connections", "0"),
        (
            "max_connections_per_address: -1",
            "max_connections_per_address",
            "-1",
        ),
        ("sign_ins_per_minute: 60001", "sign_ins_per_minute", "60001"),
    ] {
        let error = parse(&format!("server:\n  {text}\n")).unwrap_err();
        assert!(
            error.starts_with(&format!("config.yaml:2: server.{key}: expected"))
                && error.contains(&format!("found `{found}`")),
            "{error}"
        );
    }
    let error = parse("server:\n  admin_key: ${SHORT}\n").unwrap_err();
    assert!(
        error.contains("32") && !error.contains("hunter2"),
        "{error}"
    );
    let error = parse("authority:\n  max_rooms: 5000\n").unwrap_err();
    assert!(
        error.starts_with("config.yaml:2: authority.max_rooms: "),
        "{error}"
    );
}

#[test]
fn postgresql_and_redis_come_together_and_no_error_shows_their_passwords() {
    refused(
        "database:\n  url: postgres://db/x\n",
        "config.yaml:2: database: needs `redis.url` beside it; give both, or neither for the \
         embedded store",
    );
    refused(
        "server: {}\nredis:\n  url: redis://cache\n",
        "config.yaml:3: redis: needs `database.url` beside it; give both, or neither for the \
         embedded store",
    );
    for (database, redis, key) in [
        (
            "mysql://me:hunter2@db/x",
            "redis://cache",
            "2: database.url",
        ),
        (
            "postgres://me:hunter2@db:port/x",
            "redis://cache",
            "2: database.url",
        ),
        (
            "postgres://me:hunter2@db/x",
            "http://me:hunter2@cache",
            "4: redis.url",
        ),
        (
            "postgres://me:hunter2@db/x",
            "redis://me:hunter2@:x",
            "4: redis.url",
        ),
    ] {
        let error = parse(&format!(
            "database:\n  url: {database}\nredis:\n  url: {redis}\n"
        ));
        let error = error.unwrap_err();
        assert!(
            error.starts_with(&format!("config.yaml:{key}: expected"))
                && !error.contains("hunter2"),
            "{error}"
        );
    }
    let both = "database:\n  url: postgres://me:hunter2@db/x\n  max_connections: 7\nredis:\n  \
                url: redis://:hunter2@cache/3\n";
    let config = parse(both).unwrap();
    let shown = config.summary();
    assert!(
        shown.contains("PostgreSQL at db:5432, database x, at most 7 connections"),
        "{shown}"
    );
    assert!(shown.contains("Redis at cache:6379, database 3"), "{shown}");
    assert!(!shown.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
}

#[test]
fn players_may_reach_livekit_at_another_address() {
    let text = "livekit:\n  host: http://livekit:7880/\n  public_url: https://rtc.example.org\n  \
                api_key: k\n  api_secret: ${SECRET}\n";
    let livekit = parse(text).unwrap().livekit.unwrap();
    assert_eq!(livekit.websocket_url(), "ws://livekit:7880");
    assert_eq!(livekit.players_url(), "wss://rtc.example.org");
    let livekit = parse(&text.replace("  public_url: https://rtc.example.org\n", ""));
    assert_eq!(
        livekit.unwrap().livekit.unwrap().players_url(),
        "ws://livekit:7880"
    );
    let error = parse(&text.replace("https:", "ftp:")).unwrap_err();
    assert!(
        error.starts_with("config.yaml:3: livekit.public_url: expected"),
        "{error}"
    );
}

fn boards(text: &str) -> Result<BTreeMap<String, BoardConfig>, String> {
    let text = format!(
        "games:\n  a:\n    module: Cargo.toml\n    modes: {{duel: {{players: 2}}}}\n    \
         boards:\n      {text}\n"
    );
    Ok(parse(&text)?.games["a"].boards.clone())
}

#[test]
fn boards_are_read_with_their_rule_statistic_modes_and_season() {
    use chrono::{NaiveTime, Weekday};
    use gs_store::{BoardRule, Season};

    let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    let read = |text: &str| boards(&format!("b: {text}")).unwrap()["b"].clone();
    let kills = read("{rule: sum, statistic: kills, modes: [default, duel]}");
    assert_eq!(
        (kills.rule, kills.statistic.as_deref(), kills.season),
        (Some(BoardRule::Sum), Some("kills"), Season::Never)
    );
    assert_eq!(kills.modes.unwrap(), ["default", "duel"]);
    for (text, expected) in [
        ("{}", Season::Never),
        ("{season: never}", Season::Never),
        (
            "{season: daily, reset_time: \"04:30\"}",
            Season::Daily { at: time(4, 30) },
        ),
        (
            "{season: weekly}",
            Season::Weekly {
                on: Weekday::Mon,
                at: time(0, 0),
            },
        ),
        (
            "{season: weekly, reset_day: sunday, reset_time: \"23:59\"}",
            Season::Weekly {
                on: Weekday::Sun,
                at: time(23, 59),
            },
        ),
        (
            "{season: monthly, reset_day: 28}",
            Season::Monthly {
                on: 28,
                at: time(0, 0),
            },
        ),
    ] {
        assert_eq!(read(text).season, expected, "{text}");
    }
    let shown = parse(
        "games:\n  a:\n    module: Cargo.toml\n    boards:\n      default: {season: weekly, \
         reset_time: \"04:00\"}\n",
    );
    let shown = shown.unwrap().summary();
    let line = "game a, board default: the module's rule of the score, anew each week, Mon at \
                04:00 UTC\n";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_board_that_cannot_be_is_refused_with_its_line_and_the_fix() {
    for (text, expected) in [
        (
            "rule: most",
            ".rule: expected best, latest or sum, found `most`",
        ),
        (
            "statistic: Kills",
            ".statistic: expected a statistic as games name them",
        ),
        (
            "modes: [ranked]",
            ".modes: the game has no mode `ranked`; it has default, duel",
        ),
        ("modes: [duel, duel]", ".modes: `duel` is there twice"),
        (
            "modes: []",
            ".modes: is empty; name modes, or leave the key out",
        ),
        (
            "season: yearly",
            ".season: expected never, daily, weekly or monthly, found `yearly`",
        ),
        (
            "reset_day: monday",
            ".reset_day: has no meaning where `season` is never",
        ),
        (
            "season: daily, reset_day: 1",
            ".reset_day: has no meaning where `season` is daily",
        ),
        (
            "reset_time: \"04:00\"",
            ".reset_time: has no meaning where `season` is never",
        ),
        (
            "season: weekly, reset_day: 1",
            ".reset_day: expected a day from monday to sunday",
        ),
        (
            "season: monthly, reset_day: 29",
            ".reset_day: expected a day from 1 to 28",
        ),
        (
            "season: monthly, reset_day: monday",
            ".reset_day: expected a day from 1 to 28",
        ),
        (
            "season: daily, reset_time: \"24:00\"",
            ".reset_time: expected a time of day",
        ),
        (
            "season: daily, reset_time: \"4:00\"",
            ".reset_time: expected a time of day",
        ),
    ] {
        let error = boards(&format!("b: {{{text}}}")).unwrap_err();
        let expected = format!("config.yaml:6: games.a.boards.b{expected}");
        assert!(error.starts_with(&expected), "{error}\nexpected {expected}");
    }
    let error = boards("Best: {}").unwrap_err();
    assert!(
        error.starts_with("config.yaml:6: games.a.boards.Best: expected a name"),
        "{error}"
    );
    let many = |count: usize| {
        let one = |n| format!("b{n}: {{}}\n      ");
        boards(&((0..count).map(one).collect::<String>() + "default: {}"))
    };
    assert_eq!(many(15).unwrap().len(), 16);
    let error = many(16).unwrap_err();
    assert!(
        error.contains("games.a.boards: 16 boards beside `default`, expected at most 15"),
        "{error}"
    );
}
