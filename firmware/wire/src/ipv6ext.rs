//! IPv6 extension headers (RFC 8200 section 4): the walk to the upper layer, and the fragment header.
//!
//! The walk knows the headers that a NIC may step over: hop-by-hop options, routing, fragment, destination options, and the
//! authentication header of RFC 4302. Everything else, ESP included, counts as the upper layer.

use crate::bytes::{Field, get_u8, get_u16, get_u32, put_u8, put_u16, put_u32};
use crate::ip::IpProtocol;
use crate::{Error, Result};

/// Extension headers that [`walk`] steps over before it calls a packet malformed. More than this nobody sends, and the work per
/// packet has to end.
pub const MAX_HEADERS: usize = 8;

/// Octets of a fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 8;

mod field {
    use super::Field;
    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const LENGTH: usize = 1;
    pub(super) const OFFSET_MORE: Field = 2..4;
    pub(super) const IDENT: Field = 4..8;
    /// Of a routing header (RFC 8200 section 4.4).
    pub(super) const SEGMENTS_LEFT: usize = 3;
}

/// What the fragment header of a packet says (RFC 8200 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentInfo {
    /// Where this fragment belongs in the fragmentable part, in octets: a multiple of 8.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identification, which the fragments of a packet share.
    pub identification: u32,
}

impl FragmentInfo {
    /// The fragment that holds the upper-layer header.
    #[inline]
    pub const fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// A fragment header on a whole packet (RFC 6946).
    #[inline]
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// Where the walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer {
    /// What is there: never an extension header, except in a fragment that is not the first, where it is what the fragment
    /// header names (the first header of the fragmentable part, which this fragment does not hold).
    pub protocol: IpProtocol,
    /// Octets from the end of the fixed header.
    pub offset: usize,
    /// Present when the packet has a fragment header.
    pub fragment: Option<FragmentInfo>,
    /// Segments left in the routing header. Unless zero, the destination address is not the final one, which the pseudo
    /// header of a checksum needs (RFC 8200 section 8.1).
    pub segments_left: u8,
}

impl UpperLayer {
    /// Whether the upper-layer header begins at the offset: false in a fragment that is not the first.
    #[inline]
    pub const fn has_header(&self) -> bool {
        match self.fragment {
            Some(fragment) => fragment.is_first(),
            None => true,
        }
    }
}

/// Walks over the extension headers at the front of `payload`, the first of which is `next_header`.
///
/// # Errors
/// [`Error::Malformed`] when a header runs past the payload, when there are more than [`MAX_HEADERS`], when hop-by-hop options are not the
/// first header, or when there is a second fragment header.
#[inline]
pub fn walk(next_header: IpProtocol, payload: &[u8]) -> Result<UpperLayer> {
    let upper = UpperLayer {
        protocol: next_header,
        offset: 0,
        fragment: None,
        segments_left: 0,
    };
    if next_header.is_ipv6_extension() {
        walk_extensions(upper, payload)
    } else {
        Ok(upper)
    }
}

/// The slow part of [`walk`], apart from it so that the caller's code for a plain packet stays small.
fn walk_extensions(mut upper: UpperLayer, payload: &[u8]) -> Result<UpperLayer> {
    for count in 0..=MAX_HEADERS {
        if !upper.protocol.is_ipv6_extension() {
            return Ok(upper);
        }
        if count == MAX_HEADERS {
            break;
        }
        let header = payload.get(upper.offset..).ok_or(Error::Malformed)?;
        // No extension header is shorter than 8 octets.
        if header.len() < 8 {
            return Err(Error::Malformed);
        }
        let units = usize::from(get_u8(header, field::LENGTH));
        let length = match upper.protocol {
            IpProtocol::IPV6_FRAG => {
                if upper.fragment.is_some() {
                    return Err(Error::Malformed);
                }
                let offset_more = get_u16(header, field::OFFSET_MORE);
                upper.fragment = Some(FragmentInfo {
                    offset: offset_more & 0xfff8,
                    more: offset_more & 1 != 0,
                    identification: get_u32(header, field::IDENT),
                });
                FRAGMENT_HEADER_LEN
            }
            // RFC 4302 section 2.2: in units of 4 octets, minus 2.
            IpProtocol::AH => (units + 2) * 4,
            IpProtocol::HOP_BY_HOP if count > 0 => return Err(Error::Malformed),
            IpProtocol::IPV6_ROUTE => {
                upper.segments_left = get_u8(header, field::SEGMENTS_LEFT);
                (units + 1) * 8
            }
            _ => (units + 1) * 8,
        };
        if length > header.len() {
            return Err(Error::Malformed);
        }
        upper.protocol = IpProtocol(get_u8(header, field::NEXT_HEADER));
        upper.offset += length;
        if !upper.has_header() {
            return Ok(upper);
        }
    }
    Err(Error::Malformed)
}

/// A fragment header, to be written where a NIC fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentRepr {
    /// What the fragmentable part begins with.
    pub next_header: IpProtocol,
    /// Place and identity of the fragment.
    pub info: FragmentInfo,
}

impl FragmentRepr {
    /// Reads the header at the front of `data`.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets.
    #[inline]
    pub fn parse(data: &[u8]) -> Result<Self> {
        if data.len() < FRAGMENT_HEADER_LEN {
            return Err(Error::Truncated);
        }
        let offset_more = get_u16(data, field::OFFSET_MORE);
        Ok(Self {
            next_header: IpProtocol(get_u8(data, field::NEXT_HEADER)),
            info: FragmentInfo {
                offset: offset_more & 0xfff8,
                more: offset_more & 1 != 0,
                identification: get_u32(data, field::IDENT),
            },
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        FRAGMENT_HEADER_LEN
    }

    /// Writes the header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the offset is not a
    /// multiple of 8.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if buffer.len() < FRAGMENT_HEADER_LEN {
            return Err(Error::Truncated);
        }
        if !self.info.offset.is_multiple_of(8) {
            return Err(Error::Malformed);
        }
        put_u8(buffer, field::NEXT_HEADER, self.next_header.0);
        put_u8(buffer, field::LENGTH, 0);
        put_u16(buffer, field::OFFSET_MORE, self.info.offset | u16::from(self.info.more));
        put_u32(buffer, field::IDENT, self.info.identification);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    fn upper(protocol: IpProtocol, offset: usize) -> Result<UpperLayer> {
        Ok(UpperLayer {
            protocol,
            offset,
            fragment: None,
            segments_left: 0,
        })
    }

    #[test]
    fn a_packet_without_extensions_needs_no_walk() {
        assert_eq!(walk(IpProtocol::TCP, &[]), upper(IpProtocol::TCP, 0));
        assert_eq!(walk(IpProtocol::ESP, &[0; 8]), upper(IpProtocol::ESP, 0));
        assert_eq!(walk(IpProtocol::IPV6_NO_NEXT, &[]), upper(IpProtocol::IPV6_NO_NEXT, 0));
    }

    #[test]
    fn steps_over_options_that_a_kernel_sent() {
        let payload = hex("3c00050200000100 1100010400000000 13881389000e9ab568656c6c6f21");
        assert_eq!(walk(IpProtocol::HOP_BY_HOP, &payload), upper(IpProtocol::UDP, 16));
    }

    #[test]
    fn reads_the_fragment_headers_that_a_kernel_sent() {
        let first = walk(IpProtocol::IPV6_FRAG, &hex("11000001 3af4dc15 1388138908085136")).unwrap();
        let info = FragmentInfo {
            offset: 0,
            more: true,
            identification: 0x3af4_dc15,
        };
        assert_eq!(
            (first.protocol, first.offset, first.fragment),
            (IpProtocol::UDP, 8, Some(info))
        );
        assert!(info.is_first() && !info.is_atomic() && first.has_header());

        let last = walk(IpProtocol::IPV6_FRAG, &hex("110005a8 3af4dc15 a0a1a2a3")).unwrap();
        let info = FragmentInfo {
            offset: 1448,
            more: false,
            identification: 0x3af4_dc15,
        };
        assert_eq!(
            (last.protocol, last.offset, last.fragment),
            (IpProtocol::UDP, 8, Some(info))
        );
        assert!(!info.is_first() && !last.has_header());
    }

    #[test]
    fn the_payload_of_a_later_fragment_is_not_read_as_headers() {
        // What looks like a destination options header is the middle of something.
        let later = walk(IpProtocol::IPV6_FRAG, &hex("3c000008 00000001 ffff")).unwrap();
        assert_eq!((later.protocol, later.offset), (IpProtocol::IPV6_OPTS, 8));
        assert!(!later.has_header());
    }

    #[test]
    fn steps_over_routing_and_authentication() {
        // Routing header type 2 (one address), then an authentication header with a 96-bit value.
        let payload = hex("3302020100000000 fd00000100000000000000000000000c
            0604000000000001 00000001 aaaaaaaabbbbbbbbcccccccc 1770");
        let walked = walk(IpProtocol::IPV6_ROUTE, &payload).unwrap();
        assert_eq!(
            (walked.protocol, walked.offset, walked.segments_left),
            (IpProtocol::TCP, 48, 1)
        );
    }

    #[test]
    fn an_atomic_fragment_has_its_header() {
        let walked = walk(IpProtocol::IPV6_FRAG, &hex("06000000 00000007 1770")).unwrap();
        assert!(walked.fragment.unwrap().is_atomic() && walked.has_header());
    }

    #[test]
    fn refuses_headers_that_run_past_the_payload() {
        let whole = hex("3c00050200000100 2c00010400000000 3300000100000009 11020000000000010000000100000000");
        assert_eq!(walk(IpProtocol::HOP_BY_HOP, &whole).unwrap().offset, whole.len());
        for length in 0..whole.len() {
            assert_eq!(
                walk(IpProtocol::HOP_BY_HOP, &whole[..length]),
                Err(Error::Malformed),
                "{length}"
            );
        }
    }

    #[test]
    fn refuses_options_out_of_place_and_fragments_of_fragments() {
        assert_eq!(
            walk(IpProtocol::IPV6_OPTS, &hex("0000010400000000 1100010400000000")),
            Err(Error::Malformed)
        );
        assert_eq!(
            walk(IpProtocol::IPV6_FRAG, &hex("2c00000100000001 1100000100000001")),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn the_walk_is_bounded() {
        let mut payload = std::vec::Vec::new();
        for _ in 1..MAX_HEADERS {
            payload.extend(hex("3c00010400000000"));
        }
        payload.extend(hex("1100010400000000"));
        assert_eq!(
            walk(IpProtocol::IPV6_OPTS, &payload),
            upper(IpProtocol::UDP, 8 * MAX_HEADERS)
        );
        payload.splice(0..0, hex("3c00010400000000"));
        assert_eq!(walk(IpProtocol::IPV6_OPTS, &payload), Err(Error::Malformed));
    }

    #[test]
    fn builds_a_fragment_header() {
        let repr = FragmentRepr {
            next_header: IpProtocol::UDP,
            info: FragmentInfo {
                offset: 1448,
                more: true,
                identification: 0x3af4_dc15,
            },
        };
        let mut buffer = [0xff; 8];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex("110005a9 3af4dc15"));
        assert_eq!(FragmentRepr::parse(&buffer), Ok(repr));
        assert_eq!(FragmentRepr::parse(&buffer[..7]), Err(Error::Truncated));
        assert_eq!(repr.emit(&mut buffer[..7]), Err(Error::Truncated));
        let odd = FragmentRepr {
            info: FragmentInfo { offset: 4, ..repr.info },
            ..repr
        };
        assert_eq!(odd.emit(&mut buffer), Err(Error::Malformed));
    }
}
