//! Options of neighbour discovery (RFC 4861 section 4.6): link-layer addresses, prefix, MTU. Others are stepped over.

use crate::bytes::{Field, get_array, get_slice, get_u8, get_u32, put_slice, put_u8, put_u32};
use crate::ethernet::EthernetAddress;
use crate::ipv6::Ipv6Address;
use crate::{Error, Result};

/// Option types.
mod kind {
    pub(super) const SOURCE_LINK_ADDR: u8 = 1;
    pub(super) const TARGET_LINK_ADDR: u8 = 2;
    pub(super) const PREFIX: u8 = 3;
    pub(super) const MTU: u8 = 5;
}

mod field {
    use super::Field;
    pub(super) const TYPE: usize = 0;
    pub(super) const LENGTH: usize = 1;
    pub(super) const LINK_ADDR: Field = 2..8;
    pub(super) const MTU: Field = 4..8;
    pub(super) const PREFIX_LEN: usize = 2;
    pub(super) const PREFIX_FLAGS: usize = 3;
    pub(super) const VALID: Field = 4..8;
    pub(super) const PREFERRED: Field = 8..12;
    pub(super) const PREFIX: Field = 16..32;
}

/// Octets of a link-layer address option and of an MTU option.
const SHORT_LEN: usize = 8;
/// Octets of a prefix option.
const PREFIX_OPTION_LEN: usize = 32;

const FLAG_ON_LINK: u8 = 0x80;
const FLAG_AUTONOMOUS: u8 = 0x40;

/// A prefix that a router advertises (RFC 4861 section 4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix.
    pub prefix: Ipv6Address,
    /// Its length in bits, at most 128.
    pub prefix_len: u8,
    /// Addresses in it are reached without the router.
    pub on_link: bool,
    /// Hosts may make addresses from it.
    pub autonomous: bool,
    /// Seconds for which it is on-link; 0xffff_ffff is for ever.
    pub valid_s: u32,
    /// Seconds for which addresses made from it are preferred.
    pub preferred_s: u32,
}

/// The options of one message; of an option that comes twice, the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NdpOptions {
    /// Link-layer address of the sender.
    pub source_link_addr: Option<EthernetAddress>,
    /// Link-layer address of the target.
    pub target_link_addr: Option<EthernetAddress>,
    /// MTU of the link in octets.
    pub mtu: Option<u32>,
    /// A prefix.
    pub prefix: Option<PrefixInformation>,
}

impl NdpOptions {
    /// Reads the options that fill `data`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when an option has length zero (RFC 4861 section 4.6), runs past `data`, or is too short for its type.
    #[inline]
    pub fn parse(mut data: &[u8]) -> Result<Self> {
        let mut options = Self::default();
        while !data.is_empty() {
            let length = usize::from(get_u8(data, field::LENGTH)) * 8;
            // An option of one octet has no length and reads as zero.
            if length == 0 {
                return Err(Error::Malformed);
            }
            let (option, rest) = data.split_at_checked(length).ok_or(Error::Malformed)?;
            match get_u8(option, field::TYPE) {
                kind::SOURCE_LINK_ADDR => {
                    options
                        .source_link_addr
                        .get_or_insert(EthernetAddress(get_array(option, field::LINK_ADDR)));
                }
                kind::TARGET_LINK_ADDR => {
                    options
                        .target_link_addr
                        .get_or_insert(EthernetAddress(get_array(option, field::LINK_ADDR)));
                }
                kind::MTU => {
                    options.mtu.get_or_insert(get_u32(option, field::MTU));
                }
                kind::PREFIX => {
                    let prefix = PrefixInformation::parse(option)?;
                    options.prefix.get_or_insert(prefix);
                }
                _ => {}
            }
            data = rest;
        }
        Ok(options)
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        let mut length = 0;
        if self.source_link_addr.is_some() {
            length += SHORT_LEN;
        }
        if self.target_link_addr.is_some() {
            length += SHORT_LEN;
        }
        if self.mtu.is_some() {
            length += SHORT_LEN;
        }
        if self.prefix.is_some() {
            length += PREFIX_OPTION_LEN;
        }
        length
    }

    /// Writes the options to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] for a prefix longer than 128 bits.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        rest.fill(0);
        let links = [
            (kind::SOURCE_LINK_ADDR, self.source_link_addr),
            (kind::TARGET_LINK_ADDR, self.target_link_addr),
        ];
        for (option_type, address) in links {
            if let Some(address) = address {
                let (option, after) = rest.split_at_mut_checked(SHORT_LEN).ok_or(Error::Truncated)?;
                put_head(option, option_type);
                put_slice(option, field::LINK_ADDR, &address.0);
                rest = after;
            }
        }
        if let Some(mtu) = self.mtu {
            let (option, after) = rest.split_at_mut_checked(SHORT_LEN).ok_or(Error::Truncated)?;
            put_head(option, kind::MTU);
            put_u32(option, field::MTU, mtu);
            rest = after;
        }
        if let Some(prefix) = self.prefix {
            put_head(rest, kind::PREFIX);
            prefix.emit(rest)?;
        }
        Ok(())
    }
}

/// Writes an option's type, and its length, which is that of `option`.
#[inline]
fn put_head(option: &mut [u8], option_type: u8) {
    let units = (option.len() / 8) as u8;
    put_u8(option, field::TYPE, option_type);
    put_u8(option, field::LENGTH, units);
}

impl PrefixInformation {
    fn parse(option: &[u8]) -> Result<Self> {
        let prefix_len = get_u8(option, field::PREFIX_LEN);
        if get_slice(option, 0..PREFIX_OPTION_LEN).is_empty() || prefix_len > 128 {
            return Err(Error::Malformed);
        }
        let flags = get_u8(option, field::PREFIX_FLAGS);
        Ok(Self {
            prefix: Ipv6Address::from(get_array::<16>(option, field::PREFIX)),
            prefix_len,
            on_link: flags & FLAG_ON_LINK != 0,
            autonomous: flags & FLAG_AUTONOMOUS != 0,
            valid_s: get_u32(option, field::VALID),
            preferred_s: get_u32(option, field::PREFERRED),
        })
    }

    fn emit(&self, option: &mut [u8]) -> Result<()> {
        if self.prefix_len > 128 {
            return Err(Error::Malformed);
        }
        let on_link = if self.on_link { FLAG_ON_LINK } else { 0 };
        let autonomous = if self.autonomous { FLAG_AUTONOMOUS } else { 0 };
        put_u8(option, field::PREFIX_LEN, self.prefix_len);
        put_u8(option, field::PREFIX_FLAGS, on_link | autonomous);
        put_u32(option, field::VALID, self.valid_s);
        put_u32(option, field::PREFERRED, self.preferred_s);
        put_slice(option, field::PREFIX, &self.prefix.octets());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    // Source address, MTU 1500, prefix fd00:1::/64 on-link only; then an option of a type that is not known here.
    const OPTIONS: &str = "0101020000000001 05010000000005dc
        0304408000015180 0000384000000000 fd000001000000000000000000000000";

    fn options() -> NdpOptions {
        NdpOptions {
            source_link_addr: Some(EthernetAddress([2, 0, 0, 0, 0, 1])),
            target_link_addr: None,
            mtu: Some(1500),
            prefix: Some(PrefixInformation {
                prefix: "fd00:1::".parse().unwrap(),
                prefix_len: 64,
                on_link: true,
                autonomous: false,
                valid_s: 86400,
                preferred_s: 14400,
            }),
        }
    }

    #[test]
    fn reads_and_writes_options() {
        let octets = hex(OPTIONS);
        assert_eq!(NdpOptions::parse(&octets), Ok(options()));
        let mut buffer = [0xff; 48];
        options().emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], octets);
        assert_eq!(options().emit(&mut buffer[..47]), Err(Error::Truncated));
        assert_eq!(NdpOptions::parse(&[]), Ok(NdpOptions::default()));
    }

    #[test]
    fn steps_over_other_options_and_keeps_the_first_of_each() {
        // A nonce (RFC 3971), as kernels send it in a duplicate address check, around two target addresses.
        let octets = hex("0e01020d7d920208 0201aaaaaaaaaaaa 0e01020d7d920208 0201bbbbbbbbbbbb");
        let parsed = NdpOptions::parse(&octets).unwrap();
        assert_eq!(parsed.target_link_addr, Some(EthernetAddress([0xaa; 6])));
        assert_eq!(parsed.source_link_addr, None);
    }

    #[test]
    fn refuses_options_that_do_not_fill_the_message() {
        let octets = hex(OPTIONS);
        for length in (1..octets.len()).filter(|length| ![8, 16].contains(length)) {
            assert_eq!(NdpOptions::parse(&octets[..length]), Err(Error::Malformed), "{length}");
        }
        for wrong in ["0100020000000001", "01", "0102020000000001", "0301408000015180", "ff00"] {
            assert_eq!(NdpOptions::parse(&hex(wrong)), Err(Error::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_has_at_most_128_bits() {
        let octets = hex(&OPTIONS.replace("030440", "030481"));
        assert_eq!(NdpOptions::parse(&octets), Err(Error::Malformed));
        let mut wrong = options();
        wrong.prefix.as_mut().unwrap().prefix_len = 129;
        assert_eq!(wrong.emit(&mut [0; 48]), Err(Error::Malformed));
    }
}
