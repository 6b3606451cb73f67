//! What tests do with a real LiveKit server.

use livekit_data::{CloseReason, Event, Events};
use std::sync::Arc;
use std::time::Duration;

/// How long a test waits for anything that has to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The next event for which `pick` gives something, within the deadline.
pub(crate) async fn wait_for<T>(
    events: &mut Events,
    mut pick: impl FnMut(&Event) -> Option<T>,
) -> T {
    let wait = async {
        loop {
            let event = events.next().await.expect("the events go on");
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("within the deadline")
}

pub(crate) async fn wait_for_join(events: &mut Events, identity: &str) -> Arc<str> {
    wait_for(events, |event| match event {
        Event::ParticipantJoined {
            identity: joined,
            sid,
            ..
        } if **joined == *identity => Some(sid.clone()),
        _ => None,
    })
    .await
}

pub(crate) async fn wait_for_close(events: &mut Events) -> CloseReason {
    wait_for(events, |event| match event {
        Event::Closed(reason) => Some(reason.clone()),
        _ => None,
    })
    .await
}
