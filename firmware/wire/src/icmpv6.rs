//! ICMP for IPv6 (RFC 4443): echo, errors, packet too big; and neighbour discovery (RFC 4861), whose options are in [`crate::ndp`].
//!
//! A receiver of neighbour discovery must also see that the hop limit is 255 (RFC 4861 section 7.1), which stands in the IPv6 header.

use crate::bytes::{
    Field, get_array, get_slice, get_slice_mut, get_u8, get_u16, get_u32, put_slice, put_u8, put_u16, put_u32,
};
use crate::ethernet::EthernetAddress;
use crate::ip::IpProtocol;
use crate::ipv6::Ipv6Address;
use crate::ndp::{NdpOptions, PrefixInformation};
use crate::{Error, Result, checksum};

/// Octets before the body of echo and error messages.
pub const HEADER_LEN: usize = 8;

/// The longest part of the offending packet that an error quotes, so that the answer fits into 1280 octets with its IPv6 header
/// (RFC 4443 section 2.4 (c)).
pub const MAX_QUOTE_LEN: usize = crate::ipv6::MIN_MTU - crate::ipv6::HEADER_LEN - HEADER_LEN;

/// The hop limit of every neighbour discovery message.
pub const NDP_HOP_LIMIT: u8 = 255;

/// Message types.
pub mod kind {
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation.
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
}

/// Code of destination unreachable: communication administratively prohibited.
pub const CODE_PROHIBITED: u8 = 1;

mod field {
    use super::Field;
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    /// What the second word means depends on the type.
    pub(super) const WORD: Field = 4..8;
    pub(super) const IDENT: Field = 4..6;
    pub(super) const SEQ: Field = 6..8;
    /// Neighbour solicitation and advertisement.
    pub(super) const TARGET: Field = 8..24;
    pub(super) const NA_FLAGS: usize = 4;
    /// Router advertisement.
    pub(super) const HOP_LIMIT: usize = 4;
    pub(super) const RA_FLAGS: usize = 5;
    pub(super) const LIFETIME: Field = 6..8;
    pub(super) const REACHABLE: Field = 8..12;
    pub(super) const RETRANS: Field = 12..16;
}

const NEIGHBOR_LEN: usize = 24;
const ROUTER_ADVERTISEMENT_LEN: usize = 16;

const NA_ROUTER: u8 = 0x80;
const NA_SOLICITED: u8 = 0x40;
const NA_OVERRIDE: u8 = 0x20;
const RA_MANAGED: u8 = 0x80;
const RA_OTHER: u8 = 0x40;

/// Octets before the data or the options of a message of type `msg_type`.
#[inline]
const fn fixed_len(msg_type: u8) -> usize {
    match msg_type {
        kind::NEIGHBOR_SOLICITATION | kind::NEIGHBOR_ADVERTISEMENT => NEIGHBOR_LEN,
        kind::ROUTER_ADVERTISEMENT => ROUTER_ADVERTISEMENT_LEN,
        _ => HEADER_LEN,
    }
}

/// View of an ICMPv6 message, which ends where the buffer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmpv6Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Icmpv6Packet<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a buffer that holds all fixed fields of its type.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it does not: below 8 octets, 16 for router advertisement, 24 for neighbour solicitation and
    /// advertisement.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let data = buffer.as_ref();
        if data.len() < HEADER_LEN || data.len() < fixed_len(get_u8(data, field::TYPE)) {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Message type (see [`kind`]).
    #[inline]
    pub fn msg_type(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::TYPE)
    }

    /// Message code.
    #[inline]
    pub fn msg_code(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::CODE)
    }

    /// An error message, which must never be answered by another (RFC 4443 section 2.4 (e)).
    #[inline]
    pub fn is_error(&self) -> bool {
        self.msg_type() < 128
    }

    /// Router and neighbour solicitation and advertisement, and redirect: messages that stay on their link.
    #[inline]
    pub fn is_ndp(&self) -> bool {
        matches!(self.msg_type(), 133..=137)
    }

    /// Checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Identifier of an echo.
    #[inline]
    pub fn echo_ident(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::IDENT)
    }

    /// Sequence number of an echo.
    #[inline]
    pub fn echo_seq(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::SEQ)
    }

    /// MTU of packet too big, in octets of an IPv6 packet.
    #[inline]
    pub fn mtu(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::WORD)
    }

    /// Target address of neighbour solicitation and advertisement.
    #[inline]
    pub fn target_addr(&self) -> Ipv6Address {
        Ipv6Address::from(get_array::<16>(self.buffer.as_ref(), field::TARGET))
    }

    /// Whether the checksum is right between the addresses of the IPv6 header.
    #[inline]
    pub fn verify_checksum(&self, src: &Ipv6Address, dst: &Ipv6Address) -> bool {
        let data = self.buffer.as_ref();
        checksum::verify(
            checksum::pseudo_header_v6(src, dst, IpProtocol::ICMPV6, data.len() as u32),
            data,
        )
    }

    /// Data of an echo, the packet that an error quotes, or the options of neighbour discovery.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, fixed_len(self.msg_type())..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Icmpv6Packet<T> {
    /// Sets type and code.
    #[inline]
    pub fn set_type_and_code(&mut self, msg_type: u8, msg_code: u8) {
        let data = self.buffer.as_mut();
        put_u8(data, field::TYPE, msg_type);
        put_u8(data, field::CODE, msg_code);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the identifier of an echo.
    #[inline]
    pub fn set_echo_ident(&mut self, ident: u16) {
        put_u16(self.buffer.as_mut(), field::IDENT, ident);
    }

    /// Sets the sequence number of an echo.
    #[inline]
    pub fn set_echo_seq(&mut self, seq: u16) {
        put_u16(self.buffer.as_mut(), field::SEQ, seq);
    }

    /// Sets the MTU of packet too big.
    #[inline]
    pub fn set_mtu(&mut self, mtu: u32) {
        put_u32(self.buffer.as_mut(), field::WORD, mtu);
    }

    /// Sets the target address of neighbour solicitation and advertisement.
    #[inline]
    pub fn set_target_addr(&mut self, address: Ipv6Address) {
        put_slice(self.buffer.as_mut(), field::TARGET, &address.octets());
    }

    /// Computes and sets the checksum over the whole buffer, between the addresses of the IPv6 header.
    #[inline]
    pub fn fill_checksum(&mut self, src: &Ipv6Address, dst: &Ipv6Address) {
        let data = self.buffer.as_ref();
        let pseudo = checksum::pseudo_header_v6(src, dst, IpProtocol::ICMPV6, data.len() as u32);
        let checksum = checksum::compute(pseudo, data, field::CHECKSUM);
        self.set_checksum(checksum);
    }

    /// Data of an echo, the packet that an error quotes, or the options of neighbour discovery.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let start = fixed_len(self.msg_type());
        let data = self.buffer.as_mut();
        let end = data.len();
        get_slice_mut(data, start..end)
    }
}

/// What a router says about itself and its link (RFC 4861 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// Hop limit that hosts shall use; zero leaves it to them.
    pub hop_limit: u8,
    /// Addresses come from DHCPv6.
    pub managed: bool,
    /// Other configuration comes from DHCPv6.
    pub other: bool,
    /// Seconds for which the sender is a default router; zero: it is none.
    pub router_lifetime_s: u16,
    /// Milliseconds for which a neighbour counts as reachable; zero: not said.
    pub reachable_ms: u32,
    /// Milliseconds between solicitations; zero: not said.
    pub retrans_ms: u32,
    /// The router's Ethernet address.
    pub source_link_addr: Option<EthernetAddress>,
    /// MTU of the link in octets.
    pub mtu: Option<u32>,
    /// A prefix of the link.
    pub prefix: Option<PrefixInformation>,
}

/// An ICMPv6 message that a NIC sends or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icmpv6Repr<'a> {
    /// Destination unreachable.
    DestinationUnreachable {
        /// Which reason.
        code: u8,
        /// The offending packet's front.
        quote: &'a [u8],
    },
    /// The packet is longer than the next hop takes.
    PacketTooBig {
        /// What the next hop takes, in octets of an IPv6 packet.
        mtu: u32,
        /// The offending packet's front.
        quote: &'a [u8],
    },
    /// Echo request.
    EchoRequest {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// What the reply has to bring back.
        data: &'a [u8],
    },
    /// Echo reply.
    EchoReply {
        /// Identifier of the request.
        ident: u16,
        /// Sequence number of the request.
        seq: u16,
        /// Data of the request.
        data: &'a [u8],
    },
    /// A host asks for routers.
    RouterSolicitation {
        /// The sender's Ethernet address.
        source_link_addr: Option<EthernetAddress>,
    },
    /// A router's answer.
    RouterAdvertisement(RouterAdvertisement),
    /// A host asks for a neighbour's Ethernet address.
    NeighborSolicitation {
        /// Whose.
        target_addr: Ipv6Address,
        /// The sender's Ethernet address; none when it checks for a duplicate.
        source_link_addr: Option<EthernetAddress>,
    },
    /// A neighbour's answer.
    NeighborAdvertisement {
        /// The sender is a router.
        router: bool,
        /// Sent in answer to a solicitation.
        solicited: bool,
        /// Replaces what the receiver may have cached.
        override_cache: bool,
        /// Whose Ethernet address this tells.
        target_addr: Ipv6Address,
        /// The Ethernet address.
        target_link_addr: Option<EthernetAddress>,
    },
}

impl<'a> Icmpv6Repr<'a> {
    /// Packet too big about the IPv6 packet `packet`, of which as much is quoted as may be.
    #[inline]
    pub fn packet_too_big(mtu: u32, packet: &'a [u8]) -> Self {
        Self::PacketTooBig {
            mtu,
            quote: get_slice(packet, 0..packet.len().min(MAX_QUOTE_LEN)),
        }
    }

    /// Reads the message that an IPv6 packet from `src` to `dst` carries, and verifies its checksum.
    ///
    /// # Errors
    /// [`Error::Checksum`] when the checksum is wrong; [`Error::Malformed`] for a code, a target or an option that the RFC forbids;
    /// [`Error::Truncated`] when the message is shorter than its type; [`Error::Unsupported`] for other types.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(src: &Ipv6Address, dst: &Ipv6Address, packet: &'a Icmpv6Packet<T>) -> Result<Self> {
        let message = packet.buffer.as_ref();
        Icmpv6Packet::new_checked(message)?;
        if !packet.verify_checksum(src, dst) {
            return Err(Error::Checksum);
        }
        let msg_type = packet.msg_type();
        let code = packet.msg_code();
        let data = packet.payload();
        match msg_type {
            kind::DESTINATION_UNREACHABLE => return Ok(Self::DestinationUnreachable { code, quote: data }),
            // RFC 4443 section 3.2: the code is ignored.
            kind::PACKET_TOO_BIG => {
                return Ok(Self::PacketTooBig {
                    mtu: packet.mtu(),
                    quote: data,
                });
            }
            _ => {}
        }
        if code != 0 {
            return Err(Error::Malformed);
        }
        let (ident, seq) = (packet.echo_ident(), packet.echo_seq());
        match msg_type {
            kind::ECHO_REQUEST => Ok(Self::EchoRequest { ident, seq, data }),
            kind::ECHO_REPLY => Ok(Self::EchoReply { ident, seq, data }),
            kind::ROUTER_SOLICITATION => Ok(Self::RouterSolicitation {
                source_link_addr: NdpOptions::parse(data)?.source_link_addr,
            }),
            kind::ROUTER_ADVERTISEMENT => {
                let options = NdpOptions::parse(data)?;
                let flags = get_u8(message, field::RA_FLAGS);
                Ok(Self::RouterAdvertisement(RouterAdvertisement {
                    hop_limit: get_u8(message, field::HOP_LIMIT),
                    managed: flags & RA_MANAGED != 0,
                    other: flags & RA_OTHER != 0,
                    router_lifetime_s: get_u16(message, field::LIFETIME),
                    reachable_ms: get_u32(message, field::REACHABLE),
                    retrans_ms: get_u32(message, field::RETRANS),
                    source_link_addr: options.source_link_addr,
                    mtu: options.mtu,
                    prefix: options.prefix,
                }))
            }
            kind::NEIGHBOR_SOLICITATION | kind::NEIGHBOR_ADVERTISEMENT => {
                let target_addr = packet.target_addr();
                // RFC 4861 sections 7.1.1 and 7.1.2.
                if target_addr.is_multicast() {
                    return Err(Error::Malformed);
                }
                let options = NdpOptions::parse(data)?;
                if msg_type == kind::NEIGHBOR_SOLICITATION {
                    return Ok(Self::NeighborSolicitation {
                        target_addr,
                        source_link_addr: options.source_link_addr,
                    });
                }
                let flags = get_u8(message, field::NA_FLAGS);
                Ok(Self::NeighborAdvertisement {
                    router: flags & NA_ROUTER != 0,
                    solicited: flags & NA_SOLICITED != 0,
                    override_cache: flags & NA_OVERRIDE != 0,
                    target_addr,
                    target_link_addr: options.target_link_addr,
                })
            }
            _ => Err(Error::Unsupported),
        }
    }

    /// The message's options; none for echo and errors.
    #[inline]
    const fn options(&self) -> NdpOptions {
        let mut options = NdpOptions {
            source_link_addr: None,
            target_link_addr: None,
            mtu: None,
            prefix: None,
        };
        match *self {
            Self::RouterSolicitation { source_link_addr } | Self::NeighborSolicitation { source_link_addr, .. } => {
                options.source_link_addr = source_link_addr;
            }
            Self::RouterAdvertisement(router) => {
                options.source_link_addr = router.source_link_addr;
                options.mtu = router.mtu;
                options.prefix = router.prefix;
            }
            Self::NeighborAdvertisement { target_link_addr, .. } => options.target_link_addr = target_link_addr,
            _ => {}
        }
        options
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        match self {
            Self::DestinationUnreachable { quote: data, .. }
            | Self::PacketTooBig { quote: data, .. }
            | Self::EchoRequest { data, .. }
            | Self::EchoReply { data, .. } => HEADER_LEN + data.len(),
            Self::RouterSolicitation { .. } => HEADER_LEN + self.options().buffer_len(),
            Self::RouterAdvertisement(_) => ROUTER_ADVERTISEMENT_LEN + self.options().buffer_len(),
            Self::NeighborSolicitation { .. } | Self::NeighborAdvertisement { .. } => {
                NEIGHBOR_LEN + self.options().buffer_len()
            }
        }
    }

    /// Writes the message for an IPv6 packet from `src` to `dst`, its checksum included, to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] for a prefix longer than 128 bits.
    #[inline]
    pub fn emit(&self, src: &Ipv6Address, dst: &Ipv6Address, buffer: &mut [u8]) -> Result<()> {
        let message = buffer.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        put_u32(message, field::WORD, 0);
        let end = message.len();
        let mut packet = Icmpv6Packet::new_unchecked(&mut *message);
        let fixed_len = match *self {
            Self::DestinationUnreachable { code, quote } => {
                packet.set_type_and_code(kind::DESTINATION_UNREACHABLE, code);
                put_slice(message, HEADER_LEN..end, quote);
                end
            }
            Self::PacketTooBig { mtu, quote } => {
                packet.set_type_and_code(kind::PACKET_TOO_BIG, 0);
                packet.set_mtu(mtu);
                put_slice(message, HEADER_LEN..end, quote);
                end
            }
            Self::EchoRequest { ident, seq, data } | Self::EchoReply { ident, seq, data } => {
                let request = matches!(self, Self::EchoRequest { .. });
                packet.set_type_and_code(if request { kind::ECHO_REQUEST } else { kind::ECHO_REPLY }, 0);
                packet.set_echo_ident(ident);
                packet.set_echo_seq(seq);
                put_slice(message, HEADER_LEN..end, data);
                end
            }
            Self::RouterSolicitation { .. } => {
                packet.set_type_and_code(kind::ROUTER_SOLICITATION, 0);
                HEADER_LEN
            }
            Self::RouterAdvertisement(router) => {
                packet.set_type_and_code(kind::ROUTER_ADVERTISEMENT, 0);
                let managed = if router.managed { RA_MANAGED } else { 0 };
                let other = if router.other { RA_OTHER } else { 0 };
                put_u8(message, field::HOP_LIMIT, router.hop_limit);
                put_u8(message, field::RA_FLAGS, managed | other);
                put_u16(message, field::LIFETIME, router.router_lifetime_s);
                put_u32(message, field::REACHABLE, router.reachable_ms);
                put_u32(message, field::RETRANS, router.retrans_ms);
                ROUTER_ADVERTISEMENT_LEN
            }
            Self::NeighborSolicitation { target_addr, .. } => {
                packet.set_type_and_code(kind::NEIGHBOR_SOLICITATION, 0);
                packet.set_target_addr(target_addr);
                NEIGHBOR_LEN
            }
            Self::NeighborAdvertisement {
                router,
                solicited,
                override_cache,
                target_addr,
                ..
            } => {
                packet.set_type_and_code(kind::NEIGHBOR_ADVERTISEMENT, 0);
                packet.set_target_addr(target_addr);
                let router = if router { NA_ROUTER } else { 0 };
                let solicited = if solicited { NA_SOLICITED } else { 0 };
                let override_cache = if override_cache { NA_OVERRIDE } else { 0 };
                put_u8(message, field::NA_FLAGS, router | solicited | override_cache);
                NEIGHBOR_LEN
            }
        };
        self.options().emit(get_slice_mut(message, fixed_len..end))?;
        Icmpv6Packet::new_unchecked(message).fill_checksum(src, dst);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
