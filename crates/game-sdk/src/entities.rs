//! What players see.

use gs_engine::manifest::EntityKind;
use gs_engine::simulation::Slot;

use crate::Never;
use crate::net_values::ColumnReader;

/// The kinds of entity in a game's net state. Derive it for an enum: see
/// [`derive@crate::Entities`].
///
/// A mistake is an error where the field is:
///
/// ```compile_fail
/// # use game_sdk::prelude::*;
/// #[derive(Entities)]
/// enum Thing {
///     Ball {
///         #[net(range = 0.0..40.0, step = 0.1)] // expected both ends, the last one included
///         x: f32,
///     },
/// }
/// ```
pub trait Entities: Sized {
    /// The schema, one a variant.
    fn kinds() -> Vec<EntityKind>;
    /// The index of this entity's kind.
    fn kind(&self) -> u8;
    /// Appends the columns. A value outside its range is written as the nearest end of it.
    fn write(&self, columns: &mut Vec<i32>);
    #[doc(hidden)]
    fn read(kind: u8, columns: &mut ColumnReader<'_>) -> Option<Self>;
    /// Whether every field is within its range.
    ///
    /// # Errors
    /// The field, its value and the range.
    fn check_ranges(&self) -> Result<(), String>;
}

impl Entities for Never {
    fn kinds() -> Vec<EntityKind> {
        Vec::new()
    }

    fn kind(&self) -> u8 {
        match *self {}
    }

    fn write(&self, _: &mut Vec<i32>) {
        match *self {}
    }

    fn read(_: u8, _: &mut ColumnReader<'_>) -> Option<Self> {
        None
    }

    fn check_ranges(&self) -> Result<(), String> {
        match *self {}
    }
}

/// An entity with its place in the net state.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// Unique within the match; small ids that stay close together travel in fewer bits.
    pub id: u32,
    /// The player that it belongs to.
    pub owner: Option<Slot>,
    /// What it is.
    pub entity: T,
}

/// Collects what there is to see, in any order; at most 4,096 entities.
#[derive(Debug)]
pub struct View<T> {
    pub(crate) placed: Vec<Placed<T>>,
}

impl<T> View<T> {
    /// Puts an entity that belongs to nobody. The id is unique within the match, and an entity
    /// keeps it as long as it lives.
    pub fn put(&mut self, id: u32, entity: T) {
        self.placed.push(Placed {
            id,
            owner: None,
            entity,
        });
    }

    /// Puts an entity that belongs to a player.
    pub fn put_owned(&mut self, id: u32, owner: Slot, entity: T) {
        self.placed.push(Placed {
            id,
            owner: Some(owner),
            entity,
        });
    }
}
