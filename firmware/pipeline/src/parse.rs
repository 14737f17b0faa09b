//! Reading headers: a frame of a VM (before sealing or after opening) to its flow key, and a datagram of the wire to
//! its outer addresses. Everything read here is hostile.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use sealnic_abi::DropReason;
use sealnic_abi::flow::FlowKey;
use sealnic_abi::object::Address;
use sealnic_wire::{
    EtherType, EthernetFrame, IpProtocol, Ipv4Packet, Ipv6Packet, TcpFlags, TcpSegment, UdpPacket, ethernet, ipv6,
    ipv6ext, vlan,
};

/// Why a frame can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// Truncated, or its lengths disagree.
    Malformed,
    /// Neither IPv4, IPv6 nor ARP.
    NotIp,
}

impl From<ParseError> for DropReason {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Malformed => Self::Malformed,
            ParseError::NotIp => Self::NotIp,
        }
    }
}

impl From<sealnic_wire::Error> for ParseError {
    fn from(error: sealnic_wire::Error) -> Self {
        match error {
            sealnic_wire::Error::Unsupported => Self::NotIp,
            _ => Self::Malformed,
        }
    }
}

/// What lies behind the Ethernet header and up to two VLAN tags.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Never a VLAN tag.
    pub(crate) ethertype: EtherType,
    /// Offset of the network header, in octets.
    pub(crate) l3: usize,
}

#[inline(always)]
pub(crate) fn link(frame: &[u8]) -> Result<Link, ParseError> {
    let layer = vlan::network_layer(&EthernetFrame::new_checked(frame)?)?;
    Ok(Link {
        ethertype: layer.ethertype,
        l3: layer.offset,
    })
}

/// An IP packet of a VM, as far as the pipeline cares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inner {
    /// Flow key, but for its scope and for the flags that tell direction and sealing.
    pub(crate) key: FlowKey,
    /// Offset of the IP header, in octets.
    pub(crate) l3: usize,
    /// Offset of the upper-layer header, in octets.
    pub(crate) l4: usize,
    /// Length of the IP packet, in octets.
    pub(crate) ip_len: usize,
    /// DSCP and ECN, as one octet.
    pub(crate) class: u8,
    /// May not be fragmented on the way.
    pub(crate) dont_fragment: bool,
    /// TCP with FIN or RST.
    pub(crate) closing: bool,
    /// A fragment other than the first: its front is not a transport header.
    pub(crate) later_fragment: bool,
}

impl Inner {
    /// Nothing read yet.
    pub(crate) const EMPTY: Self = Self {
        key: FlowKey::ZERO,
        l3: 0,
        l4: 0,
        ip_len: 0,
        class: 0,
        dont_fragment: false,
        closing: false,
        later_fragment: false,
    };

    /// Reads the IP packet behind a link header into an empty one, where it lies; after an error it holds nothing of use. The key's
    /// scope and the flags that tell direction and sealing are the caller's.
    #[inline(always)]
    pub(crate) fn read(&mut self, frame: &[u8], link: Link) -> Result<(), ParseError> {
        let packet = frame.get(link.l3..).ok_or(ParseError::Malformed)?;
        match link.ethertype {
            EtherType::IPV4 => self.read_ipv4(packet)?,
            EtherType::IPV6 => self.read_ipv6(packet)?,
            _ => return Err(ParseError::NotIp),
        }
        if !self.is_fragment() {
            self.read_transport(&packet[..self.ip_len])?;
        }
        self.l3 += link.l3;
        self.l4 += link.l3;
        Ok(())
    }

    #[inline(always)]
    fn read_ipv4(&mut self, packet: &[u8]) -> Result<(), ParseError> {
        let view = Ipv4Packet::new_checked(packet)?;
        self.key.src = wide(view.src_addr());
        self.key.dst = wide(view.dst_addr());
        self.key.protocol = view.protocol().0;
        self.key.flags = if view.is_fragment() { FlowKey::FRAGMENT } else { 0 };
        self.l4 = view.header_len();
        self.ip_len = view.total_len();
        self.class = view.dscp() << 2 | view.ecn();
        self.dont_fragment = view.dont_fragment();
        self.later_fragment = view.fragment_offset() != 0;
        Ok(())
    }

    #[inline]
    fn read_ipv6(&mut self, packet: &[u8]) -> Result<(), ParseError> {
        let view = Ipv6Packet::new_checked(packet)?;
        let upper = ipv6ext::walk(view.next_header(), view.payload()).map_err(|_| ParseError::Malformed)?;
        let fragment = if upper.fragment.is_some() { FlowKey::FRAGMENT } else { 0 };
        self.key.src = view.src_addr().octets();
        self.key.dst = view.dst_addr().octets();
        self.key.protocol = upper.protocol.0;
        self.key.flags = FlowKey::IPV6 | fragment;
        self.l4 = ipv6::HEADER_LEN + upper.offset;
        self.ip_len = view.total_len();
        self.class = view.dscp() << 2 | view.ecn();
        self.dont_fragment = true;
        self.later_fragment = !upper.has_header();
        Ok(())
    }

    /// Ports, where the protocol has some. ICMP must show its type, code and checksum at least.
    #[inline(always)]
    fn read_transport(&mut self, packet: &[u8]) -> Result<(), ParseError> {
        let segment = packet.get(self.l4..).ok_or(ParseError::Malformed)?;
        match self.protocol() {
            IpProtocol::TCP => {
                let tcp = TcpSegment::new_checked(segment).map_err(|_| ParseError::Malformed)?;
                (self.key.src_port, self.key.dst_port) = (tcp.src_port(), tcp.dst_port());
                self.closing = tcp.flags().contains(TcpFlags::FIN) || tcp.flags().contains(TcpFlags::RST);
            }
            IpProtocol::UDP => {
                let udp = UdpPacket::new_header(segment).map_err(|_| ParseError::Malformed)?;
                (self.key.src_port, self.key.dst_port) = (udp.src_port(), udp.dst_port());
            }
            IpProtocol::ICMP | IpProtocol::ICMPV6 if segment.len() < 4 => return Err(ParseError::Malformed),
            _ => {}
        }
        Ok(())
    }

    /// Whether source and destination are IPv6 addresses.
    #[inline]
    #[must_use]
    pub(crate) fn is_ipv6(&self) -> bool {
        self.key.flags & FlowKey::IPV6 != 0
    }

    #[inline]
    pub(crate) fn protocol(&self) -> IpProtocol {
        IpProtocol(self.key.protocol)
    }

    pub(crate) fn is_fragment(&self) -> bool {
        self.key.flags & FlowKey::FRAGMENT != 0
    }

    /// The far end's address, of a packet that leaves or that arrives.
    pub(crate) fn far_address(&self, outgoing: bool) -> Address {
        if outgoing {
            self.key.dst_address()
        } else {
            self.key.src_address()
        }
    }

    /// Destination that no VNet carries: multicast, or IPv4's limited broadcast.
    #[inline]
    pub(crate) fn is_group_addressed(&self) -> bool {
        let dst = &self.key.dst;
        if self.is_ipv6() {
            dst[0] == 0xff
        } else {
            dst[0] & 0xf0 == 0xe0 || dst[..4] == [0xff; 4]
        }
    }
}

/// Addresses that mean something on one link or in one host only, and so are never outside: 169.254/16, 127/8, fe80::/10, ::1.
pub(crate) fn is_link_local(address: &Address) -> bool {
    match address.to_ip() {
        Some(IpAddr::V4(ip)) => ip.is_link_local() || ip.is_loopback(),
        Some(IpAddr::V6(ip)) => ip.is_unicast_link_local() || ip.is_loopback(),
        None => false,
    }
}

/// Reads the IP packet behind a link header.
pub(crate) fn network(frame: &[u8], link: Link) -> Result<Inner, ParseError> {
    let mut inner = Inner::EMPTY;
    inner.read(frame, link)?;
    Ok(inner)
}

/// An IPv4 address with twelve zeros behind, in one piece: see `is_same` of the flow table.
#[inline(always)]
fn wide(address: Ipv4Addr) -> [u8; 16] {
    u128::from(u32::from_le_bytes(address.octets())).to_le_bytes()
}

/// Outer headers of a datagram of the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outer {
    pub(crate) src: Address,
    pub(crate) dst: Address,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    /// Explicit congestion notification, 2 bits.
    pub(crate) ecn: u8,
    /// Offset of the UDP payload from the frame's start, in octets.
    pub(crate) payload: usize,
    /// Length of the UDP payload, in octets.
    pub(crate) payload_len: usize,
}

/// Reads a datagram of the wire, checksums included.
#[inline(always)]
pub(crate) fn outer(frame: &[u8], own_mac: &[u8; 6]) -> Result<Outer, DropReason> {
    let malformed = |_| DropReason::OuterMalformed;
    let ether = EthernetFrame::new_checked(frame).map_err(malformed)?;
    if ether.dst_addr().octets() != *own_mac {
        return Err(DropReason::OuterNotOurs);
    }
    let packet = ether.payload();
    let (src, dst, ecn, l4, ip_len, pseudo);
    match ether.ethertype() {
        EtherType::IPV4 => {
            let view = Ipv4Packet::new_checked(packet).map_err(malformed)?;
            if !view.verify_checksum() {
                return Err(DropReason::OuterMalformed);
            }
            if view.is_fragment() {
                return Err(DropReason::OuterFragment);
            }
            if view.protocol() != IpProtocol::UDP {
                return Err(DropReason::OuterNotOurs);
            }
            src = Address::from_raw(wide(view.src_addr()), false);
            dst = Address::from_raw(wide(view.dst_addr()), false);
            (ecn, l4, ip_len, pseudo) = (view.ecn(), view.header_len(), view.total_len(), view.pseudo_header());
        }
        EtherType::IPV6 => {
            let view = Ipv6Packet::new_checked(packet).map_err(malformed)?;
            if view.next_header() == IpProtocol::IPV6_FRAG {
                return Err(DropReason::OuterFragment);
            }
            // The underlay puts no extension headers in front of an overlay datagram.
            if view.next_header() != IpProtocol::UDP {
                return Err(DropReason::OuterNotOurs);
            }
            src = Address::from_raw(view.src_addr().octets(), true);
            dst = Address::from_raw(view.dst_addr().octets(), true);
            (ecn, l4, ip_len) = (view.ecn(), ipv6::HEADER_LEN, view.total_len());
            let udp_len = u32::try_from(view.payload_len()).unwrap_or(0);
            pseudo =
                sealnic_wire::checksum::pseudo_header_v6(&view.src_addr(), &view.dst_addr(), IpProtocol::UDP, udp_len);
        }
        _ => return Err(DropReason::OuterNotOurs),
    }
    let udp = UdpPacket::new_checked(&packet[l4..ip_len]).map_err(malformed)?;
    // RFC 7348 and RFC 6935: zero means that the sender computed none.
    if udp.checksum() != 0 && !udp.verify_checksum(pseudo) {
        return Err(DropReason::OuterMalformed);
    }
    Ok(Outer {
        src,
        dst,
        src_port: udp.src_port(),
        dst_port: udp.dst_port(),
        ecn,
        payload: ethernet::HEADER_LEN + l4 + sealnic_wire::udp::HEADER_LEN,
        payload_len: udp.payload().len(),
    })
}
