use chrono::{DateTime, Utc};
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use super::{EmbeddedStore, parties};
use crate::{Ban, StoreResult};

impl EmbeddedStore {
    pub(super) async fn put_ban(&self, ban: &Ban) -> StoreResult<bool> {
        let mut tx = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO bans (player_id, reason, banned_at, until)
             SELECT id, ?2, ?3, ?4 FROM players WHERE id = ?1
             ON CONFLICT DO UPDATE SET reason = excluded.reason, banned_at = excluded.banned_at,
                 until = excluded.until",
        )
        .bind(ban.player_id.to_string())
        .bind(&ban.reason)
        .bind(millis(ban.banned_at))
        .bind(ban.until.map(millis))
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM refresh_tokens WHERE player_id = ?")
            .bind(ban.player_id.to_string())
            .execute(&mut *tx)
            .await?;
        parties::withdraw_player(&mut tx, ban.player_id, ban.banned_at).await?;
        tx.commit().await?;
        self.changed();
        Ok(true)
    }

    pub(super) async fn delete_ban(
        &self,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let deleted =
            sqlx::query("DELETE FROM bans WHERE player_id = ? AND (until IS NULL OR until > ?)")
                .bind(player_id.to_string())
                .bind(millis(now))
                .execute(&self.writer)
                .await?;
        Ok(deleted.rows_affected() == 1)
    }

    pub(super) async fn list_bans(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<Ban>> {
        let rows = sqlx::query(
            "SELECT * FROM bans WHERE player_id > ? AND (until IS NULL OR until > ?)
             ORDER BY player_id LIMIT ?",
        )
        .bind(after.map_or_else(String::new, |id| id.to_string()))
        .bind(millis(now))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(rows::ban).collect()
    }
}

/// A player's newest ban, whether it stands or has run out.
pub(super) async fn newest(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
) -> StoreResult<Option<Ban>> {
    let row = sqlx::query("SELECT * FROM bans WHERE player_id = ?")
        .bind(player_id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(rows::ban).transpose()
}

/// A player's ban that stands.
pub(super) async fn standing(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Option<Ban>> {
    let ban = newest(tx, player_id).await?;
    Ok(ban.filter(|ban| ban.stands(now)))
}
