//! See `topics.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pit_fuzz::readers::topic(data));
