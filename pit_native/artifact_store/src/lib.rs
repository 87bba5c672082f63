//! Keeps every result: content-addressed, durable when `put` returns, searchable.
