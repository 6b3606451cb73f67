//! What a participant may do, and what it says of itself, is changed while it is in the room.

use crate::support::*;
use livekit_api::services::room::UpdateParticipantOptions;
use livekit_data::{Channel, Event, Packet, SendError};
use livekit_protocol::ParticipantPermission;
use std::collections::HashMap;

fn publishing(allowed: bool) -> UpdateParticipantOptions {
    UpdateParticipantOptions {
        permission: Some(ParticipantPermission {
            can_subscribe: true,
            can_publish_data: allowed,
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn sending_is_refused_while_it_is_not_allowed() {
    let server = LiveKit::shared();
    let [mut alice, mut bob] = pair(&server, "permission").await;
    let packet = Packet {
        topic: "",
        payload: b"hush",
        channel: Channel::Reliable,
        destinations: &[],
    };
    for allowed in [false, true] {
        let rooms = server.rooms();
        let change = rooms.update_participant("permission", "alice", publishing(allowed));
        change.await.unwrap();
        let changed = wait_for(&mut alice.1, |event| match event {
            Event::PermissionsChanged(permissions) => Some(*permissions),
            _ => None,
        });
        assert_eq!(changed.await.can_publish_data, allowed);
        let expected = match allowed {
            true => Ok(()),
            false => Err(SendError::NotPermitted),
        };
        assert_eq!(alice.0.send(packet), expected);
    }
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn names_metadata_and_attributes_are_seen_by_others() {
    let server = LiveKit::shared();
    let [_alice, mut bob] = pair(&server, "metadata").await;
    let change = UpdateParticipantOptions {
        name: "Alice".into(),
        metadata: "{}".into(),
        attributes: HashMap::from([("team".into(), "red".into())]),
        permission: None,
    };
    let rooms = server.rooms();
    let changing = rooms.update_participant("metadata", "alice", change);
    changing.await.unwrap();
    // The server tells of each change by itself.
    wait_for(&mut bob.1, |event| match event {
        Event::ParticipantChanged { identity, info, .. } => {
            let team = info.attributes.get("team").map(String::as_str);
            let all = (&*info.name, &*info.metadata, team) == ("Alice", "{}", Some("red"));
            (**identity == *"alice" && all).then_some(())
        }
        _ => None,
    })
    .await;
}
