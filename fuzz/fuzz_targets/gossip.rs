//! Runs the target `gossip` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watertight_fuzz::gossip(bytes));
