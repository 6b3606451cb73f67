use chrono::{DateTime, Utc};
use gs_store::{
    AccountData, Ban, CreatePlayer, NewPlayer, NewSession, Player, REPEAT_WINDOW, RegisterGuest,
    Registration, Rotate, Rotation, Session, erased_name, username_key, username_skeleton,
};
use uuid::Uuid;

use super::{Account, Reference, Token};

impl Reference {
    pub(crate) fn create_player(&mut self, new: &NewPlayer) -> CreatePlayer {
        if self.name_taken(&new.username, new.id) {
            return CreatePlayer::UsernameTaken;
        }
        if self.email_taken(new.email.as_deref(), new.id) {
            return CreatePlayer::EmailTaken;
        }
        let player = Player {
            id: new.id,
            username: new.username.clone(),
            email: new.email.clone(),
            guest: new.password_hash.is_none(),
            created_at: new.created_at,
        };
        let account = Account {
            player: player.clone(),
            password_hash: new.password_hash.clone(),
            erased: false,
        };
        self.accounts.insert(new.id, account);
        CreatePlayer::Created(player)
    }

    pub(crate) fn register_guest(&mut self, registration: &Registration) -> RegisterGuest {
        let id = registration.player_id;
        if !self.accounts.get(&id).is_some_and(|a| a.player.guest) {
            return RegisterGuest::NotAGuest;
        }
        if self.name_taken(&registration.username, id) {
            return RegisterGuest::UsernameTaken;
        }
        if self.email_taken(registration.email.as_deref(), id) {
            return RegisterGuest::EmailTaken;
        }
        let account = self.accounts.get_mut(&id).unwrap();
        account.player.username.clone_from(&registration.username);
        account.player.email.clone_from(&registration.email);
        account.player.guest = false;
        account.password_hash = Some(registration.password_hash.clone());
        RegisterGuest::Registered(account.player.clone())
    }

    fn name_taken(&self, name: &str, by_other_than: Uuid) -> bool {
        self.accounts.values().any(|account| {
            let other = &account.player;
            other.id != by_other_than
                && !account.erased
                && (username_key(&other.username) == username_key(name)
                    || username_skeleton(&other.username) == username_skeleton(name))
        })
    }

    fn email_taken(&self, email: Option<&str>, by_other_than: Uuid) -> bool {
        let Some(email) = email.map(str::to_lowercase) else {
            return false;
        };
        self.accounts.values().any(|account| {
            let other = account.player.email.as_deref().map(str::to_lowercase);
            account.player.id != by_other_than && other.as_ref() == Some(&email)
        })
    }

    pub(crate) fn player(&self, id: Uuid) -> Option<Player> {
        Some(self.accounts.get(&id)?.player.clone())
    }

    /// The id and password hash of the player with this name.
    pub(crate) fn credentials_by_username(&self, name: &str) -> Option<(Uuid, String)> {
        let key = username_key(name)?;
        let mut accounts = self.accounts.values();
        let account = accounts
            .find(|a| !a.erased && username_key(&a.player.username).as_ref() == Some(&key))?;
        Some((account.player.id, account.password_hash.clone()?))
    }

    pub(crate) fn change_password(&mut self, id: Uuid, hash: &str) -> bool {
        let account = self.accounts.get_mut(&id);
        let Some(account) = account.filter(|a| a.password_hash.is_some()) else {
            return false;
        };
        account.password_hash = Some(hash.to_owned());
        self.end_sessions(id);
        true
    }

    pub(crate) fn open_session(&mut self, new: &NewSession) {
        if self.accounts[&new.player_id].erased {
            return;
        }
        let token = Token {
            family: new.family,
            player_id: new.player_id,
            expires_at: new.expires_at,
            replaced_at: None,
        };
        self.tokens.insert(new.token_hash, token);
    }

    pub(crate) fn rotate_session(&mut self, rotation: &Rotation) -> Rotate {
        let Some(old) = self.tokens.get_mut(&rotation.old_hash) else {
            return Rotate::Unknown;
        };
        let (player_id, family) = (old.player_id, old.family);
        if let Some(replaced_at) = old.replaced_at {
            if rotation.now <= replaced_at + REPEAT_WINDOW {
                return Rotate::Repeated { player_id, family };
            }
            self.end_session(family);
            return Rotate::Reused { player_id };
        }
        if old.expires_at <= rotation.now {
            return Rotate::Expired;
        }
        old.replaced_at = Some(rotation.now);
        let token = Token {
            family,
            player_id,
            expires_at: rotation.expires_at,
            replaced_at: None,
        };
        self.tokens.insert(rotation.new_hash, token);
        Rotate::Rotated { player_id, family }
    }

    pub(crate) fn end_session(&mut self, family: Uuid) {
        self.tokens.retain(|_, token| token.family != family);
    }

    pub(crate) fn end_sessions(&mut self, player_id: Uuid) {
        self.tokens.retain(|_, token| token.player_id != player_id);
    }

    pub(crate) fn forget_expired_sessions(&mut self, now: DateTime<Utc>) -> u64 {
        let before = self.tokens.len();
        self.tokens.retain(|_, token| token.expires_at >= now);
        (before - self.tokens.len()) as u64
    }

    pub(crate) fn session(&self, family: Uuid, now: DateTime<Utc>) -> Option<Session> {
        let newest = self
            .tokens
            .values()
            .find(|t| t.family == family && t.replaced_at.is_none() && t.expires_at > now)?;
        Some(Session {
            player_id: newest.player_id,
            ban: self.ban_of(newest.player_id, now),
        })
    }

    pub(crate) fn ban(&mut self, ban: &Ban) -> bool {
        if !self.accounts.contains_key(&ban.player_id) {
            return false;
        }
        self.bans.insert(ban.player_id, ban.clone());
        self.end_sessions(ban.player_id);
        self.withdraw_player(ban.player_id, ban.banned_at);
        true
    }

    pub(crate) fn lift_ban(&mut self, player_id: Uuid, now: DateTime<Utc>) -> bool {
        self.ban_of(player_id, now).is_some() && self.bans.remove(&player_id).is_some()
    }

    pub(crate) fn ban_of(&self, player_id: Uuid, now: DateTime<Utc>) -> Option<Ban> {
        let ban = self.bans.get(&player_id)?;
        ban.until
            .is_none_or(|until| now < until)
            .then(|| ban.clone())
    }

    pub(crate) fn erase_player(&mut self, id: Uuid, now: DateTime<Utc>) -> bool {
        let account = self.accounts.get_mut(&id);
        let Some(account) = account.filter(|a| !a.erased) else {
            return false;
        };
        account.erased = true;
        account.password_hash = None;
        account.player.username = erased_name(id);
        account.player.email = None;
        account.player.guest = false;
        self.end_sessions(id);
        self.withdraw_player(id, now);
        self.tickets.retain(|_, ticket| ticket.player_id != id);
        for result in &mut self.results {
            result.forgotten.push(id);
        }
        true
    }

    pub(crate) fn account_data(&self, id: Uuid) -> Option<AccountData> {
        let player = self.player(id)?;
        let own = self.tokens.values().filter(|t| t.player_id == id);
        let newest = own.filter(|t| t.replaced_at.is_none());
        let mut sessions: Vec<DateTime<Utc>> = newest.map(|t| t.expires_at).collect();
        sessions.sort();
        let scores = self.scores();
        Some(AccountData {
            player,
            sessions,
            tickets: self.tickets_of(id),
            statistics: scores.statistics_of(id),
            entries: scores.entries_of(id),
            ban: self.bans.get(&id).cloned(),
        })
    }
}
