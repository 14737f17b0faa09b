//! The driver on devices that do what they like.

#![allow(clippy::panic, reason = "a test stops where it fails")]

use sealnic_driver_suite::hostile::exercise;
use std::time::Instant;

/// SplitMix64.
fn generator(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[test]
fn a_driver_comes_away_from_any_device_in_bounded_time() {
    let start = Instant::now();
    let (mut runs, mut reached) = (0, 0);
    for seed in 0.. {
        for malice in [1, 10, 100, 1_000, 100_000] {
            let result = exercise(generator((seed << 8) | (malice % 251)), malice);
            let attached = result.unwrap_or_else(|error| panic!("seed {seed}, malice 1 in {malice}: {error}"));
            runs += 1;
            reached += u32::from(attached);
        }
        if start.elapsed().as_secs() >= 8 && seed > 20 {
            break;
        }
    }
    assert!(
        runs > 100 && reached > runs / 4,
        "{reached} of {runs} devices were attached to"
    );
}

#[test]
fn a_device_of_one_number_is_survived() {
    for number in [0, 1, u64::MAX, 0x5555_5555_5555_5555, 0xFF] {
        for malice in [1, 2, 1 << 40] {
            let result = exercise(move || number, malice);
            assert!(result.is_ok(), "{number:#x}, 1 in {malice}: {result:?}");
        }
    }
}
