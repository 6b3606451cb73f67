//! Plain JavaScript objects.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

/// An object that is being made.
pub(crate) struct Fields(Object);

impl Fields {
    pub(crate) fn new() -> Self {
        Self(Object::new())
    }

    /// Adds a member; `None` becomes `undefined`.
    pub(crate) fn set(self, name: &str, value: impl Member) -> Self {
        // Only a frozen object or a proxy refuses a member.
        _ = Reflect::set(&self.0, &name.into(), &value.into_value());
        self
    }

    pub(crate) fn into_value(self) -> JsValue {
        self.0.into()
    }
}

/// What a member of an object may be made of.
pub(crate) trait Member {
    fn into_value(self) -> JsValue;
}

impl<T: Member> Member for Option<T> {
    fn into_value(self) -> JsValue {
        self.map_or(JsValue::UNDEFINED, T::into_value)
    }
}

/// Counts beyond 2^53 are not reached, and numbers are what pages compute with.
impl Member for u64 {
    fn into_value(self) -> JsValue {
        (self as f64).into()
    }
}

macro_rules! members {
    ($($type:ty),*) => {
        $(impl Member for $type {
            fn into_value(self) -> JsValue {
                self.into()
            }
        })*
    };
}

members!(
    bool,
    u8,
    u32,
    i32,
    f64,
    &str,
    JsValue,
    js_sys::Uint8Array,
    js_sys::Array
);
