//! Schemas and states for the ranged codec's tests.

use gs_engine::Schema;
use gs_engine::manifest::{
    Audience, EntityKind, Interpolate, LeaderboardRule, Manifest, NetField, NetFieldKind, Predict,
};
use gs_engine::simulation::{Entity, NetState};
use gs_engine::snapshot::ranged::RangedCodec;

/// xorshift64*: the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n.max(1)
    }
}

pub(crate) fn field(name: &str, kind: NetFieldKind) -> NetField {
    NetField {
        name: name.to_owned(),
        kind,
        interpolate: Interpolate::None,
        predict: Predict::None,
        audience: Audience::All,
    }
}

pub(crate) fn schema_of(entities: Vec<EntityKind>) -> Schema {
    Schema::new(&Manifest {
        name: "test".to_owned(),
        version: "1".to_owned(),
        title: "Test".to_owned(),
        tick_rate: 60,
        min_players: 1,
        max_players: 8,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 0,
        max_save_bytes: 1,
        leaderboard: LeaderboardRule::None,
        input: Vec::new(),
        commands: Vec::new(),
        events: Vec::new(),
        entities,
    })
    .expect("the test's own schema is sound")
}

/// One kind of eight columns: a rotation, a place and a flag.
pub(crate) fn bodies() -> Schema {
    let int = |min, max| NetFieldKind::Int { min, max };
    schema_of(vec![EntityKind {
        name: "body".to_owned(),
        fields: vec![
            field("rotation", NetFieldKind::Quat { bits: 9 }),
            field("x", int(-16_383, 16_383)),
            field("y", int(-16_383, 16_383)),
            field("z", int(0, 8_191)),
            field("touched", NetFieldKind::Bool),
        ],
    }])
}

/// Entities of random kinds and values.
pub(crate) fn start(schema: &Schema, count: usize, random: &mut Random) -> NetState {
    let mut state = NetState::default();
    let mut id = random.below(5) as u32;
    for _ in 0..count {
        add(schema, &mut state, id, random);
        id += 1 + random.below(3) as u32;
    }
    state
}

fn add(schema: &Schema, state: &mut NetState, id: u32, random: &mut Random) {
    let kind = random.below(schema.kinds().len() as u64) as u8;
    let columns = schema.kinds()[usize::from(kind)].columns();
    state.entities.push(Entity {
        id,
        kind,
        owner: (random.below(3) == 0).then(|| random.below(64) as u8),
        priority: 0.0,
        first_column: state.columns.len() as u32,
        column_count: columns.len() as u8,
    });
    for column in columns {
        let span = (i64::from(column.hi) - i64::from(column.lo) + 1) as u64;
        let value = i64::from(column.lo) + random.below(span) as i64;
        state.columns.push(value as i32);
    }
}

/// The same some ticks later: some are gone, some are new, most move a little.
pub(crate) fn drift(schema: &Schema, from: &NetState, random: &mut Random) -> NetState {
    let mut state = NetState::default();
    let mut least = 0;
    for entity in &from.entities {
        if entity.id > least && random.below(20) == 0 {
            add(schema, &mut state, least, random);
        }
        least = entity.id + 1;
        if random.below(20) == 0 {
            continue;
        }
        let owner = if random.below(30) == 0 {
            Some(random.below(64) as u8)
        } else {
            entity.owner
        };
        let first_column = state.columns.len() as u32;
        let still = random.below(3) > 0;
        let columns = schema.kinds()[usize::from(entity.kind)].columns();
        for (column, value) in columns.iter().zip(from.columns_of(entity)) {
            let step = match random.below(6) {
                _ if still => 0,
                0 => random.next() as i32,
                1 | 2 => random.below(41) as i32 - 20,
                _ => 0,
            };
            let moved = value.saturating_add(step).clamp(column.lo, column.hi);
            state.columns.push(moved);
        }
        state.entities.push(Entity {
            owner,
            first_column,
            ..*entity
        });
    }
    state
}

/// Decodes anything: what comes out, if anything does, keeps the schema.
pub(crate) fn decode_any(
    codec: &mut RangedCodec,
    schema: &Schema,
    base: &NetState,
    older: Option<&NetState>,
    bytes: &[u8],
) {
    let mut out = NetState::default();
    if codec.decode(schema, base, older, bytes, &mut out).is_err() {
        return;
    }
    assert!(out.entities.len() <= gs_engine::abi::MAX_ENTITIES);
    assert!(out.entities.is_sorted_by(|a, b| a.id < b.id));
    for entity in &out.entities {
        let columns = schema
            .kind(entity.kind)
            .expect("the test's own schema is sound")
            .columns();
        assert_eq!(out.columns_of(entity).len(), columns.len());
        for (column, value) in columns.iter().zip(out.columns_of(entity)) {
            assert!((column.lo..=column.hi).contains(value));
        }
    }
}
