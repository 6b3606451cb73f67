//! Players who are banned while they play.

use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use super::Authority;
use crate::driver::Command;

impl Authority {
    /// Asks again and again which of the players of running rooms are banned, all with one call,
    /// and has those removed. A store that cannot be reached stops nobody.
    pub(super) async fn enforce_bans(&self) {
        let mut fails = false;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let players = self.unbanned_players();
            if players.is_empty() {
                continue;
            }
            match self.store.bans_of(&players, Utc::now()).await {
                Ok(bans) => {
                    fails = false;
                    bans.iter().for_each(|ban| self.ban(ban.player_id));
                }
                Err(error) if !fails => {
                    fails = true;
                    tracing::warn!(%error, "bans cannot be looked up; trying on");
                }
                Err(_) => {}
            }
        }
    }

    /// Those that no room was told of yet.
    fn unbanned_players(&self) -> Vec<Uuid> {
        let running = self.running();
        let mut players: Vec<Uuid> = running
            .rooms
            .values()
            .flat_map(|room| room.players.iter().filter(|p| !room.banned.contains(p)))
            .copied()
            .collect();
        players.sort_unstable();
        players.dedup();
        players
    }

    fn ban(&self, player: Uuid) {
        for room in self.running().rooms.values_mut() {
            if room.players.contains(&player) && room.banned.insert(player) {
                tracing::info!(player.id = %player, room.id = room.room, "a player is banned");
                // A room that is gone removes nobody any more.
                let _ = room.commands.send(Command::Ban(player.to_string()));
            }
        }
    }
}

/// How often bans are looked up: one call, for at most 64 players a room.
const INTERVAL: Duration = Duration::from_secs(2);
