//! Hands out Players and local models that are loaded and warm.
