//! Owns a playing melody: a pure state machine under a Tokio driver.
