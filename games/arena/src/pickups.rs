//! Things to collect.

use game_sdk::prelude::*;

use crate::Arena;
use crate::map::{HEALTH, PICKUPS, RAPID_FIRE};
use crate::motion::PLAYER_RADIUS;
use crate::players::{FULL_HEALTH, Player, RAPID};
use crate::schema::{Event, Thing};
use crate::vector::Vector;

/// A place where something to collect appears again and again.
#[derive(State, Clone, Debug, PartialEq)]
pub(crate) struct Pickup {
    at: Vector,
    what: u8,
    /// Ticks until it is there.
    absent: u16,
}

/// All of them, there from the start.
pub(crate) fn all() -> Vec<Pickup> {
    PICKUPS
        .iter()
        .map(|(at, what)| Pickup {
            at: *at,
            what: *what,
            absent: 0,
        })
        .collect()
}

impl Pickup {
    pub(crate) fn is_there(&self) -> bool {
        self.absent == 0
    }

    pub(crate) fn show(&mut self) {
        self.absent = 0;
    }

    pub(crate) fn hide(&mut self) {
        self.absent = RETURN;
    }

    pub(crate) fn thing(&self) -> Thing {
        Thing::Pickup {
            x: self.at.x,
            y: self.at.y,
            what: self.what,
        }
    }

    fn is_of_use_to(&self, player: &Player) -> bool {
        self.what != HEALTH || player.health < FULL_HEALTH
    }
}

impl Arena {
    pub(crate) fn collect_pickups(&mut self, out: &mut Effects<Event>) {
        for pickup in &mut self.pickups {
            if !pickup.is_there() {
                pickup.absent -= 1;
                continue;
            }
            let taker = self.players.iter_mut().find(|player| {
                player.is_in_play()
                    && pickup.is_of_use_to(player)
                    && (player.at - pickup.at).length() <= PLAYER_RADIUS + RADIUS
            });
            let Some(player) = taker else {
                continue;
            };
            if pickup.what == RAPID_FIRE {
                player.rapid = RAPID;
            } else {
                player.health = (player.health + HEALING).min(FULL_HEALTH);
            }
            out.send(Event::Picked {
                slot: player.slot,
                what: pickup.what,
            });
            pickup.hide();
        }
    }
}

/// Half of a pickup's width.
const RADIUS: f32 = 0.5;
/// Health that a pickup gives back.
const HEALING: u8 = 50;
/// 12 s until it is there again.
const RETURN: u16 = Arena::TICK_RATE as u16 * 12;
