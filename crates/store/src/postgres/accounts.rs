use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::rows::{
    self, BanRow, PlayerRow, StatisticsRow, TicketRow, millis, retried, select_tickets,
};
use super::{PostgresStore, acceptance, parties};
use crate::{
    AccountData, Accounts, Ban, BoardKey, CreatePlayer, Credentials, NewPlayer, NewSession, Player,
    PlayerStatistics, REPEAT_WINDOW, RegisterGuest, Registration, Rotate, Rotation, Search,
    Session, SigningKey, StoreError, StoreResult, Ticket, erased_name, username_key,
    username_skeleton,
};

#[async_trait::async_trait]
impl Accounts for PostgresStore {
    async fn create_player(&self, new: NewPlayer) -> StoreResult<CreatePlayer> {
        let keys = Keys::of(&new.username, new.email.as_deref())?;
        let created_at = millis(new.created_at);
        let inserted = sqlx::query!(
            "WITH player AS (
                 INSERT INTO players (id, username, username_key, username_skeleton, email,
                     email_key, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id)
             INSERT INTO credentials (player_id, password_hash)
             SELECT id, $8 FROM player WHERE $8::text IS NOT NULL",
            new.id,
            new.username,
            keys.username,
            keys.skeleton,
            new.email,
            keys.email,
            created_at,
            new.password_hash,
        )
        .execute(&self.pool)
        .await;
        if let Err(error) = inserted {
            return match taken(&error) {
                Some(Taken::Username) => Ok(CreatePlayer::UsernameTaken),
                Some(Taken::Email) => Ok(CreatePlayer::EmailTaken),
                None => Err(error.into()),
            };
        }
        Ok(CreatePlayer::Created(Player {
            id: new.id,
            username: new.username,
            email: new.email,
            guest: new.password_hash.is_none(),
            created_at,
        }))
    }

    async fn register_guest(&self, registration: Registration) -> StoreResult<RegisterGuest> {
        let Registration {
            player_id,
            username,
            email,
            password_hash,
        } = registration;
        let keys = Keys::of(&username, email.as_deref())?;
        let mut tx = self.pool.begin().await?;
        let guest = sqlx::query!(
            "SELECT created_at FROM players WHERE id = $1 AND erased_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM credentials WHERE player_id = $1) FOR UPDATE",
            player_id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(guest) = guest else {
            return Ok(RegisterGuest::NotAGuest);
        };
        // Whoever registered the same guest at the same time may have been waited for just now.
        let registered = sqlx::query!(
            "INSERT INTO credentials (player_id, password_hash) VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
            player_id,
            password_hash,
        )
        .execute(&mut *tx)
        .await?;
        if registered.rows_affected() == 0 {
            return Ok(RegisterGuest::NotAGuest);
        }
        let renamed = sqlx::query!(
            "UPDATE players SET username = $2, username_key = $3, username_skeleton = $4,
                 email = $5, email_key = $6
             WHERE id = $1",
            player_id,
            username,
            keys.username,
            keys.skeleton,
            email,
            keys.email,
        )
        .execute(&mut *tx)
        .await;
        if let Err(error) = renamed {
            return match taken(&error) {
                Some(Taken::Username) => Ok(RegisterGuest::UsernameTaken),
                Some(Taken::Email) => Ok(RegisterGuest::EmailTaken),
                None => Err(error.into()),
            };
        }
        tx.commit().await?;
        Ok(RegisterGuest::Registered(Player {
            id: player_id,
            username,
            email,
            guest: false,
            created_at: guest.created_at,
        }))
    }

    async fn player(&self, id: Uuid) -> StoreResult<Option<Player>> {
        let row = sqlx::query_as!(
            PlayerRow,
            r#"SELECT id, username, email, created_at, erased_at IS NULL AND NOT EXISTS (
                   SELECT 1 FROM credentials WHERE player_id = players.id) AS "guest!"
               FROM players WHERE id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Player::from))
    }

    async fn credentials_by_username(&self, username: &str) -> StoreResult<Option<Credentials>> {
        let Some(key) = username_key(username) else {
            return Ok(None);
        };
        let found = sqlx::query_as!(
            Credentials,
            "SELECT player_id, password_hash FROM credentials
             JOIN players ON players.id = player_id WHERE username_key = $1",
            key,
        );
        Ok(found.fetch_optional(&self.pool).await?)
    }

    async fn credentials(&self, player_id: Uuid) -> StoreResult<Option<Credentials>> {
        let found = sqlx::query_as!(
            Credentials,
            "SELECT player_id, password_hash FROM credentials WHERE player_id = $1",
            player_id,
        );
        Ok(found.fetch_optional(&self.pool).await?)
    }

    async fn change_password(&self, player_id: Uuid, password_hash: &str) -> StoreResult<bool> {
        let mut tx = self.pool.begin().await?;
        lock_player(&mut tx, player_id).await?;
        let updated = sqlx::query!(
            "UPDATE credentials SET password_hash = $2 WHERE player_id = $1",
            player_id,
            password_hash,
        )
        .execute(&mut *tx)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        delete_sessions(&mut tx, player_id).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn open_session(&self, session: NewSession) -> StoreResult<()> {
        let mut tx = self.pool.begin().await?;
        if lock_player(&mut tx, session.player_id).await? == Some(Standing::Erased) {
            return Ok(());
        }
        sqlx::query!(
            "DELETE FROM refresh_tokens WHERE family IN (
                 SELECT family FROM refresh_tokens WHERE player_id = $1
                 GROUP BY family ORDER BY max(expires_at) DESC, family DESC OFFSET $2)",
            session.player_id,
            MAX_SESSIONS - 1,
        )
        .execute(&mut *tx)
        .await?;
        let NewSession {
            family,
            player_id,
            token_hash,
            expires_at,
        } = session;
        insert_token(&mut tx, &token_hash, family, player_id, expires_at).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn rotate_session(&self, rotation: Rotation) -> StoreResult<Rotate> {
        let mut tx = self.pool.begin().await?;
        lock_owner(&mut tx, &rotation.old_hash).await?;
        let token = sqlx::query!(
            "SELECT family, player_id, expires_at, replaced_at FROM refresh_tokens
             WHERE token_hash = $1",
            rotation.old_hash.as_slice(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(token) = token else {
            return Ok(Rotate::Unknown);
        };
        let (family, player_id) = (token.family, token.player_id);
        let now = millis(rotation.now);
        if let Some(replaced_at) = token.replaced_at {
            let since = (now - replaced_at).to_std().unwrap_or(Duration::ZERO);
            if since <= REPEAT_WINDOW {
                return Ok(Rotate::Repeated { player_id, family });
            }
            delete_family(&mut tx, family).await?;
            tx.commit().await?;
            return Ok(Rotate::Reused { player_id });
        }
        if token.expires_at <= now {
            return Ok(Rotate::Expired);
        }
        sqlx::query!(
            "UPDATE refresh_tokens SET replaced_at = $2 WHERE token_hash = $1",
            rotation.old_hash.as_slice(),
            now,
        )
        .execute(&mut *tx)
        .await?;
        let (new_hash, expires_at) = (&rotation.new_hash, rotation.expires_at);
        insert_token(&mut tx, new_hash, family, player_id, expires_at).await?;
        tx.commit().await?;
        Ok(Rotate::Rotated { player_id, family })
    }

    async fn end_session(&self, family: Uuid) -> StoreResult<()> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "SELECT id FROM players WHERE id = (
                 SELECT player_id FROM refresh_tokens WHERE family = $1 LIMIT 1)
             FOR NO KEY UPDATE",
            family,
        )
        .fetch_optional(&mut *tx)
        .await?;
        delete_family(&mut tx, family).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn end_sessions(&self, player_id: Uuid) -> StoreResult<()> {
        let mut tx = self.pool.begin().await?;
        lock_player(&mut tx, player_id).await?;
        delete_sessions(&mut tx, player_id).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn forget_expired_sessions(&self, now: DateTime<Utc>) -> StoreResult<u64> {
        let mut forgotten = 0;
        loop {
            let deleted = sqlx::query!(
                "DELETE FROM refresh_tokens WHERE token_hash IN (
                     SELECT token_hash FROM refresh_tokens WHERE expires_at < $1
                     ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
                millis(now),
                FORGOTTEN_AT_ONCE,
            )
            .execute(&self.pool)
            .await?;
            forgotten += deleted.rows_affected();
            if deleted.rows_affected() < FORGOTTEN_AT_ONCE as u64 {
                return Ok(forgotten);
            }
        }
    }

    async fn secret(&self, name: &str, candidate: &[u8]) -> StoreResult<Vec<u8>> {
        sqlx::query!(
            "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            name,
            candidate,
        )
        .execute(&self.pool)
        .await?;
        // A statement of its own, which sees what another process chose meanwhile.
        let value = sqlx::query_scalar!("SELECT value FROM secrets WHERE name = $1", name);
        Ok(value.fetch_one(&self.pool).await?)
    }

    async fn session(&self, family: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Session>> {
        let row = sqlx::query!(
            r#"SELECT refresh_tokens.player_id, bans.reason AS "reason?",
                   bans.banned_at AS "banned_at?", bans.until
               FROM refresh_tokens LEFT JOIN bans ON bans.player_id = refresh_tokens.player_id
                   AND (bans.until IS NULL OR bans.until > $2)
               WHERE family = $1 AND replaced_at IS NULL AND expires_at > $2 LIMIT 1"#,
            family,
            millis(now),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Session {
            player_id: row.player_id,
            ban: row
                .reason
                .zip(row.banned_at)
                .map(|(reason, banned_at)| Ban {
                    player_id: row.player_id,
                    reason,
                    banned_at,
                    until: row.until,
                }),
        }))
    }

    async fn signing_keys(&self, candidate: SigningKey) -> StoreResult<Vec<SigningKey>> {
        let keys = self.stored_signing_keys().await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        let mut tx = self.pool.begin().await?;
        lock_signing_keys(&mut tx).await?;
        sqlx::query!(
            "INSERT INTO signing_keys (id, secret, created_at)
             SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
            candidate.id,
            candidate.secret,
            millis(candidate.created_at),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.stored_signing_keys().await
    }

    async fn rotate_signing_key(
        &self,
        new: SigningKey,
        forget_replaced_before: DateTime<Utc>,
    ) -> StoreResult<()> {
        let mut tx = self.pool.begin().await?;
        lock_signing_keys(&mut tx).await?;
        // Later than any other, even where the clocks of two processes differ.
        sqlx::query!(
            "INSERT INTO signing_keys (id, secret, created_at) SELECT $1, $2, greatest($3::timestamptz,
                 (SELECT max(created_at) + interval '1 millisecond' FROM signing_keys))",
            new.id,
            new.secret,
            millis(new.created_at),
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "DELETE FROM signing_keys WHERE EXISTS (
                 SELECT 1 FROM signing_keys AS successor
                 WHERE (successor.created_at, successor.id) > (signing_keys.created_at, signing_keys.id)
                 AND successor.created_at < $1)",
            millis(forget_replaced_before),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn ban(&self, ban: Ban) -> StoreResult<bool> {
        retried(|| self.try_ban(&ban)).await
    }

    async fn lift_ban(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let lifted = sqlx::query!(
            "DELETE FROM bans WHERE player_id = $1 AND (until IS NULL OR until > $2)",
            player_id,
            millis(now),
        )
        .execute(&self.pool)
        .await?;
        Ok(lifted.rows_affected() == 1)
    }

    async fn bans_of(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<Vec<Ban>> {
        let rows = sqlx::query_as!(
            BanRow,
            "SELECT player_id, reason, banned_at, until FROM bans
             WHERE player_id = ANY($1) AND (until IS NULL OR until > $2) ORDER BY player_id",
            players,
            millis(now),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Ban::from).collect())
    }

    async fn bans(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<Ban>> {
        let rows = sqlx::query_as!(
            BanRow,
            "SELECT player_id, reason, banned_at, until FROM bans
             WHERE ($1::uuid IS NULL OR player_id > $1) AND (until IS NULL OR until > $2)
             ORDER BY player_id LIMIT $3",
            after,
            millis(now),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Ban::from).collect())
    }

    async fn account_data(&self, player_id: Uuid) -> StoreResult<Option<AccountData>> {
        let mut tx = self
            .pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let player = sqlx::query_as!(
            PlayerRow,
            r#"SELECT id, username, email, created_at, erased_at IS NULL AND NOT EXISTS (
                   SELECT 1 FROM credentials WHERE player_id = players.id) AS "guest!"
               FROM players WHERE id = $1"#,
            player_id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(player) = player else {
            return Ok(None);
        };
        let sessions = sqlx::query_scalar!(
            "SELECT expires_at FROM refresh_tokens WHERE player_id = $1 AND replaced_at IS NULL
             ORDER BY expires_at",
            player_id,
        )
        .fetch_all(&mut *tx)
        .await?;
        let ban = sqlx::query_as!(
            BanRow,
            "SELECT player_id, reason, banned_at, until FROM bans WHERE player_id = $1",
            player_id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let data = AccountData {
            player: player.into(),
            sessions,
            tickets: tickets_of(&mut tx, player_id).await?,
            statistics: statistics_of(&mut tx, player_id).await?,
            entries: entries_of(&mut tx, player_id).await?,
            ban: ban.map(Ban::from),
        };
        Ok(Some(data))
    }

    async fn erase_player(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        retried(|| self.try_erase(player_id, now)).await
    }
}

impl PostgresStore {
    async fn stored_signing_keys(&self) -> StoreResult<Vec<SigningKey>> {
        let keys = sqlx::query_as!(
            SigningKey,
            "SELECT id, secret, created_at FROM signing_keys ORDER BY created_at DESC, id DESC",
        );
        Ok(keys.fetch_all(&self.pool).await?)
    }

    async fn try_ban(&self, ban: &Ban) -> StoreResult<bool> {
        let mut tx = self.pool.begin().await?;
        if lock_player(&mut tx, ban.player_id).await?.is_none() {
            return Ok(false);
        }
        let banned_at = millis(ban.banned_at);
        sqlx::query!(
            "INSERT INTO bans (player_id, reason, banned_at, until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (player_id) DO UPDATE SET reason = EXCLUDED.reason,
                 banned_at = EXCLUDED.banned_at, until = EXCLUDED.until",
            ban.player_id,
            ban.reason,
            banned_at,
            ban.until.map(millis),
        )
        .execute(&mut *tx)
        .await?;
        delete_sessions(&mut tx, ban.player_id).await?;
        let cancelled = withdraw_player(&mut tx, ban.player_id, banned_at).await?;
        tx.commit().await?;
        if !cancelled.is_empty() {
            self.redis.tickets_changed(cancelled);
            self.changed();
        }
        Ok(true)
    }

    async fn try_erase(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let mut tx = self.pool.begin().await?;
        // Whoever queues a party locks it first, and then its players.
        if let Some(party) = parties::party_id_of(&mut tx, player_id).await? {
            parties::lock(&mut tx, party).await?;
        }
        // No name can be a player's id, which is longer than names are: whoever takes the name that
        // an erased player gets is in nobody's way.
        let erased = sqlx::query!(
            "UPDATE players SET username = $2, username_key = id, username_skeleton = id, email = NULL,
                 email_key = NULL, metadata = NULL, erased_at = $3
             WHERE id = $1 AND erased_at IS NULL",
            player_id,
            erased_name(player_id),
            millis(now),
        )
        .execute(&mut *tx)
        .await?;
        if erased.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query!("DELETE FROM credentials WHERE player_id = $1", player_id)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "UPDATE match_slots SET rating_before = NULL, uncertainty_before = NULL,
                 rating_after = NULL, uncertainty_after = NULL
             WHERE player_id = $1 AND rating_after IS NOT NULL",
            player_id,
        )
        .execute(&mut *tx)
        .await?;
        delete_sessions(&mut tx, player_id).await?;
        let stopped = withdraw_player(&mut tx, player_id, now).await?;
        let forgotten = select_tickets!(
            returning "DELETE FROM tickets WHERE id IN (
                 SELECT id FROM tickets WHERE player_id = $1 ORDER BY id FOR UPDATE)",
            player_id,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        if !forgotten.is_empty() {
            self.redis.tickets_changed(stopped);
            self.redis.tickets_forgotten(rows::tickets(forgotten)?);
            self.changed();
        }
        Ok(true)
    }
}

/// The forms in which a name and an address are unique.
struct Keys {
    username: String,
    skeleton: String,
    email: Option<String>,
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
}

enum Taken {
    Username,
    Email,
}

/// What a statement on `players` failed for: something that another player has.
fn taken(error: &sqlx::Error) -> Option<Taken> {
    match error.as_database_error()?.constraint()? {
        "players_username_key_key" | "players_username_skeleton_key" => Some(Taken::Username),
        "players_email_key_key" => Some(Taken::Email),
        _ => None,
    }
}

type Tx<'a> = Transaction<'a, Postgres>;

/// Takes a player out of the party and out of the queues; answers the tickets that changed.
async fn withdraw_player(
    tx: &mut Tx<'_>,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    let mut changed = Vec::new();
    if let Some(party) = parties::party_id_of(tx, player_id).await?
        && let Some((_, stopped)) = parties::leave(tx, party, player_id, now).await?
    {
        changed = stopped;
    }
    let groups = sqlx::query_scalar!(
        "SELECT DISTINCT group_id FROM tickets
         WHERE player_id = $1 AND status IN ('queued', 'accepting')",
        player_id,
    );
    let groups = groups.fetch_all(&mut **tx).await?;
    changed.extend(acceptance::withdraw(tx, &groups, None, now).await?);
    Ok(changed)
}

#[derive(PartialEq, Eq)]
enum Standing {
    Known,
    Erased,
}

/// Makes everything that changes a player's sessions wait for each other: a token that is exchanged
/// while all are ended must not leave its successor behind. Answers none where there is no such
/// player.
async fn lock_player(tx: &mut Tx<'_>, player_id: Uuid) -> StoreResult<Option<Standing>> {
    let erased_at = sqlx::query_scalar!(
        "SELECT erased_at FROM players WHERE id = $1 FOR NO KEY UPDATE",
        player_id,
    );
    let erased_at = erased_at.fetch_optional(&mut **tx).await?;
    Ok(erased_at.map(|at| at.map_or(Standing::Known, |_| Standing::Erased)))
}

/// [`lock_player`] for the owner of a refresh token, if there is one.
async fn lock_owner(tx: &mut Tx<'_>, token_hash: &[u8]) -> StoreResult<()> {
    sqlx::query!(
        "SELECT id FROM players WHERE id = (
             SELECT player_id FROM refresh_tokens WHERE token_hash = $1)
         FOR NO KEY UPDATE",
        token_hash,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_token(
    tx: &mut Tx<'_>,
    token_hash: &[u8],
    family: Uuid,
    player_id: Uuid,
    expires_at: DateTime<Utc>,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (token_hash, family, player_id, expires_at)
         VALUES ($1, $2, $3, $4)",
        token_hash,
        family,
        player_id,
        millis(expires_at),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn delete_family(tx: &mut Tx<'_>, family: Uuid) -> StoreResult<()> {
    sqlx::query!("DELETE FROM refresh_tokens WHERE family = $1", family)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn delete_sessions(tx: &mut Tx<'_>, player_id: Uuid) -> StoreResult<()> {
    sqlx::query!("DELETE FROM refresh_tokens WHERE player_id = $1", player_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Processes that make keys wait for each other; readers do not.
async fn lock_signing_keys(tx: &mut Tx<'_>) -> StoreResult<()> {
    sqlx::query!("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn tickets_of(tx: &mut Tx<'_>, player_id: Uuid) -> StoreResult<Vec<Ticket>> {
    let rows = select_tickets!(
        "WHERE player_id = $1 ORDER BY queued_at DESC, id DESC",
        player_id,
    );
    rows::tickets(rows.fetch_all(&mut **tx).await?)
}

async fn statistics_of(
    tx: &mut Tx<'_>,
    player_id: Uuid,
) -> StoreResult<Vec<(String, String, PlayerStatistics)>> {
    let rows = sqlx::query_as!(
        StatisticsRow,
        r#"SELECT player_id, game_id, mode, matches, wins, losses, draws, best_score, total_score,
               statistics AS "statistics: Json<BTreeMap<String, i64>>", rating,
               rating_uncertainty, last_played_at
           FROM player_statistics WHERE player_id = $1"#,
        player_id,
    )
    .fetch_all(&mut **tx)
    .await?;
    let named = |row: StatisticsRow| (row.game_id.clone(), row.mode.clone(), row.into());
    let mut statistics: Vec<(String, String, PlayerStatistics)> =
        rows.into_iter().map(named).collect();
    // Here, since the database's order of texts depends on its locale.
    statistics.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Ok(statistics)
}

async fn entries_of(
    tx: &mut Tx<'_>,
    player_id: Uuid,
) -> StoreResult<Vec<(BoardKey, i64, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        "SELECT game_id, board, season, score, reached_at
         FROM boards JOIN board_entries ON board_id = boards.id AND player_id = $1",
        player_id,
    )
    .fetch_all(&mut **tx)
    .await?;
    let entries = rows.into_iter().map(|row| {
        let board = BoardKey {
            game: row.game_id,
            board: row.board,
            season: row.season,
        };
        (board, row.score, row.reached_at)
    });
    let mut entries: Vec<(BoardKey, i64, DateTime<Utc>)> = entries.collect();
    entries.sort_unstable();
    Ok(entries)
}

/// Most sessions of a player; a further one ends the stalest. Nobody has more devices, and
/// logging in over and over must not grow the store.
const MAX_SESSIONS: i64 = 20;
/// How many refresh tokens one statement forgets: a fraction of a second's work.
const FORGOTTEN_AT_ONCE: i64 = 2000;
