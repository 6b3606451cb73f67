//! What `deploy/docker` ships is accepted by this version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use gs_test_services::Redis;

use crate::support::{games, gameserver, output};
use crate::world::{answer, refused};

fn docker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docker")
}

/// The variables of `.env.example`; those left empty are the secrets.
fn variables() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(docker().join(".env.example")).unwrap();
    let lines = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').expect("NAME=value"));
    pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// The shipped configuration where the image has it: beside the games.
fn installed() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::copy(docker().join("config.yaml"), &file).unwrap();
    std::os::unix::fs::symlink(games().canonicalize().unwrap(), folder.path().join("games"))
        .unwrap();
    (folder, file)
}

#[test]
fn the_shipped_configuration_is_good_with_the_shipped_variables() {
    let (_folder, file) = installed();
    let mut command = gameserver();
    command.args(["config", "check"]).arg(&file);
    for (name, value) in variables() {
        let secret = "0123456789abcdef".repeat(4);
        command.env(name, if value.is_empty() { secret } else { value });
    }
    let shown = answer(&output(&mut command));
    assert!(
        shown.contains("PostgreSQL at postgres:5432, database gameserver"),
        "{shown}"
    );
    assert!(shown.contains("Redis at redis:6379"), "{shown}");
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
}

/// The value of LiveKit's configuration in the Compose file, with the variables filled in.
fn livekit_configuration(redis_port: u16) -> String {
    let text = std::fs::read_to_string(docker().join("compose.yaml")).unwrap();
    let (_, after) = text.split_once("LIVEKIT_CONFIG: |\n").unwrap();
    let indented = after
        .lines()
        .take_while(|line| line.starts_with("        "));
    let mut text: String = indented.map(|line| line[8..].to_owned() + "\n").collect();
    for (name, value) in variables() {
        let value = if value.is_empty() {
            "s".repeat(40)
        } else {
            value
        };
        for form in [
            ":?fill in .env, see .env.example}",
            ":-8080}",
            ":-false}",
            "}",
        ] {
            text = text.replace(&format!("${{{name}{form}"), &value);
        }
    }
    assert!(!text.contains("${"), "{text}");
    text.replace("127.0.0.1:6379", &format!("127.0.0.1:{redis_port}"))
}

#[test]
fn livekit_takes_the_configuration_that_it_is_given() {
    let redis = Redis::start();
    // Reads its configuration as a start would, asks Redis, and ends, always with 0.
    let refuses = |configuration: String| {
        let program = std::env::var_os("LIVEKIT_SERVER").unwrap_or("livekit-server".into());
        let mut command = Command::new(program);
        command
            .arg("list-nodes")
            .env("LIVEKIT_CONFIG", configuration);
        let said = output(&mut command);
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        said.contains("could not parse config").then_some(said)
    };
    let configuration = livekit_configuration(redis.port());
    assert_eq!(refuses(configuration.clone()), None);
    let unknown = refuses(configuration.replace("udp_port", "udp_prot"));
    assert!(unknown.is_some_and(|said| said.contains("udp_prot")));
}

#[test]
fn no_secret_is_shipped_and_without_them_nothing_starts() {
    let secrets = ["POSTGRES_PASSWORD", "LIVEKIT_API_SECRET", "ADMIN_KEY"];
    let variables = variables();
    let (_folder, file) = installed();
    for secret in secrets {
        assert_eq!(variables[secret], "", "{secret}");
        let mut command = gameserver();
        command.args(["config", "check"]).arg(&file);
        for (name, value) in &variables {
            let filled = if value.is_empty() {
                "x".repeat(40)
            } else {
                value.clone()
            };
            command.env(name, filled);
        }
        command.env_remove(secret);
        let error = refused(&output(&mut command));
        assert!(
            error.contains(&format!("variable {secret} is not set")),
            "{error}"
        );
    }
}

#[test]
fn every_variable_of_the_compose_file_is_in_the_example_and_used() {
    let text = |name: &str| std::fs::read_to_string(docker().join(name)).unwrap();
    let used = text("compose.yaml") + &text("config.yaml");
    let mut named: Vec<&str> = used
        .split("${")
        .skip(1)
        .map(|rest| rest.split([':', '}', '-', '?']).next().unwrap())
        .collect();
    named.sort_unstable();
    named.dedup();
    let variables = variables();
    for name in &named {
        assert!(
            variables.contains_key(*name),
            "{name} is not in .env.example"
        );
    }
    for name in variables.keys() {
        assert!(named.contains(&name.as_str()), "{name} is used nowhere");
    }
}
