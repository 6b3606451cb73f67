//! gs-protocol
