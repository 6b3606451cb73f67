//! Mathematics that gives the same bits on every machine.
//!
//! `f32::sin` and its kin differ between the server and a browser; these do not. What the standard
//! library computes exactly (`+ - * /`, `sqrt`, `floor`, `round`, `abs`, `mul_add`) is safe as it
//! is.

pub use libm::{
    acosf as acos, asinf as asin, atan2f as atan2, atanf as atan, cbrtf as cbrt, cosf as cos,
    exp2f as exp2, expf as exp, hypotf as hypot, log2f as log2, log10f as log10, logf as ln, powf,
    sinf as sin, tanf as tan,
};
pub use std::f32::consts::{PI, TAU};

/// Sine and cosine of an angle in radians.
pub fn sin_cos(angle: f32) -> (f32, f32) {
    libm::sincosf(angle)
}

/// The difference `to - from` the short way round, in -π..=π, both in radians.
pub fn angle_between(from: f32, to: f32) -> f32 {
    let turn = (to - from).rem_euclid(TAU);
    if turn > PI { turn - TAU } else { turn }
}
