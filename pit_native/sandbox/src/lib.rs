//! Starts a program in a sandbox that fails closed.
