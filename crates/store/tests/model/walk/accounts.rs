use std::time::Duration;

use gs_store::{
    AccountData, Ban, CreatePlayer, NewPlayer, NewSession, Registration, Rotate, Rotation,
    SecretHash,
};
use uuid::Uuid;

use super::{Walk, boards, same_tickets};

impl Walk {
    pub(super) async fn account_call(&mut self) {
        if self.model.accounts.len() < 10 {
            return self.create_player().await;
        }
        match self.dice.below(40) {
            0..5 => self.create_player().await,
            5..10 => self.register_guest().await,
            10..12 => self.change_password().await,
            12..20 => self.open_session().await,
            20..30 => self.rotate_session().await,
            30..32 => self.end_sessions().await,
            32..36 => self.ask_for_a_session().await,
            36 => self.ban().await,
            37..39 => self.lift_ban().await,
            _ => self.erase_player().await,
        }
    }

    async fn create_player(&mut self) {
        let new = NewPlayer {
            id: self.dice.id(),
            username: self.username(),
            email: self.email(),
            password_hash: self
                .dice
                .percent(70)
                .then(|| format!("hash-{}", self.counter)),
            created_at: self.now,
        };
        let guest = new.password_hash.is_none();
        self.note(format!(
            "create {} {} {:?} guest {guest}",
            new.id, new.username, new.email
        ));
        let created = self.store.create_player(new.clone()).await.unwrap();
        assert_eq!(created, self.model.create_player(&new));
        if matches!(created, CreatePlayer::Created(_)) {
            self.happened("create");
        }
    }

    async fn register_guest(&mut self) {
        let guests = self.model.accounts.values().filter(|a| a.player.guest);
        let guests: Vec<Uuid> = guests.map(|a| a.player.id).collect();
        let player_id = match self.dice.pick(&guests) {
            Some(guest) if self.dice.percent(80) => *guest,
            _ => self.some_player(),
        };
        let username = match self.model.player(player_id) {
            Some(player) if self.dice.percent(30) => player.username,
            _ => self.username(),
        };
        let registration = Registration {
            player_id,
            username,
            email: self.email(),
            password_hash: format!("hash-{}", self.next()),
        };
        self.note(format!(
            "register {player_id} as {} {:?}",
            registration.username, registration.email
        ));
        let registered = self.store.register_guest(registration.clone()).await;
        assert_eq!(
            registered.unwrap(),
            self.model.register_guest(&registration)
        );
    }

    async fn change_password(&mut self) {
        let (player, hash) = (self.some_player(), format!("hash-{}", self.next()));
        self.note(format!("change password of {player}"));
        let changed = self.store.change_password(player, &hash).await.unwrap();
        assert_eq!(changed, self.model.change_password(player, &hash));
    }

    async fn open_session(&mut self) {
        let player_id = self.known_player();
        let own = self.model.tokens.values();
        if own.filter(|t| t.player_id == player_id).count() >= MOST_TOKENS
            || !self.model.accounts.contains_key(&player_id)
        {
            return;
        }
        let session = NewSession {
            family: self.dice.id(),
            player_id,
            token_hash: token(self.next(), 0),
            expires_at: self.now + self.lifetime(),
        };
        self.note(format!("open session {} of {player_id}", session.family));
        self.families.push(session.family);
        self.tokens.push(session.token_hash);
        self.store.open_session(session.clone()).await.unwrap();
        self.model.open_session(&session);
    }

    async fn rotate_session(&mut self) {
        // Mostly one of the newest, which may still work.
        let newest = self.tokens.len().saturating_sub(8);
        let from = if self.dice.percent(80) { newest } else { 0 };
        let Some(old_hash) = self.dice.pick(&self.tokens[from..]).copied() else {
            return;
        };
        let rotation = Rotation {
            old_hash,
            new_hash: successor(old_hash),
            now: self.now,
            expires_at: self.now + self.lifetime(),
        };
        self.note(format!("rotate {:?}", &old_hash[..9]));
        let rotated = self.store.rotate_session(rotation.clone()).await.unwrap();
        assert_eq!(rotated, self.model.rotate_session(&rotation));
        if matches!(rotated, Rotate::Rotated { .. }) {
            self.tokens.push(rotation.new_hash);
        }
    }

    async fn end_sessions(&mut self) {
        match self.dice.below(3) {
            0 => {
                let Some(family) = self.dice.pick(&self.families).copied() else {
                    return;
                };
                self.note(format!("end session {family}"));
                self.store.end_session(family).await.unwrap();
                self.model.end_session(family);
            }
            1 => {
                let player = self.some_player();
                self.note(format!("end sessions of {player}"));
                self.store.end_sessions(player).await.unwrap();
                self.model.end_sessions(player);
            }
            _ => {
                self.note("forget expired sessions".to_owned());
                let forgotten = self.store.forget_expired_sessions(self.now).await;
                let expected = self.model.forget_expired_sessions(self.now);
                assert_eq!(forgotten.unwrap(), expected);
            }
        }
    }

    async fn ask_for_a_session(&mut self) {
        let Some(family) = self.dice.pick(&self.families).copied() else {
            return;
        };
        self.note(format!("session {family}"));
        let session = self.store.session(family, self.now).await.unwrap();
        assert_eq!(session, self.model.session(family, self.now));
    }

    async fn ban(&mut self) {
        let ban = Ban {
            player_id: self.some_player(),
            reason: format!("reason {}", self.next()),
            banned_at: self.now,
            until: self.dice.percent(70).then(|| self.now + self.lifetime()),
        };
        self.note(format!("ban {} until {:?}", ban.player_id, ban.until));
        let banned = self.store.ban(ban.clone()).await.unwrap();
        assert_eq!(banned, self.model.ban(&ban));
        if banned {
            self.happened("ban");
        }
    }

    async fn lift_ban(&mut self) {
        let banned: Vec<Uuid> = self.model.bans.keys().copied().collect();
        let player = match self.dice.pick(&banned) {
            Some(player) if self.dice.percent(80) => *player,
            _ => self.some_player(),
        };
        self.note(format!("lift ban of {player}"));
        let lifted = self.store.lift_ban(player, self.now).await.unwrap();
        assert_eq!(lifted, self.model.lift_ban(player, self.now));
    }

    async fn erase_player(&mut self) {
        let player = self.some_player();
        self.note(format!("erase {player}"));
        let erased = self.store.erase_player(player, self.now).await.unwrap();
        assert_eq!(erased, self.model.erase_player(player, self.now));
        if erased {
            self.happened("erase");
        }
    }

    pub(super) async fn check_accounts(&mut self) {
        let ids: Vec<Uuid> = self.model.accounts.keys().copied().collect();
        for &id in &ids {
            let player = self.store.player(id).await.unwrap();
            assert_eq!(player, self.model.player(id));
            let credentials = self.store.credentials(id).await.unwrap();
            let expected = &self.model.accounts[&id].password_hash;
            let hash = credentials.map(|credentials| credentials.password_hash);
            assert_eq!(hash, *expected, "password of {id}");
            let data = self.store.account_data(id).await.unwrap().unwrap();
            same_data(data, self.model.account_data(id).unwrap());
        }
        for name in NAMES {
            let found = self.store.credentials_by_username(name).await.unwrap();
            let found = found.map(|found| (found.player_id, found.password_hash));
            assert_eq!(found, self.model.credentials_by_username(name), "{name}");
        }
        let standing = ids.iter().filter_map(|id| self.model.ban_of(*id, self.now));
        let standing: Vec<Ban> = standing.collect();
        let mut bans = self.store.bans_of(&ids, self.now).await.unwrap();
        bans.sort_by_key(|ban| ban.player_id);
        assert_eq!(bans, standing);
        let mut paged: Vec<Ban> = Vec::new();
        loop {
            let after = paged.last().map(|ban| ban.player_id);
            let page = self.store.bans(after, 2, self.now).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, standing);
    }

    fn username(&mut self) -> String {
        match self.dice.pick(&NAMES) {
            Some(name) if self.dice.percent(60) => (*name).to_owned(),
            _ => format!("player-{}", self.next()),
        }
    }

    fn email(&mut self) -> Option<String> {
        let email = self.dice.pick(&EMAILS).map(|email| (*email).to_owned());
        email.filter(|_| self.dice.percent(30))
    }

    fn lifetime(&mut self) -> Duration {
        let most = *self.dice.pick(&[10, 1000, 200_000]).unwrap();
        Duration::from_secs(self.dice.between(1, most) as u64)
    }
}

fn same_data(mut data: AccountData, mut expected: AccountData) {
    let id = expected.player.id;
    let tickets = std::mem::take(&mut data.tickets);
    let expected_tickets = std::mem::take(&mut expected.tickets);
    same_tickets(tickets, expected_tickets, &format!("tickets of {id}"));
    assert_eq!(data.statistics.len(), expected.statistics.len());
    for ((_, _, sums), (_, _, wanted)) in data.statistics.iter_mut().zip(&expected.statistics) {
        boards::same_rating(&mut sums.rating, wanted.rating);
    }
    assert_eq!(data, expected);
}

/// A token's hash: its family's number and how many came before it.
fn token(number: u64, generation: u8) -> SecretHash {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    hash[8] = generation;
    hash
}

fn successor(mut hash: SecretHash) -> SecretHash {
    hash[8] = hash[8].wrapping_add(1);
    hash
}

/// Some are taken, some look alike.
const NAMES: [&str; 12] = [
    "Ada", "aDA", "Bill", "BiII", "b1ll", "modern", "rnodern", "Oliver", "0liver", "zoe", "z0e",
    "Max-1",
];
const EMAILS: [&str; 4] = ["a@example.org", "A@Example.org", "b@example.org", "c@x.y"];
/// So few that the store's own bound of sessions is out of reach.
const MOST_TOKENS: usize = 12;
