//! Ticks that never change any more, on their way to the clients that simulate them too.
