//! `validated`: what is confirmed of each tick goes to all who simulate it too.
//!
//! Each tick of the clock one lossy packet goes to everyone, with the confirmed ticks that somebody
//! who follows has not acknowledged yet, the newest always among them. Whoever lacks more than such
//! a packet repeats gets them reliably, now and then. Whoever has nothing to start from gets a
//! keyframe in pieces, and the ticks since. Whose own state keeps differing is sent views instead.

mod follower;

use std::sync::Weak;
use std::time::{Duration, Instant};

use gs_engine::confirmed::{ConfirmedEncoder, ConfirmedTick, EncodeError};
use gs_engine::pipeline::{KEPT_TICKS, Pipeline};
use gs_engine::replication::Replicator;
use gs_engine::simulation::{NetState, Simulation, SimulationError, Slot, Tick};
use gs_protocol::wire;

use super::outbox::{CHUNK_BYTES, LOSSY_BYTES, Outbox, RELIABLE_BYTES, Statuses};
use super::player::Player;
use super::{Channel, Destination};
use follower::{Follower, Service, Start, State, cut};

/// Who is sent what of a match whose ticks are confirmed.
pub(super) struct Relay {
    encoder: ConfirmedEncoder,
    data: Vec<u8>,
    followers: Vec<Follower>,
    /// The newest tick in the last packet for all, and the clock then.
    sent: Tick,
    sent_at: Tick,
    /// The newest state that was cut up, for whoever else starts from it meanwhile.
    keyframe: Weak<State>,
    views: Replicator,
    view: NetState,
    max_state_bytes: usize,
    pub(super) counters: RelayCounters,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RelayCounters {
    pub(super) keyframes: u64,
    pub(super) catch_ups: u64,
    pub(super) acks_refused: u64,
}

/// What became of a player's request to start afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resync {
    /// It is sent what it needs.
    Served,
    /// It asks too often.
    Limited,
    /// Its state differed too often: it is sent views from now on.
    FellBack,
    /// Its module cannot run: it is sent views from now on.
    GaveUp,
}

impl Relay {
    pub(super) fn new(players: usize, max_state_bytes: u32, now: Instant) -> Self {
        Self {
            encoder: ConfirmedEncoder::default(),
            data: Vec::new(),
            followers: (0..players).map(|_| Follower::new(now)).collect(),
            sent: 0,
            sent_at: 0,
            keyframe: Weak::new(),
            views: Replicator::new(players, LOSSY_BYTES),
            view: NetState::default(),
            max_state_bytes: max_state_bytes as usize,
            counters: RelayCounters::default(),
        }
    }

    /// Whether a player is sent views, like in `full`.
    pub(super) fn sends_views(&self, slot: usize) -> bool {
        matches!(self.followers[slot].service, Service::Views { .. })
    }

    /// Takes what a player says to hold. `newest` says that no newer packet of it has come;
    /// `confirmed` is the newest tick that there is.
    pub(super) fn handle_ack(
        &mut self,
        slot: usize,
        (tick, bits): (Tick, u32),
        newest: bool,
        confirmed: Tick,
        now: Instant,
    ) {
        if tick > confirmed {
            self.counters.acks_refused += 1;
            return;
        }
        let follower = &mut self.followers[slot];
        match follower.service {
            // What it sent before it knew speaks of confirmed ticks, not of views, and may come late.
            // A confirmed tick is acknowledged without bits; views are with some, from the second on.
            Service::Views { ref mut switched } => {
                *switched |= bits != 0;
                if *switched && (newest || bits != 0) {
                    self.views.handle_ack(slot as Slot, tick, bits);
                }
            }
            // It cannot speak of what it has not received whole.
            Service::Pieces(..) => {}
            Service::Ticks => {
                if newest {
                    follower.empty = tick == 0;
                }
                if tick > follower.acked {
                    follower.note_progress(tick, now);
                }
            }
        }
    }

    /// What was sent reliably to a player may not have arrived: only what it acknowledged counts.
    pub(super) fn forget_sent(&mut self, slot: usize) {
        let follower = &mut self.followers[slot];
        follower.came_anew = true;
        match follower.service {
            Service::Ticks => follower.sent = follower.started.unwrap_or(0),
            Service::Pieces(..) => {
                follower.service = Service::Ticks;
                (follower.started, follower.empty) = (None, true);
            }
            Service::Views { .. } => self.views.reset(slot as Slot),
        }
    }

    /// A slot has another player, who has nothing yet and has said nothing.
    pub(super) fn replace(&mut self, slot: usize, now: Instant) {
        self.followers[slot] = Follower::new(now);
        self.views.reset(slot as Slot);
    }

    /// A player cannot follow at all: it is sent views from now on.
    pub(super) fn handle_no_module(&mut self, slot: usize, now: Instant) -> Resync {
        if !self.followers[slot].resyncs.take(now) {
            return Resync::Limited;
        }
        if self.sends_views(slot) {
            self.views.reset(slot as Slot);
            return Resync::Served;
        }
        self.send_views_from_now_on(slot);
        Resync::GaveUp
    }

    fn send_views_from_now_on(&mut self, slot: usize) {
        self.followers[slot].service = Service::Views { switched: false };
        self.views.reset(slot as Slot);
    }

    /// A player cannot follow any more. `differs` says that its hash of that tick is not the
    /// server's.
    pub(super) fn handle_resync(
        &mut self,
        slot: usize,
        tick: Option<Tick>,
        differs: bool,
        now: Instant,
    ) -> Resync {
        let follower = &mut self.followers[slot];
        if !follower.resyncs.take(now) {
            return Resync::Limited;
        }
        match follower.service {
            Service::Views { .. } => {
                self.views.reset(slot as Slot);
                return Resync::Served;
            }
            // What it asks for is on its way.
            Service::Pieces(..) => return Resync::Limited,
            Service::Ticks => {}
        }
        if differs {
            let mismatches = &mut follower.mismatches;
            mismatches.retain(|at| now.saturating_duration_since(*at) < MISMATCH_WINDOW);
            mismatches.push(now);
            if mismatches.len() >= MISMATCHES {
                self.send_views_from_now_on(slot);
                return Resync::FellBack;
            }
        }
        let under_way = |at| now < at + CROSSING;
        match tick {
            Some(tick) if differs => follower.asked = Some(Start::At(tick)),
            // It asked before it could know that the server has noticed by itself.
            _ if follower.piece_at.is_some_and(under_way) => {}
            _ => follower.asked = Some(Start::Newest),
        }
        Resync::Served
    }

    /// A report of what differed came; says whether to note it, and whether it is the first.
    pub(super) fn handle_desync(&mut self, slot: usize, now: Instant) -> Option<bool> {
        let follower = &mut self.followers[slot];
        let taken = follower.desyncs.take(now);
        taken.then(|| !std::mem::replace(&mut follower.desync_noted, true))
    }

    /// Queues what everyone needs after the clock came to another tick and the pipeline ran what
    /// it could.
    pub(super) fn send<S: Simulation>(
        &mut self,
        pipeline: &mut Pipeline<S>,
        players: &[Player],
        ran: bool,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), SimulationError> {
        outbox.note_statuses(players, pipeline, now);
        for (slot, player) in players.iter().enumerate() {
            if player.watches() {
                self.send_keyframe(slot, pipeline, player, outbox, now)?;
            }
        }
        self.broadcast(pipeline, players, outbox, now);
        if ran {
            self.send_views(pipeline, players, outbox)?;
        }
        Ok(())
    }

    /// Queues, for everyone who follows, what it lacks of a match that is over.
    pub(super) fn finish<S: Simulation>(
        &mut self,
        pipeline: &Pipeline<S>,
        players: &[Player],
        outbox: &mut Outbox,
    ) {
        for (slot, player) in players.iter().enumerate() {
            let follower = &self.followers[slot];
            if player.watches()
                && matches!(follower.service, Service::Ticks)
                && follower.started.is_some()
            {
                self.catch_up(slot, pipeline, player, outbox);
            }
        }
    }

    /// Starts a keyframe where one is due, and queues the next pieces of one under way.
    fn send_keyframe<S: Simulation>(
        &mut self,
        slot: usize,
        pipeline: &Pipeline<S>,
        player: &Player,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), SimulationError> {
        let newest = pipeline.tick();
        let follower = &mut self.followers[slot];
        if matches!(follower.service, Service::Ticks)
            && let Some(start) = follower.start(newest, pipeline.oldest_confirmed(), now)
        {
            let found = match start {
                Start::At(tick) => pipeline.keyframe_at(tick),
                Start::Newest => None,
            };
            let Some(keyframe) = found.or_else(|| pipeline.keyframe()) else {
                return Ok(());
            };
            let state = cut(&mut self.keyframe, keyframe, self.max_state_bytes)?;
            let follower = &mut self.followers[slot];
            follower.begin(state, now);
            self.counters.keyframes += 1;
        }
        let follower = &mut self.followers[slot];
        let Service::Pieces(state, next) = &mut follower.service else {
            return Ok(());
        };
        let count = state.bytes.len().div_ceil(CHUNK_BYTES).max(1);
        let until = count.min(*next + PIECES_PER_TICK.max(count.div_ceil(KEYFRAME_TICKS)));
        for index in *next..until {
            let rest = &state.bytes[index * CHUNK_BYTES..];
            let head = wire::KeyframeChunk {
                tick: state.tick,
                index: index as u32,
                count: count as u32,
                total_bytes: state.bytes.len() as u32,
                hash: state.hash,
                data: Vec::new(),
            };
            let to = Destination::One(player.identity.clone());
            outbox.keyframe(
                pipeline.clock(),
                to,
                head,
                &rest[..rest.len().min(CHUNK_BYTES)],
            );
        }
        *next = until;
        follower.piece_at = Some(now);
        if until == count {
            follower.service = Service::Ticks;
            self.catch_up(slot, pipeline, player, outbox);
        }
        Ok(())
    }

    /// Queues the newest ticks for everyone, and reliably for those who lack more.
    fn broadcast<S: Simulation>(
        &mut self,
        pipeline: &Pipeline<S>,
        players: &[Player],
        outbox: &mut Outbox,
        now: Instant,
    ) {
        let (clock, newest) = (pipeline.clock(), pipeline.tick());
        if !self.is_due(pipeline) || !players.iter().any(Player::has_been_here) {
            return;
        }
        (self.sent, self.sent_at) = (newest, clock);
        if newest == 0 {
            return outbox.clock(clock);
        }
        let round_trip = pipeline.manifest().tick_rate * LONG_ROUND_TRIP_MS / 1_000;
        let following = || {
            let followers = self.followers.iter().zip(players);
            let following = followers.filter(|(f, player)| f.follows() && player.watches());
            following.map(|(follower, _)| follower)
        };
        // One who never acknowledges anything must not make everybody's packets larger.
        let nearest = following().map(|follower| follower.acked).max();
        let nearest = nearest.unwrap_or(newest);
        let slack = STRAGGLER_TICKS.max(round_trip);
        let straggles = |follower: &&Follower| follower.acked + slack < nearest;
        let held = following().filter(|follower| !straggles(follower));
        let held = held.map(Follower::held);
        let oldest = (newest + 1).saturating_sub(REPEATED_TICKS);
        let first = held.min().unwrap_or(newest).saturating_add(1);
        let first = first.clamp(oldest.max(1), newest);
        let Some((first, channel)) = self.encode_newest(pipeline, first) else {
            return;
        };
        outbox.confirmed(clock, first, &self.data, Destination::All, channel);
        for (slot, player) in players.iter().enumerate() {
            let follower = &mut self.followers[slot];
            if !follower.follows() || !player.watches() {
                continue;
            }
            if channel == Channel::Reliable && follower.held() + 1 >= first {
                follower.sent = newest;
            }
            // Where few ticks fit a packet, those before it may just not be acknowledged yet.
            let lacks = follower.held() + 1 < first && newest - follower.held() > round_trip;
            if lacks && follower.catch_up_after.is_none_or(|after| now >= after) {
                follower.catch_up_after = Some(now + CATCH_UP_PAUSE);
                self.catch_up(slot, pipeline, player, outbox);
            }
        }
    }

    /// Writes the ticks from `first` on, or as many of the newest as fit a lossy packet; one that
    /// fits none goes reliably. Answers the first that was written, and how to send it.
    fn encode_newest<S: Simulation>(
        &mut self,
        pipeline: &Pipeline<S>,
        mut first: Tick,
    ) -> Option<(Tick, Channel)> {
        let (schema, newest) = (pipeline.schema(), pipeline.tick());
        let mut limit = LOSSY_BYTES;
        // Each round writes fewer ticks, or the newest one alone in a larger packet.
        loop {
            let ticks = pipeline.confirmed_from(first);
            let count = newest - first + 1;
            match self.encoder.encode(schema, ticks, limit, &mut self.data) {
                Ok(written) if written as u32 >= count => break,
                Ok(written) => first = newest - (written as u32).clamp(1, count - 1) + 1,
                Err(EncodeError::TooLarge { .. }) if count > 1 => first += 1,
                Err(EncodeError::TooLarge { .. }) if limit < RELIABLE_BYTES => {
                    limit = RELIABLE_BYTES;
                }
                Err(error) => {
                    tracing::error!(%error, tick = newest, "a confirmed tick cannot be sent");
                    return None;
                }
            }
        }
        let channel = if limit == LOSSY_BYTES {
            Channel::Lossy
        } else {
            Channel::Reliable
        };
        Some((first, channel))
    }

    /// Queues all confirmed ticks that a follower lacks, reliably.
    fn catch_up<S: Simulation>(
        &mut self,
        slot: usize,
        pipeline: &Pipeline<S>,
        player: &Player,
        outbox: &mut Outbox,
    ) {
        let newest = pipeline.tick();
        let follower = &mut self.followers[slot];
        // As many packets as the ticks that are kept can need at most; two are usual.
        for _ in 0..KEPT_TICKS {
            let first = follower.held() + 1;
            if first > newest {
                return;
            }
            let ticks = pipeline.confirmed_from(first);
            let schema = pipeline.schema();
            let written = match self
                .encoder
                .encode(schema, ticks, RELIABLE_BYTES, &mut self.data)
            {
                Ok(0) => return,
                Ok(written) => written,
                Err(error) => {
                    tracing::error!(%error, tick = first, "a confirmed tick cannot be sent");
                    return;
                }
            };
            self.counters.catch_ups += 1;
            follower.sent = first + written as u32 - 1;
            let to = Destination::One(player.identity.clone());
            outbox.confirmed(pipeline.clock(), first, &self.data, to, Channel::Reliable);
        }
    }

    /// Whether there is something new to tell, or nothing was told for a tick: where everybody goes
    /// on as before, clients have foreseen it, and half the packets do.
    fn is_due<S: Simulation>(&self, pipeline: &Pipeline<S>) -> bool {
        if pipeline.clock() >= self.sent_at + QUIET_TICKS {
            return true;
        }
        (self.sent + 1..=pipeline.tick()).any(|tick| {
            let (now, before) = (pipeline.confirmed(tick), pipeline.confirmed(tick - 1));
            match (now, before) {
                (Some(now), Some(before)) => is_news(now, before),
                _ => true,
            }
        })
    }

    /// Queues the newest confirmed state for those who do not simulate by themselves any more.
    fn send_views<S: Simulation>(
        &mut self,
        pipeline: &mut Pipeline<S>,
        players: &[Player],
        outbox: &mut Outbox,
    ) -> Result<(), SimulationError> {
        for (slot, player) in players.iter().enumerate() {
            if !self.sends_views(slot) || !player.watches() {
                continue;
            }
            pipeline.net_state(Some(slot as Slot), &mut self.view)?;
            let tick = pipeline.tick();
            let packet = self
                .views
                .encode(pipeline.schema(), tick, slot as Slot, &self.view);
            let packet = packet.map_err(super::views::malformed)?;
            let to = Destination::One(player.identity.clone());
            outbox.delta(pipeline.clock(), tick, to, &packet, Statuses::Of(slot));
        }
        Ok(())
    }
}

/// Whether a tick is another than clients expect after the one before it, or has a hash to compare.
fn is_news(tick: &ConfirmedTick, before: &ConfirmedTick) -> bool {
    let same = |(now, before): (&gs_engine::simulation::SlotInput, _)| {
        let before: &gs_engine::simulation::SlotInput = before;
        now.data == before.data
    };
    tick.hash.is_some()
        || !tick.log.happenings.is_empty()
        || !tick.log.inputs.iter().zip(&before.log.inputs).all(same)
}

/// Most ticks that a packet for all repeats for those who have not acknowledged them: a second at
/// 60 Hz, well beyond the slowest line that one can play on.
const REPEATED_TICKS: Tick = 64;
/// How many ticks further back than the nearest follower's a follower's acknowledgements may be
/// until what it lacks is sent to it alone, if they are more than a long round trip: half a second at
/// 60 Hz, between the best line and the slowest that one can play on.
const STRAGGLER_TICKS: Tick = 32;
/// After how many ticks of the clock the next packet goes out although nothing is new.
const QUIET_TICKS: Tick = 2;
/// After this time an acknowledgement that has not come is taken to mean that the ticks are lacking:
/// round trips that one can play on are shorter.
const LONG_ROUND_TRIP_MS: u32 = 350;
/// How often somebody who lacks more than a packet repeats is sent it reliably: a packet under way
/// has time to be acknowledged on most lines.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(250);
/// How long a keyframe and a request for one may cross each other on their ways.
const CROSSING: Duration = Duration::from_millis(250);
/// Pieces of a keyframe that go out in a tick: 3.6 MB a second at 60 Hz.
const PIECES_PER_TICK: usize = 4;
/// In how many ticks even the largest keyframe goes out, so that the ticks since are still kept.
const KEYFRAME_TICKS: usize = 64;
/// How many differing states within [`MISMATCH_WINDOW`] make a client one that cannot simulate the
/// game by itself.
const MISMATCHES: usize = 3;
const MISMATCH_WINDOW: Duration = Duration::from_secs(60);
