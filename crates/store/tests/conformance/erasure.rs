use gs_store::{
    Ban, BoardRule, CreatePlayer, Enqueue, RegisterGuest, Registration, Rotate, Rotation,
    TicketStatus, erased_name,
};
use uuid::Uuid;

use crate::world::{
    SharedStore, at, board_becomes, counts_on, default_board, end, enqueue, new_player, new_ticket,
    play, players, running_match, session, solo,
};

pub(crate) async fn everything_held_of_a_player_is_told(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let result = solo(&[10, 5], 8, &[counts_on(BoardRule::Best)]);
    play(&*store, &ids, 1, result).await;
    let queued = enqueue(&*store, ids[0], 20).await;
    for (token, expires) in [(1, 90), (2, 80)] {
        let mut opened = session(ids[0], token);
        opened.expires_at = at(expires);
        store.open_session(opened).await.unwrap();
    }
    let rotation = Rotation {
        old_hash: [1; 32],
        new_hash: [3; 32],
        now: at(20),
        expires_at: at(120),
    };
    store.rotate_session(rotation).await.unwrap();

    let data = store.account_data(ids[0]).await.unwrap().unwrap();
    assert_eq!(Some(data.player), store.player(ids[0]).await.unwrap());
    assert_eq!(data.sessions, [at(80), at(120)]);
    assert_eq!(data.tickets.len(), 2);
    assert_eq!(
        (data.tickets[0].id, data.tickets[0].status),
        (queued, TicketStatus::Queued)
    );
    assert_eq!(data.tickets[1].status, TicketStatus::Matched);
    let statistics = store.statistics("arena", ids[0], at(0)).await.unwrap();
    let (mode, sums) = statistics[0].clone();
    assert_eq!(sums.matches, 1);
    assert_eq!(data.statistics, [("arena".to_owned(), mode, sums)]);
    assert_eq!(data.entries, [(default_board(), 10, at(8))]);
    assert_eq!(data.ban, None);
    assert_eq!(store.account_data(Uuid::now_v7()).await.unwrap(), None);
}

pub(crate) async fn an_erased_player_leaves_results_without_a_name(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let result = solo(&[10, 5], 8, &[counts_on(BoardRule::Best)]);
    let played = play(&*store, &ids, 1, result).await;
    let queued = enqueue(&*store, ids[0], 20).await;
    let opened = session(ids[0], 1);
    let family = opened.family;
    store.open_session(opened).await.unwrap();
    let ban = Ban {
        player_id: ids[0],
        reason: "cheated".to_owned(),
        banned_at: at(21),
        until: None,
    };
    let before = store.statistics("arena", ids[0], at(0)).await.unwrap();
    let match_before = store.match_by_id(played).await.unwrap().unwrap();
    assert!(store.erase_player(ids[0], at(30)).await.unwrap());
    assert!(!store.erase_player(ids[0], at(31)).await.unwrap());
    assert!(!store.erase_player(Uuid::now_v7(), at(31)).await.unwrap());

    let name = erased_name(ids[0]);
    let player = store.player(ids[0]).await.unwrap().unwrap();
    assert_eq!((player.username, player.email), (name.clone(), None));
    assert!(!player.guest);
    let entries = [(ids[0], 10, 8), (ids[1], 5, 8)];
    let page = board_becomes(&*store, &default_board(), &entries).await;
    assert_eq!(page.entries[0].username, name);
    assert_eq!(page.entries[1].username, "player-1");
    let mut expected = match_before;
    expected.slots[0].username.clone_from(&name);
    assert!(expected.slots[0].rating.take().is_some());
    assert_eq!(store.match_by_id(played).await.unwrap(), Some(expected));
    assert_eq!(
        store.statistics("arena", ids[0], at(0)).await.unwrap(),
        before
    );

    for (id, kept) in [(ids[0], 0), (ids[1], 1)] {
        let history = store.rating_history("arena", "default", id, None, 9).await;
        assert_eq!(history.unwrap().len(), kept);
    }

    assert_eq!(store.session(family, at(30)).await.unwrap(), None);
    assert_eq!(store.ticket(queued).await.unwrap(), None);
    assert_eq!(store.newest_ticket(ids[0]).await.unwrap(), None);
    assert!(store.queued_tickets("arena", 9).await.unwrap().is_empty());
    assert!(store.credentials(ids[0]).await.unwrap().is_none());
    for name in ["player-0", &name, &ids[0].to_string()] {
        let found = store.credentials_by_username(name).await.unwrap();
        assert!(found.is_none(), "{name}");
    }

    // A ban can come afterwards, and one that stands stays.
    assert!(store.ban(ban.clone()).await.unwrap());
    let standing = store.bans_of(&ids, at(40)).await.unwrap();
    assert_eq!(standing, std::slice::from_ref(&ban));
    let other = Ban {
        player_id: ids[1],
        ..ban
    };
    assert!(store.ban(other.clone()).await.unwrap());
    assert!(store.erase_player(ids[1], at(41)).await.unwrap());
    assert_eq!(store.bans_of(&ids[1..], at(42)).await.unwrap(), [other]);
}

pub(crate) async fn the_name_and_address_of_an_erased_player_are_free_again(store: SharedStore) {
    let mut ada = new_player("Ada");
    ada.email = Some("ada@example.org".to_owned());
    store.create_player(ada.clone()).await.unwrap();
    // Whoever takes the name that an erased player gets is in nobody's way.
    let squatter = new_player(&erased_name(ada.id));
    store.create_player(squatter).await.unwrap();
    assert!(store.erase_player(ada.id, at(1)).await.unwrap());

    let mut next = new_player("ADA");
    next.email = Some("Ada@example.org".to_owned());
    let created = store.create_player(next.clone()).await.unwrap();
    assert!(matches!(created, CreatePlayer::Created(_)), "{created:?}");
    let found = store.credentials_by_username("ada").await.unwrap().unwrap();
    assert_eq!(found.player_id, next.id);
    assert!(store.erase_player(next.id, at(2)).await.unwrap());
}

pub(crate) async fn an_erased_player_cannot_come_back(store: SharedStore) {
    let mut guest = new_player("guest-1");
    guest.password_hash = None;
    store.create_player(guest.clone()).await.unwrap();
    let opened = session(guest.id, 1);
    store.open_session(opened).await.unwrap();
    assert!(store.erase_player(guest.id, at(1)).await.unwrap());

    let registration = Registration {
        player_id: guest.id,
        username: "Ada".to_owned(),
        email: None,
        password_hash: "hash".to_owned(),
    };
    let refused = store.register_guest(registration).await.unwrap();
    assert_eq!(refused, RegisterGuest::NotAGuest);
    assert!(!store.change_password(guest.id, "new").await.unwrap());
    let rotation = Rotation {
        old_hash: [1; 32],
        new_hash: [2; 32],
        now: at(2),
        expires_at: at(100),
    };
    let rotated = store.rotate_session(rotation).await.unwrap();
    assert_eq!(rotated, Rotate::Unknown);
    // As when the password was checked just before.
    let opened = session(guest.id, 3);
    let family = opened.family;
    store.open_session(opened).await.unwrap();
    assert_eq!(store.session(family, at(2)).await.unwrap(), None);
}

pub(crate) async fn a_player_can_be_erased_during_a_match(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    assert!(store.erase_player(ids[0], at(4)).await.unwrap());
    let live = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(live.slots[0].player_id, ids[0]);
    let result = solo(&[10, 5], 8, &[counts_on(BoardRule::Sum)]);
    end(&*store, id, result).await;
    let entries = [(ids[0], 10, 8), (ids[1], 5, 8)];
    board_becomes(&*store, &default_board(), &entries).await;
    let again = store.enqueue(new_ticket(ids[1], 9)).await.unwrap();
    assert!(matches!(again, Enqueue::Queued(_)), "{again:?}");
}
