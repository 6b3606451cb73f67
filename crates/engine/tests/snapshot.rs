//! Snapshots: there and back for any schema and state, in any order, and never a panic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::manifest::{EntityKind, Manifest, NetFieldKind};
use gs_engine::schema::Schema;
use gs_engine::simulation::{Entity, NetState, Slot};
use gs_engine::snapshot::{
    MAX_SNAPSHOT_BYTES, MIN_SNAPSHOT_BYTES, ReceivedState, SnapshotEncoder, SnapshotError,
    SnapshotPart, SnapshotParts, WholeSnapshot, decode_part,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use support::{manifest, net_field};

fn encode(schema: &Schema, state: &NetState, max_bytes: usize) -> Vec<SnapshotPart> {
    let mut parts = SnapshotParts::default();
    let mut encoder = WholeSnapshot::new(max_bytes);
    encoder.encode(schema, 1, None, state, &mut parts).unwrap();
    parts.as_slice().to_vec()
}

/// A state of the support game's kind from ids and places.
fn pushers(entities: &[(u32, i32)]) -> NetState {
    let mut state = NetState::default();
    for (index, (id, place)) in entities.iter().enumerate() {
        state.entities.push(Entity {
            id: *id,
            kind: 0,
            owner: None,
            priority: 0.0,
            first_column: index as u32,
            column_count: 1,
        });
        state.columns.push(*place);
    }
    state
}

fn ids(state: &NetState) -> Vec<(u32, i32)> {
    state
        .entities
        .iter()
        .map(|entity| (entity.id, state.columns_of(entity)[0]))
        .collect()
}

#[test]
fn the_bits_are_as_documented() {
    let schema = Schema::new(&manifest()).unwrap();
    let mut state = pushers(&[(2, -999)]);
    state.entities[0].owner = Some(5);
    let parts = encode(&schema, &state, MAX_SNAPSHOT_BYTES);
    assert_eq!(parts.len(), 1);
    assert_eq!((parts[0].first_id, parts[0].last_id), (0, u32::MAX));
    // Count 1 in 12 bits; id 2 as gamma(3) = 011; no kind; owner 1 and 000101; the column 1 in 11.
    let bits = "100000000000 011 1 101000 10000000000".replace(' ', "");
    let mut expected = vec![0_u8; bits.len().div_ceil(8)];
    for (at, bit) in bits.bytes().enumerate() {
        expected[at / 8] |= (bit - b'0') << (at % 8);
    }
    assert_eq!(parts[0].data, expected);
}

#[test]
fn nothing_to_see_is_a_snapshot_too() {
    let schema = Schema::new(&manifest()).unwrap();
    let parts = encode(&schema, &NetState::default(), MAX_SNAPSHOT_BYTES);
    assert_eq!(
        parts,
        [SnapshotPart {
            first_id: 0,
            last_id: u32::MAX,
            data: vec![0, 0]
        }]
    );
}

#[test]
fn parts_apply_in_any_order_and_old_ones_do_no_harm() {
    let schema = Schema::new(&manifest()).unwrap();
    // In a part that starts at `first`, entities are as an encoder writes them for ids less that.
    let part = |first: u32, entities: &[(u32, i32)]| {
        let moved: Vec<(u32, i32)> = entities.iter().map(|(id, at)| (id - first, *at)).collect();
        encode(&schema, &pushers(&moved), 900)[0].data.clone()
    };
    let mut received = ReceivedState::new();
    let mut apply = |tick, first, last, entities: &[(u32, i32)]| {
        received
            .apply(&schema, tick, first, last, &part(first, entities))
            .unwrap();
        (
            ids(received.state()),
            received.whole_tick(),
            received.newest_tick(),
        )
    };
    assert_eq!(
        apply(5, 10, u32::MAX, &[(10, 1), (20, 2)]),
        (vec![(10, 1), (20, 2)], 0, 5)
    );
    assert_eq!(
        apply(5, 0, 9, &[(3, 7)]),
        (vec![(3, 7), (10, 1), (20, 2)], 5, 5)
    );
    // Tick 6 is split elsewhere; its second part arrives first, and 20 is gone in it.
    assert_eq!(
        apply(6, 15, u32::MAX, &[(30, 3)]),
        (vec![(3, 7), (10, 1), (30, 3)], 5, 6)
    );
    // A part of tick 4 that was held up brings nothing, nor does a copy of tick 5's.
    assert_eq!(
        apply(4, 0, u32::MAX, &[(1, 1)]).0,
        [(3, 7), (10, 1), (30, 3)]
    );
    assert_eq!(
        apply(5, 10, u32::MAX, &[(10, 1), (20, 2)]).0,
        [(3, 7), (10, 1), (30, 3)]
    );
    assert_eq!(apply(6, 0, 14, &[(3, 8)]), (vec![(3, 8), (30, 3)], 6, 6));
}

#[test]
fn scattered_parts_are_bounded() {
    let schema = Schema::new(&manifest()).unwrap();
    let mut received = ReceivedState::new();
    let mut refused = None;
    for index in 0..2000_u32 {
        let id = index * 2;
        if let Err(error) = received.apply(&schema, 1 + index % 2, id, id, &[0, 0]) {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused, Some(SnapshotError::TooScattered { limit: 1024 }));
    assert!(
        received.apply(&schema, 9, 0, u32::MAX, &[0, 0]).unwrap(),
        "a whole tick mends it"
    );
    assert_eq!(received.whole_tick(), 9);
}

#[test]
fn states_that_break_the_schema_are_not_written() {
    let schema = Schema::new(&manifest()).unwrap();
    let refused = |state: &NetState| {
        let mut parts = SnapshotParts::default();
        WholeSnapshot::default()
            .encode(&schema, 1, None, state, &mut parts)
            .unwrap_err()
    };
    assert_eq!(
        refused(&pushers(&[(5, 0), (5, 0)])),
        SnapshotError::NotAscending { id: 5 }
    );
    let last = pushers(&[(u32::MAX, 0), (0, 0)]);
    assert_eq!(refused(&last), SnapshotError::NotAscending { id: 0 });
    assert_eq!(
        refused(&pushers(&[(1, 1001)])),
        SnapshotError::ColumnOutOfRange {
            id: 1,
            column: 0,
            lo: -1000,
            hi: 1000
        }
    );
    let mut state = pushers(&[(1, 0)]);
    state.entities[0].kind = 1;
    assert_eq!(
        refused(&state),
        SnapshotError::NoSuchKind { kind: 1, kinds: 1 }
    );
    state = pushers(&[(1, 0)]);
    state.entities[0].owner = Some(64);
    assert_eq!(
        refused(&state),
        SnapshotError::NoSuchOwner { id: 1, slot: 64 }
    );
    state = pushers(&[(1, 0)]);
    state.entities[0].first_column = 9;
    assert_eq!(
        refused(&state),
        SnapshotError::ColumnCount {
            id: 1,
            found: 1,
            expected: 1
        }
    );
}

#[test]
fn the_largest_entity_fits_the_least_budget() {
    let mut manifest = manifest();
    let full = NetFieldKind::Int {
        min: i32::MIN,
        max: i32::MAX,
    };
    manifest.entities = (0..64)
        .map(|kind| EntityKind {
            name: format!("k{kind}"),
            fields: (0..32).map(|i| net_field(&format!("f{i}"), full)).collect(),
        })
        .collect();
    let schema = Schema::new(&manifest).unwrap();
    let state = NetState {
        entities: vec![Entity {
            id: u32::MAX,
            kind: 63,
            owner: Some(63),
            priority: 1.0,
            first_column: 0,
            column_count: 32,
        }],
        columns: (0..32)
            .map(|i| if i % 2 == 0 { i32::MIN } else { i32::MAX })
            .collect(),
    };
    let parts = encode(&schema, &state, 0);
    assert!(
        parts
            .iter()
            .all(|part| part.data.len() <= MIN_SNAPSHOT_BYTES)
    );
    let mut received = ReceivedState::new();
    for part in parts {
        received
            .apply(&schema, 1, part.first_id, part.last_id, &part.data)
            .unwrap();
    }
    assert_eq!(received.state().columns, state.columns);
}

fn any_kind() -> impl Strategy<Value = NetFieldKind> {
    prop_oneof![
        Just(NetFieldKind::Bool),
        (any::<i32>(), any::<i32>()).prop_map(|(a, b)| NetFieldKind::Int {
            min: a.min(b),
            max: a.max(b)
        }),
        (-1e3..1e3_f32, 0.0..1e3_f32, 0.01..1.0_f32).prop_map(|(min, span, precision)| {
            NetFieldKind::Range {
                min,
                max: min + span,
                precision,
            }
        }),
        (1..=24_u8).prop_map(|bits| NetFieldKind::Angle { bits }),
        (2..=16_u8).prop_map(|bits| NetFieldKind::Quat { bits }),
    ]
}

fn any_schema() -> impl Strategy<Value = Schema> {
    vec(vec(any_kind(), 0..8), 1..6).prop_map(|kinds| {
        let fields = |kinds: Vec<NetFieldKind>| {
            let named = kinds.into_iter().enumerate();
            named
                .map(|(i, kind)| net_field(&format!("f{i}"), kind))
                .collect()
        };
        let named = kinds.into_iter().enumerate();
        let entities = named
            .map(|(i, kinds)| EntityKind {
                name: format!("k{i}"),
                fields: fields(kinds),
            })
            .collect();
        Schema::new(&Manifest {
            entities,
            ..manifest()
        })
        .unwrap()
    })
}

type Row = (prop::sample::Index, Option<Slot>, [u32; 32]);

/// A state of the schema with these rows, whose columns are taken from any numbers.
fn state_of(schema: &Schema, rows: std::collections::BTreeMap<u32, Row>) -> NetState {
    let mut state = NetState::default();
    for (id, (kind, owner, values)) in rows {
        let kind = kind.index(schema.kinds().len()) as u8;
        let columns = schema.kind(kind).unwrap().columns();
        let first_column = state.columns.len() as u32;
        for (column, value) in columns.iter().zip(values) {
            let span = i64::from(column.hi) - i64::from(column.lo) + 1;
            state
                .columns
                .push((i64::from(column.lo) + i64::from(value) % span) as i32);
        }
        let column_count = columns.len() as u8;
        let priority = 0.0;
        state.entities.push(Entity {
            id,
            kind,
            owner,
            priority,
            first_column,
            column_count,
        });
    }
    state
}

fn any_state() -> impl Strategy<Value = (Schema, NetState)> {
    let id = prop_oneof![0..300_u32, any::<u32>(), Just(u32::MAX)];
    let row = (
        any::<prop::sample::Index>(),
        proptest::option::of(0..64_u8),
        any::<[u32; 32]>(),
    );
    (any_schema(), btree_map(id, row, 0..120)).prop_map(|(schema, rows)| {
        let state = state_of(&schema, rows);
        (schema, state)
    })
}

proptest! {
    #[test]
    fn any_state_comes_back_from_parts_in_any_order(
        (schema, state) in any_state(),
        max_bytes in 0..1000_usize,
        order in any::<prop::sample::Index>(),
        reverse in any::<bool>(),
    ) {
        let mut parts = encode(&schema, &state, max_bytes);
        let mut next = Some(0);
        for part in &parts {
            prop_assert_eq!(Some(part.first_id), next, "no gap and no overlap");
            prop_assert!(part.data.len() <= max_bytes.max(MIN_SNAPSHOT_BYTES));
            next = part.last_id.checked_add(1);
        }
        prop_assert_eq!(next, None, "all ids are covered");

        let middle = order.index(parts.len());
        parts.rotate_left(middle);
        if reverse {
            parts.reverse();
        }
        let mut received = ReceivedState::new();
        for part in &parts {
            let (first, last) = (part.first_id, part.last_id);
            prop_assert!(received.apply(&schema, 3, first, last, &part.data).unwrap());
            prop_assert!(!received.apply(&schema, 3, first, last, &part.data).unwrap());
        }
        prop_assert_eq!(received.whole_tick(), 3);
        prop_assert_eq!(received.state(), &state);
    }

    #[test]
    fn truncated_parts_are_errors((schema, state) in any_state(), cut in any::<prop::sample::Index>()) {
        for part in encode(&schema, &state, 900) {
            let short = &part.data[..cut.index(part.data.len())];
            let mut out = NetState::default();
            prop_assert!(decode_part(&schema, part.first_id, part.last_id, short, &mut out).is_err());
        }
    }

    #[test]
    fn any_bytes_decode_to_a_valid_state_or_not_at_all(
        schema in any_schema(),
        first in any::<u32>(),
        last in any::<u32>(),
        count in 0..6_u8,
        mut data in vec(any::<u8>(), 2..200),
    ) {
        data[0] = count;
        data[1] &= 0xf0;
        let mut state = NetState::default();
        if decode_part(&schema, first, last, &data, &mut state).is_ok() {
            // What was accepted is a state that an encoder takes.
            encode(&schema, &state, 900);
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(
        (schema, state) in any_state(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut received = ReceivedState::new();
        for mut part in encode(&schema, &state, 900) {
            let at = at.index(part.data.len());
            part.data[at] ^= 1_u8 << bit;
            let _ = received.apply(&schema, 1, part.first_id, part.last_id, &part.data);
        }
        encode(&schema, received.state(), 900);
    }
}
