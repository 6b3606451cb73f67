//! gs-authority
