//! The specification's keys of the queue follow the tickets.

use std::sync::Arc;

use gs_store::{
    Accounts as _, Cancel, FormMatch, Matches as _, PostgresOptions, PostgresStore, Tickets as _,
};
use gs_test_services::Redis;
use uuid::Uuid;

use crate::matchmaking::{enqueue, match_of};
use crate::world::{at, blocking, database, options, players, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_in_redis_follows_groups_and_those_who_return_stand_in_front() {
    let redis = Arc::new(blocking(Redis::start).await);
    let url = database().await;
    let options = PostgresOptions {
        redis_url: redis.url(),
        ..options(&url)
    };
    let store = PostgresStore::connect(&options).await.unwrap();
    let ids = players(&store, 6).await;
    let becomes = async |expected: &[Uuid]| {
        let expected: Vec<String> = expected.iter().map(Uuid::to_string).collect();
        until("Redis learns of the queue", async || {
            ask(&redis, "LRANGE queue:arena 0 -1").await == expected
        })
        .await;
    };
    let status = async |ticket: Uuid, expected: &str| {
        let command = format!("HGET ticket:{ticket} status");
        until("Redis learns of the ticket", async || {
            ask(&redis, &command).await == [expected]
        })
        .await;
    };

    let pair = enqueue(&store, &ids[..2], None).await.unwrap();
    let mut slots = pair.clone();
    for player in &ids[2..] {
        slots.extend(enqueue(&store, &[*player], None).await.unwrap());
    }
    let queue: Vec<Uuid> = slots.iter().map(|slot| slot.ticket_id).collect();
    becomes(&queue).await;

    // Two alone and the pair are asked, and one of those alone declines.
    let mut new = match_of(&slots[..4]);
    new.accept_until = Some(at(60));
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
    becomes(&queue[4..]).await;
    status(queue[0], "accepting").await;
    store.accept(queue[3], false, at(5)).await.unwrap();
    status(queue[3], "cancelled").await;
    until("those who were asked return", async || {
        ask(&redis, "LLEN queue:arena").await == [":5"]
    })
    .await;
    status(queue[0], "queued").await;
    let standing = ask(&redis, "LRANGE queue:arena 0 -1").await;
    let mut front: Vec<Uuid> = standing[..3].iter().map(|id| id.parse().unwrap()).collect();
    front.sort_unstable();
    let mut returned = queue[..3].to_vec();
    returned.sort_unstable();
    assert_eq!(front, returned);
    assert_eq!(standing[3..], [queue[4].to_string(), queue[5].to_string()]);

    let cancelled = store.cancel_ticket(queue[1], at(6)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    becomes(&[queue[2], queue[4], queue[5]]).await;
    status(queue[0], "cancelled").await;
    assert!(store.erase_player(ids[4], at(7)).await.unwrap());
    becomes(&[queue[2], queue[5]]).await;
    let gone = format!("HGET ticket:{} status", queue[4]);
    assert_eq!(ask(&redis, &gone).await, [""; 0]);
}

/// What a command answers, without what Redis's protocol adds.
async fn ask(redis: &Arc<Redis>, command: &str) -> Vec<String> {
    let (redis, command) = (redis.clone(), command.to_owned());
    let answer = blocking(move || redis.command(&command)).await;
    let words = answer.lines().map(str::trim);
    words
        .filter(|word| !word.starts_with(['*', '$']))
        .map(str::to_owned)
        .collect()
}
