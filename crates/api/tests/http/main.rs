//! The HTTP service from outside: its router over a real embedded store, with LiveKit's room
//! service replaced by one that records.

mod accounts;
mod bad_requests;
mod catalogue;
mod queue;
mod world;
