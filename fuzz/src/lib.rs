//! What the fuzz targets do with bytes. The first byte of a snapshot's says which states the rest
//! is a delta of.

use gs_engine::Schema;
use gs_engine::abi::MAX_ENTITIES;
use gs_engine::confirmed::{ConfirmedDecoder, ConfirmedEncoder, ConfirmedTick, MAX_TICKS};
use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Manifest, NetField,
    NetFieldKind, Predict,
};
use gs_engine::range_coder::{Bit, BitCoder, BitTree, Decoder, FLUSH_BYTES, Signed, Unsigned};
use gs_engine::simulation::{Entity, InputStatus, NetState, SlotInput, TickLog};
use gs_engine::snapshot::packed::PackedCodec;
use gs_engine::snapshot::ranged::RangedCodec;
use gs_engine::snapshot::{Delta, SnapshotError};

/// Reads a delta of the ranged codec.
pub fn ranged(data: &[u8]) {
    let mut codec = RangedCodec::new();
    delta(data, |schema, base, older, data, out| {
        codec.decode(schema, base, older, data, out)
    });
}

/// Reads a delta of the packed codec.
pub fn packed(data: &[u8]) {
    let mut codec = PackedCodec::new();
    delta(data, |schema, base, older, data, out| {
        codec.decode(schema, base, older, data, out)
    });
}

/// Whatever comes out of a delta keeps the schema and the bounds.
fn delta(
    data: &[u8],
    decode: impl FnOnce(
        &Schema,
        &NetState,
        Option<&NetState>,
        &[u8],
        &mut NetState,
    ) -> Result<(), SnapshotError>,
) {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    let (schema, mut out) = (schema(), NetState::default());
    let (base, older) = states(*which);
    if decode(&schema, &base, older.as_ref(), data, &mut out).is_err() {
        return;
    }
    assert!(out.entities.len() <= MAX_ENTITIES);
    assert!(out.entities.is_sorted_by(|a, b| a.id < b.id));
    for entity in &out.entities {
        let columns = schema.kinds()[usize::from(entity.kind)].columns();
        let values = out.columns_of(entity);
        assert_eq!(values.len(), columns.len());
        for (column, value) in columns.iter().zip(values) {
            assert!((column.lo..=column.hi).contains(value));
        }
    }
}

/// Reads confirmed ticks: what comes out satisfies the schema.
pub fn confirmed(data: &[u8]) {
    let schema = schema();
    let mut decoder = ConfirmedDecoder::default();
    let Ok(ticks) = decoder.decode(&schema, SLOTS, FIRST_TICK, data) else {
        return;
    };
    assert!(!ticks.is_empty() && ticks.len() <= MAX_TICKS);
    for tick in ticks {
        assert_eq!(tick.log.inputs.len(), usize::from(SLOTS));
        for input in &tick.log.inputs {
            if input.status != InputStatus::Absent {
                schema
                    .validate_input(&input.data)
                    .expect("only inputs that satisfy the schema come out");
            }
        }
    }
}

/// Reads bits, trees and numbers as the bytes themselves ask for.
pub fn range_coder(data: &[u8]) {
    let mut decoder = Decoder::new(data);
    let (mut bit, mut tree) = (Bit::default(), BitTree::<16>::default());
    let (mut unsigned, mut signed) = (Unsigned::default(), Signed::default());
    for n in 0..4 * (data.len() + FLUSH_BYTES) {
        match tree.code(&mut decoder, 0) % 5 {
            0 => assert!(decoder.code_raw(0, n as u32 % 32) >> (n % 32) == 0),
            1 => drop(bit.code(&mut decoder, false)),
            2 => drop(unsigned.code(&mut decoder, 0)),
            3 => drop(signed.code(&mut decoder, 0)),
            _ => drop(decoder.code(false, n as u32)),
        }
    }
    if decoder.is_past_end() {
        assert!(!decoder.is_at_end());
    }
}

/// Valid packets for each target, by target and name.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let schema = schema();
    let mut seeds = Vec::new();
    for which in 0..WHICH {
        let (base, older) = states(which);
        for age in [1, 6] {
            let next = state(40 + i32::from(which), age);
            let delta = Delta {
                base: &base,
                older: older.as_ref(),
                next: &next,
            };
            let (mut ranged, mut packed) = (Vec::new(), Vec::new());
            let written = RangedCodec::new().encode(&schema, &delta, &mut ranged);
            written.expect("the states keep the schema");
            let written = PackedCodec::new().encode(&schema, &delta, &mut packed);
            written.expect("the states keep the schema");
            ranged.insert(0, which);
            packed.insert(0, which);
            seeds.push(("ranged", format!("states-{which}-age-{age}"), ranged));
            seeds.push(("packed", format!("states-{which}-age-{age}"), packed));
        }
    }
    for count in [1, 2, 8] {
        let ticks: Vec<ConfirmedTick> = (0..count).map(confirmed_tick).collect();
        let mut data = Vec::new();
        let mut encoder = ConfirmedEncoder::default();
        encoder
            .encode(&schema, ticks.iter(), 900, &mut data)
            .expect("a few small ticks fit");
        seeds.push(("range_coder", format!("ticks-{count}"), data.clone()));
        seeds.push(("confirmed", format!("ticks-{count}"), data));
    }
    seeds
}

fn confirmed_tick(n: u32) -> ConfirmedTick {
    let input = |slot: u8| SlotInput {
        status: InputStatus::Fresh,
        view_tick: (FIRST_TICK + n) * 256,
        data: vec![(n / 3) as u8 % 3, u8::from(slot == 1)],
    };
    ConfirmedTick {
        log: TickLog {
            tick: FIRST_TICK + n,
            happenings: Vec::new(),
            inputs: (0..SLOTS).map(input).collect(),
        },
        hash: None,
    }
}

/// The base that a delta rests on, and the older state, where there is one.
fn states(which: u8) -> (NetState, Option<NetState>) {
    match which % WHICH {
        0 => (NetState::default(), None),
        1 => (state(40, 0), None),
        2 => (state(41, 0), Some(state(41, -1))),
        _ => (state(30, 0), Some(state(45, -3))),
    }
}

/// A state of up to `count` entities, some ticks on from one that is always the same.
fn state(count: i32, ticks: i32) -> NetState {
    let mut state = NetState::default();
    for n in 0..count {
        // Some are not there all the time.
        if n % 11 == 7 && ticks > 2 {
            continue;
        }
        let first_column = state.columns.len() as u32;
        let kind = u8::from(n % 5 == 4);
        let along = n * 37 % 400 + ticks * (n % 7 - 3);
        if kind == 0 {
            let spin = (256 + ticks * (n % 3)).clamp(0, 511);
            state
                .columns
                .extend([n % 4, spin, 256, 200, along - 200, n * 90 % 3_000, n % 2]);
        } else {
            state.columns.extend([along % 1_024, n]);
        }
        state.entities.push(Entity {
            id: (n * 2) as u32,
            kind,
            owner: (n % 3 == 0).then_some((n % 8) as u8),
            priority: 0.0,
            first_column,
            column_count: (state.columns.len() as u32 - first_column) as u8,
        });
    }
    state
}

fn schema() -> Schema {
    let field = |name: &str, kind| NetField {
        name: name.to_owned(),
        kind,
        interpolate: Interpolate::None,
        predict: Predict::None,
        audience: Audience::All,
    };
    let int = |min, max| NetFieldKind::Int { min, max };
    let input = |name: &str, kind| Field {
        name: name.to_owned(),
        kind,
    };
    let kind = |name: &str, fields| EntityKind {
        name: name.to_owned(),
        fields,
    };
    let manifest = Manifest {
        name: "fuzz".to_owned(),
        version: "1".to_owned(),
        title: "Fuzz".to_owned(),
        tick_rate: 60,
        min_players: 1,
        max_players: 8,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 100,
        max_save_bytes: 1,
        leaderboard: LeaderboardRule::None,
        input: vec![
            input("steer", FieldKind::U8 { min: 0, max: 2 }),
            input("fire", FieldKind::Bool),
        ],
        commands: Vec::new(),
        events: Vec::new(),
        entities: vec![
            kind(
                "body",
                vec![
                    field("rotation", NetFieldKind::Quat { bits: 9 }),
                    field("x", int(-5_000, 5_000)),
                    field("y", int(0, 4_000)),
                    field("touched", NetFieldKind::Bool),
                ],
            ),
            kind(
                "flag",
                vec![
                    field("angle", NetFieldKind::Angle { bits: 10 }),
                    field("points", int(i32::MIN, i32::MAX)),
                ],
            ),
        ],
    };
    Schema::new(&manifest).expect("the manifest keeps its bounds")
}

/// How many pairs of states there are.
const WHICH: u8 = 4;
const SLOTS: u8 = 4;
const FIRST_TICK: u32 = 100;
