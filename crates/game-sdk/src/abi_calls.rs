//! The calls of the ABI on one game, over buffers in the module's memory.

use std::cell::{Cell, RefCell};

use gs_engine::Simulation;
use gs_engine::abi;
use gs_engine::manifest::MAX_SAVE_BYTES;
use gs_engine::simulation::{Effects, NetState, SimulationError, Slot, TickLog};

use crate::native::{MALFORMED, Native, native};
use crate::{Game, manifest};

/// What `export_game!` keeps in a module: one game and the buffers that the host shares.
#[doc(hidden)]
pub struct Exports<G: Game> {
    simulation: RefCell<Option<Native<G>>>,
    buffers: RefCell<Buffers>,
    // Apart from the rest, so that the text of a panic can be answered while a call is on the
    // stack of a trapped instance and holds the others.
    output_address: Cell<usize>,
}

#[derive(Default)]
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
    log: TickLog,
    effects: Effects,
    net_state: NetState,
}

impl<G: Game> Default for Exports<G> {
    fn default() -> Self {
        Self {
            simulation: RefCell::default(),
            buffers: RefCell::default(),
            output_address: Cell::default(),
        }
    }
}

impl<G: Game> Exports<G> {
    /// `gs_input`: the address of a buffer for `len` bytes, 0 where there are too many.
    pub fn input(&self, len: i32) -> usize {
        keep_panics();
        let Ok(len) = usize::try_from(len) else {
            return 0;
        };
        if len > MAX_INPUT_BYTES {
            return 0;
        }
        let input = &mut self.buffers.borrow_mut().input;
        if input.len() < len {
            input.resize(len, 0);
        }
        input.as_mut_ptr().addr()
    }

    /// `gs_output`: the address of what the last call answered.
    pub fn output(&self) -> usize {
        self.output_address.get()
    }

    /// `gs_describe`.
    pub fn describe(&self) -> i32 {
        self.call(|simulation, buffers| {
            buffers.output = manifest::to_json(simulation.manifest()).into_bytes();
            Ok(true)
        })
    }

    /// `gs_init`.
    pub fn init(&self, seed: i64, len: i32) -> i32 {
        self.call(|simulation, buffers| {
            let config = std::str::from_utf8(buffers.input(len)?).map_err(|_| MALFORMED)?;
            // The seed's bits travel as they are; WebAssembly has no unsigned integers.
            let started = simulation
                .init_json(seed.cast_unsigned(), config)
                .map_err(code);
            if started.is_err() {
                keep_text(simulation.fault());
            }
            started.map(|()| false)
        })
    }

    /// `gs_step`.
    pub fn step(&self, len: i32) -> i32 {
        self.call(|simulation, buffers| {
            let input_len = simulation.schema().input_len();
            let mut log = std::mem::take(&mut buffers.log);
            let decoded = abi::decode_tick_log(buffers.input(len)?, input_len, &mut log);
            buffers.log = log;
            decoded.map_err(|_| MALFORMED)?;
            simulation
                .step(&buffers.log, &mut buffers.effects)
                .map_err(code)?;
            if let Err(error) = abi::encode_effects(&buffers.effects, &mut buffers.output) {
                panic!("what the game did does not fit a tick: {error}");
            }
            Ok(true)
        })
    }

    /// `gs_check`.
    pub fn check(&self, slot: i32, len: i32) -> i32 {
        self.call(|simulation, buffers| {
            let slot = slot_of(slot).flatten().ok_or(MALFORMED)?;
            let verdict = simulation.check(slot, buffers.input(len)?).map_err(code)?;
            abi::encode_verdict(&verdict, &mut buffers.output).map_err(|_| MALFORMED)?;
            Ok(true)
        })
    }

    /// `gs_save`.
    pub fn save(&self) -> i32 {
        self.call(|simulation, buffers| {
            simulation.save(&mut buffers.output).map_err(code)?;
            Ok(true)
        })
    }

    /// `gs_load`.
    pub fn load(&self, len: i32) -> i32 {
        self.call(|simulation, buffers| {
            simulation.load(buffers.input(len)?).map_err(code)?;
            Ok(false)
        })
    }

    /// `gs_load_view`.
    pub fn load_view(&self, viewer: i32, len: i32) -> i32 {
        self.call(|simulation, buffers| {
            let viewer = slot_of(viewer).ok_or(MALFORMED)?;
            let mut view = std::mem::take(&mut buffers.net_state);
            let decoded =
                abi::decode_net_state(buffers.input(len)?, simulation.schema(), &mut view);
            buffers.net_state = view;
            decoded.map_err(|_| MALFORMED)?;
            simulation
                .load_view(viewer, &buffers.net_state)
                .map_err(code)?;
            Ok(false)
        })
    }

    /// `gs_net_state`.
    pub fn net_state(&self, viewer: i32) -> i32 {
        self.call(|simulation, buffers| {
            let viewer = slot_of(viewer).ok_or(MALFORMED)?;
            simulation
                .net_state(viewer, &mut buffers.net_state)
                .map_err(code)?;
            if let Err(error) = abi::encode_net_state(&buffers.net_state, &mut buffers.output) {
                panic!("what there is to see does not fit the ABI: {error}");
            }
            Ok(true)
        })
    }

    /// `gs_panic`: the text of a panic, or why `gs_init` refused its options.
    pub fn panic_text(&self) -> i32 {
        PANIC_TEXT.with(|text| {
            // The hook never panics itself, so the text is never held when this is called.
            let text = text.borrow();
            self.output_address.set(text.as_ptr().addr());
            text.len() as i32
        })
    }

    /// Runs a call; `Ok(true)` says that it left bytes in the output.
    fn call(&self, run: impl FnOnce(&mut Native<G>, &mut Buffers) -> Result<bool, i32>) -> i32 {
        keep_panics();
        let mut simulation = self.simulation.borrow_mut();
        let mut buffers = self.buffers.borrow_mut();
        buffers.output.clear();
        let answer = run(simulation.get_or_insert_with(native), &mut buffers);
        self.output_address.set(buffers.output.as_ptr().addr());
        match answer {
            Ok(true) => i32::try_from(buffers.output.len()).unwrap_or(MALFORMED),
            Ok(false) => 0,
            Err(code) => code,
        }
    }
}

impl Buffers {
    fn input(&self, len: i32) -> Result<&[u8], i32> {
        let len = usize::try_from(len).map_err(|_| MALFORMED)?;
        self.input.get(..len).ok_or(MALFORMED)
    }
}

/// A slot, or `None` inside for a spectator; outside where it is neither.
fn slot_of(number: i32) -> Option<Option<Slot>> {
    match number {
        -1 => Some(None),
        0..64 => Some(Some(number as Slot)),
        _ => None,
    }
}

fn code(error: SimulationError) -> i32 {
    match error {
        SimulationError::Refused { code, .. } => code,
        // Natively a panic comes here as an error; in a module it has trapped before.
        error => panic!("{error}"),
    }
}

thread_local! {
    static PANIC_TEXT: RefCell<String> = const { RefCell::new(String::new()) };
    static PANICS_ARE_KEPT: Cell<bool> = const { Cell::new(false) };
}

/// Makes the text of a panic available to `gs_panic`; a module has no standard error.
fn keep_panics() {
    if cfg!(target_arch = "wasm32") && !PANICS_ARE_KEPT.replace(true) {
        std::panic::set_hook(Box::new(|panic| keep_text(&panic.to_string())));
    }
}

fn keep_text(text: &str) {
    let kept = &text[..text.floor_char_boundary(MAX_PANIC_BYTES)];
    PANIC_TEXT.with(|slot| kept.clone_into(&mut slot.borrow_mut()));
}

/// Longest input of a call: the largest state to load, and room for a net state of 4,096 entities
/// of 32 columns (568 KiB) is within it.
const MAX_INPUT_BYTES: usize = MAX_SAVE_BYTES as usize;
/// Longest text of a panic: a log line.
const MAX_PANIC_BYTES: usize = 4096;
