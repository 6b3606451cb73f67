//! Whole matches in virtual time, against a small game linked natively.

mod backfill;
mod client;
mod course;
mod full;
mod game;
mod harness;
mod observer;
mod told;
mod unruly;
mod validated;
