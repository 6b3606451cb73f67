//! Presence, in Redis alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::PostgresStore;
use crate::{EVENTS_KEPT, ONLINE_FOR, Presence, ROOM_KEPT, StoreResult};

/// Times are Redis's own here: a key ends when it has been there for long enough.
#[async_trait::async_trait]
impl Presence for PostgresStore {
    async fn players_seen(&self, players: &[Uuid], _now: DateTime<Utc>) -> StoreResult<()> {
        let mut connection = self.redis.connection();
        for players in players.chunks(MAX_TOGETHER) {
            let mut pipeline = redis::pipe();
            for player in players {
                pipeline
                    .set_ex(online_key(player), "1", ONLINE_FOR.as_secs())
                    .ignore();
            }
            pipeline.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    async fn online(&self, players: &[Uuid], _now: DateTime<Utc>) -> StoreResult<Vec<bool>> {
        let mut connection = self.redis.connection();
        let mut online = Vec::with_capacity(players.len());
        for players in players.chunks(MAX_TOGETHER) {
            let keys: Vec<String> = players.iter().map(online_key).collect();
            let values: Vec<Option<String>> = redis::cmd("MGET")
                .arg(keys)
                .query_async(&mut connection)
                .await?;
            online.extend(values.iter().map(Option::is_some));
        }
        Ok(online)
    }

    async fn room_joined(&self, room: &str, player_id: Uuid) -> StoreResult<()> {
        let mut pipeline = redis::pipe();
        pipeline
            .sadd(room_key(room), player_id.to_string())
            .ignore()
            .expire(room_key(room), seconds(ROOM_KEPT))
            .ignore();
        Ok(pipeline
            .query_async::<()>(&mut self.redis.connection())
            .await?)
    }

    async fn room_left(&self, room: &str, player_id: Uuid) -> StoreResult<()> {
        let mut command = redis::cmd("SREM");
        command.arg(room_key(room)).arg(player_id.to_string());
        Ok(command
            .query_async::<()>(&mut self.redis.connection())
            .await?)
    }

    async fn room_closed(&self, room: &str) -> StoreResult<()> {
        let mut command = redis::cmd("DEL");
        command.arg(room_key(room));
        Ok(command
            .query_async::<()>(&mut self.redis.connection())
            .await?)
    }

    async fn room_players(&self, room: &str) -> StoreResult<Vec<Uuid>> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(room_key(room));
        let members: Vec<String> = command.query_async(&mut self.redis.connection()).await?;
        let mut players: Vec<Uuid> = members
            .iter()
            .filter_map(|member| Uuid::parse_str(member).ok())
            .collect();
        players.sort_unstable();
        Ok(players)
    }

    async fn first_delivery(&self, event_id: &str, _now: DateTime<Utc>) -> StoreResult<bool> {
        let mut command = redis::cmd("SET");
        command.arg(format!("webhook:{event_id}")).arg("1");
        command.arg("NX").arg("EX").arg(seconds(EVENTS_KEPT));
        let set: Option<String> = command.query_async(&mut self.redis.connection()).await?;
        Ok(set.is_some())
    }
}

fn online_key(player_id: &Uuid) -> String {
    format!("player:{player_id}:online")
}

fn room_key(room: &str) -> String {
    format!("room:{room}:players")
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Most keys in one command, so that others' commands need not wait behind it.
const MAX_TOGETHER: usize = 512;
