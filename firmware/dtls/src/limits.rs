//! How much one key may protect, and how many forgeries it may see.
//!
//! RFC 8446 section 5.5 and RFC 9147 section 4.5.3 let AES-GCM protect 2^24.5 *full-size* records (2^14 octets, hence 2^34.5
//! blocks) under one key; RFC 9325 section 4.4 asks the same of version 1.2. What wears a key out is the number of AES blocks,
//! so usage is charged in blocks: a record costs its payload rounded up to 16 octets, and 16 more for the block that masks
//! its tag. Small records thus get their fair number, and may not exceed it either.

use crate::record_config::Version;

/// floor(2^38.5 / 16) * 16: 2^24.5 records of 2^14 octets.
const GCM_HARD_BYTES: u64 = 388_736_063_984;

/// Usage limits of one key. "Soft" asks for a new key in time, "hard" ends the use of this one.
///
/// A limit of `n` allows `n` and refuses what would make it more. Packets and bytes are enforced where the key seals; where it
/// opens, the failures are, and `soft_packets` only asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records after which a new key is asked for.
    pub soft_packets: u64,
    /// Records after which sealing ends.
    pub hard_packets: u64,
    /// Charged octets (see [`charge`]) after which a new key is asked for.
    pub soft_bytes: u64,
    /// Charged octets after which sealing ends.
    pub hard_bytes: u64,
    /// Failed authentications after which a new association is asked for.
    pub soft_failures: u64,
    /// Failed authentications after which opening ends (RFC 9147 section 4.5.3).
    pub hard_failures: u64,
}

impl Limits {
    /// The limits of the RFCs for AES-GCM: 2^34.5 blocks; 2^28 failures (version 1.2) or 2^36 (version 1.3). The soft limits
    /// are three quarters of the usage and half of the failures.
    #[must_use]
    pub const fn default_for(version: Version) -> Self {
        let hard_failures = match version {
            Version::Dtls12 => 1 << 28,
            Version::Dtls13 => 1 << 36,
        };
        // The smallest record costs two blocks, so that the packet limit is never the first to be reached by default.
        let hard_packets = GCM_HARD_BYTES / 32;
        Self {
            soft_packets: hard_packets / 4 * 3,
            hard_packets,
            soft_bytes: GCM_HARD_BYTES / 4 * 3,
            hard_bytes: GCM_HARD_BYTES,
            soft_failures: hard_failures / 2,
            hard_failures,
        }
    }
}

/// What one record costs, in octets: its payload in whole blocks (the inner plaintext, where there is one), and one
/// block for the mask of the tag.
#[must_use]
pub const fn charge(payload_len: usize) -> u64 {
    (payload_len as u64).next_multiple_of(16) + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_size_records_reach_two_to_the_twenty_four_and_a_half() {
        // floor(2^24.5) = floor(sqrt(2^49))
        let records = (1_u64 << 49).isqrt();
        assert_eq!(records, 23_726_566);
        let limits = Limits::default_for(Version::Dtls13);
        assert!(records << 14 <= limits.hard_bytes && limits.hard_bytes < (records + 1) << 14);
        assert_eq!(limits.hard_bytes % 16, 0);
        assert_eq!(charge(1 << 14), (1 << 14) + 16);
    }

    #[test]
    fn many_more_small_records_are_allowed_than_full_ones_and_none_is_free() {
        let limits = Limits::default_for(Version::Dtls12);
        assert!(limits.hard_bytes / charge(64) > 100 * 23_726_566);
        assert_eq!(charge(0), 16);
        assert_eq!(charge(1), 32);
        assert!(limits.hard_packets * charge(1) <= limits.hard_bytes);
    }

    #[test]
    fn failures_are_those_of_rfc_9147() {
        assert_eq!(Limits::default_for(Version::Dtls12).hard_failures, 1 << 28);
        assert_eq!(Limits::default_for(Version::Dtls13).hard_failures, 1 << 36);
        for version in [Version::Dtls12, Version::Dtls13] {
            let limits = Limits::default_for(version);
            assert!(limits.soft_failures < limits.hard_failures);
            assert!(limits.soft_packets < limits.hard_packets);
            assert!(limits.soft_bytes < limits.hard_bytes);
        }
    }

    #[test]
    fn a_new_key_is_asked_for_at_three_quarters_of_the_usage_and_half_of_the_failures() {
        for (version, failures) in [(Version::Dtls12, 1 << 27), (Version::Dtls13, 1_u64 << 35)] {
            let limits = Limits::default_for(version);
            assert_eq!(limits.soft_packets, 9_111_001_497);
            assert_eq!(limits.soft_bytes, 291_552_047_988);
            assert_eq!(limits.soft_failures, failures);
        }
    }
}
