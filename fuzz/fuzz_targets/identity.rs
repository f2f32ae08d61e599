//! Runs the target `identity` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watertight_fuzz::identity(bytes));
