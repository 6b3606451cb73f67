//! Data tracks on a real server that has them switched on.

use crate::support::{DEADLINE, KEY, LiveKit, LiveKitOptions, Rooms, SECRET, grants, wait_for};
use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_api::services::room::UpdateParticipantOptions;
use livekit_data::{
    ConnectOptions, DataTracks, Event, Events, Frame, FrameError, LocalTrack, MAX_FRAME,
    Participant, PeerConnections, PublishError, TrackEvent,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_any_length_arrive_whole_and_in_order_until_the_track_ends() {
    let server = server();
    let (alice, mut alice_events) = join(&server, "frames", "alice").await;
    let (bob, mut bob_events) = join(&server, "frames", "bob").await;
    // Before there is such a track.
    bob.subscribe_track("alice", "state").await;
    let track = publish(&alice, &mut alice_events, "state").await;
    let published = wait_for_track(&mut bob_events, |event| match event {
        TrackEvent::Published(track) => Some(track.clone()),
        _ => None,
    })
    .await;
    assert_eq!(&*published.publisher, "alice");
    assert_eq!(&*published.name, "state");
    subscribed(&mut bob_events).await;

    let lens = [1, 200, 1_132, 1_133, 5_000, 20_000];
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / 60);
    let sender = async {
        for number in 0..FRAMES {
            ticks.tick().await;
            let len = lens[number as usize % lens.len()];
            alice
                .send_frame(track, vec![number as u8; len], Some(number))
                .unwrap();
        }
        alice_events
    };
    let receiver = async {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&(FRAMES - 1)) {
            let frame = frame(&mut bob_events).await;
            let number = frame.user_timestamp.unwrap();
            let len = lens[number as usize % lens.len()];
            assert_eq!(frame.payload, vec![number as u8; len]);
            assert_eq!(frame.track.name, published.name);
            numbers.push(number);
        }
        numbers
    };
    let (mut alice_events, numbers) = tokio::join!(sender, receiver);
    assert!(numbers.is_sorted());
    // Counters are published a moment after what they count.
    let received = numbers.len() as u64;
    until(|| bob.stats().tracks.received == received).await;
    until(|| alice.stats().tracks.sent + alice.stats().tracks.dropped_sending == FRAMES).await;
    // A machine that is busy for a second drops datagrams, and may even have to join again.
    assert!(received >= FRAMES / 2, "{:?}", bob.stats());
    assert!(received + bob.stats().tracks.missed <= FRAMES);

    let longest = vec![7; MAX_FRAME];
    while {
        alice.send_frame(track, longest.clone(), None).unwrap();
        let next = tokio::time::timeout(Duration::from_millis(200), frame(&mut bob_events)).await;
        next.map(|frame| frame.payload) != Ok(longest.clone().into())
    } {}
    let too_long = alice.send_frame(track, vec![7; MAX_FRAME + 1], None);
    assert_eq!(
        too_long,
        Err(FrameError::TooLarge {
            len: MAX_FRAME + 1,
            max: MAX_FRAME
        })
    );

    alice.unpublish_track(track).await;
    wait_for_track(&mut alice_events, |event| match event {
        TrackEvent::Ended {
            track: ended,
            error,
            ..
        } => {
            assert_eq!((*ended, error), (track, &None));
            Some(())
        }
        _ => None,
    })
    .await;
    wait_for_track(&mut bob_events, |event| match event {
        TrackEvent::Unpublished(track) => {
            assert_eq!(track.name, published.name);
            Some(())
        }
        _ => None,
    })
    .await;
    // The wish goes on for the next track of this name.
    let track = publish(&alice, &mut alice_events, "state").await;
    subscribed(&mut bob_events).await;
    alice.send_frame(track, "again", None).unwrap();
    assert_eq!(frame(&mut bob_events).await.payload, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subscriber_gets_the_tracks_that_it_asked_for() {
    let server = server();
    let (alice, mut alice_events) = join(&server, "several", "alice").await;
    let (bob, mut bob_events) = join(&server, "several", "bob").await;
    // With two peer connections the frames come over the other one.
    let mut options = server.options("several", "carol");
    options.connection.data_tracks = DataTracks::On;
    options.connection.peer_connections = PeerConnections::Two;
    let (carol, mut carol_events) = Participant::connect(options).await.expect("joins");
    carol.publish_track("c").await.expect("is accepted");
    let (a, b) = (
        publish(&alice, &mut alice_events, "a").await,
        publish(&alice, &mut alice_events, "b").await,
    );
    let c = publish(&bob, &mut bob_events, "a").await;
    bob.subscribe_track("alice", "a").await;
    carol.subscribe_track("alice", "b").await;
    carol.subscribe_track("bob", "a").await;
    subscribed(&mut bob_events).await;
    subscribed(&mut carol_events).await;
    subscribed(&mut carol_events).await;
    alice.send_frame(a, "alice a", None).unwrap();
    alice.send_frame(b, "alice b", None).unwrap();
    assert_eq!(frame(&mut bob_events).await.payload, "alice a");
    assert_eq!(frame(&mut carol_events).await.payload, "alice b");
    bob.send_frame(c, "bob a", None).unwrap();
    let received = frame(&mut carol_events).await;
    assert_eq!(received.payload, "bob a");
    assert_eq!(&*received.track.publisher, "bob");

    carol.unsubscribe_track("alice", "b").await;
    // The server takes a moment, and what it still sends is not delivered.
    alice.send_frame(b, "unheard", None).unwrap();
    alice.send_frame(a, "heard", None).unwrap();
    bob.send_frame(c, "heard", None).unwrap();
    assert_eq!(frame(&mut bob_events).await.payload, "heard");
    assert_eq!(frame(&mut carol_events).await.payload, "heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_published_is_a_typed_error() {
    let server = server();
    let (alice, mut alice_events) = join(&server, "refused", "alice").await;
    for len in [0, 257] {
        let refused = alice.publish_track(&"x".repeat(len)).await;
        assert_eq!(refused, Err(PublishError::Name { len }));
    }
    let track = publish(&alice, &mut alice_events, "a").await;
    let again = alice.publish_track("a").await;
    assert_eq!(again, Err(PublishError::DuplicateName));

    // The server's API takes the permission away: the track ends, and no other is accepted.
    let permission = livekit_protocol::ParticipantPermission {
        can_subscribe: true,
        ..Default::default()
    };
    let update = UpdateParticipantOptions {
        permission: Some(permission),
        ..Default::default()
    };
    let rooms = server.rooms();
    rooms
        .update_participant("refused", "alice", update)
        .await
        .unwrap();
    let error = wait_for_track(&mut alice_events, |event| match event {
        TrackEvent::Ended {
            track: ended,
            error,
            ..
        } if *ended == track => Some(error.clone()),
        _ => None,
    })
    .await;
    assert_eq!(error, Some(PublishError::NotPermitted));
    let refused = alice.publish_track("a").await;
    assert_eq!(refused, Err(PublishError::NotPermitted));

    let grants = VideoGrants {
        can_publish_data: Some(false),
        ..grants("refused")
    };
    let token = AccessToken::with_api_key(KEY, SECRET)
        .with_identity("mute")
        .with_grants(grants)
        .to_jwt()
        .unwrap();
    let mut options = ConnectOptions::new(server.url(), token);
    options.connection.data_tracks = DataTracks::On;
    let (mute, _events) = Participant::connect(options).await.unwrap();
    let refused = mute.publish_track("a").await;
    assert_eq!(refused, Err(PublishError::NotPermitted));

    alice.close().await;
    assert_eq!(alice.publish_track("a").await, Err(PublishError::Closed));
    assert_eq!(alice.send_frame(track, "", None), Err(FrameError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_data_tracks_on_either_side_there_are_none() {
    let server = LiveKit::shared();
    let (alice, _events) = join(&server, "off", "alice").await;
    let refused = alice.publish_track("a").await;
    assert_eq!(refused, Err(PublishError::NotPermitted));
    let (bob, _events) = server.join("off", "bob").await;
    assert_eq!(bob.publish_track("a").await, Err(PublishError::Off));
    let mut options = server.options("off", "carol");
    options.connection.data_tracks = DataTracks::Auto;
    let (carol, _events) = Participant::connect(options).await.unwrap();
    let old = carol.session().server_version.as_str() < "1.13.6";
    let expected = if old {
        PublishError::Off
    } else {
        PublishError::NotPermitted
    };
    assert_eq!(carol.publish_track("a").await, Err(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_and_subscriptions_live_through_a_restart_of_the_server() {
    let server = server();
    let (alice, mut alice_events) = join(&server, "restart", "alice").await;
    let (bob, mut bob_events) = join(&server, "restart", "bob").await;
    bob.subscribe_track("alice", "a").await;
    let track = publish(&alice, &mut alice_events, "a").await;
    subscribed(&mut bob_events).await;
    server.kill();
    server.restart();
    subscribed(&mut bob_events).await;
    // The server may forward the track before it has everything to do so.
    let sender = async {
        loop {
            alice.send_frame(track, "back", None).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = sender => {}
        frame = frame(&mut bob_events) => assert_eq!(frame.payload, "back"),
    }
}

/// Five seconds.
const FRAMES: u64 = 300;

fn server() -> LiveKit {
    LiveKit::start(LiveKitOptions {
        data_tracks: true,
        ..LiveKitOptions::auto_create()
    })
}

async fn join(server: &LiveKit, room: &str, identity: &str) -> (Participant, Events) {
    let mut options = server.options(room, identity);
    options.connection.data_tracks = DataTracks::On;
    Participant::connect(options).await.expect("joins")
}

async fn publish(participant: &Participant, events: &mut Events, name: &str) -> LocalTrack {
    let track = participant.publish_track(name).await.expect("is accepted");
    wait_for_track(events, |event| match event {
        TrackEvent::Accepted {
            track: accepted,
            name: its,
        } => {
            assert_eq!((*accepted, &**its), (track, name));
            Some(())
        }
        _ => None,
    })
    .await;
    track
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("in time");
}

async fn subscribed(events: &mut Events) {
    wait_for_track(events, |event| match event {
        TrackEvent::Subscribed(_) => Some(()),
        _ => None,
    })
    .await;
}

async fn frame(events: &mut Events) -> Frame {
    wait_for_track(events, |event| match event {
        TrackEvent::Frame(frame) => Some(frame.clone()),
        _ => None,
    })
    .await
}

async fn wait_for_track<T>(
    events: &mut Events,
    mut pick: impl FnMut(&TrackEvent) -> Option<T>,
) -> T {
    let pick = |event: &Event| match event {
        Event::Track(event) => pick(event),
        _ => None,
    };
    tokio::time::timeout(DEADLINE, wait_for(events, pick))
        .await
        .expect("in time")
}
