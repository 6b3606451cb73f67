//! gs-store
