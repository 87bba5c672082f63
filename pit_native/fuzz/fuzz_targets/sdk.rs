//! See `sdk.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pit_fuzz::readers::sdk(data));
