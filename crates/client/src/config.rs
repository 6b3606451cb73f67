//! What a client is started with.

/// What a client is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Whether to run ahead of the server with the game's module. Without, the picture is that of
    /// the server, some ticks late; in `validated` it is that of the ticks that are confirmed.
    pub prediction: bool,
    /// Ticks by which own inputs show later than they could, 0 to [`MAX_INPUT_DELAY`]. Each makes
    /// one tick less to be predicted, so other players jump less.
    pub input_delay: u32,
    /// The module that this client brings with it, if it does: the server refuses one that is not
    /// the match's. Without, the client takes what the welcome names.
    pub module: Option<ModuleId>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            prediction: true,
            input_delay: 0,
            module: None,
        }
    }
}

/// A game module, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleId {
    /// SHA-256 of the module, lower-case hex.
    pub sha256: String,
    /// The manifest's version, for people.
    pub version: String,
}

/// The largest input delay, in ticks: beyond it a game feels like mud, and inputs would be sent
/// long before they count.
pub const MAX_INPUT_DELAY: u32 = 8;
