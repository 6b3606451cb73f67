//! What the service should hold, in the plainest form.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use gs_api::GameInfo;
use gs_matchmaker::{RatedPlayer, Rating, rate};
use gs_store::{BoardInfo, BoardRule, MatchOutcome, Outcome, SlotOutcome, username_skeleton};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) players: Vec<Player>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) matches: Vec<Played>,
    boards: BTreeMap<Key, Vec<Entry>>,
    sums: BTreeMap<(String, String, Uuid), Sums>,
}

pub(crate) struct Player {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    /// None for a guest, and once erased.
    pub(crate) password: Option<String>,
    pub(crate) guest: bool,
    pub(crate) erased: bool,
    /// Until when, and for good where there is no time.
    pub(crate) ban: Option<Option<DateTime<Utc>>>,
}

/// A sign-in: its refresh tokens, oldest first, and its access tokens.
pub(crate) struct Session {
    pub(crate) player: usize,
    pub(crate) ended: bool,
    pub(crate) refresh: Vec<RefreshToken>,
    pub(crate) access: Vec<(String, DateTime<Utc>)>,
}

pub(crate) struct RefreshToken {
    pub(crate) text: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) replaced_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketState {
    Queued,
    Cancelled,
    Matched,
}

pub(crate) struct Ticket {
    pub(crate) id: Uuid,
    pub(crate) player: usize,
    pub(crate) game: String,
    pub(crate) mode: String,
    pub(crate) private: bool,
    pub(crate) state: TicketState,
}

pub(crate) struct Played {
    pub(crate) id: Uuid,
    pub(crate) players: Vec<Uuid>,
    pub(crate) outcome: Outcome,
}

/// Game, board, season.
pub(crate) type Key = (String, String, String);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) player: Uuid,
    pub(crate) score: i64,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) matches: u64,
    pub(crate) wins: u64,
    pub(crate) losses: u64,
    pub(crate) draws: u64,
    pub(crate) best: Option<i32>,
    pub(crate) total: i64,
    pub(crate) statistics: BTreeMap<String, i64>,
    pub(crate) rating: Rating,
    pub(crate) last: Option<DateTime<Utc>>,
}

/// How long an access token lasts.
pub(crate) const ACCESS: TimeDelta = TimeDelta::minutes(15);
/// How long a refresh token lasts.
pub(crate) const REFRESH: TimeDelta = TimeDelta::days(30);
/// How long a refresh token that was used gets the same successor again.
pub(crate) const REPEAT: TimeDelta = TimeDelta::seconds(10);

impl Reference {
    pub(crate) fn index(&self, id: Uuid) -> usize {
        self.players.iter().position(|p| p.id == id).unwrap()
    }

    /// Whether somebody else has a name that looks like this one.
    pub(crate) fn name_taken(&self, name: &str, but: Option<usize>) -> bool {
        let others = self.players.iter().enumerate();
        let mut others = others.filter(|(n, p)| Some(*n) != but && !p.erased);
        others.any(|(_, p)| username_skeleton(&p.username) == username_skeleton(name))
    }

    pub(crate) fn email_taken(&self, email: Option<&str>) -> bool {
        let Some(email) = email.map(str::to_lowercase) else {
            return false;
        };
        let mut emails = self.players.iter().filter_map(|p| p.email.as_ref());
        emails.any(|taken| taken.to_lowercase() == email)
    }

    pub(crate) fn is_banned(&self, player: usize, now: DateTime<Utc>) -> bool {
        match self.players[player].ban {
            None => false,
            Some(until) => until.is_none_or(|until| until > now),
        }
    }

    /// Whom an access token names, where it is good for anything.
    pub(crate) fn signed_in(
        &self,
        session: usize,
        access: usize,
        now: DateTime<Utc>,
    ) -> Option<usize> {
        let session = &self.sessions[session];
        let issued = session.access[access].1;
        let expired = (issued + ACCESS).timestamp() <= now.timestamp();
        (!session.ended && !expired).then_some(session.player)
    }

    pub(crate) fn end_sessions(&mut self, player: usize) {
        let sessions = self.sessions.iter_mut().filter(|s| s.player == player);
        sessions.for_each(|session| session.ended = true);
    }

    pub(crate) fn cancel_queued(&mut self, player: usize) {
        for ticket in &mut self.tickets {
            if ticket.player == player && ticket.state == TicketState::Queued {
                ticket.state = TicketState::Cancelled;
            }
        }
    }

    /// A rating as it is then: it loses certainty while the player is away.
    pub(crate) fn rating(
        &self,
        game: &str,
        mode: &str,
        player: Uuid,
        now: DateTime<Utc>,
    ) -> Rating {
        let key = (game.to_owned(), mode.to_owned(), player);
        let Some(sums) = self.sums.get(&key) else {
            return Rating::default();
        };
        let idle = sums.last.map_or(0, |last| (now - last).num_milliseconds());
        sums.rating.idle(idle as f64 / 86_400_000.0)
    }

    /// The sums of one mode, or of all.
    pub(crate) fn sums(&self, game: &str, mode: Option<&str>, player: Uuid) -> Sums {
        let mut all = Sums::default();
        for ((of_game, of_mode, who), sums) in &self.sums {
            if of_game != game || *who != player || mode.is_some_and(|mode| of_mode != mode) {
                continue;
            }
            all.matches += sums.matches;
            all.wins += sums.wins;
            all.losses += sums.losses;
            all.draws += sums.draws;
            all.best = all.best.max(sums.best);
            all.total += sums.total;
            all.last = all.last.max(sums.last);
            for (name, value) in &sums.statistics {
                *all.statistics.entry(name.clone()).or_default() += value;
            }
        }
        all
    }

    /// A board, best first, with ranks.
    pub(crate) fn board(&self, key: &Key) -> Vec<(u64, Entry)> {
        let mut entries = self.boards.get(key).cloned().unwrap_or_default();
        entries.sort_by_key(|e| (-e.score, e.at, e.player));
        let rank = |score: i64| 1 + entries.iter().filter(|e| e.score > score).count() as u64;
        entries.iter().map(|e| (rank(e.score), e.clone())).collect()
    }

    /// Takes in how a match ended.
    pub(crate) fn count(
        &mut self,
        game: &GameInfo,
        mode: &str,
        rated: bool,
        players: &[Uuid],
        outcome: &MatchOutcome,
    ) {
        if !rated || outcome.outcome == Outcome::Void {
            return;
        }
        let mut slots: Vec<(Uuid, &SlotOutcome)> = outcome
            .slots
            .iter()
            .map(|slot| (players[usize::from(slot.slot)], slot))
            .collect();
        slots.sort_by_key(|(player, _)| *player);
        let before: Vec<RatedPlayer> = slots
            .iter()
            .map(|(player, slot)| RatedPlayer {
                rating: self.rating(&game.id, mode, *player, outcome.ended_at),
                team: slot.team,
                placement: slot.placement,
            })
            .collect();
        let ended_at = outcome.ended_at;
        for (&(player, slot), rating) in slots.iter().zip(rate(&before)) {
            let key = (game.id.clone(), mode.to_owned(), player);
            let sums = self.sums.entry(key).or_default();
            let mate = |other: &SlotOutcome| slot.team.is_some() && other.team == slot.team;
            let first_of_others = slots
                .iter()
                .any(|(who, other)| *who != player && !mate(other) && other.placement == 1);
            sums.matches += 1;
            match (slot.placement == 1, first_of_others) {
                (true, false) => sums.wins += 1,
                (true, true) => sums.draws += 1,
                (false, _) => sums.losses += 1,
            }
            sums.best = sums.best.max(Some(slot.score));
            sums.total += i64::from(slot.score);
            for (name, value) in &slot.statistics {
                *sums.statistics.entry(name.clone()).or_default() += i64::from(*value);
            }
            sums.rating = rating;
            sums.last = Some(ended_at);
        }
        for board in &game.boards {
            if board.modes.is_empty() || board.modes.iter().any(|m| m == mode) {
                self.enter(game, board, &slots, ended_at);
            }
        }
    }

    fn enter(
        &mut self,
        game: &GameInfo,
        board: &BoardInfo,
        slots: &[(Uuid, &SlotOutcome)],
        at: DateTime<Utc>,
    ) {
        let key = (game.id.clone(), board.id.clone(), board.season.of(at));
        let entries = self.boards.entry(key).or_default();
        for &(player, slot) in slots {
            let score = match &board.statistic {
                None => Some(slot.score),
                Some(wanted) => slot
                    .statistics
                    .iter()
                    .find(|(n, _)| n == wanted)
                    .map(|s| s.1),
            };
            let Some(score) = score.map(i64::from) else {
                continue;
            };
            match entries.iter_mut().find(|e| e.player == player) {
                None => entries.push(Entry { player, score, at }),
                Some(entry) => match board.rule {
                    BoardRule::Best if score <= entry.score => {}
                    BoardRule::Best | BoardRule::Latest => *entry = Entry { player, score, at },
                    BoardRule::Sum => {
                        *entry = Entry {
                            player,
                            score: entry.score + score,
                            at,
                        }
                    }
                },
            }
        }
        if entries.is_empty() {
            let key = (game.id.clone(), board.id.clone(), board.season.of(at));
            self.boards.remove(&key);
        }
    }

    /// The seasons of a board that somebody is on.
    pub(crate) fn seasons(&self, game: &str, board: &str) -> Vec<String> {
        let keys = self.boards.keys().filter(|k| k.0 == game && k.1 == board);
        keys.map(|k| k.2.clone()).collect()
    }
}
