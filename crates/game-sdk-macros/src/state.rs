//! `State`: canonical save and load.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Index, Result, parse_quote};

pub(crate) fn state(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::game_sdk::State));
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let (save, load) = match &input.data {
        Data::Struct(data) => struct_bodies(&data.fields),
        Data::Enum(data) => {
            if data.variants.is_empty() || data.variants.len() > 256 {
                return Err(Error::new(
                    ident.span(),
                    "a saved enum has 1 to 256 variants",
                ));
            }
            let mut savers = Vec::new();
            let mut loaders = Vec::new();
            for (index, variant) in data.variants.iter().enumerate() {
                let index = index as u8;
                let name = &variant.ident;
                let bindings: Vec<_> = (0..variant.fields.len())
                    .map(|n| format_ident!("field_{n}"))
                    .collect();
                let members: Vec<_> = members(&variant.fields);
                savers.push(quote! {
                    Self::#name { #(#members: #bindings),* } => {
                        out.push(#index);
                        #(::game_sdk::State::save(#bindings, out);)*
                    }
                });
                loaders.push(quote! {
                    #index => ::std::option::Option::Some(Self::#name {
                        #(#members: ::game_sdk::State::load(input)?,)*
                    }),
                });
            }
            (
                quote!(match self { #(#savers)* }),
                quote!(match input.u8()? { #(#loaders)* _ => ::std::option::Option::None }),
            )
        }
        Data::Union(_) => {
            return Err(Error::new(
                ident.span(),
                "a union cannot be saved: use an enum",
            ));
        }
    };
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::game_sdk::State for #ident #ty_generics #where_clause {
            fn save(&self, out: &mut ::std::vec::Vec<u8>) {
                let _ = &out;
                #save
            }

            fn load(input: &mut ::game_sdk::Reader<'_>) -> ::std::option::Option<Self> {
                let _ = &input;
                #load
            }
        }
    })
}

fn struct_bodies(fields: &Fields) -> (TokenStream, TokenStream) {
    let members = members(fields);
    (
        quote!(#(::game_sdk::State::save(&self.#members, out);)*),
        quote!(::std::option::Option::Some(Self {
            #(#members: ::game_sdk::State::load(input)?,)*
        })),
    )
}

/// The fields' names, or their numbers: both fit `Self { member: … }`.
fn members(fields: &Fields) -> Vec<TokenStream> {
    let numbered = fields.iter().enumerate();
    numbered
        .map(|(n, field)| match &field.ident {
            Some(ident) => quote!(#ident),
            None => {
                let index = Index::from(n);
                quote!(#index)
            }
        })
        .collect()
}
