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
