use chrono::{DateTime, Utc};
use sqlx::{Row, Sqlite, Transaction};
use uuid::Uuid;

use super::rows::{self, millis};
use super::{EmbeddedStore, acceptance, tickets};
use crate::{
    CreateParty, JoinParty, LeaveParty, MAX_PARTY, NewParty, Parties, Party, PartyMember,
    StoreError, StoreResult,
};

#[async_trait::async_trait]
impl Parties for EmbeddedStore {
    async fn create_party(&self, new: NewParty) -> StoreResult<CreateParty> {
        let mut tx = self.write().await?;
        if let Some(id) = party_id_of(&mut tx, new.leader).await? {
            return Ok(CreateParty::AlreadyIn(id));
        }
        let inserted = sqlx::query(
            "INSERT INTO parties (id, code, leader_id, created_at, used_at)
             SELECT ?1, ?2, id, ?4, ?4 FROM players WHERE id = ?3 AND erased_at IS NULL
             ON CONFLICT (code) DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(&new.code)
        .bind(new.leader.to_string())
        .bind(millis(new.created_at))
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            let taken = sqlx::query("SELECT 1 FROM parties WHERE code = ?")
                .bind(&new.code)
                .fetch_optional(&mut *tx)
                .await?;
            return match taken {
                Some(_) => Ok(CreateParty::CodeTaken),
                None => Err(no_player(new.leader)),
            };
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
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT id FROM parties WHERE code = ?")
            .bind(code)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else {
            return Ok(JoinParty::NoSuchCode);
        };
        let id = rows::uuid(&row, "id")?;
        let current = select_party(&mut tx, id).await?.ok_or_else(|| gone(id))?;
        match party_id_of(&mut tx, player_id).await? {
            Some(before) if before == id => return Ok(JoinParty::Joined(current)),
            Some(other) => return Ok(JoinParty::AlreadyIn(other)),
            None if current.members.len() >= MAX_PARTY => return Ok(JoinParty::Full),
            None => {}
        }
        stop_waiting(&mut tx, id, "somebody joined the party", now).await?;
        add_member(&mut tx, id, player_id, now).await?;
        let party = select_party(&mut tx, id).await?;
        tx.commit().await?;
        self.changed();
        party.map(JoinParty::Joined).ok_or_else(|| gone(id))
    }

    async fn leave_party(
        &self,
        party_id: Uuid,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<LeaveParty> {
        let mut tx = self.write().await?;
        if party_id_of(&mut tx, player_id).await? != Some(party_id) {
            return Ok(LeaveParty::NotThere);
        }
        let left = leave(&mut tx, party_id, player_id, now).await?;
        tx.commit().await?;
        self.changed();
        Ok(LeaveParty::Left(left))
    }

    async fn party(&self, id: Uuid) -> StoreResult<Option<Party>> {
        let mut tx = self.read().await?;
        select_party(&mut tx, id).await
    }

    async fn party_of(&self, player_id: Uuid) -> StoreResult<Option<Party>> {
        let mut tx = self.read().await?;
        match party_id_of(&mut tx, player_id).await? {
            Some(id) => select_party(&mut tx, id).await,
            None => Ok(None),
        }
    }

    async fn forget_parties(&self, unused_since: DateTime<Utc>, limit: u32) -> StoreResult<u64> {
        let deleted = sqlx::query(
            "DELETE FROM parties WHERE id IN (
                 SELECT id FROM parties WHERE used_at < ? AND NOT EXISTS (
                     SELECT 1 FROM tickets WHERE party_id = parties.id
                     AND status IN ('queued', 'accepting', 'placing'))
                 ORDER BY used_at LIMIT ?)",
        )
        .bind(millis(unused_since))
        .bind(limit)
        .execute(&self.writer)
        .await?;
        Ok(deleted.rows_affected())
    }
}

/// Takes a player who is in a party out of it; answers what is left of it.
async fn leave(
    tx: &mut Transaction<'_, Sqlite>,
    party_id: Uuid,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<Option<Party>> {
    stop_waiting(tx, party_id, "a member left the party", now).await?;
    sqlx::query("DELETE FROM party_members WHERE player_id = ?")
        .bind(player_id.to_string())
        .execute(&mut **tx)
        .await?;
    let party = party_id.to_string();
    sqlx::query(
        "UPDATE parties SET used_at = max(used_at, ?1), leader_id = CASE leader_id
             WHEN ?3 THEN coalesce((SELECT player_id FROM party_members WHERE party_id = ?2
                 ORDER BY joined_at, player_id LIMIT 1), leader_id)
             ELSE leader_id END
         WHERE id = ?2",
    )
    .bind(millis(now))
    .bind(&party)
    .bind(player_id.to_string())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "DELETE FROM parties WHERE id = ?1
         AND NOT EXISTS (SELECT 1 FROM party_members WHERE party_id = ?1)",
    )
    .bind(&party)
    .execute(&mut **tx)
    .await?;
    select_party(tx, party_id).await
}

/// Takes a player out of the party and out of the queues.
pub(super) async fn withdraw_player(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    if let Some(party) = party_id_of(tx, player_id).await? {
        leave(tx, party, player_id, now).await?;
    }
    let groups = tickets::waiting_groups_of(tx, player_id).await?;
    acceptance::withdraw(tx, &groups, None, now).await?;
    Ok(())
}

/// The party that a player is in.
async fn party_id_of(
    tx: &mut Transaction<'_, Sqlite>,
    player_id: Uuid,
) -> StoreResult<Option<Uuid>> {
    let row = sqlx::query("SELECT party_id FROM party_members WHERE player_id = ?")
        .bind(player_id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| rows::uuid(&row, "party_id")).transpose()
}

/// Cancels what a party waits for, and declines what it is asked to accept.
async fn stop_waiting(
    tx: &mut Transaction<'_, Sqlite>,
    party_id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    let rows = sqlx::query(
        "SELECT DISTINCT group_id FROM tickets
         WHERE party_id = ? AND status IN ('queued', 'accepting')",
    )
    .bind(party_id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    let groups: StoreResult<Vec<Uuid>> = rows.iter().map(|r| rows::uuid(r, "group_id")).collect();
    acceptance::withdraw(tx, &groups?, Some(reason), now).await?;
    Ok(())
}

async fn add_member(
    tx: &mut Transaction<'_, Sqlite>,
    party_id: Uuid,
    player_id: Uuid,
    now: DateTime<Utc>,
) -> StoreResult<()> {
    let added = sqlx::query(
        "INSERT INTO party_members (player_id, party_id, joined_at)
         SELECT id, ?1, ?2 FROM players WHERE id = ?3 AND erased_at IS NULL",
    )
    .bind(party_id.to_string())
    .bind(millis(now))
    .bind(player_id.to_string())
    .execute(&mut **tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(no_player(player_id));
    }
    sqlx::query("UPDATE parties SET used_at = max(used_at, ?) WHERE id = ?")
        .bind(millis(now))
        .bind(party_id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn select_party(tx: &mut Transaction<'_, Sqlite>, id: Uuid) -> StoreResult<Option<Party>> {
    let row = sqlx::query("SELECT * FROM parties WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let members = sqlx::query(
        "SELECT player_id, username FROM party_members JOIN players ON players.id = player_id
         WHERE party_id = ? ORDER BY joined_at, player_id",
    )
    .bind(id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    let member = |row| -> StoreResult<PartyMember> {
        Ok(PartyMember {
            player_id: rows::uuid(row, "player_id")?,
            username: row.try_get("username")?,
        })
    };
    Ok(Some(Party {
        id,
        code: row.try_get("code")?,
        leader: rows::uuid(&row, "leader_id")?,
        members: members.iter().map(member).collect::<StoreResult<_>>()?,
        created_at: rows::time(&row, "created_at")?,
    }))
}

fn no_player(id: Uuid) -> StoreError {
    StoreError::Invalid(format!("player {id} does not exist or cannot join a party"))
}

fn gone(id: Uuid) -> StoreError {
    StoreError::Invalid(format!("party {id} is gone"))
}
