//! What a server's configuration may set for a game.

use std::fmt::Display;

use crate::json::Json;

/// A game's options. Derive it: see [`derive@crate::Options`].
///
/// ```
/// use game_sdk::prelude::*;
///
/// #[derive(Options)]
/// struct Rules {
///     #[option(default = 120, range = 10..=3600)]
///     match_seconds: u32,
///     #[option(default = false)]
///     friendly_fire: bool,
/// }
/// ```
pub trait Options: Sized {
    /// Takes each option out of the configuration.
    ///
    /// # Errors
    /// [`OptionError`] where a value has another type or is outside its range.
    fn read(options: &mut OptionReader) -> Result<Self, OptionError>;
}

/// No options.
impl Options for () {
    fn read(_: &mut OptionReader) -> Result<Self, OptionError> {
        Ok(())
    }
}

/// The options that a server has set and the game has not read yet.
#[derive(Debug, Default)]
pub struct OptionReader {
    left: Vec<(String, Json)>,
}

impl OptionReader {
    /// One option, or its default where the server did not set it.
    ///
    /// # Errors
    /// [`OptionError`] where the value has another type or is outside the range.
    pub fn read<T: OptionValue>(
        &mut self,
        name: &str,
        default: T,
        range: Option<(T, T)>,
    ) -> Result<T, OptionError> {
        let Some(index) = self.left.iter().position(|(set, _)| set == name) else {
            return Ok(default);
        };
        let (_, json) = self.left.swap_remove(index);
        let found = json.to_text();
        let error = |expected: String| {
            OptionError(format!("option `{name}` is {found}, expected {expected}"))
        };
        let value = T::from_json(json).ok_or_else(|| error(T::EXPECTED.to_owned()))?;
        match range {
            Some((lo, hi)) if !(lo <= value && value <= hi) => Err(error(format!("{lo} to {hi}"))),
            _ => Ok(value),
        }
    }

    /// Reads all options of a game, and refuses those that it does not have: a misspelt option
    /// would otherwise silently have its default.
    pub(crate) fn read_all<O: Options>(options: Json) -> Result<O, OptionError> {
        let Json::Object(left) = options else {
            return Err(OptionError("options are no JSON object".to_owned()));
        };
        let mut reader = Self { left };
        let options = O::read(&mut reader)?;
        match reader.left.first() {
            None => Ok(options),
            Some((name, _)) => Err(OptionError(format!("the game has no option `{name}`"))),
        }
    }
}

/// A type that an option can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an option",
    note = "use bool, an integer up to 32 bits, f32, f64 or String"
)]
pub trait OptionValue: Sized + PartialOrd + Display {
    /// The type in words, for errors.
    #[doc(hidden)]
    const EXPECTED: &'static str;
    #[doc(hidden)]
    fn from_json(json: Json) -> Option<Self>;
}

impl OptionValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Bool(value) => Some(value),
            _ => None,
        }
    }
}

impl OptionValue for String {
    const EXPECTED: &'static str = "a text";

    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl OptionValue for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Number(value) => Some(value),
            _ => None,
        }
    }
}

impl OptionValue for f32 {
    const EXPECTED: &'static str = "a number";

    fn from_json(json: Json) -> Option<Self> {
        f64::from_json(json)
            .map(|value| value as f32)
            .filter(|value| value.is_finite())
    }
}

macro_rules! integer_options {
    ($($ty:ident $expected:literal),*) => {$(
        impl OptionValue for $ty {
            const EXPECTED: &'static str = $expected;

            fn from_json(json: Json) -> Option<Self> {
                let value = f64::from_json(json)?;
                let fits = (f64::from(Self::MIN)..=f64::from(Self::MAX)).contains(&value);
                (fits && value.fract() == 0.0).then_some(value as Self)
            }
        }
    )*};
}

integer_options!(
    u8 "a whole number from 0 to 255",
    u16 "a whole number from 0 to 65535",
    u32 "a whole number from 0 to 4294967295",
    i8 "a whole number from -128 to 127",
    i16 "a whole number from -32768 to 32767",
    i32 "a whole number from -2147483648 to 2147483647"
);

/// What is wrong with the options of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(pub(crate) String);

impl Display for OptionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}
