//! A client that runs ahead of what is confirmed, and rolls back where it guessed wrong.
