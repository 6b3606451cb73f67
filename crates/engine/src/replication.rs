//! Who is told what of a net state, and what each receiver makes of it.
