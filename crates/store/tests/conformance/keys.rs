use gs_store::SigningKey;
use uuid::Uuid;

use crate::world::{SharedStore, at};

pub(crate) async fn the_first_signing_key_is_chosen_once(store: SharedStore) {
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.signing_keys(key(n, 0)).await.unwrap() })
        })
        .collect();
    let mut chosen = Vec::new();
    for task in tasks {
        chosen.push(task.await.unwrap());
    }
    assert_eq!(chosen[0].len(), 1);
    assert!(chosen.iter().all(|keys| *keys == chosen[0]));
    assert_eq!(chosen[0][0].secret.len(), 32);
}

pub(crate) async fn signing_keys_are_forgotten_some_time_after_their_successor_came(
    store: SharedStore,
) {
    let keys = [key(0, 0), key(1, 10), key(2, 20), key(3, 30)];
    let kept = async || store.signing_keys(key(9, 99)).await.unwrap();
    store.signing_keys(keys[0].clone()).await.unwrap();
    let rotate = async |n: usize, forget: i64| {
        let new = keys[n].clone();
        store.rotate_signing_key(new, at(forget)).await.unwrap();
    };
    rotate(1, 10).await;
    assert_eq!(kept().await, [keys[1].clone(), keys[0].clone()]);
    rotate(2, 11).await;
    assert_eq!(kept().await, [keys[2].clone(), keys[1].clone()]);
    // However late it is, the newest stays.
    rotate(3, 9999).await;
    assert_eq!(kept().await, [keys[3].clone()]);
}

pub(crate) async fn a_new_signing_key_is_the_newest_by_any_clock(store: SharedStore) {
    let first = key(0, 100);
    store.signing_keys(first.clone()).await.unwrap();
    for (n, made) in [(1, 50), (2, 100), (3, 0)] {
        let new = key(n, made);
        store.rotate_signing_key(new, at(0)).await.unwrap();
        let keys = store.signing_keys(key(9, 0)).await.unwrap();
        let ids: Vec<Uuid> = keys.iter().map(|key| key.id).collect();
        let newest_first: Vec<Uuid> = (0..=n).rev().map(|n| key(n, 0).id).collect();
        assert_eq!(ids, newest_first);
    }
}

fn key(n: u8, made: i64) -> SigningKey {
    SigningKey {
        id: Uuid::from_u128(0x1000 - u128::from(n)),
        secret: vec![n; 32],
        created_at: at(made),
    }
}
