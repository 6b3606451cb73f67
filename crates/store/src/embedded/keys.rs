use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::EmbeddedStore;
use super::rows::{self, millis};
use crate::{SigningKey, StoreResult};

impl EmbeddedStore {
    pub(super) async fn list_signing_keys(
        &self,
        candidate: &SigningKey,
    ) -> StoreResult<Vec<SigningKey>> {
        let mut tx = self.write().await?;
        let mut keys = select(&mut tx).await?;
        if keys.is_empty() {
            insert(&mut tx, candidate, millis(candidate.created_at)).await?;
            keys = select(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(keys)
    }

    pub(super) async fn add_signing_key(
        &self,
        new: &SigningKey,
        forget_replaced_before: DateTime<Utc>,
    ) -> StoreResult<()> {
        let mut tx = self.write().await?;
        // The newest in any case, also where this clock is behind that of whoever made the last.
        let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(created_at) FROM signing_keys")
            .fetch_one(&mut *tx)
            .await?;
        let created_at = newest.map_or(i64::MIN, |newest| newest + 1);
        insert(&mut tx, new, created_at.max(millis(new.created_at))).await?;
        sqlx::query(
            "DELETE FROM signing_keys WHERE EXISTS (
                 SELECT 1 FROM signing_keys AS successor
                 WHERE successor.created_at > signing_keys.created_at
                 AND successor.created_at < ?)",
        )
        .bind(millis(forget_replaced_before))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn select(tx: &mut Transaction<'_, Sqlite>) -> StoreResult<Vec<SigningKey>> {
    let rows = sqlx::query("SELECT * FROM signing_keys ORDER BY created_at DESC")
        .fetch_all(&mut **tx)
        .await?;
    let key = |row: &SqliteRow| {
        Ok(SigningKey {
            id: rows::uuid(row, "id")?,
            secret: row.try_get("secret")?,
            created_at: rows::time(row, "created_at")?,
        })
    };
    rows.iter().map(key).collect()
}

async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    key: &SigningKey,
    created_at: i64,
) -> StoreResult<()> {
    sqlx::query("INSERT INTO signing_keys (id, secret, created_at) VALUES (?, ?, ?)")
        .bind(key.id.to_string())
        .bind(&key.secret)
        .bind(created_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
