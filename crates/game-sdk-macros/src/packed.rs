//! `Input` and `Message`: fields that travel packed, checked against ranges.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Field, Ident, Result};

use crate::attributes::{
    MAX_FIELDS, MAX_KINDS, enum_of, ident_of, inclusive_range, name_of, named, read_attributes,
    snake_case, struct_fields, value,
};

pub(crate) fn input(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let fields = packed_fields(struct_fields(input, "an input")?)?;
    let (idents, names, kinds) = columns(&fields);
    Ok(quote! {
        #[automatically_derived]
        impl ::game_sdk::Input for #ident {
            fn fields() -> ::std::vec::Vec<::game_sdk::__private::Field> {
                ::std::vec![#(::game_sdk::__private::field(#names, #kinds)),*]
            }

            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                let _ = &out;
                #(::game_sdk::__private::FieldValue::encode(&self.#idents, #kinds, out);)*
            }

            fn decode(
                input: &mut ::game_sdk::Reader<'_>,
            ) -> ::std::option::Option<Self> {
                let _ = &input;
                ::std::option::Option::Some(Self {
                    #(#idents: ::game_sdk::__private::FieldValue::decode(#kinds, input)?,)*
                })
            }
        }
    })
}

pub(crate) fn message(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let data = enum_of(input, "a message", MAX_KINDS)?;
    let mut schemas = Vec::new();
    let mut encoders = Vec::new();
    let mut decoders = Vec::new();
    let mut faults = Vec::new();
    for (index, variant) in data.variants.iter().enumerate() {
        let index = index as u8;
        let variant_ident = &variant.ident;
        let variant_name = snake_case(variant_ident);
        let fields = packed_fields(named(&variant.fields)?)?;
        let (idents, names, kinds) = columns(&fields);
        schemas.push(quote! {
            ::game_sdk::__private::MessageSchema {
                name: #variant_name.into(),
                fields: ::std::vec![#(::game_sdk::__private::field(#names, #kinds)),*],
            }
        });
        encoders.push(quote! {
            Self::#variant_ident { #(#idents),* } => {
                out.push(#index);
                #(::game_sdk::__private::FieldValue::encode(#idents, #kinds, out);)*
            }
        });
        decoders.push(quote! {
            #index => ::std::option::Option::Some(Self::#variant_ident {
                #(#idents: ::game_sdk::__private::FieldValue::decode(#kinds, input)?,)*
            }),
        });
        faults.push(quote! {
            Self::#variant_ident { #(#idents),* } => {
                #(::game_sdk::__private::check_field(#variant_name, #names, #idents, #kinds)?;)*
            }
        });
    }
    // A match on a reference to an empty enum needs the dereference to be seen as exhaustive.
    let this = if data.variants.is_empty() {
        quote!(*self)
    } else {
        quote!(self)
    };
    Ok(quote! {
        #[automatically_derived]
        impl ::game_sdk::Message for #ident {
            fn messages() -> ::std::vec::Vec<::game_sdk::__private::MessageSchema> {
                ::std::vec![#(#schemas),*]
            }

            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                let _ = &out;
                match #this { #(#encoders)* }
            }

            fn decode(
                input: &mut ::game_sdk::Reader<'_>,
            ) -> ::std::option::Option<Self> {
                match input.u8()? {
                    #(#decoders)*
                    _ => ::std::option::Option::None,
                }
            }

            fn check_ranges(&self) -> ::std::result::Result<(), ::std::string::String> {
                match #this { #(#faults)* }
                #[allow(unreachable_code)]
                ::std::result::Result::Ok(())
            }
        }
    })
}

/// One field, and the tokens that make its `FieldKind`.
struct Packed<'a> {
    ident: &'a Ident,
    kind: TokenStream,
}

fn packed_fields(fields: Vec<&Field>) -> Result<Vec<Packed<'_>>> {
    if let Some(extra) = fields.get(MAX_FIELDS) {
        return Err(Error::new(
            extra.span(),
            format!("at most {MAX_FIELDS} fields"),
        ));
    }
    fields.into_iter().map(packed_field).collect()
}

fn packed_field(field: &Field) -> Result<Packed<'_>> {
    let mut range = None;
    let mut max = None;
    read_attributes(field, "field", |key, meta| {
        match key {
            "range" => range = Some(inclusive_range(meta)?),
            "max" => max = Some(value(meta)?),
            _ => return Err(meta.error("expected `range = lo..=hi`, or `max = bytes` of a text")),
        }
        Ok(())
    })?;
    let ty = &field.ty;
    let span = ty.span();
    let kind = match (range, max) {
        (Some(_), Some(_)) => {
            return Err(Error::new(
                span,
                "`range` is for numbers and `max` for texts, not both",
            ));
        }
        (Some((lo, hi)), None) => {
            quote_spanned!(span=> <#ty as ::game_sdk::__private::RangedField>::kind(#lo, #hi))
        }
        (None, Some(max)) => {
            quote_spanned!(span=> <#ty as ::game_sdk::__private::TextField>::kind(#max))
        }
        (None, None) => quote_spanned!(span=> <#ty as ::game_sdk::__private::PlainField>::kind()),
    };
    Ok(Packed {
        ident: ident_of(field),
        kind,
    })
}

fn columns<'a>(fields: &'a [Packed<'a>]) -> (Vec<&'a Ident>, Vec<String>, Vec<&'a TokenStream>) {
    (
        fields.iter().map(|f| f.ident).collect(),
        fields.iter().map(|f| name_of(f.ident)).collect(),
        fields.iter().map(|f| &f.kind).collect(),
    )
}
