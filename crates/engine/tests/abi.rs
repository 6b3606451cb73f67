//! The byte layouts: as documented, there and back, and never a panic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::abi::{self, AbiError};
use gs_engine::schema::Schema;
use gs_engine::simulation::{
    Effects, Entity, EventAudience, GameEvent, Happening, HappeningKind, InputStatus, LogLevel,
    LogLine, MatchResult, NetState, Outcome, SlotInput, SlotResult, TickLog, Verdict,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::manifest;

fn tick_log() -> TickLog {
    TickLog {
        tick: 0x0102_0304,
        happenings: vec![
            Happening {
                slot: 1,
                kind: HappeningKind::Join { team: 2 },
            },
            Happening {
                slot: 63,
                kind: HappeningKind::Leave,
            },
            Happening {
                slot: 0,
                kind: HappeningKind::Command(vec![7, 8]),
            },
        ],
        inputs: vec![
            SlotInput {
                status: InputStatus::Fresh,
                view_tick: 0x100,
                data: vec![9],
            },
            SlotInput::default(),
            SlotInput {
                status: InputStatus::Repeated,
                view_tick: 5,
                data: vec![10],
            },
        ],
    }
}

fn effects() -> Effects {
    Effects {
        events: vec![
            GameEvent {
                to: EventAudience::All,
                data: vec![1],
            },
            GameEvent {
                to: EventAudience::Slot(63),
                data: vec![],
            },
            GameEvent {
                to: EventAudience::Team(3),
                data: vec![2, 3],
            },
        ],
        log: vec![LogLine {
            level: LogLevel::Warn,
            text: "höm".into(),
        }],
        result: Some(MatchResult {
            outcome: Outcome::Abandoned,
            slots: vec![
                SlotResult {
                    slot: 0,
                    placement: 1,
                    team: Some(1),
                    score: -3,
                    statistics: vec![("kills".into(), 4), ("shots_2".into(), -1)],
                },
                SlotResult {
                    slot: 5,
                    placement: 1,
                    team: None,
                    score: 9,
                    statistics: vec![],
                },
            ],
        }),
    }
}

fn net_state() -> NetState {
    let entity = |id, first_column, owner| Entity {
        id,
        kind: 0,
        owner,
        priority: 0.5,
        first_column,
        column_count: 1,
    };
    NetState {
        entities: vec![entity(0, 0, None), entity(u32::MAX, 1, Some(63))],
        columns: vec![-1000, 1000],
    }
}

#[test]
fn a_tick_log_is_laid_out_as_documented() {
    let mut bytes = vec![99];
    abi::encode_tick_log(&tick_log(), &mut bytes).unwrap();
    let expected = [
        &[4, 3, 2, 1][..],                            // tick
        &[3, 0, 0, 1, 2, 1, 63, 2, 0, 2, 0, 7, 8],    // happenings
        &[3, 2, 0, 1, 0, 0, 9, 0, 1, 5, 0, 0, 0, 10], // inputs
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn effects_are_laid_out_as_documented() {
    let mut bytes = Vec::new();
    abi::encode_effects(&effects(), &mut bytes).unwrap();
    let expected = [
        &[3, 0, 0, 0, 1, 0, 1, 1, 63, 0, 0, 2, 3, 2, 0, 2, 3][..], // events
        &[1, 0, 1, 4, 0, b'h', 0xc3, 0xb6, b'm'],                  // log
        &[1, 1, 2, 0, 1, 1, 0xfd, 0xff, 0xff, 0xff, 2],            // result, first slot
        &[5, b'k', b'i', b'l', b'l', b's', 4, 0, 0, 0],
        &[
            7, b's', b'h', b'o', b't', b's', b'_', b'2', 0xff, 0xff, 0xff, 0xff,
        ],
        &[5, 1, 255, 9, 0, 0, 0, 0], // second slot
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_net_state_is_laid_out_as_documented() {
    let mut bytes = Vec::new();
    abi::encode_net_state(&net_state(), &mut bytes).unwrap();
    let expected = [
        &[2, 0][..],
        &[0, 0, 0, 0, 0, 255, 0, 0, 0, 0x3f, 0x18, 0xfc, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0, 63, 0, 0, 0, 0x3f, 0xe8, 3, 0, 0],
    ];
    assert_eq!(bytes, expected.concat());
}

/// Decodes over a target that holds something else already.
#[test]
fn everything_comes_back_into_used_buffers() {
    let mut bytes = Vec::new();
    let mut log = TickLog {
        inputs: vec![
            SlotInput {
                data: vec![1; 9],
                ..tick_log().inputs[0]
            };
            9
        ],
        ..tick_log()
    };
    abi::encode_tick_log(&tick_log(), &mut bytes).unwrap();
    abi::decode_tick_log(&bytes, 1, &mut log).unwrap();
    assert_eq!(log, tick_log());

    for expected in [effects(), Effects::default(), effects()] {
        let mut decoded = effects();
        decoded.events.extend(effects().events);
        abi::encode_effects(&expected, &mut bytes).unwrap();
        abi::decode_effects(&bytes, &mut decoded).unwrap();
        assert_eq!(decoded, expected);
    }

    let schema = Schema::new(&manifest()).unwrap();
    let mut state = net_state();
    abi::encode_net_state(&net_state(), &mut bytes).unwrap();
    abi::decode_net_state(&bytes, &schema, &mut state).unwrap();
    assert_eq!(state, net_state());

    for verdict in [
        Verdict::Accept,
        Verdict::Amend(vec![3]),
        Verdict::Refuse("nö".into()),
    ] {
        abi::encode_verdict(&verdict, &mut bytes).unwrap();
        assert_eq!(abi::decode_verdict(&bytes, 1).unwrap(), verdict);
    }
}

#[test]
fn every_truncation_and_extension_is_an_error() {
    let schema = Schema::new(&manifest()).unwrap();
    let mut bytes = Vec::new();
    let each = |bytes: &[u8], decodes: &mut dyn FnMut(&[u8]) -> bool| {
        for len in 0..bytes.len() {
            assert!(!decodes(&bytes[..len]), "the first {len} bytes alone");
        }
        assert!(!decodes(&[bytes, &[0]].concat()), "a byte more");
        assert!(decodes(bytes));
    };
    abi::encode_tick_log(&tick_log(), &mut bytes).unwrap();
    let mut log = TickLog::default();
    each(&bytes, &mut |bytes| {
        abi::decode_tick_log(bytes, 1, &mut log).is_ok()
    });
    abi::encode_effects(&effects(), &mut bytes).unwrap();
    let mut decoded = Effects::default();
    each(&bytes, &mut |bytes| {
        abi::decode_effects(bytes, &mut decoded).is_ok()
    });
    abi::encode_net_state(&net_state(), &mut bytes).unwrap();
    let mut state = NetState::default();
    each(&bytes, &mut |bytes| {
        abi::decode_net_state(bytes, &schema, &mut state).is_ok()
    });
    each(&[1, 7], &mut |bytes| abi::decode_verdict(bytes, 1).is_ok());
}

#[test]
fn effects_beyond_the_bounds_are_refused_both_ways() {
    let refused = |change: fn(&mut Effects)| {
        let mut effects = effects();
        change(&mut effects);
        abi::encode_effects(&effects, &mut Vec::new())
            .unwrap_err()
            .to_string()
    };
    fn first(effects: &mut Effects) -> &mut SlotResult {
        &mut effects.result.as_mut().unwrap().slots[0]
    }
    assert_eq!(
        refused(|e| e.events = vec![e.events[0].clone(); 257]),
        "number of events is 257, at most 256 are allowed"
    );
    assert_eq!(
        refused(|e| e.events[0].data = vec![0; 8193]),
        "length of an event is 8193, at most 8192 are allowed"
    );
    assert_eq!(
        refused(|e| e.events = vec![
            GameEvent {
                data: vec![0; 8192],
                ..e.events[0].clone()
            };
            9
        ]),
        "bytes of effects is 73816, at most 65536 are allowed"
    );
    assert_eq!(
        refused(|e| e.log[0].text = "x".repeat(65_536)),
        "length of a log line is 65536, at most 65535 are allowed"
    );
    assert_eq!(
        refused(|e| first(e).statistics[0].0 = "Kills".into()),
        "byte in the name of a statistic is 75, expected a-z, 0-9 or _"
    );
    assert_eq!(
        refused(|e| first(e).placement = 0),
        "placement is 0, expected 1 or more"
    );
    assert_eq!(
        refused(|e| first(e).slot = 5),
        "slot of a result is 5, expected ascending slots"
    );

    let too_many = [1, 1, 0, 0, 0, 0];
    let error = abi::decode_effects(&too_many, &mut Effects::default()).unwrap_err();
    assert_eq!(
        error,
        AbiError::TooMany {
            part: "number of events",
            found: 257,
            limit: 256
        }
    );
}

#[test]
fn a_net_state_against_the_schema_is_refused() {
    let schema = Schema::new(&manifest()).unwrap();
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        abi::encode_net_state(&net_state(), &mut bytes).unwrap();
        change(&mut bytes);
        abi::decode_net_state(&bytes, &schema, &mut NetState::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(|b| b[6] = 1),
        "entity kind is 1, expected the index of a kind in the manifest"
    );
    assert_eq!(
        refused(|b| b[7] = 64),
        "owner slot is 64, expected 0..=63 or 255"
    );
    assert_eq!(
        refused(|b| b[8..12].copy_from_slice(&f32::NAN.to_le_bytes())),
        "priority is 0, expected a finite number, 0 or more"
    );
    assert_eq!(
        refused(|b| b[12..16].copy_from_slice(&(-1001_i32).to_le_bytes())),
        "entity 0: column 0 is -1001, expected -1000..=1000"
    );
    assert_eq!(
        refused(|b| b[16..20].copy_from_slice(&[0; 4])),
        "entity 0 follows entity 0, expected ascending ids"
    );
    assert_eq!(
        refused(|b| b[..2].copy_from_slice(&[1, 16])),
        "number of entities is 4097, at most 4096 are allowed"
    );
}

fn any_log() -> impl Strategy<Value = TickLog> {
    let kind = prop_oneof![
        any::<u8>().prop_map(|team| HappeningKind::Join { team }),
        Just(HappeningKind::Leave),
        vec(any::<u8>(), 0..40).prop_map(HappeningKind::Command),
    ];
    let happening = (0..64_u8, kind).prop_map(|(slot, kind)| Happening { slot, kind });
    let fresh = (any::<bool>(), any::<u32>(), vec(any::<u8>(), 3));
    let input = proptest::option::of(fresh).prop_map(|input| match input {
        None => SlotInput::default(),
        Some((fresh, view_tick, data)) => {
            let status = if fresh {
                InputStatus::Fresh
            } else {
                InputStatus::Repeated
            };
            SlotInput {
                status,
                view_tick,
                data,
            }
        }
    });
    (any::<u32>(), vec(happening, 0..20), vec(input, 0..=64)).prop_map(
        |(tick, happenings, inputs)| TickLog {
            tick,
            happenings,
            inputs,
        },
    )
}

proptest! {
    #[test]
    fn any_tick_log_comes_back(log in any_log()) {
        let mut bytes = Vec::new();
        abi::encode_tick_log(&log, &mut bytes).unwrap();
        let mut decoded = TickLog::default();
        abi::decode_tick_log(&bytes, 3, &mut decoded).unwrap();
        prop_assert_eq!(decoded, log);
    }

    /// Whatever decodes was written in the one way there is.
    #[test]
    fn any_bytes_decode_to_what_encodes_to_them_or_not_at_all(
        head in vec(0..4_u8, 0..12),
        tail in vec(any::<u8>(), 0..80),
    ) {
        let bytes = [head, tail].concat();
        let schema = Schema::new(&manifest()).unwrap();
        let mut again = Vec::new();
        let mut log = TickLog::default();
        if abi::decode_tick_log(&bytes, 2, &mut log).is_ok() {
            abi::encode_tick_log(&log, &mut again).unwrap();
            prop_assert_eq!(&again, &bytes);
        }
        let mut effects = Effects::default();
        if abi::decode_effects(&bytes, &mut effects).is_ok() {
            abi::encode_effects(&effects, &mut again).unwrap();
            let mut decoded = Effects::default();
            abi::decode_effects(&again, &mut decoded).unwrap();
            prop_assert_eq!(decoded, effects);
        }
        let mut state = NetState::default();
        if abi::decode_net_state(&bytes, &schema, &mut state).is_ok() {
            abi::encode_net_state(&state, &mut again).unwrap();
            prop_assert_eq!(&again, &bytes);
        }
        if let Ok(verdict) = abi::decode_verdict(&bytes, 2) {
            abi::encode_verdict(&verdict, &mut again).unwrap();
            prop_assert!(bytes.starts_with(&again));
        }
    }
}
