//! Who is online.

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{DEADLINE, World};

async fn until_online(world: &World, id: &str, online: bool) {
    let wait = async {
        loop {
            let stats = world.get(&format!("/stats/arena/{id}"), None).await;
            if stats.expect(StatusCode::OK)["online"] == json!(online) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("online never became {online}"));
}

#[tokio::test]
async fn a_player_who_calls_is_online_for_a_minute() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    until_online(&world, &ada.id, false).await;
    world
        .get("/stats/arena/me", Some(&ada.access))
        .await
        .expect(StatusCode::OK);
    until_online(&world, &ada.id, true).await;
    world.clock.advance(61);
    until_online(&world, &ada.id, false).await;
    world
        .get("/stats/arena/me", Some(&ada.access))
        .await
        .expect(StatusCode::OK);
    until_online(&world, &ada.id, true).await;
}
