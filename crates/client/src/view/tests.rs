use gs_engine::manifest::{Audience, EntityKind, NetField};

use super::*;

fn field(name: &str, kind: NetFieldKind, interpolate: Interpolate) -> NetField {
    NetField {
        name: name.into(),
        kind,
        interpolate,
        predict: Predict::None,
        audience: Audience::All,
    }
}

/// A layout of one kind with these fields.
fn layout(fields: Vec<NetField>) -> Layout {
    let manifest = Manifest {
        name: "test".into(),
        version: "1".into(),
        title: "Test".into(),
        tick_rate: 60,
        min_players: 1,
        max_players: 2,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 100,
        max_save_bytes: 100,
        leaderboard: gs_engine::manifest::LeaderboardRule::None,
        input: vec![],
        commands: vec![],
        events: vec![],
        entities: vec![
            EntityKind {
                name: "a".into(),
                fields,
            },
            EntityKind {
                name: "b".into(),
                fields: vec![],
            },
        ],
    };
    Layout::new(&manifest)
}

fn state(rows: &[(u32, &[i32])]) -> NetState {
    let mut state = NetState::default();
    for (id, columns) in rows {
        state.entities.push(Entity {
            id: *id,
            kind: 0,
            owner: Some(*id as Slot),
            priority: 0.0,
            first_column: state.columns.len() as u32,
            column_count: columns.len() as u8,
        });
        state.columns.extend_from_slice(columns);
    }
    state
}

fn drawn(layout: &Layout, from: &NetState, to: &NetState, fraction: f64) -> Vec<(u32, Vec<f64>)> {
    let mut view = View::default();
    view.fill(layout, 1.0, from, Some(to), fraction);
    let entities = view.entities().iter();
    entities
        .map(|entity| (entity.id, view.values_of(entity).to_vec()))
        .collect()
}

const X: NetFieldKind = NetFieldKind::Range {
    min: -1.0,
    max: 9.0,
    precision: 0.01,
};

#[test]
fn entities_move_between_two_ticks_and_exist_as_of_the_first() {
    let layout = layout(vec![field("x", X, Interpolate::Linear)]);
    let from = state(&[(1, &[100]), (3, &[0]), (4, &[50])]);
    let to = state(&[(2, &[7]), (3, &[100]), (5, &[1])]);
    assert_eq!(
        drawn(&layout, &from, &to, 0.25),
        [(1, vec![0.0]), (3, vec![-0.75]), (4, vec![-0.5])]
    );
}

#[test]
fn an_id_that_is_used_again_by_another_kind_does_not_glide_from_the_old_place() {
    let layout = layout(vec![field("x", X, Interpolate::Linear)]);
    let from = state(&[(1, &[100])]);
    let mut to = state(&[(1, &[])]);
    to.entities[0].kind = 1;
    assert_eq!(drawn(&layout, &from, &to, 0.5), [(1, vec![0.0])]);
    assert_eq!(drawn(&layout, &to, &from, 0.5), [(1, vec![])]);
}

#[test]
fn each_field_moves_as_the_manifest_says() {
    let layout = layout(vec![
        field("alive", NetFieldKind::Bool, Interpolate::Linear),
        field(
            "lives",
            NetFieldKind::Int { min: -5, max: 5 },
            Interpolate::None,
        ),
        field(
            "heat",
            NetFieldKind::Int { min: -5, max: 5 },
            Interpolate::Linear,
        ),
        field(
            "facing",
            NetFieldKind::Angle { bits: 8 },
            Interpolate::Linear,
        ),
        field("turret", NetFieldKind::Angle { bits: 8 }, Interpolate::None),
    ]);
    let from = state(&[(1, &[0, -3, -4, 250, 250])]);
    let to = state(&[(1, &[1, 3, 4, 10, 10])]);
    let values = &drawn(&layout, &from, &to, 0.5)[0].1;
    let turn = std::f64::consts::TAU;
    assert_eq!(values[..3], [0.0, -3.0, 0.0]);
    // From 250 to 10 of 256 the short way is over 0.
    assert!((values[3] - turn * 2.0 / 256.0).abs() < 1e-9, "{values:?}");
    assert!((values[4] - turn * 250.0 / 256.0).abs() < 1e-9);
}

#[test]
fn quaternions_are_whole_and_turn_along_the_short_arc() {
    let quat = NetFieldKind::Quat { bits: 10 };
    let layout = layout(vec![field("q", quat, Interpolate::Linear)]);
    // All four components 1/2, and the same turned by -1: the largest is made positive.
    let half = ((0.5 / std::f64::consts::FRAC_1_SQRT_2 + 1.0) / 2.0 * 1023.0).round() as i32;
    let none = 512;
    let from = state(&[(1, &[3, half, half, half])]);
    let to = state(&[(1, &[0, none, none, none])]);
    for fraction in [0.0, 0.3, 1.0] {
        let q = drawn(&layout, &from, &to, fraction)[0].1.clone();
        let length: f64 = q.iter().map(|c| c * c).sum();
        assert!((length - 1.0).abs() < 1e-6, "{q:?}");
    }
    let q = &drawn(&layout, &from, &to, 0.0)[0].1;
    assert!(q.iter().all(|c| (c - 0.5).abs() < 2e-3), "{q:?}");
    let opposite = state(&[(1, &[3, 1023 - half, 1023 - half, 1023 - half])]);
    let q = &drawn(&layout, &from, &opposite, 0.5)[0].1;
    assert!(
        (q.iter().map(|c| c * c).sum::<f64>() - 1.0).abs() < 1e-6,
        "{q:?}"
    );
}

#[test]
fn a_range_reads_as_its_author_wrote_it() {
    let layout = layout(vec![field("x", X, Interpolate::Linear)]);
    let at = state(&[(1, &[101])]);
    let value = drawn(&layout, &at, &at, 0.0)[0].1[0];
    assert!((value - 0.01).abs() < 1e-12, "{value}");
}
