//! game-sdk-macros
