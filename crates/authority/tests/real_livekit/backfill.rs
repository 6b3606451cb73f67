//! Free slots, substitutes, and players who come back.

use std::time::Duration;

use chrono::Utc;
use gs_authority::Patience;
use gs_protocol::ClientEvent;
use gs_protocol::wire::{self, server_event::Body};
use gs_store::{
    Accounts, Backfill, Ban, FillSlot, MatchStatus, Matches, NewSlot, Outcome, Presence,
    TicketStatus, Tickets,
};
use livekit_data::CloseReason;
use uuid::Uuid;

use crate::support::DEADLINE;
use crate::world::{Player, World, wait_until};
use crate::{game, support};

/// Short waits, for tests that wait them out.
const HASTE: Duration = Duration::from_secs(3);

impl World {
    /// A match of two players in three slots.
    async fn form_backfilled(&self) -> (Uuid, [Uuid; 2], String) {
        self.form_match_with(game::Game::NAME, |new| {
            new.capacity = 3;
            new.backfill = true;
        })
        .await
    }

    /// Waits until exactly these slots of a match are open.
    async fn wait_for_open(&self, id: Uuid, slots: &[u8]) {
        let open = async || {
            let openings = self.store.openings(game::Game::NAME).await.unwrap();
            let open = openings.iter().filter(|opening| opening.match_id == id);
            let mut open: Vec<u8> = open.map(|opening| opening.slot).collect();
            open.sort_unstable();
            open
        };
        wait_until("open slots", open, |open| open == slots).await;
    }

    /// Finds somebody for a slot, and waits until the room knows.
    async fn find_substitute(&self, id: Uuid, slot: u8) -> NewSlot {
        let found = self.queue(game::Game::NAME).await;
        let filled = self
            .store
            .fill_slot(id, slot, found.ticket_id, None, Utc::now());
        assert_eq!(filled.await.unwrap(), FillSlot::Filling);
        let ticket = async || self.store.newest_ticket(found.player_id).await.unwrap();
        let matched = |ticket: &Option<gs_store::Ticket>| {
            ticket.as_ref().map(|t| t.status) == Some(TicketStatus::Matched)
        };
        wait_until("a ticket that is matched", ticket, matched).await;
        found
    }

    async fn wait_for_players(&self, room: &str, players: &[Uuid]) {
        let mut expected = players.to_vec();
        expected.sort_unstable();
        let here = async || self.store.room_players(room).await.unwrap();
        wait_until("the room's players", here, |here| *here == expected).await;
    }
}

/// Waits until a player is told of a slot like this.
async fn told(player: &mut Player, slot: u32, like: impl Fn(&wire::Player) -> bool) {
    player
        .hear(|body| match body {
            Body::Player(wire::PlayerChanged { player: Some(p) }) => {
                (p.slot == slot && like(&p)).then_some(())
            }
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn substitutes_come_into_a_slot_that_was_free_and_one_that_was_left() {
    let world = World::new().await;
    let (authority, shutdown, run) = world.authority("one");
    let (id, players, room) = world.form_backfilled().await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    world.wait_for_open(id, &[2]).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    bob.started().await;

    // A slot that nobody was matched into.
    let cleo = world.find_substitute(id, 2).await.player_id;
    world.wait_for_open(id, &[]).await;
    told(&mut ada, 2, |p| {
        p.player_id == cleo.to_string() && p.presence() == wire::Presence::Expected
    })
    .await;
    let mut cleo_player = world.player(cleo, &room).await;
    let welcome = cleo_player.hello().await;
    assert_eq!(
        (welcome.slot, welcome.phase()),
        (Some(2), wire::Phase::Running)
    );
    told(&mut ada, 2, |p| p.presence() == wire::Presence::Present).await;
    assert!(cleo_player.update().await.tick > 0);
    world
        .wait_for_players(&room, &[players[0], players[1], cleo])
        .await;
    let live = world.store.live_match_of(cleo).await.unwrap().unwrap();
    assert_eq!((live.id, live.plays(cleo)), (id, Some(2)));

    // A slot that its player has left, who is thrown out once somebody else has it.
    bob.tell(&ClientEvent::Leave);
    world.wait_for_open(id, &[1]).await;
    let dave = world.find_substitute(id, 1).await.player_id;
    assert_eq!(
        support::wait_for_close(&mut bob.events).await,
        CloseReason::ParticipantRemoved
    );
    let mut dave_player = world.player(dave, &room).await;
    assert_eq!(dave_player.hello().await.slot, Some(1));
    told(&mut ada, 1, |p| {
        p.player_id == dave.to_string() && p.presence() == wire::Presence::Present
    })
    .await;
    world
        .wait_for_players(&room, &[players[0], cleo, dave])
        .await;
    let mut again = world.player(players[1], &room).await;
    assert_eq!(
        support::wait_for_close(&mut again.events).await,
        CloseReason::ParticipantRemoved
    );

    // Bans reach substitutes as well, and free their slots.
    let ban = Ban {
        player_id: dave,
        reason: "cheats".to_owned(),
        banned_at: Utc::now(),
        until: None,
    };
    assert!(world.store.ban(ban).await.unwrap());
    assert_eq!(
        support::wait_for_close(&mut dave_player.events).await,
        CloseReason::ParticipantRemoved
    );
    world.wait_for_open(id, &[1]).await;

    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    let ended = ada.stored().await;
    let slots: Vec<u32> = ended.slots.iter().map(|slot| slot.slot).collect();
    assert_eq!(slots, [0, 1, 2], "a result names slots");
    let ended = world
        .wait_for_match(id, |m| m.status == MatchStatus::Ended)
        .await;
    assert_eq!(
        (ended.outcome, ended.winner),
        (Some(Outcome::Finished), Some(players[0]))
    );
    assert!(ended.slots[1].result.is_some(), "it counts for who left");
    assert!(
        world
            .store
            .openings(game::Game::NAME)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(authority.totals().substitutes, 2);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_held_for_whoever_is_lost_and_open_after_that() {
    let world = World::new().await;
    let patience = Patience {
        hold: HASTE,
        ..Patience::default()
    };
    let (_authority, shutdown, run) = world.authority_with("one", patience);
    let (id, players, room) = world.form_backfilled().await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    world.wait_for_open(id, &[2]).await;
    let mut ada = world.player(players[0], &room).await;
    let mut bob = world.player(players[1], &room).await;
    ada.started().await;
    bob.started().await;

    // Back within the hold, in the same slot.
    bob.participant.close().await;
    told(&mut ada, 1, |p| {
        p.presence() == wire::Presence::Lost && !p.open
    })
    .await;
    let mut bob = world.player(players[1], &room).await;
    assert_eq!(bob.hello().await.slot, Some(1));
    told(&mut ada, 1, |p| p.presence() == wire::Presence::Present).await;
    world.wait_for_open(id, &[2]).await;

    // Away for longer, it is somebody else's to have.
    bob.participant.close().await;
    told(&mut ada, 1, |p| {
        p.presence() == wire::Presence::Gone && p.open
    })
    .await;
    world.wait_for_open(id, &[1, 2]).await;
    // One who was found and does not come is given up, too.
    let late = world.find_substitute(id, 1).await.player_id;
    world.wait_for_open(id, &[2]).await;
    world.wait_for_open(id, &[1, 2]).await;
    assert!(world.store.substitutes(id).await.unwrap().is_empty());
    assert!(world.store.live_match_of(late).await.unwrap().is_none());
    let cleo = world.find_substitute(id, 1).await.player_id;
    let mut cleo = world.player(cleo, &room).await;
    assert_eq!(cleo.hello().await.slot, Some(1));

    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    assert_eq!(ada.stored().await.outcome(), wire::Outcome::Finished);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_that_another_server_starts_has_the_substitutes_that_were_found_before() {
    let world = World::new().await;
    let (_first, shutdown, run) = world.authority("first");
    let (id, players, room) = world.form_backfilled().await;
    world.wait_for_match(id, |m| m.ready_at.is_some()).await;
    world.wait_for_open(id, &[2]).await;
    let cleo = world.find_substitute(id, 2).await.player_id;
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();

    let (_second, shutdown, run) = world.authority("second");
    world.wait_for_match(id, |m| m.epoch == 2).await;
    let mut ada = world.player_again(players[0], &room).await;
    let _bob = world.player(players[1], &room).await;
    let mut cleo = world.player(cleo, &room).await;
    ada.started().await;
    assert_eq!(cleo.hello().await.slot, Some(2));
    world.wait_for_open(id, &[]).await;
    ada.tell(&ClientEvent::Command(vec![0, game::FINISH]));
    let ended = ada.stored().await;
    assert_eq!(ended.slots.len(), 3);
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}
