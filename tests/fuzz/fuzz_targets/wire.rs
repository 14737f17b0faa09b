//! Every parser of `sealnic-wire` on every input: no accessor panics, and what parses survives being emitted and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../firmware/wire/tests/exercise/mod.rs"]
mod exercise;

fuzz_target!(|data: &[u8]| exercise::all(data));
