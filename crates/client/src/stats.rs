//! What a client knows of its line and of its guesses.

use std::time::Duration;

use gs_engine::Tick;

/// How the line is and how well the client's guesses hold. All counts are from the client's start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// To the authority and back, smoothed; `None` until measured.
    pub round_trip: Option<Duration>,
    /// Mean deviation of the arrival of states, in ticks.
    pub jitter: f64,
    /// How early inputs arrive before their tick, in ticks; negative: late. `None` until reported.
    pub margin: Option<f64>,
    /// How early they should.
    pub target_margin: f64,
    /// The newest tick that the server is known to have reached; 0: none.
    pub server_tick: Tick,
    /// The newest state that is held: received in `full`, confirmed in `validated`; 0: none.
    pub state_tick: Tick,
    /// The newest tick that was asked for by `poll_input`; 0: none.
    pub input_tick: Tick,
    /// How far the simulation is ahead of `state_tick`, in ticks.
    pub predicted_ticks: u32,
    /// When the newest state was the server's, at the last [`view`](crate::Client::view): how old
    /// what the picture rests on is, in milliseconds.
    pub staleness_ms: f64,
    /// Frames that were drawn.
    pub frames: u64,
    /// Inputs of which the effect was drawn.
    pub inputs_shown: u64,
    /// Frames that were drawn, over all of those inputs, without the effect of an input that had
    /// been given: 0 where each shows in the very next frame.
    pub input_frames: u64,
    /// How often ticks were simulated again.
    pub rollbacks: u64,
    /// Ticks that were simulated again.
    pub resimulated_ticks: u64,
    /// Predicted ticks that turned out otherwise than guessed: in `validated` the inputs were
    /// others, in `full` the own entities came out differently.
    pub mispredicted_ticks: u64,
    /// Entities that moved by more than 0.1 units in one go because a guess was wrong.
    pub corrections: u64,
    /// Confirmed ticks whose hash was the server's.
    pub hashes_matched: u64,
    /// Confirmed ticks whose hash was not.
    pub mismatches: u64,
    /// Keyframes that were loaded.
    pub keyframes: u64,
    /// How often the client asked for a state to start from.
    pub resyncs: u64,
    /// Bytes of payload that were sent.
    pub bytes_up: u64,
    /// Packets that were sent.
    pub packets_up: u64,
    /// Bytes of payload that came in, whoever sent them.
    pub bytes_down: u64,
    /// Packets that came in.
    pub packets_down: u64,
    /// What became of what came in.
    pub counters: Counters,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// State packets that brought something new.
    pub states: u64,
    /// State packets that came too late or twice.
    pub stale: u64,
    /// Packets that could not be read, or said what cannot be.
    pub malformed: u64,
    /// Deltas against a state that is not held.
    pub no_baseline: u64,
    /// Packets of a topic that only the authority may send, from someone else.
    pub foreign: u64,
    /// Packets of an earlier epoch.
    pub old_epoch: u64,
    /// Gaps in the sequence of server events.
    pub gaps: u64,
    /// Packets of a version that is not spoken here.
    pub unknown_version: u64,
    /// Events and packets that the caller did not fetch in time.
    pub dropped: u64,
}
