//! Help for tests: frames written as hexadecimal text, and the walk over every truncation of one.

use std::vec::Vec;

/// The octets that `text` spells; blanks are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap())
        .collect();
    assert!(digits.len().is_multiple_of(2), "half an octet in {text}");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Asserts that `accepts` takes `packet`, but no octets less.
pub(crate) fn refuses_every_truncation(packet: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(packet), "the whole packet");
    for length in 0..packet.len() {
        assert!(!accepts(&packet[..length]), "{length} octets of {}", packet.len());
    }
}
