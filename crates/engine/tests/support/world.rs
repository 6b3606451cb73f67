//! A world that moves at random, of kinds with every sort of column.

use gs_engine::manifest::{EntityKind, Manifest, NetFieldKind};
use gs_engine::schema::Schema;
use gs_engine::simulation::{Entity, NetState};

use super::{manifest, net_field};

/// A small generator: the same numbers from the same seed everywhere.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

/// Walkers with places, speeds and looks; crates that only have a state; marks that have nothing.
pub(crate) fn world_manifest() -> Manifest {
    let place = NetFieldKind::Range {
        min: -100.0,
        max: 100.0,
        precision: 0.01,
    };
    let kind = |name: &str, fields: Vec<NetFieldKind>| EntityKind {
        name: name.into(),
        fields: fields
            .into_iter()
            .enumerate()
            .map(|(index, field)| net_field(&format!("f{index}"), field))
            .collect(),
    };
    let (i32_min, i32_max) = (i32::MIN, i32::MAX);
    Manifest {
        entities: vec![
            kind(
                "walker",
                vec![
                    place,
                    place,
                    NetFieldKind::Angle { bits: 12 },
                    NetFieldKind::Bool,
                    NetFieldKind::Int { min: 0, max: 100 },
                ],
            ),
            kind(
                "crate",
                vec![
                    NetFieldKind::Quat { bits: 9 },
                    NetFieldKind::Int {
                        min: i32_min,
                        max: i32_max,
                    },
                ],
            ),
            kind("mark", vec![]),
        ],
        ..manifest()
    }
}

pub(crate) struct World {
    pub(crate) things: Vec<Thing>,
    next_id: u32,
}

#[derive(Clone)]
pub(crate) struct Thing {
    pub(crate) id: u32,
    kind: u8,
    owner: Option<u8>,
    priority: f32,
    columns: Vec<i32>,
    way: Vec<i32>,
}

impl World {
    pub(crate) fn new(schema: &Schema, count: u32, random: &mut Random) -> Self {
        let mut world = Self {
            things: Vec::new(),
            next_id: random.below(1000),
        };
        for _ in 0..count {
            world.spawn(schema, random);
        }
        world
    }

    pub(crate) fn spawn(&mut self, schema: &Schema, random: &mut Random) {
        let kind = random.below(10);
        let kind = if kind < 8 { 0 } else { kind as u8 - 7 };
        let columns = schema.kinds()[usize::from(kind)].columns();
        let value = |random: &mut Random, lo: i32, hi: i32| {
            let span = i64::from(hi) - i64::from(lo) + 1;
            (i64::from(lo) + (i64::from(random.next()) << 1) % span) as i32
        };
        self.things.push(Thing {
            id: self.next_id,
            kind,
            owner: random.chance(30).then(|| random.below(64) as u8),
            priority: random.below(4) as f32,
            columns: columns.iter().map(|c| value(random, c.lo, c.hi)).collect(),
            way: columns
                .iter()
                .map(|c| random.below(c.bits().max(1) * 4) as i32 - 2 * c.bits() as i32)
                .collect(),
        });
        self.next_id += 1 + random.below(5) * random.below(50);
    }

    /// Everything moves; some turn, stop, go, or become something else.
    pub(crate) fn step(&mut self, schema: &Schema, churn: u32, random: &mut Random) {
        for index in (0..self.things.len()).rev() {
            if random.chance(churn) {
                self.things.remove(index);
                self.spawn(schema, random);
            }
        }
        self.move_on(schema, random);
        if random.chance(churn)
            && let Some(thing) = self.things.first_mut()
        {
            thing.owner = random.chance(50).then(|| random.below(64) as u8);
        }
    }

    /// Everything moves, nothing comes or goes.
    pub(crate) fn move_on(&mut self, schema: &Schema, random: &mut Random) {
        for thing in &mut self.things {
            if thing.id % 5 == 0 {
                continue;
            }
            let columns = schema.kinds()[usize::from(thing.kind)].columns();
            for (index, column) in columns.iter().enumerate() {
                let span = i64::from(column.hi) - i64::from(column.lo) + 1;
                let above = i64::from(thing.columns[index]) - i64::from(column.lo)
                    + i64::from(thing.way[index]);
                thing.columns[index] = (i64::from(column.lo) + above.rem_euclid(span)) as i32;
                if random.chance(3) {
                    thing.way[index] = random.below(9) as i32 - 4;
                }
            }
        }
    }

    /// What is seen of it by who sees `percent` of its things at this time.
    pub(crate) fn view(&self, percent: u32, salt: u32, out: &mut NetState) {
        out.clear();
        for thing in &self.things {
            let hash = (thing.id ^ salt.wrapping_mul(7919)).wrapping_mul(2_654_435_761) >> 16;
            if hash % 100 >= percent {
                continue;
            }
            out.entities.push(Entity {
                id: thing.id,
                kind: thing.kind,
                owner: thing.owner,
                priority: thing.priority,
                first_column: out.columns.len() as u32,
                column_count: thing.columns.len() as u8,
            });
            out.columns.extend_from_slice(&thing.columns);
        }
    }
}

/// Without priorities, which do not travel.
pub(crate) fn as_received(state: &NetState) -> NetState {
    let mut state = state.clone();
    for entity in &mut state.entities {
        entity.priority = 0.0;
    }
    state
}
