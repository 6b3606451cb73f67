use std::time::Duration;

use gs_engine::Manifest;
use gs_engine::manifest::{Audience, EntityKind, Interpolate, LeaderboardRule, NetField, Predict};

use super::*;

fn layout(kinds: &[NetFieldKind]) -> Layout {
    let fields = kinds.iter().enumerate().map(|(index, kind)| NetField {
        name: format!("f{index}"),
        kind: *kind,
        interpolate: Interpolate::Linear,
        predict: Predict::Owner,
        audience: Audience::All,
    });
    Layout::new(&Manifest {
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
        leaderboard: LeaderboardRule::None,
        input: vec![],
        commands: vec![],
        events: vec![],
        entities: vec![EntityKind {
            name: "a".into(),
            fields: fields.collect(),
        }],
    })
}

fn state(rows: &[(u32, &[i32])]) -> NetState {
    let mut state = NetState::default();
    for (id, columns) in rows {
        state.entities.push(Entity {
            id: *id,
            kind: 0,
            owner: None,
            priority: 0.0,
            first_column: state.columns.len() as u32,
            column_count: columns.len() as u8,
        });
        state.columns.extend_from_slice(columns);
    }
    state
}

struct Screen {
    layout: Layout,
    corrections: Corrections,
}

impl Screen {
    fn new(kinds: &[NetFieldKind]) -> Self {
        Self {
            layout: layout(kinds),
            corrections: Corrections::default(),
        }
    }

    fn correct(&mut self, old: &NetState, new: &NetState) -> Corrected {
        let all = |_: &Entity| true;
        self.corrections
            .correct(&self.layout, old, new, all, PredictedOnly::No)
    }

    /// The first values of each entity.
    fn draw(&mut self, state: &NetState, now_ms: u64) -> Vec<f64> {
        self.corrections.decay(Duration::from_millis(now_ms));
        let mut view = View::default();
        view.fill(&self.layout, 1.0, state, None, 0.0);
        self.corrections.apply(&self.layout, &mut view);
        let entities = view.entities().iter();
        entities.map(|entity| view.values_of(entity)[0]).collect()
    }
}

const X: NetFieldKind = NetFieldKind::Range {
    min: 0.0,
    max: 100.0,
    precision: 0.1,
};

#[test]
fn what_is_drawn_never_jumps_and_is_right_soon_after() {
    let mut screen = Screen::new(&[X]);
    let (old, new) = (
        state(&[(1, &[100]), (2, &[50]), (9, &[7])]),
        state(&[(1, &[140]), (2, &[50]), (9, &[8])]),
    );
    let corrected = screen.correct(&old, &new);
    assert_eq!((corrected.entities, corrected.noticeable), (1, 1));
    let drawn = screen.draw(&new, 0);
    assert!((drawn[0] - 10.0).abs() < 1e-9 && (drawn[1] - 5.0).abs() < 1e-9);
    let (mut last, mut steps) = (drawn[0], 0);
    for now in (10..=100).step_by(10) {
        let x = screen.draw(&new, now)[0];
        assert!(x > last && x < 14.0 && x - last < 1.0, "{last} to {x}");
        (last, steps) = (x, steps + 1);
    }
    assert!(steps == 10 && (14.0 - last) < 0.41, "a tenth is left");
    assert_eq!(screen.draw(&new, 2000)[0], 14.0);
}

#[test]
fn corrections_add_up() {
    let mut screen = Screen::new(&[X]);
    let at = |column: i32| state(&[(1, &[column])]);
    screen.correct(&at(100), &at(110));
    screen.correct(&at(110), &at(120));
    assert!((screen.draw(&at(120), 0)[0] - 10.0).abs() < 1e-9);
    // What is right again is still drawn where it was, and glides there.
    screen.correct(&at(120), &at(100));
    assert!((screen.draw(&at(100), 0)[0] - 10.0).abs() < 1e-9);
}

#[test]
fn a_teleport_is_no_glide() {
    let mut screen = Screen::new(&[X, X]);
    let (old, new) = (state(&[(1, &[100, 0])]), state(&[(1, &[500, 10])]));
    assert_eq!(screen.correct(&old, &new).noticeable, 1);
    assert_eq!(screen.draw(&new, 0), [50.0]);
    assert!(screen.corrections.entries.is_empty(), "all its fields jump");
}

#[test]
fn angles_glide_the_short_way_and_quaternions_stay_whole() {
    let mut screen = Screen::new(&[NetFieldKind::Angle { bits: 8 }]);
    let at = |column: i32| state(&[(1, &[column])]);
    screen.correct(&at(250), &at(4));
    let turn = std::f64::consts::TAU;
    assert!((screen.draw(&at(4), 0)[0] - turn * 250.0 / 256.0).abs() < 1e-9);
    let later = screen.draw(&at(4), 100)[0];
    assert!(
        (later - turn * 3.0 / 256.0).abs() < turn * 0.5 / 256.0,
        "{later}"
    );

    let mut screen = Screen::new(&[NetFieldKind::Quat { bits: 9 }]);
    let (old, new) = (
        state(&[(1, &[3, 300, 255, 255])]),
        state(&[(1, &[3, 255, 300, 255])]),
    );
    screen.correct(&old, &new);
    let mut view = View::default();
    view.fill(&screen.layout, 1.0, &new, None, 0.0);
    screen.corrections.apply(&screen.layout, &mut view);
    let drawn = view.values().to_vec();
    view.fill(&screen.layout, 1.0, &old, None, 0.0);
    for (drawn, old) in drawn.iter().zip(view.values()) {
        assert!((drawn - old).abs() < 1e-9);
    }
}

#[test]
fn entities_that_come_and_go_are_left_alone() {
    let mut screen = Screen::new(&[X]);
    screen.correct(
        &state(&[(1, &[10]), (3, &[30])]),
        &state(&[(1, &[20]), (2, &[5]), (3, &[40])]),
    );
    let now = state(&[(2, &[5]), (3, &[40])]);
    let drawn = screen.draw(&now, 0);
    assert!(
        (drawn[0] - 0.5).abs() < 1e-9 && (drawn[1] - 3.0).abs() < 1e-9,
        "{drawn:?}"
    );
}
