use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use super::{EmbeddedStore, bans, boards, parties, statistics, tickets};
use crate::{
    AccountData, Accounts, Ban, CreatePlayer, Credentials, NewPlayer, NewSession, Player,
    REPEAT_WINDOW, RegisterGuest, Registration, Rotate, Rotation, Session, SigningKey, StoreError,
    StoreResult, erased_name, username_key, username_skeleton,
};

#[async_trait::async_trait]
impl Accounts for EmbeddedStore {
    async fn create_player(&self, new: NewPlayer) -> StoreResult<CreatePlayer> {
        let keys = Keys::of(&new.username, new.email.as_deref())?;
        let mut tx = self.write().await?;
        match keys.taken_by_another(&mut tx, new.id).await? {
            Some(Taken::Username) => return Ok(CreatePlayer::UsernameTaken),
            Some(Taken::Email) => return Ok(CreatePlayer::EmailTaken),
            None => {}
        }
        sqlx::query(
            "INSERT INTO players (id, username, username_key, username_skeleton, email, email_key,
                 created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.id.to_string())
        .bind(&new.username)
        .bind(&keys.username)
        .bind(&keys.skeleton)
        .bind(&new.email)
        .bind(&keys.email)
        .bind(millis(new.created_at))
        .execute(&mut *tx)
        .await?;
        if let Some(hash) = &new.password_hash {
            insert_credentials(&mut tx, new.id, hash).await?;
        }
        let player = select_player(&mut tx, new.id).await?;
        tx.commit().await?;
        player
            .map(CreatePlayer::Created)
            .ok_or_else(|| StoreError::Invalid(format!("player {} was not stored", new.id)))
    }

    async fn register_guest(&self, registration: Registration) -> StoreResult<RegisterGuest> {
        let Registration {
            player_id,
            username,
            email,
            password_hash,
        } = registration;
        let keys = Keys::of(&username, email.as_deref())?;
        let mut tx = self.write().await?;
        let guest = select_player(&mut tx, player_id).await?;
        if !guest.is_some_and(|p| p.guest) {
            return Ok(RegisterGuest::NotAGuest);
        }
        match keys.taken_by_another(&mut tx, player_id).await? {
            Some(Taken::Username) => return Ok(RegisterGuest::UsernameTaken),
            Some(Taken::Email) => return Ok(RegisterGuest::EmailTaken),
            None => {}
        }
        sqlx::query(
            "UPDATE players SET username = ?, username_key = ?, username_skeleton = ?, email = ?,
                 email_key = ?
             WHERE id = ?",
        )
        .bind(&username)
        .bind(&keys.username)
        .bind(&keys.skeleton)
        .bind(&email)
        .bind(&keys.email)
        .bind(player_id.to_string())
        .execute(&mut *tx)
        .await?;
        insert_credentials(&mut tx, player_id, &password_hash).await?;
        let player = select_player(&mut tx, player_id).await?;
        tx.commit().await?;
        Ok(player.map_or(RegisterGuest::NotAGuest, RegisterGuest::Registered))
    }

    async fn player(&self, id: Uuid) -> StoreResult<Option<Player>> {
        let mut tx = self.read().await?;
        select_player(&mut tx, id).await
    }

    async fn credentials_by_username(&self, username: &str) -> StoreResult<Option<Credentials>> {
        let Some(key) = username_key(username) else {
            return Ok(None);
        };
        let row = sqlx::query(
            "SELECT player_id, password_hash FROM credentials
             JOIN players ON players.id = credentials.player_id WHERE username_key = ?",
        )
        .bind(key)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(credentials).transpose()
    }

    async fn credentials(&self, player_id: Uuid) -> StoreResult<Option<Credentials>> {
        let row =
            sqlx::query("SELECT player_id, password_hash FROM credentials WHERE player_id = ?")
                .bind(player_id.to_string())
                .fetch_optional(&self.readers)
                .await?;
        row.as_ref().map(credentials).transpose()
    }

    async fn change_password(&self, player_id: Uuid, password_hash: &str) -> StoreResult<bool> {
        let mut tx = self.write().await?;
        let updated = sqlx::query("UPDATE credentials SET password_hash = ? WHERE player_id = ?")
            .bind(password_hash)
            .bind(player_id.to_string())
            .execute(&mut *tx)
            .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM refresh_tokens WHERE player_id = ?")
            .bind(player_id.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn open_session(&self, session: NewSession) -> StoreResult<()> {
        let mut tx = self.write().await?;
        sqlx::query(
            "DELETE FROM refresh_tokens WHERE family IN (
                 SELECT family FROM refresh_tokens WHERE player_id = ?
                 GROUP BY family ORDER BY MAX(expires_at) DESC, family DESC LIMIT -1 OFFSET ?)",
        )
        .bind(session.player_id.to_string())
        .bind(MAX_SESSIONS - 1)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO refresh_tokens (token_hash, family, player_id, expires_at)
             SELECT ?1, ?2, id, ?4 FROM players WHERE id = ?3 AND erased_at IS NULL",
        )
        .bind(session.token_hash.as_slice())
        .bind(session.family.to_string())
        .bind(session.player_id.to_string())
        .bind(millis(session.expires_at))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn rotate_session(&self, rotation: Rotation) -> StoreResult<Rotate> {
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT * FROM refresh_tokens WHERE token_hash = ?")
            .bind(rotation.old_hash.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else {
            return Ok(Rotate::Unknown);
        };
        let family = rows::uuid(&row, "family")?;
        let player_id = rows::uuid(&row, "player_id")?;
        let expires_at: i64 = row.try_get("expires_at")?;
        let replaced_at: Option<i64> = row.try_get("replaced_at")?;
        let now = millis(rotation.now);

        if let Some(replaced_at) = replaced_at {
            if now.saturating_sub(replaced_at) <= REPEAT_WINDOW.as_millis() as i64 {
                return Ok(Rotate::Repeated { player_id, family });
            }
            delete_family(&mut tx, family).await?;
            tx.commit().await?;
            return Ok(Rotate::Reused { player_id });
        }
        if expires_at <= now {
            return Ok(Rotate::Expired);
        }
        sqlx::query("UPDATE refresh_tokens SET replaced_at = ? WHERE token_hash = ?")
            .bind(now)
            .bind(rotation.old_hash.as_slice())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO refresh_tokens (token_hash, family, player_id, expires_at)
             VALUES (?, ?, ?, ?)",
        )
        .bind(rotation.new_hash.as_slice())
        .bind(family.to_string())
        .bind(player_id.to_string())
        .bind(millis(rotation.expires_at))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Rotate::Rotated { player_id, family })
    }

    async fn end_session(&self, family: Uuid) -> StoreResult<()> {
        let mut tx = self.write().await?;
        delete_family(&mut tx, family).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn end_sessions(&self, player_id: Uuid) -> StoreResult<()> {
        sqlx::query("DELETE FROM refresh_tokens WHERE player_id = ?")
            .bind(player_id.to_string())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn forget_expired_sessions(&self, now: DateTime<Utc>) -> StoreResult<u64> {
        let deleted = sqlx::query("DELETE FROM refresh_tokens WHERE expires_at < ?")
            .bind(millis(now))
            .execute(&self.writer)
            .await?;
        Ok(deleted.rows_affected())
    }

    async fn secret(&self, name: &str, candidate: &[u8]) -> StoreResult<Vec<u8>> {
        let mut tx = self.write().await?;
        sqlx::query("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(candidate)
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query("SELECT value FROM secrets WHERE name = ?")
            .bind(name)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(row.try_get("value")?)
    }

    async fn session(&self, family: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Session>> {
        let mut tx = self.read().await?;
        let row = sqlx::query(
            "SELECT player_id FROM refresh_tokens
             WHERE family = ? AND replaced_at IS NULL AND expires_at > ?",
        )
        .bind(family.to_string())
        .bind(millis(now))
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let player_id = rows::uuid(&row, "player_id")?;
        let ban = bans::standing(&mut tx, player_id, now).await?;
        Ok(Some(Session { player_id, ban }))
    }

    async fn signing_keys(&self, candidate: SigningKey) -> StoreResult<Vec<SigningKey>> {
        self.list_signing_keys(&candidate).await
    }

    async fn rotate_signing_key(
        &self,
        new: SigningKey,
        forget_replaced_before: DateTime<Utc>,
    ) -> StoreResult<()> {
        self.add_signing_key(&new, forget_replaced_before).await
    }

    async fn ban(&self, ban: Ban) -> StoreResult<bool> {
        self.put_ban(&ban).await
    }

    async fn lift_ban(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        self.delete_ban(player_id, now).await
    }

    async fn bans_of(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<Vec<Ban>> {
        let mut tx = self.read().await?;
        let mut found = Vec::new();
        for &player_id in players {
            found.extend(bans::standing(&mut tx, player_id, now).await?);
        }
        Ok(found)
    }

    async fn bans(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<Ban>> {
        self.list_bans(after, limit, now).await
    }

    async fn account_data(&self, player_id: Uuid) -> StoreResult<Option<AccountData>> {
        let mut tx = self.read().await?;
        let Some(player) = select_player(&mut tx, player_id).await? else {
            return Ok(None);
        };
        let sessions = sqlx::query(
            "SELECT expires_at FROM refresh_tokens
             WHERE player_id = ? AND replaced_at IS NULL ORDER BY expires_at",
        )
        .bind(player_id.to_string())
        .fetch_all(&mut *tx)
        .await?;
        Ok(Some(AccountData {
            player,
            sessions: sessions
                .iter()
                .map(|row| rows::time(row, "expires_at"))
                .collect::<StoreResult<_>>()?,
            tickets: tickets::tickets_of(&mut tx, player_id).await?,
            statistics: statistics::statistics_of(&mut tx, player_id).await?,
            entries: boards::entries_of(&mut tx, player_id).await?,
            ban: bans::newest(&mut tx, player_id).await?,
        }))
    }

    async fn erase_player(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let mut tx = self.write().await?;
        // No name can be a player's id, which is longer than names are: whoever takes the name that
        // an erased player gets is in nobody's way.
        let erased = sqlx::query(
            "UPDATE players SET username = ?1, username_key = id, username_skeleton = id,
                 email = NULL, email_key = NULL, erased_at = ?2
             WHERE id = ?3 AND erased_at IS NULL",
        )
        .bind(erased_name(player_id))
        .bind(millis(now))
        .bind(player_id.to_string())
        .execute(&mut *tx)
        .await?;
        if erased.rows_affected() == 0 {
            return Ok(false);
        }
        parties::withdraw_player(&mut tx, player_id, now).await?;
        for statement in [
            "DELETE FROM credentials WHERE player_id = ?",
            "DELETE FROM refresh_tokens WHERE player_id = ?",
            "UPDATE match_slots SET rating_before = NULL, uncertainty_before = NULL,
                 rating_after = NULL, uncertainty_after = NULL
             WHERE player_id = ? AND rating_after IS NOT NULL",
            "DELETE FROM tickets WHERE player_id = ?",
        ] {
            sqlx::query(statement)
                .bind(player_id.to_string())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.changed();
        Ok(true)
    }
}

/// The forms in which a name and an address are unique.
struct Keys {
    username: String,
    skeleton: String,
    email: Option<String>,
}

enum Taken {
    Username,
    Email,
}

impl Keys {
    fn of(username: &str, email: Option<&str>) -> StoreResult<Self> {
        let keys = username_key(username).zip(username_skeleton(username));
        let (key, skeleton) =
            keys.ok_or_else(|| StoreError::Invalid(format!("{username:?} cannot be a username")))?;
        Ok(Self {
            username: key,
            skeleton,
            email: email.map(str::to_lowercase),
        })
    }

    async fn taken_by_another(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        player_id: Uuid,
    ) -> StoreResult<Option<Taken>> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM players
                        WHERE (username_key = ?1 OR username_skeleton = ?2) AND id <> ?4)
                        AS username,
                    EXISTS (SELECT 1 FROM players WHERE email_key = ?3 AND id <> ?4) AS email",
        )
        .bind(&self.username)
        .bind(&self.skeleton)
        .bind(&self.email)
        .bind(player_id.to_string())
        .fetch_one(&mut **tx)
        .await?;
        let (username, email): (bool, bool) = (row.try_get("username")?, row.try_get("email")?);
        Ok(if username {
            Some(Taken::Username)
        } else if email {
            Some(Taken::Email)
        } else {
            None
        })
    }
}

fn credentials(row: &sqlx::sqlite::SqliteRow) -> StoreResult<Credentials> {
    Ok(Credentials {
        player_id: rows::uuid(row, "player_id")?,
        password_hash: row.try_get("password_hash")?,
    })
}

async fn select_player(tx: &mut Transaction<'_, Sqlite>, id: Uuid) -> StoreResult<Option<Player>> {
    let row = sqlx::query(
        "SELECT players.*, password_hash IS NULL AND erased_at IS NULL AS guest FROM players
         LEFT JOIN credentials ON credentials.player_id = players.id WHERE players.id = ?",
    )
    .bind(id.to_string())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(rows::player).transpose()
}

async fn insert_credentials(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
    hash: &str,
) -> StoreResult<()> {
    sqlx::query("INSERT INTO credentials (player_id, password_hash) VALUES (?, ?)")
        .bind(player_id.to_string())
        .bind(hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn delete_family(tx: &mut Transaction<'_, Sqlite>, family: Uuid) -> StoreResult<()> {
    sqlx::query("DELETE FROM refresh_tokens WHERE family = ?")
        .bind(family.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Most sessions of a player; a further one ends the stalest. Nobody has more devices, and
/// logging in over and over must not grow the store.
const MAX_SESSIONS: i64 = 20;
