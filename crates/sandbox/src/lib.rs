//! gs-sandbox
