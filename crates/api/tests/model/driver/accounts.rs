//! Accounts, sessions, bans.

use axum::http::StatusCode;
use chrono::TimeDelta;
use gs_store::{Ban, erased_name};
use serde_json::json;

use super::{Driver, id, new_player, text};
use crate::reference::{REFRESH, REPEAT, RefreshToken};

impl Driver {
    pub(super) async fn register(&mut self) {
        let (username, password) = (self.name(), self.password());
        let email = self
            .percent(30)
            .then(|| format!("Mail{}@example.org", self.below(8)));
        let guest = if self.percent(40) {
            self.access_token()
        } else {
            None
        };
        let guest = guest.filter(|(_, session, _)| {
            self.reference.players[self.reference.sessions[*session].player].guest
        });
        let token = guest.as_ref().map(|(token, ..)| token.clone());
        let mut body = json!({"username": username, "password": password});
        if let Some(email) = &email {
            body["email"] = json!(email);
        }
        let (status, json) = self
            .call("POST", "/auth/register", token.as_deref(), Some(body))
            .await;
        let own = match &guest {
            Some((_, session, None)) => return self.refused(status, *session),
            Some((_, _, Some(player))) => Some(*player),
            None => None,
        };
        let name_taken = self.reference.name_taken(&username, own);
        let email_taken = self.reference.email_taken(email.as_deref());
        if name_taken || email_taken {
            assert_eq!(status, StatusCode::CONFLICT);
            let kind = text(&json["type"]);
            let which = kind.strip_prefix("urn:gameserver:problem:").unwrap();
            let right = (which == "username-taken" && name_taken)
                || (which == "email-taken" && email_taken);
            return assert!(right, "{json}");
        }
        assert_eq!(status, StatusCode::CREATED, "{json}");
        let id = id(&json["player_id"]);
        assert_eq!(json["username"], username);
        let player = match own {
            Some(player) => {
                assert_eq!(self.reference.players[player].id, id);
                player
            }
            None => {
                self.reference.players.push(new_player(id));
                self.reference.players.len() - 1
            }
        };
        let registered = &mut self.reference.players[player];
        registered.username = username;
        registered.email = email;
        registered.password = Some(password);
        registered.guest = false;
        self.signed_in(player, &json);
    }

    pub(super) async fn guest(&mut self) {
        let username = self.percent(40).then(|| self.name());
        let body = username
            .as_ref()
            .map_or(json!({}), |name| json!({"username": name}));
        let (status, json) = self.call("POST", "/auth/guest", None, Some(body)).await;
        if username
            .as_ref()
            .is_some_and(|name| self.reference.name_taken(name, None))
        {
            return assert_eq!(status, StatusCode::CONFLICT);
        }
        assert_eq!(status, StatusCode::CREATED);
        let mut player = new_player(id(&json["player_id"]));
        player.username = text(&json["username"]);
        if let Some(username) = username {
            assert_eq!(player.username, username);
        }
        self.reference.players.push(player);
        self.signed_in(self.reference.players.len() - 1, &json);
    }

    pub(super) async fn login(&mut self) {
        let now = self.now();
        let known = self.percent(90) && !self.reference.players.is_empty();
        let (name, right) = if known {
            let at = self.below(self.reference.players.len() as u64) as usize;
            let player = &self.reference.players[at];
            (player.username.clone(), player.password.clone())
        } else {
            ("nobody-at-all".to_owned(), None)
        };
        let password = match &right {
            Some(right) if self.percent(80) => right.clone(),
            _ => self.password(),
        };
        let body = json!({"username": name.to_uppercase(), "password": password});
        let (status, json) = self.call("POST", "/auth/login", None, Some(body)).await;
        let key = name.to_lowercase();
        let mut players = self.reference.players.iter();
        let player = players.position(|p| {
            p.username.to_lowercase() == key && !p.erased && p.password.as_ref() == Some(&password)
        });
        let Some(player) = player else {
            return assert_eq!(status, StatusCode::UNAUTHORIZED);
        };
        if self.reference.is_banned(player, now) {
            assert_eq!(json["type"], "urn:gameserver:problem:banned", "{json}");
            return assert_eq!(status, StatusCode::FORBIDDEN);
        }
        assert_eq!(status, StatusCode::OK, "{json}");
        assert_eq!(id(&json["player_id"]), self.reference.players[player].id);
        self.signed_in(player, &json);
    }

    pub(super) async fn refresh(&mut self) {
        if self.reference.sessions.is_empty() {
            return;
        }
        let now = self.now();
        // Mostly sessions that last, now and then one that has ended.
        let ended_too = self.percent(10);
        let live: Vec<usize> = (0..self.reference.sessions.len())
            .filter(|&s| ended_too || !self.reference.sessions[s].ended)
            .collect();
        if live.is_empty() {
            return;
        }
        let session = self.pick(&live);
        let tokens = self.reference.sessions[session].refresh.len();
        let at = if self.percent(75) {
            tokens - 1
        } else {
            tokens.saturating_sub(2)
        };
        let text_of = |driver: &Self, at: usize| {
            let token: &RefreshToken = &driver.reference.sessions[session].refresh[at];
            token.text.clone()
        };
        let body = json!({"refresh_token": text_of(self, at)});
        let (status, json) = self.call("POST", "/auth/refresh", None, Some(body)).await;
        let player = self.reference.sessions[session].player;
        if self.reference.sessions[session].ended {
            return self.refused(status, session);
        }
        let token = &self.reference.sessions[session].refresh[at];
        match token.replaced_at {
            Some(replaced) if now - replaced > REPEAT => {
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{json}");
                self.reference.sessions[session].ended = true;
                return;
            }
            Some(_) => {
                assert_eq!(status, StatusCode::OK, "{json}");
                assert_eq!(json["refresh_token"], text_of(self, at + 1), "{json}");
            }
            None if token.expires_at <= now => {
                return assert_eq!(status, StatusCode::UNAUTHORIZED, "{json}");
            }
            None => {
                assert_eq!(status, StatusCode::OK, "{json}");
                let session = &mut self.reference.sessions[session];
                session.refresh[at].replaced_at = Some(now);
                session.refresh.push(RefreshToken {
                    text: text(&json["refresh_token"]),
                    expires_at: now + REFRESH,
                    replaced_at: None,
                });
            }
        }
        assert_eq!(id(&json["player_id"]), self.reference.players[player].id);
        self.reference.sessions[session]
            .access
            .push((text(&json["access_token"]), now));
    }

    pub(super) async fn logout(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let (status, _) = self.call("POST", "/auth/logout", Some(&token), None).await;
        match player {
            None => self.refused(status, session),
            Some(_) => {
                assert_eq!(status, StatusCode::NO_CONTENT);
                self.reference.sessions[session].ended = true;
            }
        }
    }

    pub(super) async fn change_password(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let (current, new) = (self.password(), self.password());
        let body = json!({"current_password": current, "new_password": new});
        let (status, json) = self
            .call("POST", "/auth/password", Some(&token), Some(body))
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        if self.reference.players[player].password.as_ref() != Some(&current) {
            return assert_eq!(status, StatusCode::FORBIDDEN, "{json}");
        }
        assert_eq!(status, StatusCode::OK, "{json}");
        self.reference.players[player].password = Some(new);
        self.reference.end_sessions(player);
        self.signed_in(player, &json);
    }

    pub(super) async fn export(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let (status, json) = self
            .call("GET", "/account/export", Some(&token), None)
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        assert_eq!(status, StatusCode::OK, "{json}");
        let player = &self.reference.players[player];
        let whole = json.to_string();
        assert!(whole.contains(&player.id.to_string()), "{json}");
        assert!(whole.contains(&player.username), "{json}");
        if let Some(email) = &player.email {
            assert!(whole.contains(email), "{json}");
        }
        let played = self
            .reference
            .matches
            .iter()
            .filter(|m| m.players.contains(&player.id));
        for one in played {
            assert!(
                whole.contains(&one.id.to_string()),
                "{} is not in {json}",
                one.id
            );
        }
        for secret in ["password_hash", "argon2", "refresh_token"] {
            assert!(!whole.contains(secret), "{json}");
        }
    }

    pub(super) async fn delete(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let right = player.and_then(|p| self.reference.players[p].password.clone());
        let password = match &right {
            Some(right) if self.percent(70) => right.clone(),
            _ => self.password(),
        };
        let guest = player.is_some_and(|p| self.reference.players[p].guest);
        let body = if guest {
            json!({})
        } else {
            json!({"password": password})
        };
        let (status, json) = self
            .call("DELETE", "/account", Some(&token), Some(body))
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        if right.is_some() && right != Some(password) {
            return assert_eq!(status, StatusCode::FORBIDDEN, "{json}");
        }
        assert_eq!(status, StatusCode::NO_CONTENT, "{json}");
        self.reference.end_sessions(player);
        let erased = &mut self.reference.players[player];
        (erased.username, erased.erased) = (erased_name(erased.id), true);
        (erased.email, erased.password, erased.guest) = (None, None, false);
        // Its tickets are gone, and so are those who could ask for them.
        self.reference.cancel_queued(player);
    }

    pub(super) async fn ban(&mut self) {
        if self.reference.players.is_empty() {
            return;
        }
        let player = self.below(self.reference.players.len() as u64) as usize;
        let now = self.now();
        let minutes = self.below(600) as i64;
        let until = self
            .percent(70)
            .then(|| now + TimeDelta::minutes(minutes + 1));
        let ban = Ban {
            player_id: self.reference.players[player].id,
            reason: "spoiled the game for others".to_owned(),
            banned_at: now,
            until,
        };
        self.last = format!("{ban:?}");
        assert!(self.server.store.ban(ban).await.unwrap());
        self.reference.players[player].ban = Some(until);
        self.reference.end_sessions(player);
        self.reference.cancel_queued(player);
    }

    pub(super) async fn lift_ban(&mut self) {
        if self.reference.players.is_empty() {
            return;
        }
        let (player, now) = (
            self.below(self.reference.players.len() as u64) as usize,
            self.now(),
        );
        let id = self.reference.players[player].id;
        self.last = format!("lift the ban of {id}");
        let lifted = self.server.store.lift_ban(id, now).await.unwrap();
        assert_eq!(lifted, self.reference.is_banned(player, now));
        self.reference.players[player].ban = None;
    }
}
