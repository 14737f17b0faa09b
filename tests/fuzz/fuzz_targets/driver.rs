//! The driver on a device that does what the input says: it ends with an error or an answer, in bounded time, and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealnic_driver_suite::hostile::exercise;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (malice, octets) = input;
    let mut at = 0;
    // When the input is used up it begins anew, rotated, so that a short one does not stand still.
    let choices = move || {
        at += 1;
        let octet = octets.get(at % octets.len().max(1)).copied().unwrap_or(0);
        u64::from(octet).wrapping_mul(0x0101_0101_0101_0101) ^ (at / octets.len().max(1)) as u64
    };
    exercise(choices, 1 << (malice % 16)).unwrap();
});
