//! The client core, for JavaScript.

use std::time::Duration;

use gs_client::{Client, ClientConfig, Destination, ModuleId, Transmit, View};
use gs_engine::simulation::{MatchResult, Outcome, SlotResult};
use wasm_bindgen::prelude::*;

use crate::events::{event_object, phase_name, player_object, result_object};
use crate::line::{EmulatedLine, Inbound};
use crate::manifest::manifest_object;
use crate::module::{GameModule, ModuleSimulation};
use crate::objects::Fields;

/// A player's end of a match. Times are in milliseconds since any start, such as those of
/// `performance.now()`; one that lies before an earlier one counts as that.
#[wasm_bindgen]
pub struct MatchClient {
    client: Client<ModuleSimulation>,
    line: Option<EmulatedLine>,
    now: Duration,
    leaving: bool,
    view: FlatView,
}

#[wasm_bindgen]
impl MatchClient {
    /// A client that has not joined yet. `module_sha256` is given where the page brings a module
    /// of its own, which the server refuses if it is not the match's.
    #[wasm_bindgen(constructor)]
    pub fn new(
        prediction: bool,
        input_delay: u32,
        module_sha256: Option<String>,
        module_version: Option<String>,
    ) -> Self {
        let module = module_sha256.map(|sha256| ModuleId {
            sha256,
            version: module_version.unwrap_or_default(),
        });
        Self {
            client: Client::new(ClientConfig {
                prediction,
                input_delay,
                module,
            }),
            line: None,
            now: Duration::ZERO,
            leaving: false,
            view: FlatView::default(),
        }
    }

    /// The transport is up, or up again.
    #[wasm_bindgen(js_name = handleConnected)]
    pub fn handle_connected(&mut self, now_ms: f64) {
        let now = self.at(now_ms);
        if let Some(line) = &mut self.line {
            line.reset(now);
        }
        self.client.handle_connected(now);
    }

    /// The transport is down.
    #[wasm_bindgen(js_name = handleDisconnected)]
    pub fn handle_disconnected(&mut self, now_ms: f64) {
        let now = self.at(now_ms);
        self.client.handle_disconnected(now);
    }

    /// A packet arrived, from whom LiveKit says.
    #[wasm_bindgen(js_name = handlePacket)]
    pub fn handle_packet(
        &mut self,
        from: &str,
        topic: &str,
        payload: &[u8],
        reliable: bool,
        now_ms: f64,
    ) {
        let now = self.at(now_ms);
        match &mut self.line {
            Some(line) => line.receive(
                now,
                Inbound {
                    from: from.to_owned(),
                    topic: topic.to_owned(),
                    payload: payload.to_vec(),
                },
                reliable,
            ),
            None => self.client.handle_packet(from, topic, payload, now),
        }
    }

    /// The match's module, which `needModule` asked for.
    ///
    /// # Errors
    /// Where it cannot be run: the text says why.
    #[wasm_bindgen(js_name = handleModule)]
    pub fn handle_module(&mut self, module: GameModule, now_ms: f64) -> Result<(), JsError> {
        let now = self.at(now_ms);
        let simulation = ModuleSimulation::new(module)?;
        self.client.handle_module(simulation, now)?;
        Ok(())
    }

    /// There is no module to be had that can be run here: the server is asked for views.
    #[wasm_bindgen(js_name = handleModuleUnavailable)]
    pub fn handle_module_unavailable(&mut self, now_ms: f64) {
        let now = self.at(now_ms);
        self.client.handle_module_unavailable(now);
    }

    /// Time has passed. Call it each half tick and before each frame.
    #[wasm_bindgen(js_name = handleTimeout)]
    pub fn handle_timeout(&mut self, now_ms: f64) {
        let now = self.at(now_ms);
        if let Some(line) = &mut self.line {
            while let Some(packet) = line.poll_inbound(now) {
                self.client
                    .handle_packet(&packet.from, &packet.topic, &packet.payload, now);
            }
        }
        self.client.handle_timeout(now);
    }

    /// When `handleTimeout` has something to do next; `undefined`: only once something happened.
    #[wasm_bindgen(js_name = pollTimeout)]
    pub fn poll_timeout(&self) -> Option<f64> {
        let line = self.line.as_ref().and_then(EmulatedLine::poll_timeout);
        let next = [self.client.poll_timeout(), line]
            .into_iter()
            .flatten()
            .min()?;
        Some(next.as_secs_f64() * 1000.0)
    }

    /// The next tick for which an input is due; 0: none.
    #[wasm_bindgen(js_name = pollInput)]
    pub fn poll_input(&mut self, now_ms: f64) -> u32 {
        let now = self.at(now_ms);
        self.client.poll_input(now).unwrap_or(0)
    }

    /// The input that was asked for, packed by the manifest's schema.
    ///
    /// # Errors
    /// Where it does not satisfy the schema.
    #[wasm_bindgen(js_name = handleInput)]
    pub fn handle_input(&mut self, tick: u32, packed: &[u8]) -> Result<(), JsError> {
        Ok(self.client.handle_input(tick, packed)?)
    }

    /// The next packet to publish: `{topic, reliable, everyone, payload}`, or `undefined`.
    #[wasm_bindgen(js_name = pollTransmit)]
    pub fn poll_transmit(&mut self, now_ms: f64) -> JsValue {
        let now = self.at(now_ms);
        let next = match &mut self.line {
            None => self.client.poll_transmit(),
            Some(line) => {
                while let Some(transmit) = self.client.poll_transmit() {
                    line.send(now, transmit);
                }
                line.poll_outbound(if self.leaving { Duration::MAX } else { now })
            }
        };
        next.map_or(JsValue::UNDEFINED, |transmit| transmit_object(&transmit))
    }

    /// The next thing that happened, an object with a `type`, or `undefined`.
    #[wasm_bindgen(js_name = pollEvent)]
    pub fn poll_event(&mut self) -> JsValue {
        self.client
            .poll_event()
            .map_or(JsValue::UNDEFINED, |event| event_object(&event))
    }

    /// Sends a command of the game: its index and fields.
    ///
    /// # Errors
    /// Where it does not satisfy the schema, or the match has not been joined.
    pub fn command(&mut self, data: &[u8]) -> Result<(), JsError> {
        Ok(self.client.command(data)?)
    }

    /// Gives the match up. Whoever leaves waits for nothing: what an emulated line still holds
    /// goes out at once.
    pub fn leave(&mut self) {
        self.client.leave();
        self.leaving = true;
    }

    /// Says something.
    pub fn chat(&mut self, text: &str) {
        self.client.chat(text);
    }

    /// `observer`: shares state with the other players.
    ///
    /// # Errors
    /// In another mode, before the match runs, or for more bytes than a packet carries.
    pub fn share(&mut self, data: &[u8], now_ms: f64) -> Result<(), JsError> {
        let now = self.at(now_ms);
        Ok(self.client.share(data, now)?)
    }

    /// `observer`: tells how the match ended. `outcome` is 0 finished, 1 abandoned, 2 void; of
    /// each slot there are four numbers, slot, placement, team (-1: none) and score.
    ///
    /// # Errors
    /// In another mode, or for a result that cannot be.
    pub fn report(&mut self, outcome: u8, slots: &[i32]) -> Result<(), JsError> {
        let outcome = match outcome {
            0 => Outcome::Finished,
            1 => Outcome::Abandoned,
            _ => Outcome::Void,
        };
        let slots: Result<Vec<_>, JsError> = slots
            .chunks_exact(4)
            .map(|row| {
                Ok(SlotResult {
                    slot: u8::try_from(row[0])?,
                    placement: u8::try_from(row[1])?,
                    team: (row[2] >= 0).then(|| u8::try_from(row[2])).transpose()?,
                    score: row[3],
                    statistics: Vec::new(),
                })
            })
            .collect();
        let result = MatchResult {
            outcome,
            slots: slots?,
        };
        Ok(self.client.report(&result)?)
    }

    /// Whether to run ahead of the server.
    #[wasm_bindgen(js_name = setPrediction)]
    pub fn set_prediction(&mut self, on: bool) {
        self.client.set_prediction(on);
    }

    /// Makes the line worse in both directions: half of the latency each way, in milliseconds,
    /// and the share of the packets that are lost, 0 to 1. All zero takes the line as it is.
    pub fn emulate(&mut self, latency_ms: f64, jitter_ms: f64, loss: f64, seed: u32) {
        let (latency, jitter) = (duration(latency_ms), duration(jitter_ms));
        let clean = latency.is_zero() && jitter.is_zero() && loss <= 0.0;
        match &mut self.line {
            None if clean => {}
            None => self.line = Some(EmulatedLine::new(latency, jitter, loss, seed)),
            // What is on its way still arrives in its time.
            Some(line) => line.set(latency, jitter, loss),
        }
    }

    /// Works out the picture of this moment, for the getters that follow; answers the number of
    /// entities.
    pub fn view(&mut self, now_ms: f64) -> usize {
        let now = self.at(now_ms);
        self.view.fill(self.client.view(now));
        self.view.ids.len()
    }

    /// Where the ids of the view's entities lie in memory: u32, ascending.
    #[wasm_bindgen(js_name = viewIds)]
    pub fn view_ids(&self) -> *const u32 {
        self.view.ids.as_ptr()
    }

    /// Where the kinds of the view's entities lie in memory: u8, indices into the manifest.
    #[wasm_bindgen(js_name = viewKinds)]
    pub fn view_kinds(&self) -> *const u8 {
        self.view.kinds.as_ptr()
    }

    /// Where the owners of the view's entities lie in memory: i8, -1 for none.
    #[wasm_bindgen(js_name = viewOwners)]
    pub fn view_owners(&self) -> *const i8 {
        self.view.owners.as_ptr()
    }

    /// Where it lies in memory which value is the first of each of the view's entities: u32.
    #[wasm_bindgen(js_name = viewFirst)]
    pub fn view_first(&self) -> *const u32 {
        self.view.first.as_ptr()
    }

    /// Where the values of all entities lie in memory: f64, one a component of a field.
    #[wasm_bindgen(js_name = viewValues)]
    pub fn view_values(&self) -> *const f64 {
        self.view.values.0
    }

    /// How many values there are.
    #[wasm_bindgen(js_name = viewValueCount)]
    pub fn view_value_count(&self) -> usize {
        self.view.values.1
    }

    /// What the match is: an object, or `undefined` before its welcome, and before its module
    /// where the welcome had no room for the manifest.
    #[wasm_bindgen(js_name = matchInfo)]
    pub fn match_info(&self) -> JsValue {
        let client = &self.client;
        let Some(manifest) = client.manifest() else {
            return JsValue::UNDEFINED;
        };
        Fields::new()
            .set("matchId", client.match_id())
            .set("game", client.game())
            .set("manifest", manifest_object(manifest))
            .into_value()
    }

    /// Hash of the module that the match runs on, lower-case hex; empty before the welcome.
    #[wasm_bindgen(getter, js_name = moduleSha256)]
    pub fn module_sha256(&self) -> String {
        self.client.module().sha256.clone()
    }

    /// The players, ascending by slot.
    pub fn players(&self) -> Vec<JsValue> {
        self.client.players().iter().map(player_object).collect()
    }

    /// This player's slot; `undefined` before the welcome, and for a spectator.
    #[wasm_bindgen(getter)]
    pub fn slot(&self) -> Option<u8> {
        self.client.slot()
    }

    /// `joining`, `waiting`, `running` or `ended`.
    #[wasm_bindgen(getter)]
    pub fn phase(&self) -> String {
        phase_name(self.client.phase()).to_owned()
    }

    /// In which mode this client is served: `full`, `validated` or `observer`.
    #[wasm_bindgen(getter)]
    pub fn mode(&self) -> Option<String> {
        self.client.mode().map(|mode| mode.as_str().to_owned())
    }

    /// How the match ended; `undefined` while it has not.
    #[wasm_bindgen(getter)]
    pub fn result(&self) -> JsValue {
        self.client
            .result()
            .map_or(JsValue::UNDEFINED, result_object)
    }

    /// How the line is and how well the guesses hold, as an object.
    pub fn stats(&self) -> JsValue {
        let stats = self.client.stats();
        let milliseconds = |d: Duration| d.as_secs_f64() * 1000.0;
        let c = stats.counters;
        let counters = Fields::new()
            .set("states", c.states)
            .set("stale", c.stale)
            .set("malformed", c.malformed)
            .set("noBaseline", c.no_baseline)
            .set("foreign", c.foreign)
            .set("oldEpoch", c.old_epoch)
            .set("gaps", c.gaps)
            .set("unknownVersion", c.unknown_version)
            .set("dropped", c.dropped);
        Fields::new()
            .set("roundTripMs", stats.round_trip.map(milliseconds))
            .set("jitterTicks", stats.jitter)
            .set("marginTicks", stats.margin)
            .set("targetMarginTicks", stats.target_margin)
            .set("serverTick", stats.server_tick)
            .set("tick", stats.state_tick)
            .set("inputTick", stats.input_tick)
            .set("predictedTicks", stats.predicted_ticks)
            .set("answeredAtMs", self.client.answered_at().map(milliseconds))
            .set("staleMs", stats.staleness_ms)
            .set("frames", stats.frames)
            .set("inputsShown", stats.inputs_shown)
            .set("inputFrames", stats.input_frames)
            .set("rollbacks", stats.rollbacks)
            .set("resimulatedTicks", stats.resimulated_ticks)
            .set("mispredictedTicks", stats.mispredicted_ticks)
            .set("corrections", stats.corrections)
            .set("hashesMatched", stats.hashes_matched)
            .set("mismatches", stats.mismatches)
            .set("keyframes", stats.keyframes)
            .set("resyncs", stats.resyncs)
            .set("bytesUp", stats.bytes_up)
            .set("packetsUp", stats.packets_up)
            .set("bytesDown", stats.bytes_down)
            .set("packetsDown", stats.packets_down)
            .set("counters", counters.into_value())
            .into_value()
    }

    /// Time since the caller's start; it never goes back.
    fn at(&mut self, now_ms: f64) -> Duration {
        self.now = self.now.max(duration(now_ms));
        self.now
    }
}

/// The view, column by column: a page reads it where it lies.
struct FlatView {
    ids: Vec<u32>,
    kinds: Vec<u8>,
    owners: Vec<i8>,
    first: Vec<u32>,
    /// The client's own: they hold until it works out the next view.
    values: (*const f64, usize),
}

impl Default for FlatView {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            kinds: Vec::new(),
            owners: Vec::new(),
            first: Vec::new(),
            values: (std::ptr::null(), 0),
        }
    }
}

impl FlatView {
    fn fill(&mut self, view: &View) {
        self.ids.clear();
        self.kinds.clear();
        self.owners.clear();
        self.first.clear();
        for entity in view.entities() {
            self.ids.push(entity.id);
            self.kinds.push(entity.kind);
            self.owners.push(entity.owner.map_or(-1, |slot| slot as i8));
            self.first.push(entity.first_value);
        }
        self.values = (view.values().as_ptr(), view.values().len());
    }
}

fn transmit_object(transmit: &Transmit) -> JsValue {
    Fields::new()
        .set("topic", transmit.topic)
        .set("reliable", transmit.reliable)
        .set("everyone", transmit.to == Destination::Everyone)
        .set("payload", js_sys::Uint8Array::from(&*transmit.payload))
        .into_value()
}

/// Milliseconds of the page's clock; what is no time counts as none.
fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}
