//! Every parser of `sealnic-wire` on every input: no accessor panics, and what parses survives being emitted and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../firmware/wire/tests/exercise/mod.rs"]
mod exercise;

fuzz_target!(|data: &[u8]| {
    exercise::all(data);
    // The same octets as damage to a good packet, which gets past the first checks at once: zeros leave the packet as it is.
    if let [number, damage @ ..] = data
        && let Some(seed) = exercise::seeds::SEEDS.get(usize::from(*number))
    {
        let mut packet = seed.to_vec();
        packet.resize(packet.len().max(damage.len()), 0);
        for (octet, damage) in packet.iter_mut().zip(damage) {
            *octet ^= damage;
        }
        exercise::all(&packet);
    }
});
