//! Rules that are refused, one by one.
