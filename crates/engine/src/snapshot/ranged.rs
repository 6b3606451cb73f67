//! Deltas by context mixing and range coding: the small one of the two codecs.
