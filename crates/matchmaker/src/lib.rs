//! gs-matchmaker
