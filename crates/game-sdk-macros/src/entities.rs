//! `Entities`: the kinds of the net state, and how their fields become columns.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Expr, Field, Ident, Result, Variant};

use crate::attributes::{
    MAX_FIELDS, MAX_KINDS, enum_of, ident_of, inclusive_range, name_of, named, read_attributes,
    snake_case, value,
};

pub(crate) fn entities(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let data = enum_of(input, "the net state", MAX_KINDS)?;
    let mut schemas = Vec::new();
    let mut indices = Vec::new();
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    let mut faults = Vec::new();
    for (index, variant) in data.variants.iter().enumerate() {
        let index = index as u8;
        let variant_ident = &variant.ident;
        let variant_name = snake_case(variant_ident);
        let fields = net_fields(variant)?;
        let idents: Vec<&Ident> = fields.iter().map(|f| f.ident).collect();
        let names: Vec<String> = idents.iter().map(|i| name_of(i)).collect();
        let kinds: Vec<&TokenStream> = fields.iter().map(|f| &f.kind).collect();
        let interpolates = fields.iter().map(|f| &f.interpolate);
        let predicts = fields.iter().map(|f| &f.predict);
        let audiences = fields.iter().map(|f| &f.audience);
        schemas.push(quote! {
            ::game_sdk::__private::EntityKind {
                name: #variant_name.into(),
                fields: ::std::vec![#(::game_sdk::__private::net_field(
                    #names, #kinds, #interpolates, #predicts, #audiences,
                )),*],
            }
        });
        indices.push(quote!(Self::#variant_ident { .. } => #index,));
        writers.push(quote! {
            Self::#variant_ident { #(#idents),* } => {
                #(::game_sdk::__private::NetValue::write(#idents, #kinds, columns);)*
            }
        });
        readers.push(quote! {
            #index => ::std::option::Option::Some(Self::#variant_ident {
                #(#idents: ::game_sdk::__private::NetValue::read(#kinds, columns)?,)*
            }),
        });
        faults.push(quote! {
            Self::#variant_ident { #(#idents),* } => {
                #(::game_sdk::__private::check_net(#variant_name, #names, #idents, #kinds)?;)*
            }
        });
    }
    let this = if data.variants.is_empty() {
        quote!(*self)
    } else {
        quote!(self)
    };
    Ok(quote! {
        #[automatically_derived]
        impl ::game_sdk::Entities for #ident {
            fn kinds() -> ::std::vec::Vec<::game_sdk::__private::EntityKind> {
                ::std::vec![#(#schemas),*]
            }

            fn kind(&self) -> u8 {
                match #this { #(#indices)* }
            }

            fn write(&self, columns: &mut ::std::vec::Vec<i32>) {
                let _ = &columns;
                match #this { #(#writers)* }
            }

            fn read(
                kind: u8,
                columns: &mut ::game_sdk::__private::ColumnReader<'_>,
            ) -> ::std::option::Option<Self> {
                let _ = &columns;
                match kind {
                    #(#readers)*
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

/// One field, and the tokens of its schema.
struct Net<'a> {
    ident: &'a Ident,
    kind: TokenStream,
    columns: usize,
    interpolate: TokenStream,
    predict: TokenStream,
    audience: TokenStream,
}

fn net_fields(variant: &Variant) -> Result<Vec<Net<'_>>> {
    let fields: Vec<Net<'_>> = named(&variant.fields)?
        .into_iter()
        .map(net_field)
        .collect::<Result<_>>()?;
    if fields.iter().map(|f| f.columns).sum::<usize>() > MAX_FIELDS {
        return Err(Error::new(
            variant.span(),
            format!("an entity has at most {MAX_FIELDS} columns (a quaternion takes four)"),
        ));
    }
    Ok(fields)
}

/// What the attributes of one field say.
#[derive(Default)]
struct Attributes {
    range: Option<(Expr, Expr)>,
    step: Option<Expr>,
    bits: Option<Expr>,
    angle: bool,
    quat: bool,
    predict: bool,
    owner_only: bool,
    team_only: bool,
    interpolate: Option<Ident>,
}

fn net_field(field: &Field) -> Result<Net<'_>> {
    let attributes = read(field)?;
    let span = field.ty.span();
    let interpolate = match &attributes.interpolate {
        None => quote!(::std::option::Option::None),
        Some(how) if how == "linear" => {
            quote!(::std::option::Option::Some(
                ::game_sdk::__private::Interpolate::Linear
            ))
        }
        Some(how) if how == "none" => {
            quote!(::std::option::Option::Some(
                ::game_sdk::__private::Interpolate::None
            ))
        }
        Some(how) => return Err(Error::new(how.span(), "expected `linear` or `none`")),
    };
    let predict = if attributes.predict {
        quote!(Owner)
    } else {
        quote!(None)
    };
    let audience = match (attributes.owner_only, attributes.team_only) {
        (true, true) => {
            return Err(Error::new(span, "`owner_only` or `team_only`, not both"));
        }
        (true, false) => quote!(Owner),
        (false, true) => quote!(Team),
        (false, false) => quote!(All),
    };
    Ok(Net {
        ident: ident_of(field),
        columns: if attributes.quat { 4 } else { 1 },
        kind: kind(field, attributes)?,
        interpolate,
        predict: quote!(::game_sdk::__private::Predict::#predict),
        audience: quote!(::game_sdk::__private::Audience::#audience),
    })
}

fn read(field: &Field) -> Result<Attributes> {
    let mut found = Attributes::default();
    read_attributes(field, "net", |key, meta| {
        match key {
            "range" => found.range = Some(inclusive_range(meta)?),
            "step" => found.step = Some(value(meta)?),
            "bits" => found.bits = Some(value(meta)?),
            "angle" => found.angle = true,
            "quat" => found.quat = true,
            "predict" => found.predict = true,
            "owner_only" => found.owner_only = true,
            "team_only" => found.team_only = true,
            "interpolate" => found.interpolate = Some(meta.value()?.parse()?),
            _ => {
                return Err(meta.error(
                    "expected `range = lo..=hi`, `step = size`, `angle`, `quat`, `bits = n`, \
                     `predict`, `owner_only`, `team_only` or `interpolate = linear` or `none`",
                ));
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn kind(field: &Field, attributes: Attributes) -> Result<TokenStream> {
    let ty = &field.ty;
    let span = ty.span();
    let net = quote!(::game_sdk::__private);
    Ok(match attributes {
        Attributes {
            angle: false,
            quat: false,
            range: None,
            step: None,
            bits: None,
            ..
        } => {
            quote_spanned!(span=> <#ty as #net::PlainNet>::kind())
        }
        Attributes {
            angle: false,
            quat: false,
            range: Some((lo, hi)),
            step: None,
            bits: None,
            ..
        } => {
            quote_spanned!(span=> <#ty as #net::IntNet>::kind(#lo, #hi))
        }
        Attributes {
            angle: false,
            quat: false,
            range: Some((lo, hi)),
            step: Some(step),
            bits: None,
            ..
        } => {
            quote_spanned!(span=> <#ty as #net::FloatNet>::range(#lo, #hi, #step))
        }
        Attributes {
            angle: true,
            quat: false,
            range: None,
            step: None,
            bits: Some(bits),
            ..
        } => {
            quote_spanned!(span=> <#ty as #net::FloatNet>::angle(#bits))
        }
        Attributes {
            angle: false,
            quat: true,
            range: None,
            step: None,
            bits: Some(bits),
            ..
        } => {
            quote_spanned!(span=> <#ty as #net::QuatNet>::kind(#bits))
        }
        _ => {
            return Err(Error::new(
                span,
                "these attributes do not go together; a field has none, `range`, \
                 `range` and `step`, `angle` and `bits`, or `quat` and `bits`",
            ));
        }
    })
}
