//! Carries messages between the host and its Players.
