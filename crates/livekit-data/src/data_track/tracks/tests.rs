use super::*;
use crate::data_track::RemoteTrack;
use crate::data_track::sender::Sender;
use proto::data_track_subscriber_handles::PublishedDataTrack;
use proto::request_response::Reason;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

struct Client {
    tracks: Tracks,
    now: Instant,
}

impl Client {
    /// In a room with these others, of whom each publishes one track.
    fn joined(others: &[proto::ParticipantInfo]) -> Self {
        let now = Instant::now();
        let mut tracks = Tracks::new(DataTracks::On, 1);
        tracks.joined("1.13.5", others, now);
        Client { tracks, now }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.tracks.handle_timeout(self.now);
    }

    fn respond(&mut self, response: Response) {
        self.tracks.handle_response(&response, self.now);
    }

    fn accept(&mut self, handle: u32, name: &str, sid: &str) {
        let response = proto::PublishDataTrackResponse {
            info: Some(track(handle, name, sid)),
        };
        self.respond(Response::PublishDataTrackResponse(response));
    }

    fn refuse(&mut self, handle: u32, reason: Reason) {
        let request = proto::PublishDataTrackRequest {
            pub_handle: handle,
            ..Default::default()
        };
        self.respond(Response::RequestResponse(proto::RequestResponse {
            reason: reason as i32,
            message: "no".into(),
            request: Some(Refused::PublishDataTrack(request)),
            ..Default::default()
        }));
    }

    fn forward(&mut self, handles: &[(u32, &str, &str)]) {
        let sub_handles = handles.iter().map(|(handle, publisher, sid)| {
            let forwarded = PublishedDataTrack {
                publisher_identity: (*publisher).into(),
                publisher_sid: String::new(),
                track_sid: (*sid).into(),
            };
            (*handle, forwarded)
        });
        self.respond(Response::DataTrackSubscriberHandles(
            proto::DataTrackSubscriberHandles {
                sub_handles: sub_handles.collect(),
            },
        ));
    }

    /// In short: `+name`, `-handle`, `subscribe sid`, `unsubscribe sid`.
    fn requests(&mut self) -> Vec<String> {
        let name = |request| match request {
            Request::PublishDataTrackRequest(request) => format!("+{}", request.name),
            Request::UnpublishDataTrackRequest(request) => format!("-{}", request.pub_handle),
            Request::UpdateDataSubscription(request) => {
                let update = &request.updates[0];
                let verb = if update.subscribe { "" } else { "un" };
                format!("{verb}subscribe {}", update.track_sid)
            }
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| self.tracks.poll_request())
            .map(name)
            .collect()
    }

    fn events(&mut self) -> Vec<TrackEvent> {
        std::iter::from_fn(|| self.tracks.poll_event()).collect()
    }

    fn packet(&mut self, handle: u16, payload: &[u8]) {
        let mut sender = Sender::new(handle, self.now, 0);
        for packet in sender.packets(payload, Some(5), self.now) {
            self.tracks.handle_packet(packet, self.now);
        }
    }

    fn frame_sent(&mut self, track: LocalTrack) -> Result<usize, FrameError> {
        let packets = self.tracks.packets(track, b"frame", None, self.now)?;
        Ok(packets.map_or(0, Iterator::count))
    }
}

fn track(handle: u32, name: &str, sid: &str) -> proto::DataTrackInfo {
    proto::DataTrackInfo {
        pub_handle: handle,
        sid: sid.into(),
        name: name.into(),
        ..Default::default()
    }
}

fn publisher(identity: &str, tracks: &[(&str, &str)]) -> proto::ParticipantInfo {
    let tracks = tracks.iter().map(|(name, sid)| track(1, name, sid));
    proto::ParticipantInfo {
        identity: identity.into(),
        sid: format!("PA_{identity}"),
        data_tracks: tracks.collect(),
        state: proto::participant_info::State::Active as i32,
        ..Default::default()
    }
}

fn remote(publisher: &str, name: &str, sid: &str) -> Arc<RemoteTrack> {
    Arc::new(RemoteTrack {
        publisher: publisher.into(),
        name: name.into(),
        sid: sid.into(),
        encrypted: false,
    })
}

fn accepted(track: LocalTrack, name: &str) -> TrackEvent {
    let name = name.into();
    TrackEvent::Accepted { track, name }
}

fn ended(track: LocalTrack, name: &str, error: Option<PublishError>) -> TrackEvent {
    let name = name.into();
    TrackEvent::Ended { track, name, error }
}

fn refused(track: LocalTrack, name: &str, error: PublishError) -> TrackEvent {
    let name = name.into();
    TrackEvent::Refused { track, name, error }
}

#[test]
fn a_track_is_published_used_and_unpublished() {
    let mut client = Client::joined(&[]);
    let track = client.tracks.publish("state", client.now).unwrap();
    assert_eq!(client.requests(), ["+state"]);
    assert_eq!(client.frame_sent(track), Err(FrameError::NotPublished));
    assert_eq!(
        client.tracks.publish("state", client.now),
        Err(PublishError::DuplicateName)
    );
    client.accept(1, "state", "DTR_1");
    assert_eq!(client.events(), [accepted(track, "state")]);
    assert_eq!(client.frame_sent(track), Ok(1));
    client.pass(60);
    assert_eq!(client.events(), [], "it does not time out");
    client.tracks.unpublish(track);
    assert_eq!(client.requests(), ["-1"]);
    assert_eq!(client.frame_sent(track), Err(FrameError::NotPublished));
    let again = client.tracks.publish("state", client.now).unwrap();
    assert_ne!(again, track);
    client.respond(Response::UnpublishDataTrackResponse(
        proto::UnpublishDataTrackResponse {
            info: Some(super::tests::track(1, "state", "DTR_1")),
        },
    ));
    assert_eq!(client.events(), [ended(track, "state", None)]);
}

#[test]
fn what_cannot_be_published_is_a_typed_error() {
    let mut client = Client::joined(&[]);
    let now = client.now;
    for len in [0, 257, 100_000] {
        let refused = client.tracks.publish(&"x".repeat(len), now);
        assert_eq!(refused, Err(PublishError::Name { len }));
    }
    let (first, second, third) = (
        client.tracks.publish("a", now).unwrap(),
        client.tracks.publish("b", now).unwrap(),
        client.tracks.publish("c", now).unwrap(),
    );
    client.refuse(1, Reason::NotAllowed);
    client.refuse(2, Reason::InvalidRequest);
    client.refuse(70_000, Reason::NotAllowed);
    client.pass(10);
    client.accept(3, "c", "DTR_late");
    let other = PublishError::Other("INVALID_REQUEST no".into());
    assert_eq!(
        client.events(),
        [
            refused(first, "a", PublishError::NotPermitted),
            refused(second, "b", other),
            refused(third, "c", PublishError::Timeout),
        ]
    );
    assert_eq!(client.requests(), ["+a", "+b", "+c", "-3"]);
    for name in 0..64 {
        assert!(client.tracks.publish(&name.to_string(), now).is_ok());
    }
    assert_eq!(
        client.tracks.publish("more", now),
        Err(PublishError::TooMany { max: 64 })
    );
}

#[test]
fn data_tracks_are_off_unless_switched_on_or_the_server_is_new_enough() {
    let check = |mode, version: &str, usable: bool| {
        let now = Instant::now();
        let mut tracks = Tracks::new(mode, 0);
        assert_eq!(tracks.publish("a", now), Err(PublishError::Closed));
        tracks.joined(version, &[publisher("b", &[("x", "DTR_1")])], now);
        assert_eq!(tracks.usable(), usable, "{mode:?} {version}");
        assert_eq!(tracks.poll_event().is_some(), usable);
        let refused = (!usable).then_some(PublishError::Off);
        assert_eq!(tracks.publish("a", now).err(), refused);
    };
    check(DataTracks::Off, "2.0.0", false);
    check(DataTracks::On, "1.0.0", true);
    check(DataTracks::On, "", true);
    check(DataTracks::Auto, "1.13.5", false);
    check(DataTracks::Auto, "1.13.6", true);
    check(DataTracks::Auto, "v1.13.10-rc1", true);
    check(DataTracks::Auto, "1.14.0", true);
    check(DataTracks::Auto, "1.14", false);
    check(DataTracks::Auto, "2.0.0", true);
    check(DataTracks::Auto, "", false);
    check(DataTracks::Auto, "99999999999.1.1", false);
}

#[test]
fn a_wish_is_fulfilled_whenever_its_track_is_there() {
    let mut client = Client::joined(&[publisher("b", &[("x", "DTR_x"), ("y", "DTR_y")])]);
    let (x, y) = (remote("b", "x", "DTR_x"), remote("b", "y", "DTR_y"));
    assert_eq!(
        client.events(),
        [
            TrackEvent::Published(x.clone()),
            TrackEvent::Published(y.clone())
        ]
    );
    client.tracks.subscribe("b", "x", client.now);
    client.tracks.subscribe("b", "x", client.now);
    client.tracks.subscribe("c", "x", client.now);
    assert_eq!(client.requests(), ["subscribe DTR_x"]);
    client.packet(9, b"too early");
    client.forward(&[
        (9, "b", "DTR_x"),
        (10, "b", "DTR_y"),
        (70_000, "b", "DTR_x"),
    ]);
    assert_eq!(client.events(), [TrackEvent::Subscribed(x.clone())]);
    client.packet(9, b"frame");
    client.packet(10, b"never asked for");
    client.tracks.handle_packet(vec![1, 2, 3], client.now);
    let events = client.events();
    let [TrackEvent::Frame(frame)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&frame.payload[..], &frame.track), (&b"frame"[..], &x));
    assert_eq!(frame.user_timestamp, Some(5));
    let stats = client.tracks.stats;
    assert_eq!((stats.received, stats.unknown, stats.malformed), (1, 2, 1));

    // Published anew, and by somebody who comes later.
    let info = publisher("b", &[("y", "DTR_y"), ("x", "DTR_x2")]);
    client.tracks.handle_other(&info, client.now);
    let info = publisher("c", &[("x", "DTR_cx")]);
    client.tracks.handle_other(&info, client.now);
    assert_eq!(
        client.events(),
        [
            TrackEvent::Unpublished(x),
            TrackEvent::Published(remote("b", "x", "DTR_x2")),
            TrackEvent::Published(remote("c", "x", "DTR_cx")),
        ]
    );
    assert_eq!(client.requests(), ["subscribe DTR_x2", "subscribe DTR_cx"]);
    client.packet(9, b"of the old one");
    assert_eq!(client.events(), []);

    client.tracks.unsubscribe("b", "x");
    client.tracks.unsubscribe("b", "nothing");
    assert_eq!(client.requests(), ["unsubscribe DTR_x2"]);
    let gone = proto::ParticipantInfo {
        state: proto::participant_info::State::Disconnected as i32,
        ..publisher("c", &[("x", "DTR_cx")])
    };
    client.tracks.handle_other(&gone, client.now);
    assert_eq!(
        client.events(),
        [TrackEvent::Unpublished(remote("c", "x", "DTR_cx"))]
    );
}

#[test]
fn a_subscription_that_is_not_fulfilled_is_asked_for_again() {
    let mut client = Client::joined(&[publisher("b", &[("x", "DTR_x")])]);
    client.tracks.subscribe("b", "x", client.now);
    assert_eq!(client.requests(), ["subscribe DTR_x"]);
    for _ in 0..3 {
        client.pass(4);
        assert_eq!(client.requests(), [""; 0]);
        client.pass(60);
        assert_eq!(client.requests(), ["unsubscribe DTR_x"]);
        client.pass(1);
        assert_eq!(client.requests(), ["subscribe DTR_x"]);
    }
    client.forward(&[(1, "b", "DTR_x")]);
    client.pass(600);
    assert_eq!(client.requests(), [""; 0]);
    client.forward(&[]);
    client.packet(1, b"no longer forwarded");
    assert_eq!(client.tracks.stats.received, 0);
    client.pass(5);
    assert_eq!(client.requests(), ["unsubscribe DTR_x"]);
}

#[test]
fn a_resume_repeats_what_has_no_answer_yet() {
    let mut client = Client::joined(&[publisher("b", &[("x", "DTR_x"), ("y", "DTR_y")])]);
    let live = client.tracks.publish("live", client.now).unwrap();
    client.accept(1, "live", "DTR_live");
    let asked = client.tracks.publish("asked", client.now).unwrap();
    client.tracks.subscribe("b", "x", client.now);
    client.tracks.subscribe("b", "y", client.now);
    client.forward(&[(1, "b", "DTR_x")]);
    client.requests();
    client.events();
    let (published, subscribed) = client.tracks.sync_state();
    assert_eq!(published.len(), 1);
    assert_eq!(
        published[0].info.as_ref().unwrap(),
        &track(1, "live", "DTR_live")
    );
    assert_eq!(subscribed.unwrap().updates.len(), 2);

    client.tracks.resumed(client.now);
    assert_eq!(client.requests(), ["+asked", "subscribe DTR_y"]);
    client.packet(1, b"frame");
    assert!(matches!(&client.events()[..], [TrackEvent::Frame(_)]));
    // The server had done it: its update says so, and then it refuses the second request.
    let own = proto::ParticipantInfo {
        data_tracks: vec![track(2, "asked", "DTR_2"), track(1, "live", "DTR_live")],
        ..Default::default()
    };
    client.tracks.handle_own(&own);
    client.refuse(2, Reason::DuplicateHandle);
    assert_eq!(client.events(), [accepted(asked, "asked")]);
    assert_eq!(client.frame_sent(live), Ok(1));
    assert_eq!(client.frame_sent(asked), Ok(1));
}

#[test]
fn a_rejoin_publishes_and_subscribes_again() {
    let others = [
        publisher("b", &[("x", "DTR_x")]),
        publisher("c", &[("y", "DTR_y")]),
    ];
    let mut client = Client::joined(&others);
    let live = client.tracks.publish("live", client.now).unwrap();
    client.accept(1, "live", "DTR_live");
    let ending = client.tracks.publish("ending", client.now).unwrap();
    client.accept(2, "ending", "DTR_ending");
    client.tracks.unpublish(ending);
    let asked = client.tracks.publish("asked", client.now).unwrap();
    client.tracks.subscribe("b", "x", client.now);
    client.tracks.subscribe("c", "y", client.now);
    client.forward(&[(1, "b", "DTR_x"), (2, "c", "DTR_y")]);
    client.requests();
    client.events();

    client.tracks.joined("1.13.5", &others[..1], client.now);
    assert_eq!(client.requests(), ["+live", "+asked", "subscribe DTR_x"]);
    assert_eq!(
        client.events(),
        [
            ended(ending, "ending", None),
            TrackEvent::Unpublished(remote("c", "y", "DTR_y")),
        ]
    );
    assert_eq!(client.frame_sent(live), Ok(0), "dropped for now");
    client.packet(1, b"a handle of the session before");
    assert_eq!(client.tracks.stats.unknown, 1);
    client.accept(1, "live", "DTR_live2");
    client.accept(3, "asked", "DTR_asked");
    client.forward(&[(7, "b", "DTR_x")]);
    assert_eq!(
        client.events(),
        [
            accepted(asked, "asked"),
            TrackEvent::Subscribed(remote("b", "x", "DTR_x")),
        ]
    );
    assert_eq!(client.frame_sent(live), Ok(1));
}

#[test]
fn a_revoked_permission_ends_own_tracks() {
    let mut client = Client::joined(&[]);
    let track = client.tracks.publish("a", client.now).unwrap();
    client.accept(1, "a", "DTR_a");
    client.events();
    let own = |can_publish_data| proto::ParticipantInfo {
        permission: Some(proto::ParticipantPermission {
            can_publish_data,
            ..Default::default()
        }),
        ..Default::default()
    };
    client.tracks.handle_own(&own(true));
    assert_eq!(client.events(), []);
    client.tracks.handle_own(&own(false));
    let error = Some(PublishError::NotPermitted);
    assert_eq!(client.events(), [ended(track, "a", error)]);
}

#[test]
fn tracks_of_others_and_their_unfinished_frames_are_bounded() {
    let mut client = Client::joined(&[]);
    let names: Vec<_> = (0..1000)
        .map(|at| (format!("n{at}"), format!("DTR_{at}")))
        .collect();
    let names: Vec<_> = names.iter().map(|(name, sid)| (&**name, &**sid)).collect();
    let mut published = 0;
    for identity in 0..20 {
        let info = publisher(&identity.to_string(), &names);
        client.tracks.handle_other(&info, client.now);
        published += client.events().len();
    }
    assert_eq!(published, 16_384);
    let long = "x".repeat(257);
    let info = publisher(
        "0",
        &[
            (&long, "DTR_long"),
            ("", "DTR_none"),
            ("a", &long),
            ("b", ""),
        ],
    );
    client.tracks.handle_other(&info, client.now);
    assert_eq!(client.events().len(), 1000, "only the old ones are gone");

    let mut handles = HashMap::new();
    for at in 0..1000_u16 {
        client
            .tracks
            .subscribe("1", names[usize::from(at)].0, client.now);
        handles.insert(u32::from(at) + 1, ("1", names[usize::from(at)].1));
    }
    let handles: Vec<_> = handles
        .iter()
        .map(|(handle, (a, b))| (*handle, *a, *b))
        .collect();
    client.forward(&handles);
    for handle in 1..=1000 {
        let mut sender = Sender::new(handle, client.now, 0);
        let frame = vec![0; 10_000];
        for packet in sender.packets(&frame, None, client.now).skip(1) {
            client.tracks.handle_packet(packet, client.now);
        }
    }
    client.events();
    client.packet(1000, b"whole");
    assert!(client.tracks.announced.buffered() <= 4 * 1024 * 1024);
    client.forward(&[]);
    assert_eq!(client.tracks.announced.buffered(), 0);
}
