//! What a line allows at most, from the octets around each frame.
//!
//! A frame's size is that at the VM with its FCS (RFC 2544). Goodput counts the VM's IP packets: the frame without Ethernet header and FCS.

use super::Protection;

/// Least frame that is measured, with FCS (IEEE 802.3 section 4.4.2).
pub const MIN_FRAME_LEN: u32 = 64;
/// Greatest frame that is measured, with FCS.
pub const MAX_FRAME_LEN: u32 = 9_000;
/// Octets of connection id in everything measured.
pub const CID_LEN: u32 = 8;

const ETHERNET_LEN: u32 = 14;
const FCS_LEN: u32 = 4;
/// Preamble with start delimiter, and the gap between frames (IEEE 802.3 sections 3.1.1 and 4.4.2).
const PREAMBLE_AND_GAP_LEN: u32 = 8 + 12;
const IPV4_LEN: u32 = 20;
const UDP_LEN: u32 = 8;
const VXLAN_LEN: u32 = 8;
const TAG_LEN: u32 = 16;

impl Protection {
    /// Octets of a record around its plaintext.
    #[must_use]
    pub const fn record_overhead_len(self) -> u32 {
        match self {
            Self::Clear => 0,
            // RFC 6347 section 4.1, RFC 9146 section 4, RFC 5288 section 3: header, connection id, explicit nonce, true content type, tag.
            Self::Dtls12 => 13 + CID_LEN + 8 + 1 + TAG_LEN,
            // RFC 9147 section 4: flags, connection id, 16-bit number, true content type, tag.
            Self::Dtls13 => 1 + CID_LEN + 2 + 1 + TAG_LEN,
        }
    }
}

/// The VM's IP packet in a frame, in octets.
#[must_use]
pub const fn ip_len(frame_len: u32) -> u32 {
    frame_len.saturating_sub(ETHERNET_LEN + FCS_LEN)
}

/// The underlay's frame, without FCS, that a VM's frame becomes over IPv4, in octets.
#[must_use]
pub const fn datagram_len(protection: Protection, frame_len: u32) -> u32 {
    ETHERNET_LEN + IPV4_LEN + UDP_LEN + protection.record_overhead_len() + VXLAN_LEN + frame_len.saturating_sub(FCS_LEN)
}

/// What a VM's frame takes of the line, with FCS, preamble and gap, in octets.
#[must_use]
pub const fn line_len(protection: Protection, frame_len: u32) -> u32 {
    datagram_len(protection, frame_len) + FCS_LEN + PREAMBLE_AND_GAP_LEN
}

/// How long a line is taken by `count` frames, in picoseconds, rounded up.
#[must_use]
pub fn line_time_ps(protection: Protection, frame_len: u32, line_mbit_per_s: u64, count: u64) -> u64 {
    // A megabit a second is a bit in a million picoseconds.
    let bits = u128::from(line_len(protection, frame_len)) * 8 * u128::from(count);
    u64::try_from((bits * 1_000_000).div_ceil(u128::from(line_mbit_per_s.max(1)))).unwrap_or(u64::MAX)
}

/// Frames a second that a line carries at most.
#[must_use]
pub fn line_frames_per_s(protection: Protection, frame_len: u32, line_mbit_per_s: u64) -> f64 {
    line_mbit_per_s as f64 * 1e6 / (f64::from(line_len(protection, frame_len)) * 8.0)
}

/// Goodput of a rate of frames, in Gbit/s.
#[must_use]
pub fn goodput_gbit_per_s(frame_len: u32, frames_per_s: f64) -> f64 {
    f64::from(ip_len(frame_len)) * 8.0 * frames_per_s / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of a 100 Gbit/s line that is goodput, in tenths of a percent.
    fn permille(protection: Protection, ip_len: u32) -> u32 {
        let frame_len = ip_len + ETHERNET_LEN + FCS_LEN;
        let frames = line_frames_per_s(protection, frame_len, 100_000);
        (goodput_gbit_per_s(frame_len, frames) * 10.0).round() as u32
    }

    #[test]
    fn goodput_with_dtls13_is_that_of_the_tables_in_the_documentation() {
        let sizes = [64, 256, 512, 1_024, 1_500, 9_000];
        assert_eq!(
            sizes.map(|size| permille(Protection::Dtls13, size)),
            [356, 688, 815, 898, 928, 987]
        );
    }

    #[test]
    fn octets_on_the_line_are_those_of_hand_made_frames() {
        // 64 at the VM: 60 without FCS; 8 VXLAN, 28 or 46 record, 8 UDP, 20 IPv4, 14 Ethernet; 24 FCS, preamble, gap.
        assert_eq!(line_len(Protection::Clear, 64), 60 + 8 + 8 + 20 + 14 + 24);
        assert_eq!(line_len(Protection::Dtls13, 64), 60 + 8 + 28 + 8 + 20 + 14 + 24);
        assert_eq!(line_len(Protection::Dtls12, 64), 60 + 8 + 46 + 8 + 20 + 14 + 24);
        assert_eq!(ip_len(64), 46);
    }

    #[test]
    fn line_times_add_up_without_drift() {
        // 162 octets are 12.96 ns at 100 Gbit/s, and 3.24 ns at 400.
        assert_eq!(line_time_ps(Protection::Dtls13, 64, 100_000, 1), 12_960);
        assert_eq!(line_time_ps(Protection::Dtls13, 64, 400_000, 1), 3_240);
        assert_eq!(
            line_time_ps(Protection::Dtls13, 65, 300_000, 3_000),
            163 * 8 * 10_000_000 / 1_000
        );
        assert_eq!(line_time_ps(Protection::Clear, 9_000, 0, u64::MAX), u64::MAX);
    }
}
