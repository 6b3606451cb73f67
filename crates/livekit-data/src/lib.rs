//! livekit-data
