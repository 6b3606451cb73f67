//! The specification's keys of the queue, as caches of the rows in `tickets`: `queue:{game}`, a LIST
//! of ticket ids, first come first, and `ticket:{id}`, a HASH of what is known of each.

use std::collections::{BTreeMap, BTreeSet};

use redis::Pipeline;
use redis::aio::ConnectionManager;

use super::PostgresStore;
use crate::{StoreResult, Ticket, TicketStatus, Tickets};

/// Adds to a pipeline what brings the keys up to how a ticket stands now.
pub(super) fn take_over(pipeline: &mut Pipeline, ticket: &Ticket) {
    let (queue, id) = (queue_key(&ticket.game), ticket.id.to_string());
    if ticket.status != TicketStatus::Queued || ticket.returned {
        // It is there once at most, and mostly near the front.
        pipeline.lrem(&queue, 1, &id).ignore();
    }
    if ticket.status == TicketStatus::Queued {
        pipeline.sadd(GAMES, &ticket.game).ignore();
        match ticket.returned {
            true => pipeline.lpush(&queue, &id).ignore(),
            false => pipeline.rpush(&queue, &id).ignore(),
        };
        pipeline.expire(&queue, KEPT_SECONDS).ignore();
    }
    describe(pipeline, ticket);
}

/// Adds to a pipeline what forgets a ticket.
pub(super) fn forget(pipeline: &mut Pipeline, ticket: &Ticket) {
    pipeline
        .lrem(queue_key(&ticket.game), 1, ticket.id.to_string())
        .ignore()
        .del(ticket_key(ticket))
        .ignore();
}

/// Makes the keys of all queues anew from the record.
pub(super) async fn restore(
    store: &PostgresStore,
    connection: &mut ConnectionManager,
) -> StoreResult<()> {
    let mut games: BTreeSet<String> = redis::cmd("SMEMBERS")
        .arg(GAMES)
        .query_async(connection)
        .await?;
    games.extend(store.queued_games().await?);
    for game in games {
        let tickets = store.queued_tickets(&game, MAX_RESTORED).await?;
        let mut pipeline = redis::pipe();
        pipeline.atomic().del(queue_key(&game)).ignore();
        if tickets.is_empty() {
            pipeline.srem(GAMES, &game).ignore();
        } else {
            let ids: Vec<String> = tickets.iter().map(|t| t.id.to_string()).collect();
            pipeline.sadd(GAMES, &game).ignore();
            pipeline.rpush(queue_key(&game), ids).ignore();
            pipeline.expire(queue_key(&game), KEPT_SECONDS).ignore();
            tickets.iter().for_each(|t| describe(&mut pipeline, t));
        }
        pipeline.query_async::<()>(connection).await?;
    }
    Ok(())
}

fn describe(pipeline: &mut Pipeline, ticket: &Ticket) {
    let mut fields = BTreeMap::from([
        ("player_id", ticket.player_id.to_string()),
        ("game", ticket.game.clone()),
        ("mode", ticket.mode.clone()),
        ("status", ticket.status.as_str().to_owned()),
        ("queued_at", ticket.queued_at.to_rfc3339()),
    ]);
    if let Some(id) = ticket.match_id {
        fields.insert("match_id", id.to_string());
    }
    let key = ticket_key(ticket);
    let fields: Vec<(&str, String)> = fields.into_iter().collect();
    pipeline.hset_multiple(&key, &fields).ignore();
    pipeline.expire(&key, KEPT_SECONDS).ignore();
}

fn ticket_key(ticket: &Ticket) -> String {
    format!("ticket:{}", ticket.id)
}

fn queue_key(game: &str) -> String {
    format!("queue:{game}")
}

/// The games that have a queue. No game's own key: a game's name is never empty.
const GAMES: &str = "queue::games";
/// As long as the rows are kept.
const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// Most tickets of a game's queue that are restored; the record has all.
const MAX_RESTORED: u32 = 10_000;
