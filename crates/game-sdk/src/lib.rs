//! game-sdk
