//! Adaptive binary range coding, for bytes that must be few.
