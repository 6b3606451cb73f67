use uuid::Uuid;

use crate::world::{SharedStore, players};

/// Presence is kept for a while by the store's own clock, so scenarios use the real one.
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

pub(crate) async fn whoever_was_seen_is_there(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let online = async |ids: &[Uuid]| store.online(ids, now()).await.unwrap();
    assert_eq!(online(&ids).await, [false; 3]);
    assert!(online(&[]).await.is_empty());
    store.players_seen(&[], now()).await.unwrap();
    store.players_seen(&[ids[2], ids[0]], now()).await.unwrap();
    assert_eq!(online(&ids).await, [true, false, true]);
    assert_eq!(
        online(&[ids[1], ids[2], ids[1], Uuid::now_v7()]).await,
        [false, true, false, false]
    );
    store.players_seen(&ids, now()).await.unwrap();
    assert_eq!(online(&ids).await, [true; 3]);
}

pub(crate) async fn a_room_knows_who_is_in_it(store: SharedStore) {
    let mut ids = players(&*store, 3).await;
    ids.sort();
    let within = async |room: &str| store.room_players(room).await.unwrap();
    assert!(within("arena-1").await.is_empty());
    for n in [2, 0, 2] {
        store.room_joined("arena-1", ids[n]).await.unwrap();
    }
    store.room_joined("arena-2", ids[1]).await.unwrap();
    assert_eq!(within("arena-1").await, [ids[0], ids[2]]);
    // Leaving twice, or without having come, as events that come late or again say.
    for n in [0, 0, 1] {
        store.room_left("arena-1", ids[n]).await.unwrap();
    }
    assert_eq!(within("arena-1").await, [ids[2]]);
    store.room_closed("arena-1").await.unwrap();
    store.room_closed("arena-1").await.unwrap();
    assert!(within("arena-1").await.is_empty());
    assert_eq!(within("arena-2").await, [ids[1]]);
    store.room_left("arena-2", ids[1]).await.unwrap();
    assert!(within("arena-2").await.is_empty());
}

pub(crate) async fn an_event_is_delivered_for_the_first_time_once(store: SharedStore) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.first_delivery("EV_1", now()).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for task in tasks {
        first += usize::from(task.await.unwrap());
    }
    assert_eq!(first, 1);
    assert!(store.first_delivery("EV_2", now()).await.unwrap());
    assert!(!store.first_delivery("EV_2", now()).await.unwrap());
    assert!(store.first_delivery("EV_\u{e9} \n", now()).await.unwrap());
}
