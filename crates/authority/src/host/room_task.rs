//! One match from its claim to its end: everything around the room that waits for something.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use gs_engine::mode::UnknownMode;
use gs_engine::simulation::{LogLevel, LogLine, Simulation, Slot};
use gs_store::{Claim, Lease, Match, MatchOutcome, MatchStatus, StoreOutcome};
use livekit_data::{CloseReason, Participant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::backfill::{self, Note};
use super::connection::is_eviction;
use super::lease::{LEASE, LeaseKeeper, Tenure, retry};
use super::{Authority, RunningRoom, results};
use crate::driver::{Command, Driver, RoomGauges};
use crate::inbox::Inbox;
use crate::room::{Room, RoomConfig, RoomEvent, RoomResult};

/// What the parts of a room's task tell it.
#[derive(Debug)]
pub(super) enum Signal {
    /// The connection is over.
    Closed(CloseReason),
    /// An attempt to come back has ended.
    Rejoined(Result<Participant, String>),
    /// The store has answered about the result; none: it was asked for long enough.
    Stored(Option<StoreOutcome>),
    /// The store says that another holder has the match, or nobody can say that this one has.
    Lost,
}

/// Why a room's connection is to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The LiveKit server, or the way to it, failed.
    Outage,
    /// Somebody joined under the same identity.
    Eviction,
}

/// How a room's task went on after the room was made.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The match has its result, and its room can go.
    Over,
    /// The store did not take the match's end. Its room can go; whoever claims the match next ends
    /// it.
    Unstored,
    /// Another holder runs the match, or has ended it.
    Superseded,
    /// The match has not started, and whoever claims it next can run it.
    Released,
}

/// What LiveKit is asked to do about a participant.
enum Measure {
    Mute,
    Remove,
}

impl Authority {
    /// Runs a claimed match and, however that ends, gives its lease back: the store gives nobody a
    /// match that he holds himself, so that a match which is dropped here would stay for ever.
    pub(super) async fn hold_match(self: Arc<Self>, claim: Claim, shutdown: CancellationToken) {
        let (id, epoch) = (claim.details.id, claim.epoch);
        // A task of its own, so that a panic ends no more than this match.
        let run = tokio::spawn(self.clone().run_match(claim, shutdown.clone()));
        let end = run.await.unwrap_or_else(|error| {
            tracing::error!(match.id = %id, epoch, %error, "a match's task failed");
            self.forget_room(id);
            End::Unstored
        });
        let release = || self.store.release_lease(id, epoch);
        if matches!(end, End::Over | End::Released) {
            // Matches that ended have no lease left; this is for those that were released.
            let _ = retry("release a lease", id, RELEASE_PATIENCE, release).await;
            return;
        }
        let release = async {
            // What failed just now would fail again at once.
            tokio::time::sleep(LEASE).await;
            let _ = retry("release a lease", id, STORE_PATIENCE, release).await;
        };
        // After a shutdown the lease runs out by itself, and is free to every other process.
        shutdown.run_until_cancelled(release).await;
    }

    /// Runs a claimed match to its end.
    async fn run_match(self: Arc<Self>, claim: Claim, shutdown: CancellationToken) -> End {
        let tenure = Tenure::new(claim);
        let (details, epoch) = (&tenure.details, tenure.epoch);
        let span = tracing::info_span!(
            "room",
            room.id = %details.room,
            match.id = %details.id,
            region = details.region.as_deref(),
            epoch,
        );
        let lease = LeaseKeeper::start(self.store.clone(), tenure.clone());
        let run = async {
            let end = tokio::select! {
                end = self.play(&tenure, &shutdown) => end,
                () = lease.lost() => End::Superseded,
            };
            // Whatever way the room ended, nobody looks at it any more.
            self.forget_room(details.id);
            match end {
                End::Over | End::Unstored => self.delete_room(details).await,
                End::Superseded => tracing::warn!("another authority runs the match; stopped"),
                End::Released => tracing::info!("the match waits for another server"),
            }
            end
        };
        run.instrument(span).await
    }

    async fn play(self: &Arc<Self>, tenure: &Arc<Tenure>, shutdown: &CancellationToken) -> End {
        let (details, epoch) = (&tenure.details, tenure.epoch);
        if details.status == MatchStatus::Running {
            // The state died with the process that ran the match.
            tracing::warn!("the match's server stopped while it ran; it is void");
            let void = results::void("the server restarted", details.started_at, Utc::now());
            return self.store_final(tenure, void).await;
        }
        let room = match self.make_room(details, epoch).await {
            Ok(room) => room,
            Err(reason) => return self.give_up(tenure, reason).await,
        };
        let players: Vec<Uuid> = backfill::players(details)
            .iter()
            .flatten()
            .filter_map(|player| player.identity.parse().ok())
            .collect();
        let here = players.iter().copied();
        self.attendance.open(details.id, &details.room, here);
        let inbox = Arc::<Inbox>::default();
        let (signals, inbound) = mpsc::unbounded_channel();
        let joined = self.join(details, &inbox, &signals, JOIN_PATIENCE).await;
        let participant = match joined {
            Ok(participant) => participant,
            Err(error) => {
                let reason = format!("the LiveKit room cannot be joined: {error}");
                return self.give_up(tenure, reason).await;
            }
        };
        let ready = || self.store.match_ready(details.id, epoch, Utc::now());
        match retry(
            "note that a match is ready",
            details.id,
            READY_PATIENCE,
            ready,
        )
        .await
        {
            Some(Lease::Held) => {}
            Some(Lease::Lost) => return End::Superseded,
            None => {
                let reason = "the store cannot be reached".to_owned();
                return self.give_up(tenure, reason).await;
            }
        }

        let (commands, driver_commands) = std_mpsc::channel();
        let (driver_events, events) = mpsc::channel(EVENTS);
        let gauges = Arc::<RoomGauges>::default();
        let tick_rate = room.tick_rate();
        let driver = Driver::new(
            room,
            inbox.clone(),
            driver_commands,
            driver_events,
            gauges.clone(),
        );
        // The channel's other end is in the driver, which goes only after this.
        let _ = commands.send(Command::Connected(participant));
        let cost = self.ticker.add(tick_rate, Box::new(driver));
        let running = RunningRoom {
            room: details.room.clone(),
            game: details.game.clone(),
            players,
            banned: BTreeSet::new(),
            commands: commands.clone(),
            gauges,
            inbox: inbox.clone(),
            cost,
        };
        self.running().rooms.insert(details.id, running);
        tracing::info!(game = %details.game, players = details.slots.len(), "room opened");
        let (notes, slot_notes) = mpsc::unbounded_channel();
        let mut slots = JoinSet::new();
        if details.backfill {
            // The room has those who were found before it was made.
            for substitute in details.substitutes.iter().filter(|s| !s.confirmed) {
                let _ = notes.send(Note::Taken(substitute.slot, substitute.player_id));
            }
            let keep = self
                .clone()
                .keep_slots(tenure.clone(), commands.clone(), slot_notes);
            slots.spawn(keep.in_current_span());
        }
        let mut task = RoomTask {
            notes,
            _slots: slots,
            authority: self.clone(),
            tenure: tenure.clone(),
            commands,
            inbox,
            signals,
            started_at: None,
            ended: false,
            evictions: 0,
            calls: Arc::new(Semaphore::new(CALLS)),
            since: Instant::now(),
        };
        task.run(events, inbound, shutdown).await
    }

    /// Makes the game's instance and its room, where compiling and starting may block.
    async fn make_room(
        self: &Arc<Self>,
        details: &Match,
        epoch: u64,
    ) -> Result<Room<Box<dyn Simulation + Send>>, String> {
        let (authority, details) = (self.clone(), details.clone());
        let made = tokio::task::spawn_blocking(move || {
            let loaded = authority
                .modules
                .load(&details.game, &details.module_sha256);
            let game = loaded.map_err(|error| error.to_string())?;
            let config = room_config(&authority, details, epoch, game.manifest_json)?;
            let now = Instant::now();
            let mut room = Room::new(config, game.simulation, now)
                .map_err(|error| format!("the game does not start: {error}"))?;
            // The wait for players begins when the room is joined.
            room.handle_disconnected(now);
            Ok(room)
        });
        made.await
            .unwrap_or_else(|_| Err("the game's start panicked".to_owned()))
    }

    /// Ends a match that could not be started.
    async fn give_up(&self, tenure: &Tenure, reason: String) -> End {
        let details = &tenure.details;
        tenure.end();
        tracing::error!(reason, "the match cannot be run");
        let fail = || {
            self.store
                .fail_match(details.id, Some(tenure.epoch), &reason, Utc::now())
        };
        match retry("give up a match", details.id, STORE_PATIENCE, fail).await {
            // It was ready under an earlier holder, so its players have their tokens.
            Some(false) => {
                let void = results::void(&reason, details.started_at, Utc::now());
                self.store_final(tenure, void).await
            }
            Some(true) => End::Over,
            None => End::Unstored,
        }
    }

    /// Stores the outcome of a match that no room runs.
    async fn store_final(&self, tenure: &Tenure, outcome: MatchOutcome) -> End {
        match self.store_outcome(tenure, outcome).await {
            Some(StoreOutcome::StaleEpoch) => End::Superseded,
            Some(StoreOutcome::Stored | StoreOutcome::AlreadyStored) => End::Over,
            None => End::Unstored,
        }
    }

    async fn store_outcome(&self, tenure: &Tenure, outcome: MatchOutcome) -> Option<StoreOutcome> {
        let (details, epoch) = (&tenure.details, tenure.epoch);
        tenure.end();
        let store = || {
            self.store
                .store_result(details.id, epoch, outcome.clone(), Utc::now())
        };
        retry("store a result", details.id, STORE_PATIENCE, store).await
    }

    /// Deletes the LiveKit room, which would close by itself some minutes later.
    async fn delete_room(&self, details: &Match) {
        let mut pause = Duration::from_millis(200);
        for attempt in 1..=DELETE_ATTEMPTS {
            match self.rooms.delete_room(&details.room).await {
                Ok(()) => return,
                Err(error) if attempt == DELETE_ATTEMPTS => {
                    tracing::warn!(%error, "the LiveKit room cannot be deleted; it closes when empty");
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
    }
}

fn room_config(
    authority: &Authority,
    details: Match,
    epoch: u64,
    manifest_json: String,
) -> Result<RoomConfig, String> {
    let mode = details
        .authority_mode
        .parse()
        .map_err(|error: UnknownMode| error.to_string())?;
    let players = backfill::players(&details);
    Ok(RoomConfig {
        match_id: details.id.to_string(),
        game: details.game,
        mode,
        module_sha256: details.module_sha256,
        manifest: manifest_json.into(),
        epoch,
        seed: rand::random(),
        options: details.options,
        players,
        backfill: details.backfill,
        unix_ms: u64::try_from(Utc::now().timestamp_millis()).unwrap_or(0),
        patience: authority.config.patience,
    })
}

/// What waits on a running room's behalf.
struct RoomTask {
    authority: Arc<Authority>,
    tenure: Arc<Tenure>,
    commands: std_mpsc::Sender<Command>,
    /// What becomes of slots, for the task below.
    notes: mpsc::UnboundedSender<Note>,
    /// Ends with this.
    _slots: JoinSet<()>,
    inbox: Arc<Inbox>,
    signals: mpsc::UnboundedSender<Signal>,
    started_at: Option<DateTime<Utc>>,
    ended: bool,
    evictions: u32,
    calls: Arc<Semaphore>,
    since: Instant,
}

impl RoomTask {
    async fn run(
        &mut self,
        mut events: mpsc::Receiver<RoomEvent>,
        mut signals: mpsc::UnboundedReceiver<Signal>,
        shutdown: &CancellationToken,
    ) -> End {
        let mut shutting_down = false;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(RoomEvent::Closed) => return End::Over,
                    Some(event) => self.handle_event(event),
                    None => return self.crashed(signals).await,
                },
                Some(signal) = signals.recv() => {
                    if let Some(end) = self.handle_signal(signal) {
                        self.command(Command::Stop);
                        return end;
                    }
                }
                () = shutdown.cancelled(), if !shutting_down => {
                    if self.started_at.is_none() && !self.ended {
                        return self.release();
                    }
                    shutting_down = true;
                    self.command(Command::Abort("the server was shut down".to_owned()));
                }
            }
        }
    }

    /// Leaves a match that has not started to another process.
    fn release(&self) -> End {
        self.command(Command::Stop);
        self.tenure.end();
        End::Released
    }

    fn handle_event(&mut self, event: RoomEvent) {
        match event {
            RoomEvent::Started => {
                let at = Utc::now();
                self.started_at = Some(at);
                let (authority, id, epoch) = (
                    self.authority.clone(),
                    self.tenure.details.id,
                    self.tenure.epoch,
                );
                tokio::spawn(async move {
                    let started = || authority.store.match_started(id, epoch, at);
                    // A lost lease is the keeper's to notice; the result carries the time too.
                    let _ = retry("note that a match started", id, STARTED_PATIENCE, started).await;
                });
            }
            RoomEvent::Ended(result) => self.store(&result),
            RoomEvent::Mute { identity } => {
                tracing::warn!(player.id = identity, "muted a player who floods the room");
                self.moderate(identity, Measure::Mute);
            }
            RoomEvent::Remove { identity, reason } => {
                tracing::warn!(player.id = identity, reason, "removed a participant");
                self.moderate(identity, Measure::Remove);
            }
            RoomEvent::Log(line) => log(&line),
            // A match without backfill has neither, so nobody has to take notes of it.
            RoomEvent::SlotsOpen(slots) => {
                tracing::info!(?slots, "slots are open to substitutes");
                let _ = self.notes.send(Note::Open(slots));
            }
            RoomEvent::SlotTaken {
                slot,
                identity,
                earlier,
            } => self.take_substitute(slot, &identity, earlier.as_deref()),
            RoomEvent::Closed => {}
        }
    }

    /// The room has a substitute; from then on the store lets them in.
    fn take_substitute(&self, slot: Slot, identity: &str, earlier: Option<&str>) {
        // Identities are players' ids.
        let Ok(player) = identity.parse() else { return };
        let earlier = earlier.and_then(|earlier| earlier.parse().ok());
        tracing::info!(player.id = identity, slot, "a substitute has a slot");
        let match_id = self.tenure.details.id;
        self.authority.replace_player(match_id, earlier, player);
        let _ = self.notes.send(Note::Taken(slot, player));
    }

    fn store(&mut self, result: &RoomResult) {
        self.ended = true;
        let (details, ended_at) = (&self.tenure.details, Utc::now());
        let boards = self
            .authority
            .modules
            .counts_on(&details.game, &details.mode, ended_at);
        let outcome = results::outcome(result, boards, self.started_at, ended_at);
        let outcome_name = outcome.outcome.as_str();
        let (reason, ticks) = (result.reason.as_deref().unwrap_or_default(), result.ticks);
        let seconds = self.since.elapsed().as_secs();
        if let Some(details) = &result.details {
            tracing::info!(details, "what is known of the match's end");
        }
        if result.failed {
            tracing::error!(
                outcome = outcome_name,
                reason,
                ticks,
                seconds,
                "match failed"
            );
        } else {
            tracing::info!(
                outcome = outcome_name,
                reason,
                ticks,
                seconds,
                "match ended"
            );
        }
        let (authority, tenure) = (self.authority.clone(), self.tenure.clone());
        let signals = self.signals.clone();
        tokio::spawn(async move {
            let stored = authority.store_outcome(&tenure, outcome).await;
            // Where the task is gone, another holder has the match.
            let _ = signals.send(Signal::Stored(stored));
        });
    }

    fn handle_signal(&mut self, signal: Signal) -> Option<End> {
        match signal {
            Signal::Closed(_) if self.ended => self.command(Command::Disconnected),
            Signal::Closed(reason) if is_eviction(&reason) => {
                self.command(Command::Disconnected);
                self.evictions += 1;
                if self.evictions > EVICTIONS {
                    let reason = "somebody else keeps joining under the server's identity";
                    self.command(Command::Abort(reason.to_owned()));
                } else {
                    tracing::warn!("somebody joined under the server's identity");
                    self.rejoin(Cause::Eviction);
                }
            }
            Signal::Closed(reason) => {
                tracing::warn!(%reason, "the room's connection was lost; joining again");
                self.command(Command::Disconnected);
                self.rejoin(Cause::Outage);
            }
            // The answer about the result says whose match it was.
            Signal::Lost if self.ended => {}
            Signal::Lost => return Some(End::Superseded),
            Signal::Rejoined(Ok(participant)) => {
                tracing::warn!("the room was joined again");
                self.command(Command::Connected(participant));
            }
            Signal::Rejoined(Err(error)) => {
                self.command(Command::Abort(format!(
                    "the LiveKit server went away: {error}"
                )));
            }
            Signal::Stored(Some(StoreOutcome::StaleEpoch)) => return Some(End::Superseded),
            Signal::Stored(Some(StoreOutcome::Stored | StoreOutcome::AlreadyStored)) => {
                self.command(Command::Stored);
            }
            Signal::Stored(None) => return Some(End::Unstored),
        }
        None
    }

    /// Joins the room again, unless another holder has the match: joining would evict that one.
    fn rejoin(&self, cause: Cause) {
        let (authority, tenure) = (self.authority.clone(), self.tenure.clone());
        let (inbox, signals) = (self.inbox.clone(), self.signals.clone());
        tokio::spawn(async move {
            let (id, epoch, outage) = (tenure.details.id, tenure.epoch, authority.config.outage);
            let renew = || authority.store.renew_lease(id, epoch, Utc::now(), LEASE);
            let renew = retry("renew a lease before joining again", id, LEASE, renew);
            let rejoin = async {
                // A store that hangs is as good as none.
                match (tokio::time::timeout(2 * LEASE, renew).await, cause) {
                    (Ok(Some(Lease::Held)), _) => {}
                    // A store that cannot be reached stops nobody, but whoever was evicted has
                    // reason to think that it has a successor.
                    (Ok(None) | Err(_), Cause::Outage) => {}
                    (Ok(Some(Lease::Lost)), _) | (Ok(None) | Err(_), Cause::Eviction) => {
                        return Signal::Lost;
                    }
                }
                let details = &tenure.details;
                Signal::Rejoined(authority.join(details, &inbox, &signals, outage).await)
            };
            let signal = tokio::select! {
                signal = rejoin => signal,
                // The room's task is gone, and the participant would stand in its successor's way.
                () = signals.closed() => return,
            };
            let _ = signals.send(signal);
        });
    }

    /// The driver is gone without a word: it panicked.
    async fn crashed(&self, mut signals: mpsc::UnboundedReceiver<Signal>) -> End {
        if self.ended {
            tracing::error!("the room failed unexpectedly after the match's end");
            // Its result is on its way to the store.
            while let Some(signal) = signals.recv().await {
                match signal {
                    Signal::Stored(Some(StoreOutcome::StaleEpoch)) => return End::Superseded,
                    Signal::Stored(Some(_)) => return End::Over,
                    Signal::Stored(None) => return End::Unstored,
                    Signal::Closed(_) | Signal::Rejoined(_) | Signal::Lost => {}
                }
            }
        }
        tracing::error!("the room failed unexpectedly; the match is void");
        let void = results::void("the server failed", self.started_at, Utc::now());
        self.authority.store_final(&self.tenure, void).await
    }

    /// Asks LiveKit to act on a participant, beside the room's task. Beyond a few calls at a time
    /// it is left out: the room asks again for whoever goes on.
    fn moderate(&self, identity: String, measure: Measure) {
        let Ok(permit) = self.calls.clone().try_acquire_owned() else {
            return;
        };
        let (rooms, room) = (
            self.authority.rooms.clone(),
            self.tenure.details.room.clone(),
        );
        tokio::spawn(async move {
            let done = match measure {
                Measure::Mute => rooms.mute(&room, &identity).await,
                Measure::Remove => rooms.remove_participant(&room, &identity).await,
            };
            if let Err(error) = done {
                tracing::warn!(room.id = room, %error, "LiveKit did not act on a participant");
            }
            drop(permit);
        });
    }

    /// A driver that is gone has nothing left to be told; its events end, which is seen there.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

fn log(line: &LogLine) {
    let text = line.text.as_str();
    match line.level {
        LogLevel::Error => tracing::error!(target: "game", "{text}"),
        LogLevel::Warn => tracing::warn!(target: "game", "{text}"),
        LogLevel::Info => tracing::info!(target: "game", "{text}"),
        LogLevel::Debug => tracing::debug!(target: "game", "{text}"),
    }
}

/// How long a new room is tried to be joined: players wait for it in the queue meanwhile.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
const READY_PATIENCE: Duration = Duration::from_secs(10);
/// A result carries the time of its start too, so this only serves those who look meanwhile.
const STARTED_PATIENCE: Duration = Duration::from_secs(30);
/// How long a result is tried to be stored: a database that is away for an hour is an outage that
/// somebody works on, and until then no match is lost to it.
const STORE_PATIENCE: Duration = Duration::from_secs(60 * 60);
/// A lease that is not released runs out about as soon.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);
const DELETE_ATTEMPTS: u32 = 4;
/// How often a room is joined again after somebody took the authority's place, while the store says
/// that the match is this one's: an old holder that is cut off from the store comes once for each of
/// LiveKit's outages, and two that both believe to hold the match would go on for ever.
const EVICTIONS: u32 = 5;
/// Calls to LiveKit's room service at a time, for one room.
const CALLS: usize = 4;
/// Room events that wait to be taken; more wait in the room itself.
const EVENTS: usize = 64;
