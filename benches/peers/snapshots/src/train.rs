//! Trains the ranged codec's prior, on scenes of other seeds, sizes and speeds than those that
//! anything is measured on.

use std::path::Path;

use anyhow::Context;
use gs_engine::manifest::{
    Audience, EntityKind, Interpolate, LeaderboardRule, Manifest, NetField, NetFieldKind, Predict,
};
use gs_engine::simulation::{Entity, NetState};
use gs_engine::snapshot::Delta;
use gs_engine::snapshot::ranged::training::Training;
use gs_engine::{Schema, snapshot::ranged::RangedCodec};

use crate::record::{COLUMNS, Scene, record};

pub(crate) fn train(out: &Path, every: usize) -> anyhow::Result<()> {
    let schema = schema()?;
    let scenes: Vec<Vec<NetState>> = SCENES.iter().map(|scene| states(*scene)).collect();
    let mut training = Training::new();
    for pass in 1..=Training::PASSES {
        eprintln!("pass {pass} of {}", Training::PASSES);
        let mut picked = 0;
        for frame in (FIRST_FRAME..FRAMES).step_by(every) {
            for scene in &scenes {
                // Mostly baselines as old as a round trip, and some very new and very old ones.
                let age = AGES[picked % AGES.len()];
                let gap = 1 + usize::from(picked % 7 == 0);
                picked += 1;
                let delta = Delta {
                    base: &scene[frame - age],
                    older: Some(&scene[frame - age - gap]),
                    next: &scene[frame],
                };
                training.learn(&schema, &delta)?;
                if picked % WHOLE_EVERY == 0 {
                    let nothing = NetState::default();
                    let delta = Delta {
                        base: &nothing,
                        older: None,
                        next: &scene[frame],
                    };
                    training.learn(&schema, &delta)?;
                }
                if picked % ALONE_EVERY == 0 {
                    let delta = Delta {
                        base: &scene[frame - age],
                        older: None,
                        next: &scene[frame],
                    };
                    training.learn(&schema, &delta)?;
                }
            }
        }
        training.pass_ends();
    }
    hold_out(&schema, &mut training.codec())?;
    std::fs::write(out, training.prior()).with_context(|| format!("cannot write {}", out.display()))
}

/// Says what the prior comes to on a scene that it was not trained on.
fn hold_out(schema: &Schema, codec: &mut RangedCodec) -> anyhow::Result<()> {
    let states = states(HELD_OUT);
    let (mut data, mut bytes, mut count) = (Vec::new(), 0, 0);
    for frame in (FIRST_FRAME..states.len()).step_by(5) {
        let delta = Delta {
            base: &states[frame - 6],
            older: Some(&states[frame - 7]),
            next: &states[frame],
        };
        codec.encode(schema, &delta, &mut data)?;
        bytes += data.len();
        count += 1;
    }
    let mean = bytes as f64 / f64::from(count);
    eprintln!("{mean:.1} bytes a frame of a scene that was held out, baseline 6 frames old");
    Ok(())
}

fn states(scene: Scene) -> Vec<NetState> {
    let state = |columns: Vec<i32>| NetState {
        entities: (0..columns.len() / COLUMNS)
            .map(|n| Entity {
                id: n as u32,
                kind: 0,
                owner: None,
                priority: 0.0,
                first_column: (n * COLUMNS) as u32,
                column_count: COLUMNS as u8,
            })
            .collect(),
        columns,
    };
    record(scene).into_iter().map(state).collect()
}

fn schema() -> anyhow::Result<Schema> {
    let field = |name: &str, kind| NetField {
        name: name.to_owned(),
        kind,
        interpolate: Interpolate::Linear,
        predict: Predict::None,
        audience: Audience::All,
    };
    let int = |min, max| NetFieldKind::Int { min, max };
    let manifest = Manifest {
        name: "cubes".to_owned(),
        version: "1".to_owned(),
        title: "Cubes".to_owned(),
        tick_rate: 60,
        min_players: 1,
        max_players: 1,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 0,
        max_save_bytes: 1,
        leaderboard: LeaderboardRule::None,
        input: Vec::new(),
        commands: Vec::new(),
        events: Vec::new(),
        entities: vec![EntityKind {
            name: "cube".to_owned(),
            fields: vec![
                field("rotation", NetFieldKind::Quat { bits: 9 }),
                field("x", int(-16_383, 16_383)),
                field("y", int(-16_383, 16_383)),
                field("z", int(0, 8_191)),
                field("touched", NetFieldKind::Bool),
            ],
        }],
    };
    Ok(Schema::new(&manifest)?)
}

const FRAMES: usize = 2_000;
/// The first frame that has the oldest baseline, and one before it.
const FIRST_FRAME: usize = 40;
const AGES: [usize; 13] = [6, 6, 2, 12, 6, 30, 8, 6, 4, 6, 12, 6, 3];
/// How often a whole snapshot is learned from.
const WHOLE_EVERY: usize = 50;
/// How often a delta without an older state is learned from.
const ALONE_EVERY: usize = 25;

const USUAL: Scene = Scene {
    seed: 11,
    side: 30,
    frames: FRAMES,
    small: 0.4,
    spacing: 1.0,
    big: 1.5,
    speed: 9.0,
};
const HELD_OUT: Scene = Scene { seed: 99, ..USUAL };
const SCENES: [Scene; 8] = [
    USUAL,
    Scene { seed: 12, ..USUAL },
    Scene { seed: 13, ..USUAL },
    Scene { seed: 14, ..USUAL },
    Scene {
        seed: 21,
        side: 24,
        small: 0.5,
        spacing: 1.2,
        speed: 7.0,
        ..USUAL
    },
    Scene {
        seed: 22,
        side: 20,
        small: 0.6,
        spacing: 0.8,
        big: 2.0,
        speed: 6.0,
        ..USUAL
    },
    Scene {
        seed: 23,
        spacing: 0.8,
        speed: 8.0,
        ..USUAL
    },
    Scene {
        seed: 24,
        small: 0.3,
        spacing: 0.9,
        big: 1.2,
        speed: 12.0,
        ..USUAL
    },
];
