use chrono::TimeDelta;
use gs_store::{
    CreatePlayer, REPEAT_WINDOW, RegisterGuest, Registration, Rotate, Rotation, Session,
};
use uuid::Uuid;

use crate::world::{SharedStore, at, new_player, players, session};

pub(crate) async fn a_name_and_an_address_belong_to_one_player_in_any_case(store: SharedStore) {
    let mut ada = new_player("Ada");
    ada.email = Some("Ada@Example.org".to_owned());
    let CreatePlayer::Created(player) = store.create_player(ada.clone()).await.unwrap() else {
        panic!("Ada was refused");
    };
    assert_eq!(
        (player.id, player.username.as_str(), player.guest),
        (ada.id, "Ada", false)
    );
    assert_eq!(player.email.as_deref(), Some("Ada@Example.org"));
    assert_eq!(player.created_at, at(0));
    assert_eq!(store.player(ada.id).await.unwrap(), Some(player));

    let same_name = store.create_player(new_player("aDA")).await.unwrap();
    assert_eq!(same_name, CreatePlayer::UsernameTaken);
    let mut same_address = new_player("Bob");
    same_address.email = Some("ada@example.ORG".to_owned());
    assert_eq!(
        store.create_player(same_address).await.unwrap(),
        CreatePlayer::EmailTaken
    );

    let found = store.credentials_by_username("ADA").await.unwrap().unwrap();
    assert_eq!(found.player_id, ada.id);
    assert_eq!(Some(found.password_hash), ada.password_hash);
    assert!(
        store
            .credentials_by_username("Bob")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .credentials_by_username("no such name?")
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.create_player(new_player("a b")).await.is_err());
}

pub(crate) async fn a_guest_registers_once_and_keeps_the_id(store: SharedStore) {
    let mut guest = new_player("guest-1");
    guest.password_hash = None;
    let created = store.create_player(guest.clone()).await.unwrap();
    assert!(matches!(created, CreatePlayer::Created(p) if p.guest));
    assert!(store.credentials(guest.id).await.unwrap().is_none());
    assert!(
        store
            .credentials_by_username("guest-1")
            .await
            .unwrap()
            .is_none()
    );
    players(&*store, 1).await;

    let registration = |username: &str| Registration {
        player_id: guest.id,
        username: username.to_owned(),
        email: Some("g@example.org".to_owned()),
        password_hash: "hash".to_owned(),
    };
    let taken = store
        .register_guest(registration("Player-0"))
        .await
        .unwrap();
    assert_eq!(taken, RegisterGuest::UsernameTaken);
    let registered = store.register_guest(registration("GUEST-1")).await.unwrap();
    let RegisterGuest::Registered(player) = registered else {
        panic!("{registered:?}")
    };
    assert_eq!(
        (player.id, player.username.as_str(), player.guest),
        (guest.id, "GUEST-1", false)
    );
    assert_eq!(
        store
            .credentials(guest.id)
            .await
            .unwrap()
            .unwrap()
            .password_hash,
        "hash"
    );

    let again = store.register_guest(registration("other")).await.unwrap();
    assert_eq!(again, RegisterGuest::NotAGuest);
    let unknown = Registration {
        player_id: Uuid::now_v7(),
        ..registration("other")
    };
    assert_eq!(
        store.register_guest(unknown).await.unwrap(),
        RegisterGuest::NotAGuest
    );
}

pub(crate) async fn a_changed_password_ends_the_sessions(store: SharedStore) {
    let player = players(&*store, 1).await[0];
    store.open_session(session(player, 1)).await.unwrap();
    assert!(store.change_password(player, "new").await.unwrap());
    assert_eq!(
        store
            .credentials(player)
            .await
            .unwrap()
            .unwrap()
            .password_hash,
        "new"
    );
    assert_eq!(
        store.rotate_session(rotation(1, 2, 0)).await.unwrap(),
        Rotate::Unknown
    );
    assert!(!store.change_password(Uuid::now_v7(), "new").await.unwrap());
}

pub(crate) async fn a_refresh_token_works_once_and_repeats_for_ten_seconds(store: SharedStore) {
    let player_id = players(&*store, 1).await[0];
    let opened = session(player_id, 1);
    let family = opened.family;
    store.open_session(opened).await.unwrap();

    let first = store.rotate_session(rotation(1, 2, 5)).await.unwrap();
    assert_eq!(first, Rotate::Rotated { player_id, family });
    let within = 5 + REPEAT_WINDOW.as_secs() as i64;
    let repeat = store.rotate_session(rotation(1, 2, within)).await.unwrap();
    assert_eq!(repeat, Rotate::Repeated { player_id, family });
    let next = store.rotate_session(rotation(2, 3, within)).await.unwrap();
    assert_eq!(next, Rotate::Rotated { player_id, family });
    assert_eq!(
        store.rotate_session(rotation(9, 10, 5)).await.unwrap(),
        Rotate::Unknown
    );

    store.end_session(family).await.unwrap();
    assert_eq!(
        store.rotate_session(rotation(3, 4, within)).await.unwrap(),
        Rotate::Unknown
    );
}

pub(crate) async fn a_reused_refresh_token_ends_its_family(store: SharedStore) {
    let player_id = players(&*store, 1).await[0];
    store.open_session(session(player_id, 1)).await.unwrap();
    store.open_session(session(player_id, 101)).await.unwrap();
    store.rotate_session(rotation(1, 2, 0)).await.unwrap();

    let late = REPEAT_WINDOW.as_secs() as i64 + 1;
    let reused = store.rotate_session(rotation(1, 2, late)).await.unwrap();
    assert_eq!(reused, Rotate::Reused { player_id });
    assert_eq!(
        store.rotate_session(rotation(2, 3, late)).await.unwrap(),
        Rotate::Unknown
    );
    let other = store
        .rotate_session(rotation(101, 102, late))
        .await
        .unwrap();
    assert!(matches!(other, Rotate::Rotated { .. }), "{other:?}");
    store.end_sessions(player_id).await.unwrap();
    assert_eq!(
        store
            .rotate_session(rotation(102, 103, late))
            .await
            .unwrap(),
        Rotate::Unknown
    );
}

pub(crate) async fn expired_refresh_tokens_are_refused_and_forgotten(store: SharedStore) {
    let player_id = players(&*store, 1).await[0];
    store.open_session(session(player_id, 1)).await.unwrap();
    assert_eq!(
        store.rotate_session(rotation(1, 2, 100)).await.unwrap(),
        Rotate::Expired
    );
    assert_eq!(store.forget_expired_sessions(at(100)).await.unwrap(), 0);
    assert_eq!(store.forget_expired_sessions(at(101)).await.unwrap(), 1);
    assert_eq!(
        store.rotate_session(rotation(1, 2, 101)).await.unwrap(),
        Rotate::Unknown
    );
}

pub(crate) async fn a_player_has_a_bounded_number_of_sessions(store: SharedStore) {
    let player_id = players(&*store, 1).await[0];
    for n in 0..40 {
        let mut opened = session(player_id, n);
        opened.expires_at += TimeDelta::seconds(i64::from(n));
        store.open_session(opened).await.unwrap();
    }
    let first = store.rotate_session(rotation(0, 200, 1)).await.unwrap();
    assert_eq!(first, Rotate::Unknown);
    let last = store.rotate_session(rotation(39, 201, 1)).await.unwrap();
    assert!(matches!(last, Rotate::Rotated { .. }), "{last:?}");
}

pub(crate) async fn a_secret_is_chosen_once(store: SharedStore) {
    assert_eq!(store.secret("a", b"one").await.unwrap(), b"one");
    assert_eq!(store.secret("a", b"two").await.unwrap(), b"one");
    assert_eq!(store.secret("b", b"two").await.unwrap(), b"two");
}

pub(crate) async fn concurrent_registrations_of_a_name_make_one_player(store: SharedStore) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.create_player(new_player("Ada")).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(matches!(task.await.unwrap(), CreatePlayer::Created(_)));
    }
    assert_eq!(created, 1);
}

pub(crate) async fn names_that_look_alike_are_one(store: SharedStore) {
    for name in ["Bill", "modern", "0liver", "a_b-c"] {
        let created = store.create_player(new_player(name)).await.unwrap();
        assert!(matches!(created, CreatePlayer::Created(_)), "{name}");
    }
    for name in ["BiII", "b1ll", "BILL", "rnodern", "Oliver", "ol1ver"] {
        let created = store.create_player(new_player(name)).await.unwrap();
        assert_eq!(created, CreatePlayer::UsernameTaken, "{name}");
        // Who signs in must write the name itself.
        if !name.eq_ignore_ascii_case("bill") {
            let found = store.credentials_by_username(name).await.unwrap();
            assert!(found.is_none(), "{name}");
        }
    }

    let mut guest = new_player("guest-1");
    guest.password_hash = None;
    store.create_player(guest.clone()).await.unwrap();
    let registration = |username: &str| Registration {
        player_id: guest.id,
        username: username.to_owned(),
        email: None,
        password_hash: "hash".to_owned(),
    };
    let taken = store.register_guest(registration("B1ll")).await.unwrap();
    assert_eq!(taken, RegisterGuest::UsernameTaken);
    // One's own name is in nobody's way.
    let kept = store.register_guest(registration("guest-l")).await.unwrap();
    assert!(matches!(kept, RegisterGuest::Registered(_)), "{kept:?}");
}

pub(crate) async fn a_session_lasts_until_it_ends_or_runs_out(store: SharedStore) {
    let player_id = players(&*store, 1).await[0];
    let opened = session(player_id, 1);
    let family = opened.family;
    store.open_session(opened).await.unwrap();
    let live = Session {
        player_id,
        ban: None,
    };
    let seen = store.session(family, at(99)).await.unwrap();
    assert_eq!(seen, Some(live.clone()));
    assert_eq!(store.session(family, at(100)).await.unwrap(), None);
    assert_eq!(store.session(Uuid::now_v7(), at(0)).await.unwrap(), None);

    // The newest token counts, and the replaced one does not end it.
    store.rotate_session(rotation(1, 2, 50)).await.unwrap();
    let seen = store.session(family, at(149)).await.unwrap();
    assert_eq!(seen, Some(live));
    assert_eq!(store.session(family, at(150)).await.unwrap(), None);
    store.forget_expired_sessions(at(101)).await.unwrap();
    assert!(store.session(family, at(149)).await.unwrap().is_some());

    store.end_session(family).await.unwrap();
    assert_eq!(store.session(family, at(60)).await.unwrap(), None);
    let opened = session(player_id, 3);
    let family = opened.family;
    store.open_session(opened).await.unwrap();
    assert!(store.change_password(player_id, "new").await.unwrap());
    assert_eq!(store.session(family, at(60)).await.unwrap(), None);
}

fn rotation(old: u8, new: u8, seconds: i64) -> Rotation {
    let expires_at = at(seconds + 100);
    Rotation {
        old_hash: [old; 32],
        new_hash: [new; 32],
        now: at(seconds),
        expires_at,
    }
}
