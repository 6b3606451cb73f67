//! The ranged codec: whatever the schema and the states, a delta gives the state back; whatever
//! the bytes, the decoder ends, within its bounds.

#[path = "support/ranged.rs"]
mod support_ranged;

use gs_engine::Schema;
use gs_engine::manifest::{EntityKind, NetFieldKind};
use gs_engine::simulation::{Entity, NetState};
use gs_engine::snapshot::ranged::RangedCodec;
use gs_engine::snapshot::{Delta, SnapshotError};
use proptest::prelude::*;
use support_ranged::{Random, drift, field, schema_of, start};

fn coded(schema: &Schema, delta: &Delta<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoded = RangedCodec::new().encode(schema, delta, &mut bytes);
    encoded.expect("the states keep the schema");
    bytes
}

fn check(schema: &Schema, delta: &Delta<'_>) -> usize {
    let bytes = coded(schema, delta);
    let mut out = NetState::default();
    let mut codec = RangedCodec::new();
    let decoded = codec.decode(schema, delta.base, delta.older, &bytes, &mut out);
    decoded.expect("an encoder wrote the bytes");
    assert_eq!(without_priority(delta.next), out);
    bytes.len()
}

/// Priorities do not travel, and columns lie one after another.
fn without_priority(state: &NetState) -> NetState {
    let mut plain = NetState::default();
    for entity in &state.entities {
        plain.entities.push(Entity {
            priority: 0.0,
            first_column: plain.columns.len() as u32,
            ..*entity
        });
        plain.columns.extend_from_slice(state.columns_of(entity));
    }
    plain
}

fn kinds() -> impl Strategy<Value = Vec<EntityKind>> {
    let int = prop_oneof![
        Just(NetFieldKind::Int {
            min: i32::MIN,
            max: i32::MAX
        }),
        (any::<i32>(), 0..70_000_u32).prop_map(|(min, span)| NetFieldKind::Int {
            min,
            max: min.saturating_add_unsigned(span)
        }),
    ];
    let kind = prop_oneof![
        Just(NetFieldKind::Bool),
        int,
        (1.0..500.0_f32).prop_map(|max| NetFieldKind::Range {
            min: -max,
            max,
            precision: 0.01
        }),
        (1..=24_u8).prop_map(|bits| NetFieldKind::Angle { bits }),
        (2..=16_u8).prop_map(|bits| NetFieldKind::Quat { bits }),
    ];
    let fields = prop::collection::vec(kind, 1..6);
    let entity = fields.prop_map(|fields| EntityKind {
        name: String::new(),
        fields: fields
            .into_iter()
            .enumerate()
            .map(|(n, kind)| field(&format!("f{n}"), kind))
            .collect(),
    });
    prop::collection::vec(entity, 1..4).prop_map(|mut kinds| {
        for (n, kind) in kinds.iter_mut().enumerate() {
            kind.name = format!("k{n}");
        }
        kinds
    })
}

proptest! {
    #[test]
    fn a_delta_gives_the_state_back(kinds in kinds(), seed in any::<u64>(), count in 0..40_usize) {
        let schema = schema_of(kinds);
        let mut random = Random(seed | 1);
        let older = start(&schema, count, &mut random);
        let base = drift(&schema, &older, &mut random);
        let next = drift(&schema, &base, &mut random);
        let nothing = NetState::default();
        check(&schema, &Delta { base: &base, older: Some(&older), next: &next });
        check(&schema, &Delta { base: &base, older: None, next: &next });
        check(&schema, &Delta { base: &nothing, older: None, next: &next });
        check(&schema, &Delta { base: &next, older: Some(&base), next: &nothing });
        let unchanged = check(&schema, &Delta { base: &base, older: Some(&base), next: &base });
        prop_assert!(unchanged <= 8, "{unchanged} bytes for nothing");
    }

    #[test]
    fn damaged_bytes_end_within_bounds(kinds in kinds(), seed in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = schema_of(kinds);
        let mut random = Random(seed | 1);
        let older = start(&schema, 20, &mut random);
        let base = drift(&schema, &older, &mut random);
        let next = drift(&schema, &base, &mut random);
        let mut valid = coded(&schema, &Delta { base: &base, older: Some(&older), next: &next });
        let at = random.below(valid.len() as u64) as usize;
        valid[at] ^= 1 << random.below(8);
        let mut codec = RangedCodec::new();
        for bytes in [&valid[..], &valid[..at], &bytes] {
            support_ranged::decode_any(&mut codec, &schema, &base, Some(&older), bytes);
        }
    }
}

#[test]
fn a_packet_rests_on_nothing_but_its_states() {
    let schema = support_ranged::bodies();
    let mut random = Random(7);
    let states: Vec<NetState> = (0..12)
        .scan(start(&schema, 200, &mut random), |state, _| {
            *state = drift(&schema, state, &mut random);
            Some(state.clone())
        })
        .collect();
    // One codec for all packets, one for each packet, and packets that are lost or come late.
    let mut sender = RangedCodec::new();
    let mut receiver = RangedCodec::new();
    for n in [2, 5, 4, 3, 11, 6] {
        let delta = Delta {
            base: &states[n - 1],
            older: Some(&states[n - 2]),
            next: &states[n],
        };
        let mut bytes = Vec::new();
        sender.encode(&schema, &delta, &mut bytes).unwrap();
        assert_eq!(bytes, coded(&schema, &delta));
        let mut out = NetState::default();
        receiver
            .decode(&schema, delta.base, delta.older, &bytes, &mut out)
            .unwrap();
        assert_eq!(out, states[n]);
    }
}

#[test]
fn even_motion_is_nearly_free() {
    let schema = support_ranged::bodies();
    let mut random = Random(3);
    let older = start(&schema, 300, &mut random);
    let moved = |from: &NetState, steps: i32| {
        let mut state = from.clone();
        for (n, columns) in state.columns.chunks_exact_mut(8).enumerate() {
            columns[4] = (columns[4] + steps * (n as i32 % 50 - 25)).clamp(-16_383, 16_383);
        }
        state
    };
    let (base, next) = (moved(&older, 1), moved(&older, 7));
    let with = check(
        &schema,
        &Delta {
            base: &base,
            older: Some(&older),
            next: &next,
        },
    );
    let without = check(
        &schema,
        &Delta {
            base: &base,
            older: None,
            next: &next,
        },
    );
    assert!(
        with * 3 < without,
        "{with} bytes with velocities, {without} without"
    );
}

#[test]
fn what_lies_still_stays_whatever_is_gone_or_new_among_it() {
    let place = |name| {
        let (min, max) = (-16_383, 16_383);
        field(name, NetFieldKind::Int { min, max })
    };
    let schema = schema_of(vec![EntityKind {
        name: "dot".to_owned(),
        fields: vec![place("x"), place("y")],
    }]);
    let state = |ids: &mut dyn Iterator<Item = u32>| {
        let mut state = NetState::default();
        for id in ids {
            state.entities.push(Entity {
                id,
                kind: 0,
                owner: None,
                priority: 0.0,
                first_column: state.columns.len() as u32,
                column_count: 2,
            });
            let at = id as i32 * 20;
            state.columns.extend([at, -at]);
        }
        state
    };
    let base = state(&mut (0..400).step_by(2));
    // The same, with the columns in another order.
    let mut turned = base.clone();
    for entity in &mut turned.entities {
        entity.first_column = 398 - entity.first_column;
    }
    for at in 0..200 {
        let other = base.columns[398 - at * 2..][..2].to_vec();
        turned.columns[at * 2..][..2].copy_from_slice(&other);
    }
    let mut sizes = Vec::new();
    for (gone, new, changed) in [
        (1_000, 1_000, 1_000),
        (31, 1_000, 1_000),
        (1_000, 33, 64),
        (32, 63, 33),
        (7, 5, 3),
        (1, 2, 1_000),
    ] {
        let mut ids = (0..400_u32).filter(|id| {
            let (at, kept) = (id / 2 + 1, id % 2 == 0);
            (kept && at % gone != 0) || (!kept && at % new == 0)
        });
        let mut next = state(&mut ids);
        for (n, x) in next.columns.iter_mut().step_by(2).enumerate() {
            *x += i32::from(n % changed == changed - 1) * 50;
        }
        for base in [&base, &turned] {
            for older in [None, Some(base)] {
                sizes.push(check(
                    &schema,
                    &Delta {
                        base,
                        older,
                        next: &next,
                    },
                ));
            }
        }
    }
    assert!(sizes[0] <= 3, "nothing changed, in {} bytes", sizes[0]);
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let schema = support_ranged::bodies();
    let mut random = Random(5);
    let base = start(&schema, 30, &mut random);
    let next = drift(&schema, &base, &mut random);
    let mut bytes = coded(
        &schema,
        &Delta {
            base: &base,
            older: None,
            next: &next,
        },
    );
    bytes.extend_from_slice(&[0; 8]);
    let result = RangedCodec::new().decode(&schema, &base, None, &bytes, &mut NetState::default());
    assert_eq!(result, Err(SnapshotError::Trailing));
}

#[test]
fn states_that_do_not_keep_the_schema_are_refused() {
    let schema = support_ranged::bodies();
    let mut random = Random(9);
    let base = start(&schema, 5, &mut random);
    let refused = |change: &dyn Fn(&mut NetState)| {
        let mut next = base.clone();
        change(&mut next);
        let delta = Delta {
            base: &base,
            older: None,
            next: &next,
        };
        let mut out = vec![1, 2];
        let error = RangedCodec::new()
            .encode(&schema, &delta, &mut out)
            .unwrap_err();
        assert!(out.is_empty());
        error
    };
    assert!(matches!(
        refused(&|state| state.columns[4] = 16_384),
        SnapshotError::ColumnOutOfRange { column: 4, .. }
    ));
    assert!(matches!(
        refused(&|state| state.entities[1].kind = 9),
        SnapshotError::NoSuchKind { kind: 9, .. }
    ));
    assert!(matches!(
        refused(&|state| state.entities.swap(0, 1)),
        SnapshotError::NotAscending { .. }
    ));
    assert!(matches!(
        refused(&|state| state.entities[2].owner = Some(64)),
        SnapshotError::NoSuchOwner { .. }
    ));
    assert!(matches!(
        refused(&|state| state.entities[4].column_count = 7),
        SnapshotError::ColumnCount { .. }
    ));
}
