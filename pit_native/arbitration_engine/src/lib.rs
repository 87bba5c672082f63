//! Grants CPU, memory and other resources fairly, or says what a request waits for.
