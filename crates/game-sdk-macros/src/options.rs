//! `Options`: what a server's configuration may set.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Result};

use crate::attributes::{
    ident_of, inclusive_range, name_of, read_attributes, struct_fields, value,
};

pub(crate) fn options(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let mut readers = Vec::new();
    for field in struct_fields(input, "options")? {
        let mut default = None;
        let mut range = None;
        read_attributes(field, "option", |key, meta| {
            match key {
                "default" => default = Some(value(meta)?),
                "range" => range = Some(inclusive_range(meta)?),
                _ => return Err(meta.error("expected `default = value` or `range = lo..=hi`")),
            }
            Ok(())
        })?;
        let Some(default) = default else {
            return Err(Error::new(
                field.span(),
                "an option needs `#[option(default = value)]`: a server may leave it out",
            ));
        };
        let range = match range {
            Some((lo, hi)) => quote!(::std::option::Option::Some((#lo, #hi))),
            None => quote!(::std::option::Option::None),
        };
        let field_ident = ident_of(field);
        let name = name_of(field_ident);
        let ty = &field.ty;
        readers.push(quote_spanned! {ty.span()=>
            #field_ident: options.read::<#ty>(#name, #default, #range)?,
        });
    }
    Ok(quote! {
        #[automatically_derived]
        impl ::game_sdk::Options for #ident {
            fn read(
                options: &mut ::game_sdk::OptionReader,
            ) -> ::std::result::Result<Self, ::game_sdk::OptionError> {
                let _ = &options;
                ::std::result::Result::Ok(Self { #(#readers)* })
            }
        }
    })
}
