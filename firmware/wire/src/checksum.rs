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
