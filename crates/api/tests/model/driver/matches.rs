//! The queue, and matches from their tickets to their results.

use std::time::Duration;

use axum::http::StatusCode;
use gs_api::GameInfo;
use gs_store::{
    FormMatch, MatchOutcome, NewMatch, NewSlot, Outcome, SlotOutcome, StoreOutcome, counts_on,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Driver, id, text};
use crate::reference::{Played, Ticket, TicketState};

impl Driver {
    pub(super) async fn enqueue(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let game = self.game();
        let mode = self.pick(&game.modes).name.clone();
        let private = self.percent(10);
        let mut body = json!({"game": game.id, "mode": mode});
        if private {
            body["code"] = json!("tea");
        }
        let (status, json) = self
            .call("POST", "/match/queue", Some(&token), Some(body))
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        let mut tickets = self.reference.tickets.iter();
        let live = tickets
            .find(|t| t.player == player && t.game == game.id && t.state == TicketState::Queued);
        if let Some(live) = live {
            assert_eq!(status, StatusCode::CONFLICT);
            return assert_eq!(id(&json["ticket_id"]), live.id);
        }
        assert_eq!(status, StatusCode::ACCEPTED, "{json}");
        assert_eq!(
            (&json["game"], &json["mode"]),
            (&json!(game.id), &json!(mode))
        );
        self.reference.tickets.push(Ticket {
            id: id(&json["ticket_id"]),
            player,
            game: game.id.clone(),
            mode,
            private,
            state: TicketState::Queued,
        });
    }

    pub(super) async fn cancel(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        if self.reference.tickets.is_empty() {
            return;
        }
        let at = self.ticket_of(player);
        let ticket = self.reference.tickets[at].id;
        let path = format!("/match/queue/{ticket}");
        let (status, _) = self.call("DELETE", &path, Some(&token), None).await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        let ticket = &mut self.reference.tickets[at];
        let expected = match ticket.state {
            _ if ticket.player != player => StatusCode::NOT_FOUND,
            TicketState::Matched => StatusCode::CONFLICT,
            TicketState::Queued | TicketState::Cancelled => {
                ticket.state = TicketState::Cancelled;
                StatusCode::NO_CONTENT
            }
        };
        assert_eq!(status, expected);
    }

    pub(super) async fn status(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let newest = self.percent(50) || self.reference.tickets.is_empty();
        let at = if newest {
            None
        } else {
            Some(self.ticket_of(player))
        };
        let path = match at {
            None => "/match/status".to_owned(),
            Some(at) => format!("/match/status?ticket_id={}", self.reference.tickets[at].id),
        };
        let (status, json) = self.call("GET", &path, Some(&token), None).await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        let ticket = match at {
            None => self
                .reference
                .tickets
                .iter()
                .rev()
                .find(|t| t.player == player),
            Some(at) => Some(&self.reference.tickets[at]).filter(|t| t.player == player),
        };
        let Some(ticket) = ticket else {
            return assert_eq!(status, StatusCode::NOT_FOUND);
        };
        assert_eq!(status, StatusCode::OK, "{json}");
        assert_eq!(id(&json["ticket_id"]), ticket.id);
        let word = match ticket.state {
            TicketState::Queued => "queued",
            TicketState::Cancelled => "cancelled",
            TicketState::Matched => "matched",
        };
        assert_eq!(json["status"], word);
        // The reference's matches are over as soon as they begin.
        assert!(json["match"].is_null());
    }

    /// Has those who are queued play, as the matchmaker and an authority would have them.
    pub(super) async fn play(&mut self) {
        let game = self.game();
        let mode = self.pick(&game.modes);
        let waiting: Vec<usize> = (0..self.reference.tickets.len())
            .filter(|&t| {
                let t = &self.reference.tickets[t];
                t.state == TicketState::Queued
                    && t.game == game.id
                    && t.mode == mode.name
                    && !t.private
            })
            .collect();
        if waiting.len() < 2 {
            return;
        }
        let players = 2 + self.below(3).min(waiting.len() as u64 - 2) as usize;
        let tickets = &waiting[..players];
        let (store, now) = (self.server.store.clone(), self.now());
        let ids: Vec<Uuid> = tickets
            .iter()
            .map(|&t| self.reference.players[self.reference.tickets[t].player].id)
            .collect();
        let team = |slot: usize| (game.teams > 0).then(|| (slot % usize::from(game.teams)) as u8);
        let slots = tickets.iter().enumerate().map(|(slot, &ticket)| NewSlot {
            ticket_id: self.reference.tickets[ticket].id,
            player_id: ids[slot],
            team: team(slot),
        });
        self.rooms += 1;
        let match_id = uuid::Builder::from_unix_timestamp_millis(
            now.timestamp_millis().unsigned_abs(),
            &std::array::from_fn(|n| self.rooms.to_be_bytes()[n % 4]),
        )
        .into_uuid();
        let new = NewMatch {
            id: match_id,
            room: format!("{}-{:08x}", game.id, self.rooms),
            game: game.id.clone(),
            mode: mode.name.clone(),
            module_sha256: game.module_sha256.clone(),
            teams: game.teams,
            options: "{}".to_owned(),
            authority_mode: "full".to_owned(),
            rated: mode.rated,
            region: None,
            capacity: 0,
            backfill: false,
            accept_until: None,
            lead: None,
            slots: slots.collect(),
            created_at: now,
        };
        self.last = format!("a match of {ids:?} in {} {}", game.id, mode.name);
        assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
        assert!(store.room_created(match_id, "RM_1").await.unwrap());
        let claim = store
            .claim_match("model", now, Duration::from_secs(60))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(claim.details.id, match_id);
        store.match_ready(match_id, claim.epoch, now).await.unwrap();
        self.see_the_match(&game, &mode.name, tickets, &ids).await;

        let outcome = self.outcome(&game, &mode.name, players);
        let stored = store
            .store_result(match_id, claim.epoch, outcome.clone(), now)
            .await;
        assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        if self.percent(30) {
            let again = store
                .store_result(match_id, claim.epoch, outcome.clone(), now)
                .await;
            assert_eq!(again.unwrap(), StoreOutcome::AlreadyStored);
        }
        for &ticket in tickets {
            self.reference.tickets[ticket].state = TicketState::Matched;
        }
        self.reference
            .count(&game, &mode.name, mode.rated, &ids, &outcome);
        self.reference.matches.push(Played {
            id: match_id,
            players: ids,
            outcome: outcome.outcome,
        });
    }

    /// A player who is signed in sees whom the match is with, and how good they are held to be.
    async fn see_the_match(
        &mut self,
        game: &GameInfo,
        mode: &str,
        tickets: &[usize],
        ids: &[Uuid],
    ) {
        let now = self.now();
        let Some((token, player)) = (0..self.reference.sessions.len())
            .rev()
            .find_map(|session| {
                let newest = self.reference.sessions[session].access.len() - 1;
                let player = self.reference.signed_in(session, newest, now)?;
                let plays = tickets
                    .iter()
                    .any(|&t| self.reference.tickets[t].player == player);
                let token = self.reference.sessions[session].access[newest].0.clone();
                plays.then_some((token, player))
            })
        else {
            return;
        };
        let mine = tickets
            .iter()
            .find(|&&t| self.reference.tickets[t].player == player);
        let ticket = self.reference.tickets[*mine.unwrap()].id;
        let path = format!("/match/status?ticket_id={ticket}");
        let (status, json) = self.call("GET", &path, Some(&token), None).await;
        assert_eq!(status, StatusCode::OK, "{json}");
        let players: Vec<Value> = ids
            .iter()
            .enumerate()
            .map(|(slot, id)| {
                let rating = self
                    .reference
                    .rating(&game.id, mode, *id, self.now())
                    .value
                    .round() as i64;
                let team = (game.teams > 0).then(|| slot % usize::from(game.teams));
                let username = &self.reference.players[self.reference.index(*id)].username;
                json!({"player_id": id, "username": username, "team": team, "rating": rating})
            })
            .collect();
        assert_eq!(json["match"]["players"], json!(players));
        let path = format!("/auth/token?room={}", text(&json["match"]["room"]));
        let (status, json) = self.call("GET", &path, Some(&token), None).await;
        assert_eq!(status, StatusCode::OK, "{json}");
    }

    fn outcome(&mut self, game: &GameInfo, mode: &str, players: usize) -> MatchOutcome {
        let now = self.now();
        let outcome = match self.below(10) {
            0 => Outcome::Void,
            1 => Outcome::Abandoned,
            _ => Outcome::Finished,
        };
        let of_team = [1 + self.below(2) as u8, 1 + self.below(2) as u8];
        let mut slots = Vec::new();
        for slot in 0..players as u8 {
            // Somebody may have left before the end.
            if outcome == Outcome::Abandoned && slot > 0 && self.percent(30) {
                continue;
            }
            let team = (game.teams > 0).then(|| slot % game.teams);
            let placement = match team {
                Some(team) => of_team[usize::from(team)],
                None => 1 + self.below(players as u64) as u8,
            };
            let mut statistics = vec![("kills".to_owned(), self.below(5) as i32)];
            if self.percent(70) {
                statistics.push(("falls".to_owned(), self.below(7) as i32 - 3));
            }
            let score = self.below(12) as i32 - 2;
            slots.push(SlotOutcome {
                slot,
                placement,
                team,
                score,
                statistics,
            });
        }
        MatchOutcome {
            outcome,
            reason: None,
            details: None,
            slots,
            boards: counts_on(&game.boards, mode, now),
            started_at: Some(now),
            ended_at: now,
            ticks: 60,
        }
    }
}
