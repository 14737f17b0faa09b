//! The Internet checksum: ones-complement sums (RFC 1071), pseudo headers, and incremental update (RFC 1624).
//!
//! A *sum* here is a folded 16-bit ones-complement sum in host integer form, not yet inverted; the value of a checksum
//! field is its inverse. Sums of parts combine to the sum of the whole as long as each part but the last has an even length.

use crate::bytes::{Field, get_slice, put_u16};
use crate::ip::IpProtocol;
use crate::{Error, Result};
use core::net::{Ipv4Addr, Ipv6Addr};

/// Octets summed per step of the main loop: enough independent lanes for the compiler to use vector registers.
const BLOCK_LEN: usize = 32;

/// Ones-complement sum of `data`, an odd last octet padded with zero (RFC 1071 section 4.1).
///
/// Words are summed in memory order and put into network order once at the end, which RFC 1071 section 2 (B) shows to be
/// the same; the 32-bit halves of each 64-bit word go into 64-bit accumulators, so that the carries are folded once at the end too.
#[inline]
pub fn data(data: &[u8]) -> u16 {
    let mut lanes = [0u64; BLOCK_LEN / 8];
    let (blocks, tail) = data.as_chunks::<BLOCK_LEN>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            let word = u64::from_ne_bytes(*word);
            *lane += (word & 0xffff_ffff) + (word >> 32);
        }
    }
    // No overflow: a lane grows by less than 2^33 per block, so 2^31 blocks (64 GiB) are safe.
    let mut sum: u64 = lanes.iter().sum();
    let (words, tail) = tail.as_chunks::<8>();
    for word in words {
        let word = u64::from_ne_bytes(*word);
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    let mut tail = tail;
    if let Some((word, rest)) = tail.split_first_chunk::<4>() {
        sum += u64::from(u32::from_ne_bytes(*word));
        tail = rest;
    }
    if let Some((word, rest)) = tail.split_first_chunk::<2>() {
        sum += u64::from(u16::from_ne_bytes(*word));
        tail = rest;
    }
    if let Some(octet) = tail.first() {
        sum += u64::from(u16::from_ne_bytes([*octet, 0]));
    }
    u16::from_be(fold(sum))
}

/// Brings a wide ones-complement sum down to 16 bits with end-around carry.
#[inline]
const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Sum of two sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// Sum of several sums.
#[inline]
pub fn combine(sums: &[u16]) -> u16 {
    sums.iter().fold(0, |total, sum| add(total, *sum))
}

/// Sum of the IPv4 pseudo header (RFC 9293 section 3.1): addresses, protocol, length of transport header and data in octets.
#[inline]
pub fn pseudo_header_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: IpProtocol, length: u16) -> u16 {
    let (src, dst) = (u32::from(src), u32::from(dst));
    fold(u64::from(src) + u64::from(dst) + u64::from(protocol.0) + u64::from(length))
}

/// Sum of the IPv6 pseudo header (RFC 8200 section 8.1). With a routing header, `dst` is the final destination.
#[inline]
pub fn pseudo_header_v6(src: &Ipv6Addr, dst: &Ipv6Addr, protocol: IpProtocol, length: u32) -> u16 {
    let addresses = add(data(&src.octets()), data(&dst.octets()));
    fold(u64::from(addresses) + u64::from(protocol.0) + u64::from(length))
}

/// The checksum after one 16-bit word that it covers changed from `old` to `new` (RFC 1624 equation 3).
///
/// For UDP: a checksum of zero means none and must not be updated, and a result of zero goes out as 0xffff. If all that the
/// checksum covers became zero, the result is the other ones-complement zero; no IP, TCP or UDP header is all zeros.
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !add(add(!checksum, !old), new)
}

/// The checksum after a run of octets changed from `old` to `new`, both beginning at an even offset (RFC 1624 equation 3).
#[inline]
pub fn update_slice(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    update(checksum, data(old), data(new))
}

/// Completes a partial checksum in place, as VIRTIO 1.2 section 5.1.6.2 describes: the field at `start + offset` holds the
/// pseudo header's sum, and the checksum covers `packet` from `start` to its end.
///
/// A result of zero is stored as 0xffff, which is the same number in ones-complement arithmetic and what UDP requires.
///
/// # Errors
/// [`Error::Truncated`] when the field is not inside `packet`.
#[inline]
pub fn complete(packet: &mut [u8], start: usize, offset: usize) -> Result<()> {
    let covered = packet.get_mut(start..).ok_or(Error::Truncated)?;
    let end = offset.checked_add(2).ok_or(Error::Truncated)?;
    if end > covered.len() {
        return Err(Error::Truncated);
    }
    let checksum = match !data(covered) {
        0 => 0xffff,
        sum => sum,
    };
    put_u16(covered, offset..end, checksum);
    Ok(())
}

/// Whether `packet`, its checksum field included, sums up right together with `pseudo` (zero where there is no pseudo header).
#[inline]
pub fn verify(pseudo: u16, packet: &[u8]) -> bool {
    add(pseudo, data(packet)) == 0xffff
}

/// The value for the checksum field at `at` (an even offset), computed as though the field held zero.
#[inline]
pub(crate) fn compute(pseudo: u16, packet: &[u8], at: Field) -> u16 {
    let before = data(get_slice(packet, 0..at.start));
    let after = data(get_slice(packet, at.end..packet.len()));
    // Summing around the field, not subtracting it afterwards, keeps +0 and -0 apart.
    !combine(&[pseudo, before, after])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;
    use std::vec::Vec;

    /// The definition of RFC 1071 section 1, word by word.
    fn naive(data: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in data.chunks(2) {
            sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
            if sum > 0xffff {
                sum -= 0xffff;
            }
        }
        sum as u16
    }

    struct Lcg(u64);

    impl Lcg {
        fn next(&mut self) -> u32 {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.0 >> 33) as u32
        }
        fn octets(&mut self, length: usize) -> Vec<u8> {
            (0..length).map(|_| self.next() as u8).collect()
        }
    }

    #[test]
    fn sums_the_example_of_rfc_1071() {
        assert_eq!(data(&hex("0001 f203 f4f5 f6f7")), 0xddf2);
    }

    #[test]
    fn agrees_with_the_definition_at_every_length_and_alignment() {
        let mut random = Lcg(1);
        let octets = random.octets(300);
        for start in 0..9 {
            for end in start..octets.len() {
                assert_eq!(data(&octets[start..end]), naive(&octets[start..end]), "{start}..{end}");
            }
        }
    }

    #[test]
    fn carries_around_at_the_greatest_words() {
        for length in [1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 1500, 65535] {
            let octets = std::vec![0xff; length];
            assert_eq!(data(&octets), naive(&octets), "{length}");
        }
        assert_eq!(data(&[0; 100]), 0);
        assert_eq!(data(&[]), 0);
    }

    #[test]
    fn sums_of_parts_combine() {
        let mut random = Lcg(2);
        for _ in 0..1000 {
            let octets = random.octets(200);
            let cut = random.next() as usize % 100 * 2;
            let (a, b) = octets.split_at(cut);
            assert_eq!(combine(&[data(a), data(b)]), data(&octets));
        }
    }

    #[test]
    fn verifies_the_header_that_a_kernel_sent_and_finds_every_flipped_bit() {
        let header = hex("4500 0023 2cec 4000 4001 f9d7 0a01 000a 0a01 000b");
        assert!(verify(0, &header));
        for bit in 0..header.len() * 8 {
            let mut damaged = header.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(0, &damaged), "bit {bit}");
        }
    }

    #[test]
    fn computes_around_the_field_as_though_it_were_zero() {
        let mut header = hex("4500 0023 2cec 4000 4001 beef 0a01 000a 0a01 000b");
        assert_eq!(compute(0, &header, 10..12), 0xf9d7);
        header[10..12].fill(0);
        assert_eq!(compute(0, &header, 10..12), 0xf9d7);
        // An echo reply of zeros keeps its sum apart from minus zero.
        assert_eq!(compute(0, &[0, 0, 0x12, 0x34, 0, 0, 0, 0], 2..4), 0xffff);
    }

    #[test]
    fn pseudo_headers_equal_the_sum_of_their_octets() {
        let (src, dst) = (Ipv4Addr::new(10, 1, 0, 10), Ipv4Addr::new(255, 254, 0, 11));
        let octets = hex("0a01 000a fffe 000b 0011 ffdc");
        assert_eq!(pseudo_header_v4(src, dst, IpProtocol::UDP, 0xffdc), naive(&octets));

        let (src, dst): (Ipv6Addr, Ipv6Addr) = ("fd00:1::a".parse().unwrap(), "ff02::1:ff00:b".parse().unwrap());
        let mut octets = hex("0001 86a0 0000 003a");
        octets.extend(src.octets());
        octets.extend(dst.octets());
        assert_eq!(
            pseudo_header_v6(&src, &dst, IpProtocol::ICMPV6, 100_000),
            naive(&octets)
        );
    }

    #[test]
    fn incremental_update_equals_computing_anew() {
        // The example of RFC 1624 section 4.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
        let mut random = Lcg(3);
        for _ in 0..10_000 {
            let mut octets = random.octets(40);
            let before = !data(&octets);
            let at = random.next() as usize % 18 * 2;
            let (old, new) = (octets[at..at + 4].to_vec(), random.octets(4));
            octets[at..at + 4].copy_from_slice(&new);
            assert_eq!(update_slice(before, &old, &new), !data(&octets));
        }
    }

    #[test]
    fn completes_a_partial_checksum() {
        // A kernel's datagram "hello" from 10.1.0.10:5000 to 10.1.0.11:5001, behind four octets of something else.
        let mut packet = hex("dead beef 1388 1389 000d 0000 68656c6c6f");
        let pseudo = pseudo_header_v4(
            Ipv4Addr::new(10, 1, 0, 10),
            Ipv4Addr::new(10, 1, 0, 11),
            IpProtocol::UDP,
            13,
        );
        packet[10..12].copy_from_slice(&pseudo.to_be_bytes());
        complete(&mut packet, 4, 6).unwrap();
        assert_eq!(packet, hex("dead beef 1388 1389 000d 80da 68656c6c6f"));
    }

    #[test]
    fn completing_never_yields_zero_and_never_leaves_the_packet() {
        let mut packet = hex("ffff 0000");
        complete(&mut packet, 0, 2).unwrap();
        assert_eq!(packet, hex("ffff ffff"));
        for (start, offset) in [
            (0, 3),
            (4, 0),
            (5, 0),
            (3, 0),
            (usize::MAX, 0),
            (0, usize::MAX),
            (2, usize::MAX - 1),
        ] {
            assert_eq!(
                complete(&mut packet, start, offset),
                Err(Error::Truncated),
                "{start} {offset}"
            );
        }
    }
}
