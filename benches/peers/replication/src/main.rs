//! `bevy_replicon` with the scene of `cargo xtask bench replication`: `peer-replication ENTITIES
//! VIEWERS TICKS SEED` prints one line of JSON.
//!
//! A server and its clients in one process, exchanging messages as the crate's own benches do. Only
//! the server's update is timed, which finds what changed, writes it for every client and takes in
//! their acknowledgements. Positions are sent as the same integers as ours.

#[path = "../../../src/replication/scene.rs"]
#[allow(dead_code, reason = "the other side uses the rest")]
mod scene;

use std::time::Instant;

use bevy::prelude::*;
use bevy::state::app::StatesPlugin;
use bevy_replicon::prelude::*;
use bevy_replicon::server::visibility::client_visibility::ClientVisibility;
use bevy_replicon::server::visibility::filters_mask::FilterBit;
use bevy_replicon::server::visibility::registry::FilterRegistry;
use bevy_replicon::shared::replication::registry::ReplicationRegistry;
use bevy_replicon::test_app::{ServerTestAppExt, TestClientEntity};
use scene::{Pose, Scene};
use serde::{Deserialize, Serialize};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let mut argument = || -> u64 {
        let next = arguments.next().and_then(Result::ok);
        next.expect("usage: peer-replication ENTITIES VIEWERS TICKS SEED")
    };
    let (entities, viewers, ticks, seed) = (argument(), argument(), argument(), argument());
    let mut scene = Scene::new(entities as usize, seed);
    let mut server = app();
    let mut clients: Vec<App> = (0..viewers).map(|_| app()).collect();
    for client in &mut clients {
        server.connect_client(client);
    }
    let connected: Vec<Entity> = clients
        .iter()
        .map(|client| **client.world().resource::<TestClientEntity>())
        .collect();
    let walkers: Vec<Entity> = scene
        .poses()
        .map(|pose| {
            server
                .world_mut()
                .spawn((Replicated, Walker::from(pose)))
                .id()
        })
        .collect();
    let bit = visibility_bit(server.world_mut());

    let (mut times, mut bytes, mut seen) = (Vec::new(), 0, 0);
    for tick in 1..=WARM_UP + ticks as u32 {
        scene.step();
        for (walker, pose) in walkers.iter().zip(scene.poses()) {
            let mut walker = server.world_mut().get_mut::<Walker>(*walker);
            **walker.as_mut().expect("nobody removes it") = Walker::from(pose);
        }
        let mut visible = 0;
        for (viewer, client) in connected.iter().enumerate() {
            let mut client = server.world_mut().get_mut::<ClientVisibility>(*client);
            let client = client.as_mut().expect("connected clients have one");
            for (figure, walker) in walkers.iter().enumerate() {
                let sees = scene.sees(viewer, figure);
                client.set(*walker, bit, sees);
                visible += u64::from(sees);
            }
        }
        let began = Instant::now();
        server.update();
        let spent = began.elapsed();
        if tick > WARM_UP {
            let sent = server.world().resource::<ServerMessages>();
            bytes += sent
                .iter_sent()
                .map(|(.., message)| message.len())
                .sum::<usize>();
            seen += visible;
            times.push(spent);
        }
        for client in &mut clients {
            // Acknowledged in the next tick already, since later ones are no work for it: all that
            // is visible changes in every tick, and so is sent in every tick.
            server.exchange_with_client(client);
            client.update();
            server.exchange_with_client(client);
        }
    }
    for (viewer, client) in clients.iter_mut().enumerate() {
        server.exchange_with_client(client);
        client.update();
        let there = client
            .world_mut()
            .query::<&Walker>()
            .iter(client.world())
            .count();
        let expected = (0..entities as usize).filter(|figure| scene.sees(viewer, *figure));
        assert_eq!(
            there,
            expected.count(),
            "client {viewer} sees something else"
        );
    }
    times.sort_unstable();
    let line = serde_json::json!({
        "update_us": times[times.len() / 2].as_nanos() as f64 / 1e3,
        "bytes_per_entity": bytes as f64 / seen as f64,
    });
    println!("{line}");
}

fn app() -> App {
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins,
        StatesPlugin,
        RepliconPlugins.set(ServerPlugin::new(PostUpdate)),
    ))
    .replicate::<Walker>()
    .finish();
    app
}

fn visibility_bit(world: &mut World) -> FilterBit {
    world.resource_scope(|world, mut filters: Mut<FilterRegistry>| {
        world.resource_scope(|world, mut registry: Mut<ReplicationRegistry>| {
            let lifetime = ScopeLifetime::WhileVisible;
            filters.register_scope::<Entity>(world, &mut registry, lifetime)
        })
    })
}

/// What is replicated of a figure.
#[derive(Component, Serialize, Deserialize, Clone, Copy)]
struct Walker {
    x: i32,
    y: i32,
    heading: u16,
    health: u8,
}

impl From<Pose> for Walker {
    fn from(pose: Pose) -> Self {
        let Pose {
            x,
            y,
            heading,
            health,
        } = pose;
        Self {
            x,
            y,
            heading,
            health,
        }
    }
}

/// As ours: two seconds.
const WARM_UP: u32 = 120;
