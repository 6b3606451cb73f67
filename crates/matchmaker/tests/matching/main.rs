//! Matches of those who wait: that no rule is broken, that nobody starves, and how close to the best
//! possible they are. What is legal is said a second time in `checker`, from the rules' description.

mod backfill;
mod checker;
mod explain;
mod oldest;
mod optimum;
mod properties;
mod scenarios;
mod world;
