//! Says by field how two net states differ: for the logs of a server and a client that do not
//! agree, and for a game's author whose module does not agree with itself.

use std::fmt;

use crate::manifest::{Manifest, NetFieldKind};
use crate::simulation::{Entity, NetState};

/// A value that is not the same on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The entity's id.
    pub entity: u32,
    /// Name of its kind; where the kinds differ, of mine.
    pub kind: String,
    /// Name of the field. Of a quaternion `field[0]` to `field[3]`; besides fields `(there)`,
    /// `(kind)` and `(owner)`.
    pub field: String,
    /// The column as it is in mine; for `(there)` 0 or 1, for `(owner)` -1 for none.
    pub mine: i32,
    /// The same in theirs.
    pub theirs: i32,
    /// What the columns stand for, mine first: units of a `range`, radians of an `angle`, else the
    /// columns themselves.
    pub values: (f64, f64),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entity,
            kind,
            field,
            values: (mine, theirs),
            ..
        } = self;
        // Six digits show a step of the finest field without the noise of its binary fraction.
        let round = |value: f64| (value * 1e6).round() / 1e6;
        let (mine, theirs) = (round(*mine), round(*theirs));
        write!(
            f,
            "entity {entity} ({kind}): {field} is {mine} and {theirs}"
        )
    }
}

/// The differences between two net states of one game, ascending by entity, at most `limit`.
/// Priorities are no part of what is seen and are not compared.
pub fn between(
    manifest: &Manifest,
    mine: &NetState,
    theirs: &NetState,
    limit: usize,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let (mut own, mut other) = (
        mine.entities.iter().peekable(),
        theirs.entities.iter().peekable(),
    );
    while found.len() < limit {
        let (a, b) = match (own.peek(), other.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if a.id == b.id => (own.next(), other.next()),
            (Some(a), Some(b)) if a.id > b.id => (None, other.next()),
            (Some(_), _) => (own.next(), None),
            (None, Some(_)) => (None, other.next()),
        };
        match (a, b) {
            (Some(a), Some(b)) => {
                compare(manifest, (mine, a), (theirs, b), &mut found);
            }
            (Some(only), None) | (None, Some(only)) => {
                let there = i32::from(a.is_some());
                found.push(plain(manifest, only, "(there)", there, 1 - there));
            }
            (None, None) => break,
        }
    }
    found.truncate(limit);
    found
}

fn compare(
    manifest: &Manifest,
    (mine, a): (&NetState, &Entity),
    (theirs, b): (&NetState, &Entity),
    found: &mut Vec<Difference>,
) {
    if a.kind != b.kind {
        let (mine, theirs) = (i32::from(a.kind), i32::from(b.kind));
        found.push(plain(manifest, a, "(kind)", mine, theirs));
        return;
    }
    if a.owner != b.owner {
        let owner = |entity: &Entity| entity.owner.map_or(-1, i32::from);
        found.push(plain(manifest, a, "(owner)", owner(a), owner(b)));
    }
    let Some(kind) = manifest.entities.get(usize::from(a.kind)) else {
        return;
    };
    let columns = kind.fields.iter().flat_map(|field| {
        let count = field.kind.columns().count();
        (0..count).map(move |column| (field, column, count))
    });
    let values = mine.columns_of(a).iter().zip(theirs.columns_of(b));
    for ((field, column, count), (own, other)) in columns.zip(values) {
        if own == other {
            continue;
        }
        let name = if count > 1 {
            format!("{}[{column}]", field.name)
        } else {
            field.name.clone()
        };
        found.push(Difference {
            values: (value_of(field.kind, *own), value_of(field.kind, *other)),
            ..plain(manifest, a, &name, *own, *other)
        });
    }
}

fn plain(manifest: &Manifest, entity: &Entity, field: &str, mine: i32, theirs: i32) -> Difference {
    let kind = manifest.entities.get(usize::from(entity.kind));
    Difference {
        entity: entity.id,
        kind: kind.map_or_else(|| entity.kind.to_string(), |kind| kind.name.clone()),
        field: field.to_owned(),
        mine,
        theirs,
        values: (f64::from(mine), f64::from(theirs)),
    }
}

fn value_of(kind: NetFieldKind, column: i32) -> f64 {
    let column = f64::from(column);
    match kind {
        NetFieldKind::Range { min, precision, .. } => {
            f64::from(min) + column * f64::from(precision)
        }
        NetFieldKind::Angle { bits } => column * std::f64::consts::TAU / f64::from(1 << bits),
        NetFieldKind::Bool | NetFieldKind::Int { .. } | NetFieldKind::Quat { .. } => column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Audience, EntityKind, Interpolate, LeaderboardRule, NetField, Predict};

    fn manifest() -> Manifest {
        let field = |name: &str, kind| NetField {
            name: name.into(),
            kind,
            interpolate: Interpolate::None,
            predict: Predict::None,
            audience: Audience::All,
        };
        let range = NetFieldKind::Range {
            min: -10.0,
            max: 10.0,
            precision: 0.5,
        };
        Manifest {
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
            max_save_bytes: 64,
            leaderboard: LeaderboardRule::Best,
            input: vec![],
            commands: vec![],
            events: vec![],
            entities: vec![
                EntityKind {
                    name: "ship".into(),
                    fields: vec![
                        field("x", range),
                        field("turn", NetFieldKind::Quat { bits: 9 }),
                    ],
                },
                EntityKind {
                    name: "door".into(),
                    fields: vec![field("open", NetFieldKind::Bool)],
                },
            ],
        }
    }

    fn state(entities: &[(u32, u8, Option<u8>, &[i32])]) -> NetState {
        let mut state = NetState::default();
        for (id, kind, owner, columns) in entities {
            state.entities.push(Entity {
                id: *id,
                kind: *kind,
                owner: *owner,
                priority: 1.0,
                first_column: state.columns.len() as u32,
                column_count: columns.len() as u8,
            });
            state.columns.extend_from_slice(columns);
        }
        state
    }

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let mine = state(&[(1, 0, Some(0), &[3, 0, 1, 2, 3]), (5, 1, None, &[0])]);
        let theirs = state(&[(1, 0, Some(1), &[7, 0, 1, 9, 3]), (5, 1, None, &[0])]);
        let found = between(&manifest(), &mine, &theirs, 16);
        let lines: Vec<String> = found.iter().map(Difference::to_string).collect();
        assert_eq!(
            lines,
            [
                "entity 1 (ship): (owner) is 0 and 1",
                "entity 1 (ship): x is -8.5 and -6.5",
                "entity 1 (ship): turn[2] is 2 and 9",
            ]
        );
        assert_eq!((found[1].mine, found[1].theirs), (3, 7));
        assert_eq!(between(&manifest(), &mine, &theirs, 2).len(), 2);
        assert!(between(&manifest(), &mine, &mine, 16).is_empty());
    }

    #[test]
    fn what_only_one_side_has_is_named() {
        let mine = state(&[(1, 1, None, &[1]), (4, 1, None, &[1]), (9, 1, None, &[0])]);
        let theirs = state(&[(2, 1, None, &[1]), (4, 0, None, &[3, 0, 1, 2, 3])]);
        let lines: Vec<String> = between(&manifest(), &mine, &theirs, 16)
            .iter()
            .map(Difference::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "entity 1 (door): (there) is 1 and 0",
                "entity 2 (door): (there) is 0 and 1",
                "entity 4 (door): (kind) is 1 and 0",
                "entity 9 (door): (there) is 1 and 0",
            ]
        );
    }
}
