//! gs-api
