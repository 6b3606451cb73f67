//! What the derives share: reading attributes, fields and names.

use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Data, DataEnum, DeriveInput, Error, Expr, Field, Fields, Ident, RangeLimits, Result, Token,
};

/// Calls `read` for each item of each `#[name(…)]` on a field.
pub(crate) fn read_attributes(
    field: &Field,
    name: &str,
    mut read: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident(name)) {
        attribute.parse_nested_meta(|meta| {
            let key = meta
                .path
                .get_ident()
                .map(Ident::to_string)
                .unwrap_or_default();
            read(&key, &meta)
        })?;
    }
    Ok(())
}

/// Reads `= lo..=hi`.
pub(crate) fn inclusive_range(meta: &ParseNestedMeta<'_>) -> Result<(Expr, Expr)> {
    let value: Expr = meta.value()?.parse()?;
    let span = value.span();
    let expected = || Error::new(span, "expected both ends, the last one included: `lo..=hi`");
    let Expr::Range(range) = value else {
        return Err(expected());
    };
    match (range.start, range.limits, range.end) {
        (Some(lo), RangeLimits::Closed(_), Some(hi)) => Ok((*lo, *hi)),
        _ => Err(expected()),
    }
}

/// Reads `= value`.
pub(crate) fn value(meta: &ParseNestedMeta<'_>) -> Result<Expr> {
    meta.value()?.parse()
}

/// The fields of a struct or variant with named fields, or none of a unit one.
pub(crate) fn named(fields: &Fields) -> Result<Vec<&Field>> {
    match fields {
        Fields::Named(named) => Ok(named.named.iter().collect()),
        Fields::Unit => Ok(Vec::new()),
        Fields::Unnamed(unnamed) => Err(Error::new(
            unnamed.span(),
            "give the fields names: clients find them by name",
        )),
    }
}

/// The fields of a struct; `wanted` names the derive for the error.
pub(crate) fn struct_fields<'a>(input: &'a DeriveInput, wanted: &str) -> Result<Vec<&'a Field>> {
    refuse_generics(input, wanted)?;
    match &input.data {
        Data::Struct(data) => named(&data.fields),
        _ => Err(Error::new(
            input.ident.span(),
            format!("{wanted} needs a struct"),
        )),
    }
}

/// The enum, with at most `limit` variants.
pub(crate) fn enum_of<'a>(
    input: &'a DeriveInput,
    wanted: &str,
    limit: usize,
) -> Result<&'a DataEnum> {
    refuse_generics(input, wanted)?;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            format!("{wanted} needs an enum"),
        ));
    };
    refuse_more_than(&data.variants, limit, "variants")?;
    Ok(data)
}

fn refuse_generics(input: &DeriveInput, wanted: &str) -> Result<()> {
    if input.generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        input.generics.span(),
        format!("{wanted} cannot be generic: the schema is one for the whole game"),
    ))
}

fn refuse_more_than<T: Spanned>(
    items: &Punctuated<T, Token![,]>,
    limit: usize,
    what: &str,
) -> Result<()> {
    match items.iter().nth(limit) {
        None => Ok(()),
        Some(extra) => Err(Error::new(extra.span(), format!("at most {limit} {what}"))),
    }
}

/// An identifier as clients see it, without `r#`.
pub(crate) fn name_of(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// A variant's name as clients see it: `LastSeconds` is `last_seconds`.
pub(crate) fn snake_case(ident: &Ident) -> String {
    let mut name = String::new();
    for c in name_of(ident).chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// The identifier of a named field.
pub(crate) fn ident_of(field: &Field) -> &Ident {
    field
        .ident
        .as_ref()
        .expect("`named` returns named fields only")
}

/// Most fields of an input, command or event, and most columns of an entity: the ABI's bounds.
pub(crate) const MAX_FIELDS: usize = 32;
/// Most commands, events and entity kinds, each: the ABI's bound.
pub(crate) const MAX_KINDS: usize = 64;
