//! Parties. Whoever changes one locks its row first, then matches, then tickets by id.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::rows::{millis, retried};
use super::{PostgresStore, acceptance};
use crate::{
    CreateParty, JoinParty, LeaveParty, MAX_PARTY, NewParty, Parties, Party, PartyMember,
    StoreError, StoreResult, Ticket,
};

#[async_trait::async_trait]
impl Parties for PostgresStore {
    async fn create_party(&self, new: NewParty) -> StoreResult<CreateParty> {
        let mut tx = self.pool.begin().await?;
        lock_player(&mut tx, new.leader).await?;
        if let Some(id) = party_id_of(&mut tx, new.leader).await? {
            return Ok(CreateParty::AlreadyIn(id));
        }
        let inserted = sqlx::query!(
            "INSERT INTO parties (id, code, leader_id, created_at, used_at)
             VALUES ($1, $2, $3, $4, $4) ON CONFLICT (code) DO NOTHING",
            new.id,
            new.code,
            new.leader,
            millis(new.created_at),
        )
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(CreateParty::CodeTaken);
        }
        add_member(&mut tx, new.id, new.leader, new.created_at).await?;
        let party = select_party(&mut tx, new.id).await?;
        tx.commit().await?;
        party.map(CreateParty::Created).ok_or_else(|| gone(new.id))
    }

    async fn join_party(
        &self,
        code: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<JoinParty> {
        retried(|| self.try_join(code, player_id, now)).await
    }

    async fn leave_party(
        &self,
        party_id: Uuid,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<LeaveParty> {
        retried(|| self.try_leave(party_id, player_id, now)).await
    }

    async fn party(&self, id: Uuid) -> StoreResult<Option<Party>> {
        let mut tx = self.pool.begin().await?;
        select_party(&mut tx, id).await
    }

    async fn party_of(&self, player_id: Uuid) -> StoreResult<Option<Party>> {
        let mut tx = self.pool.begin().await?;
        match party_id_of(&mut tx, player_id).await? {
            Some(id) => select_party(&mut tx, id).await,
            None => Ok(None),
        }
    }

    async fn forget_parties(&self, unused_since: DateTime<Utc>, limit: u32) -> StoreResult<u64> {
        let deleted = sqlx::query!(
            "DELETE FROM parties WHERE id IN (
                 SELECT id FROM parties WHERE used_at < $1 AND NOT EXISTS (
                     SELECT 1 FROM tickets WHERE party_id = parties.id
                     AND status IN ('queued', 'accepting', 'placing'))
                 ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            millis(unused_since),
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }
}

impl PostgresStore {
    async fn try_join(
        &self,
        code: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<JoinParty> {
        let mut tx = self.pool.begin().await?;
        lock_player(&mut tx, player_id).await?;
        let id = sqlx::query_scalar!("SELECT id FROM parties WHERE code = $1 FOR UPDATE", code);
        let Some(id) = id.fetch_optional(&mut *tx).await? else {
            return Ok(JoinParty::NoSuchCode);
        };
        let current = select_party(&mut tx, id).await?.ok_or_else(|| gone(id))?;
        match party_id_of(&mut tx, player_id).await? {
            Some(before) if before == id => return Ok(JoinParty::Joined(current)),
            Some(other) => return Ok(JoinParty::AlreadyIn(other)),
            None if current.members.len() >= MAX_PARTY => return Ok(JoinParty::Full),
            None => {}
        }
        let stopped = stop_waiting(&mut tx, id, "somebody joined the party", now).await?;
        add_member(&mut tx, id, player_id, now).await?;
        let party = select_party(&mut tx, id).await?;
        tx.commit().await?;
        self.redis.tickets_changed(stopped);
        self.changed();
        party.map(JoinParty::Joined).ok_or_else(|| gone(id))
    }

    async fn try_leave(
        &self,
        party_id: Uuid,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<LeaveParty> {
        let mut tx = self.pool.begin().await?;
        let Some((left, stopped)) = leave(&mut tx, party_id, player_id, now).await? else {
            return Ok(LeaveParty::NotThere);
        };
        tx.commit().await?;
        self.redis.tickets_changed(stopped);
        self.changed();
        Ok(LeaveParty::Left(left))
    }
}

/// Takes a player out of a party; answers what is left of it, and the tickets that changed. None
/// where the player is not in it.
pub(super) async fn leave(
    tx: &mut Transaction<'_, Postgres>,
    party_id: Uuid,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Option<(Option<Party>, Vec<Ticket>)>> {
    if !lock(tx, party_id).await? {
        return Ok(None);
    }
    let left = sqlx::query!(
        "DELETE FROM party_members WHERE player_id = $1 AND party_id = $2",
        player_id,
        party_id,
    );
    if left.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let stopped = stop_waiting(tx, party_id, "a member left the party", now).await?;
    sqlx::query!(
        "UPDATE parties SET used_at = greatest(used_at, $2), leader_id = coalesce((
             SELECT player_id FROM party_members WHERE party_id = $1
             ORDER BY player_id <> leader_id, joined_at, player_id LIMIT 1), leader_id)
         WHERE id = $1",
        party_id,
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM parties WHERE id = $1
         AND NOT EXISTS (SELECT 1 FROM party_members WHERE party_id = $1)",
        party_id,
    )
    .execute(&mut **tx)
    .await?;
    Ok(Some((select_party(tx, party_id).await?, stopped)))
}

/// Locks a party; false where there is none.
pub(super) async fn lock(tx: &mut Transaction<'_, Postgres>, party_id: Uuid) -> StoreResult<bool> {
    let locked = sqlx::query_scalar!("SELECT id FROM parties WHERE id = $1 FOR UPDATE", party_id);
    Ok(locked.fetch_optional(&mut **tx).await?.is_some())
}

/// The party that a player is in.
pub(super) async fn party_id_of(
    tx: &mut Transaction<'_, Postgres>,
    player_id: Uuid,
) -> StoreResult<Option<Uuid>> {
    let id = sqlx::query_scalar!(
        "SELECT party_id FROM party_members WHERE player_id = $1",
        player_id,
    );
    Ok(id.fetch_optional(&mut **tx).await?)
}

/// Cancels what a party waits for, and declines what it is asked to accept.
async fn stop_waiting(
    tx: &mut Transaction<'_, Postgres>,
    party_id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> StoreResult<Vec<Ticket>> {
    let groups = sqlx::query_scalar!(
        "SELECT DISTINCT group_id FROM tickets
         WHERE party_id = $1 AND status IN ('queued', 'accepting')",
        party_id,
    );
    let groups = groups.fetch_all(&mut **tx).await?;
    acceptance::withdraw(tx, &groups, Some(reason), now).await
}

/// So that a player who joins two parties at once joins one, and whoever is erased joins none.
async fn lock_player(tx: &mut Transaction<'_, Postgres>, player_id: Uuid) -> StoreResult<()> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM players WHERE id = $1 AND erased_at IS NULL FOR NO KEY UPDATE",
        player_id,
    );
    match locked.fetch_optional(&mut **tx).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Invalid(format!(
            "player {player_id} does not exist or cannot join a party"
        ))),
    }
}

async fn add_member(
    tx: &mut Transaction<'_, Postgres>,
    party_id: Uuid,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO party_members (player_id, party_id, joined_at) VALUES ($1, $2, $3)",
        player_id,
        party_id,
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE parties SET used_at = greatest(used_at, $2) WHERE id = $1",
        party_id,
        millis(now),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn select_party(tx: &mut Transaction<'_, Postgres>, id: Uuid) -> StoreResult<Option<Party>> {
    let rows = sqlx::query!(
        "SELECT code, leader_id, parties.created_at, player_id, username FROM parties
         JOIN party_members ON party_id = parties.id JOIN players ON players.id = player_id
         WHERE parties.id = $1 ORDER BY joined_at, player_id",
        id,
    )
    .fetch_all(&mut **tx)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Party {
        id,
        code: first.code.clone(),
        leader: first.leader_id,
        created_at: first.created_at,
        members: rows
            .iter()
            .map(|row| PartyMember {
                player_id: row.player_id,
                username: row.username.clone(),
            })
            .collect(),
    }))
}

fn gone(id: Uuid) -> StoreError {
    StoreError::Invalid(format!("party {id} is gone"))
}
