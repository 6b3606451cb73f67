//! Deltas packed to the bit: the fast one of the two codecs.
