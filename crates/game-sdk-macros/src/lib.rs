//! The derives of `game-sdk`, which re-exports and documents them; a game does not depend on this
//! crate itself.

mod attributes;
mod entities;
mod options;
mod packed;
mod state;

use proc_macro::TokenStream;
use syn::DeriveInput;

/// Implements `game_sdk::Input` for a struct with named fields.
///
/// A field is `bool`, an integer up to 32 bits, or `f32`. `#[field(range = lo..=hi)]` bounds it;
/// an `f32` must have it.
#[proc_macro_derive(Input, attributes(field))]
pub fn derive_input(item: TokenStream) -> TokenStream {
    expand(item, packed::input)
}

/// Implements `game_sdk::Message` for an enum of commands or events.
///
/// A variant has named fields or none. Besides what an input may have, a field may be a `String`
/// with `#[field(max = bytes)]`.
#[proc_macro_derive(Message, attributes(field))]
pub fn derive_message(item: TokenStream) -> TokenStream {
    expand(item, packed::message)
}

/// Implements `game_sdk::Entities` for an enum with one variant for each kind of entity.
///
/// | field | attribute |
/// |---|---|
/// | `bool`, `u8`, `i8`, `u16`, `i16` | none needed |
/// | an integer | `#[net(range = 0..=100)]` |
/// | `f32` | `#[net(range = 0.0..=40.0, step = 0.01)]` |
/// | `f32`, radians | `#[net(angle, bits = 10)]` |
/// | `[f32; 4]`, a unit quaternion x, y, z, w | `#[net(quat, bits = 9)]` |
///
/// Each may add `owner_only` or `team_only`, `predict`, and `interpolate = linear` or `none`.
#[proc_macro_derive(Entities, attributes(net))]
pub fn derive_entities(item: TokenStream) -> TokenStream {
    expand(item, entities::entities)
}

/// Implements `game_sdk::State`, the canonical save and load, for a struct or an enum whose fields
/// all implement it.
#[proc_macro_derive(State)]
pub fn derive_state(item: TokenStream) -> TokenStream {
    expand(item, state::state)
}

/// Implements `game_sdk::Options` for a struct with named fields.
///
/// Each field has `#[option(default = value)]`, and may have `range = lo..=hi`.
#[proc_macro_derive(Options, attributes(option))]
pub fn derive_options(item: TokenStream) -> TokenStream {
    expand(item, options::options)
}

fn expand(
    item: TokenStream,
    derive: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    let input = syn::parse_macro_input!(item as DeriveInput);
    derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
