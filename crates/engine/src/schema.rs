//! What a manifest's schemas come to, worked out once, and the checks that rest on it.
//!
//! [`Manifest::validate`] holds a manifest against the bounds of `docs/game-module.md`. A
//! [`Schema`] exists only for a manifest that passed, so whoever has one may rely on every bound.

mod fields;
mod manifest_check;

pub use fields::FieldError;
pub use manifest_check::ManifestError;

use crate::manifest::{Audience, Column, Field, Manifest, Message, NetFieldKind};

/// The schemas of one module, ready for use on each packet and tick.
#[derive(Clone, Debug)]
pub struct Schema {
    input: Vec<Field>,
    input_len: usize,
    commands: Vec<Message>,
    events: Vec<Message>,
    kinds: Vec<KindSchema>,
    kind_bits: u32,
}

impl Schema {
    /// Works out the schemas of a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] where the manifest does not keep its bounds.
    pub fn new(manifest: &Manifest) -> Result<Self, ManifestError> {
        manifest.validate()?;
        let kinds: Vec<KindSchema> = manifest
            .entities
            .iter()
            .map(|kind| KindSchema {
                fields: kind.fields.iter().map(|field| field.kind).collect(),
                columns: kind.columns().collect(),
                bits: kind.columns().map(Column::bits).sum(),
                audiences: kind
                    .fields
                    .iter()
                    .flat_map(|field| field.kind.columns().map(|_| field.audience))
                    .collect(),
            })
            .collect();
        Ok(Self {
            input: manifest.input.clone(),
            input_len: manifest
                .input
                .iter()
                .map(|field| field.kind.most_bytes())
                .sum(),
            commands: manifest.commands.clone(),
            events: manifest.events.clone(),
            kind_bits: usize::BITS - kinds.len().saturating_sub(1).leading_zeros(),
            kinds,
        })
    }

    /// How many bytes an input takes, always.
    pub fn input_len(&self) -> usize {
        self.input_len
    }

    /// The fields of an input, in order; none of them is text.
    pub fn input_fields(&self) -> &[Field] {
        &self.input
    }

    /// The kinds of entity, in the manifest's order.
    pub fn kinds(&self) -> &[KindSchema] {
        &self.kinds
    }

    /// One kind of entity by its index.
    pub fn kind(&self, index: u8) -> Option<&KindSchema> {
        self.kinds.get(usize::from(index))
    }

    /// How many bits the index of a kind takes in a snapshot, 0–6.
    pub fn kind_bits(&self) -> u32 {
        self.kind_bits
    }

    /// Holds an input's packed fields against their types and ranges.
    ///
    /// # Errors
    /// [`FieldError`] naming the field and what it may hold.
    pub fn validate_input(&self, data: &[u8]) -> Result<(), FieldError> {
        if data.len() != self.input_len {
            return Err(FieldError::Length {
                expected: self.input_len,
                found: data.len(),
            });
        }
        fields::validate(&self.input, data)
    }

    /// Holds a command (its index, then its fields) against its schema.
    ///
    /// # Errors
    /// [`FieldError`] naming the field and what it may hold.
    pub fn validate_command(&self, data: &[u8]) -> Result<(), FieldError> {
        fields::validate_message(&self.commands, data)
    }

    /// Holds an event (its index, then its fields) against its schema.
    ///
    /// # Errors
    /// [`FieldError`] naming the field and what it may hold.
    pub fn validate_event(&self, data: &[u8]) -> Result<(), FieldError> {
        fields::validate_message(&self.events, data)
    }
}

/// The columns of one kind of entity.
#[derive(Clone, Debug)]
pub struct KindSchema {
    fields: Vec<NetFieldKind>,
    columns: Vec<Column>,
    audiences: Vec<Audience>,
    bits: u32,
}

impl KindSchema {
    /// How each field's columns are to be read, in order.
    pub fn fields(&self) -> &[NetFieldKind] {
        &self.fields
    }

    /// The columns in order, at most 32.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Who may see each column, in the same order.
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }

    /// How many bits all its columns take in a snapshot.
    pub fn bits(&self) -> u32 {
        self.bits
    }
}
