//! What the NIC answers by itself: ARP, neighbour discovery and router solicitation from the mappings, packet-too-big to a
//! VM; and what it hands to the host: DHCP.

use crate::egress::complete_checksum;
use crate::frame::{Frame, Offload, Output, Verdict};
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::{Inner, is_link_local};
use core::net::{IpAddr, Ipv6Addr};
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::object::{Address, Port};
use sealnic_abi::{DropReason, MappingKind};
use sealnic_wire::icmpv6::{self, RouterAdvertisement};
use sealnic_wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet,
    Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, ipv4, ipv6,
};
use zerocopy::IntoBytes;

/// The router that every VNet seems to have: it answers solicitations and owns no address besides its link-local one.
const ROUTER_MAC: EthernetAddress = EthernetAddress([0x02, 0x5e, 0xa1, 0x00, 0x00, 0x01]);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfea1, 0x0001);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ROUTER_LIFETIME_S: u16 = 9_000;

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// ARP of a VM: a request for a mapped address is answered, everything else ends here.
    #[cold]
    pub(crate) fn answer_arp(
        &mut self,
        port: &Port,
        l3: usize,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let octets = frame.octets();
        let unwanted = if EthernetFrame::new_unchecked(octets).dst_addr().is_multicast() {
            DropReason::Multicast
        } else {
            DropReason::NotIp
        };
        let packet = ArpPacket::new_checked(&octets[l3..]).map_err(|_| DropReason::Malformed)?;
        let request = ArpRepr::parse(&packet).map_err(|_| unwanted)?;
        let owner = self.neighbour(port, IpAddr::V4(request.target_protocol_addr));
        let (ArpOperation::REQUEST, Some(owner)) = (request.operation, owner) else {
            return Err(unwanted);
        };
        let reply = request.reply(owner);
        let len = l3 + reply.buffer_len();
        let asked = Request {
            port: port.port,
            frame: octets,
            l3,
        };
        self.answer(&asked, len, owner, out, |body| reply.emit(body).ok())
    }

    /// MAC to answer for an address: that of a mapping to another VM, or to the outside.
    fn neighbour(&self, port: &Port, ip: IpAddr) -> Option<EthernetAddress> {
        let address = Address::from(ip);
        let (_, target) = self.tables.mappings.lookup(port.vni, &address)?;
        // A VM asks for its own address to learn whether somebody else has it.
        let own = self
            .tables
            .port_of(port.vni, &address)
            .is_some_and(|owner| owner.port == port.port);
        let reachable = match target.kind {
            MappingKind::Vm => true,
            MappingKind::Outside => !is_link_local(&address),
            MappingKind::Unreachable => false,
        };
        (reachable && !own).then_some(EthernetAddress(target.peer_mac))
    }

    /// Sends a VM a frame of `len` octets that answers `request`: same VLAN tags, addresses turned round, and behind them
    /// what `body` writes.
    fn answer(
        &mut self,
        request: &Request<'_>,
        len: usize,
        source: EthernetAddress,
        out: &mut dyn Output,
        body: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Result<Verdict, DropReason> {
        let Request { port, frame, l3 } = *request;
        let vm = EthernetFrame::new_unchecked(frame).src_addr();
        self.with_scratch(len, |nic, reply| {
            let octets = reply.octets_mut();
            octets[..l3].copy_from_slice(&frame[..l3]);
            let mut link = EthernetFrame::new_unchecked(&mut *octets);
            link.set_dst_addr(vm);
            link.set_src_addr(source);
            body(&mut octets[l3..])?;
            nic.send_generated(Ok(Verdict::Vf(port)), reply, out);
            Some(Verdict::Consumed)
        })
        .flatten()
        .ok_or(DropReason::FrameTooLong)
    }

    /// Traffic that keeps a VM's own stack going: neighbour discovery is answered, DHCP goes to the host.
    #[inline]
    pub(crate) fn control_traffic(
        &mut self,
        port: &Port,
        inner: &Inner,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Option<Verdict>, DropReason> {
        match (inner.protocol(), inner.key.src_port, inner.key.dst_port) {
            (IpProtocol::UDP, 68, 67) if !inner.is_ipv6() => self.punt_dhcp(port.port, inner, offload, frame).map(Some),
            (IpProtocol::UDP, 546, 547) if inner.is_ipv6() => {
                self.punt_dhcp(port.port, inner, offload, frame).map(Some)
            }
            (IpProtocol::ICMPV6, ..) if inner.is_ipv6() && !inner.is_fragment() => {
                Ok(self.answer_ndp(port, inner, frame, out))
            }
            _ => Ok(None),
        }
    }

    #[cold]
    fn answer_ndp(&mut self, port: &Port, inner: &Inner, frame: &Frame<'_>, out: &mut dyn Output) -> Option<Verdict> {
        let packet = Ipv6Packet::new_checked(&frame.octets()[inner.l3..inner.l3 + inner.ip_len]).ok()?;
        let (src, dst) = (packet.src_addr(), packet.dst_addr());
        let message = Icmpv6Packet::new_checked(&frame.octets()[inner.l4..inner.l3 + inner.ip_len]).ok()?;
        if !message.is_ndp() || packet.hop_limit() != icmpv6::NDP_HOP_LIMIT {
            return None;
        }
        let (reply, from, to, source) = match Icmpv6Repr::parse(&src, &dst, &message).ok()? {
            // A VM that has no address yet only looks for duplicates: silence tells it that there is none.
            Icmpv6Repr::NeighborSolicitation { target_addr, .. } if !src.is_unspecified() => {
                let owner = self.neighbour(port, IpAddr::V6(target_addr))?;
                let reply = Icmpv6Repr::NeighborAdvertisement {
                    router: false,
                    solicited: true,
                    override_cache: true,
                    target_addr,
                    target_link_addr: Some(owner),
                };
                (reply, target_addr, src, owner)
            }
            Icmpv6Repr::RouterSolicitation { .. } => {
                let reply = Icmpv6Repr::RouterAdvertisement(RouterAdvertisement {
                    hop_limit: 64,
                    managed: true,
                    other: true,
                    router_lifetime_s: ROUTER_LIFETIME_S,
                    reachable_ms: 0,
                    retrans_ms: 0,
                    source_link_addr: Some(ROUTER_MAC),
                    mtu: Some(u32::from(port.mtu)),
                    prefix: None,
                });
                (
                    reply,
                    ROUTER,
                    if src.is_unspecified() { ALL_NODES } else { src },
                    ROUTER_MAC,
                )
            }
            _ => return None,
        };
        let len = inner.l3 + ipv6::HEADER_LEN + reply.buffer_len();
        let header = Ipv6Repr {
            src_addr: from,
            dst_addr: to,
            next_header: IpProtocol::ICMPV6,
            dscp: 0,
            ecn: 0,
            flow_label: 0,
            hop_limit: icmpv6::NDP_HOP_LIMIT,
            payload_len: u16::try_from(reply.buffer_len()).ok()?,
        };
        let asked = Request {
            port: port.port,
            frame: frame.octets(),
            l3: inner.l3,
        };
        self.answer(&asked, len, source, out, |body| {
            header.emit(body).ok()?;
            reply.emit(&from, &to, &mut body[ipv6::HEADER_LEN..]).ok()
        })
        .ok()
    }

    /// A frame that doesn't fit the underlay, of whose IP packet `mtu` octets would: cut where that's allowed, else the VM
    /// is told (RFC 1191, RFC 8201), and always counted.
    pub(crate) fn too_big(
        &mut self,
        port: &Port,
        mtu: usize,
        inner: &Inner,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        if !inner.dont_fragment {
            return self.fragment(port, mtu, inner, frame, out);
        }
        let rate = self.tables.config.as_ref().map_or(1, |config| config.control_rate);
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        if !inner.later_fragment
            && !is_icmp_error(inner, frame.octets())
            && self.budgets.answers.take(self.now_ns, rate)
        {
            // Whether the answer could be made changes nothing for this frame.
            let _ = if inner.is_ipv6() {
                self.packet_too_big(port, mtu, inner, frame.octets(), out)
            } else {
                self.fragmentation_needed(port, mtu, inner, frame.octets(), out)
            };
        }
        Err(DropReason::PacketTooBig)
    }

    fn fragmentation_needed(
        &mut self,
        port: &Port,
        mtu: u16,
        inner: &Inner,
        frame: &[u8],
        out: &mut dyn Output,
    ) -> Option<Verdict> {
        let packet = &frame[inner.l3..inner.l3 + inner.ip_len];
        let view = Ipv4Packet::new_unchecked(packet);
        let message = Icmpv4Repr::fragmentation_needed(mtu, packet);
        let header = Ipv4Repr {
            // The underlay's router has no address in the VNet; the far end stands in for it.
            src_addr: view.dst_addr(),
            dst_addr: view.src_addr(),
            protocol: IpProtocol::ICMP,
            dscp: 0,
            ecn: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            options: &[],
            payload_len: u16::try_from(message.buffer_len()).ok()?,
        };
        let source = EthernetFrame::new_unchecked(frame).dst_addr();
        let len = inner.l3 + ipv4::HEADER_LEN + message.buffer_len();
        let asked = Request {
            port: port.port,
            frame,
            l3: inner.l3,
        };
        self.answer(&asked, len, source, out, |body| {
            header.emit(body).ok()?;
            message.emit(&mut body[ipv4::HEADER_LEN..]).ok()
        })
        .ok()
    }

    fn packet_too_big(
        &mut self,
        port: &Port,
        mtu: u16,
        inner: &Inner,
        frame: &[u8],
        out: &mut dyn Output,
    ) -> Option<Verdict> {
        let packet = &frame[inner.l3..inner.l3 + inner.ip_len];
        let view = Ipv6Packet::new_unchecked(packet);
        let message = Icmpv6Repr::packet_too_big(u32::from(mtu), packet);
        let (from, to) = (view.dst_addr(), view.src_addr());
        let header = Ipv6Repr {
            src_addr: from,
            dst_addr: to,
            next_header: IpProtocol::ICMPV6,
            dscp: 0,
            ecn: 0,
            flow_label: 0,
            hop_limit: 64,
            payload_len: u16::try_from(message.buffer_len()).ok()?,
        };
        let source = EthernetFrame::new_unchecked(frame).dst_addr();
        let len = inner.l3 + ipv6::HEADER_LEN + message.buffer_len();
        let asked = Request {
            port: port.port,
            frame,
            l3: inner.l3,
        };
        self.answer(&asked, len, source, out, |body| {
            header.emit(body).ok()?;
            message.emit(&from, &to, &mut body[ipv6::HEADER_LEN..]).ok()
        })
        .ok()
    }

    /// Hands a VM's request to the host, as complete as it would leave on a wire, and within the rate.
    #[cold]
    fn punt_dhcp(
        &mut self,
        port: u16,
        inner: &Inner,
        offload: Offload,
        frame: &mut Frame<'_>,
    ) -> Result<Verdict, DropReason> {
        if offload.needs_csum {
            complete_checksum(inner, offload, frame)?;
        }
        let header = HostFrame {
            kind: HostFrameKind::Dhcp.into(),
            port,
            ..HostFrame::ZERO
        };
        self.hand_to_host(&header, frame)
    }

    /// Puts the exception path's header in front of a frame, within the rate.
    pub(crate) fn hand_to_host(&mut self, header: &HostFrame, frame: &mut Frame<'_>) -> Result<Verdict, DropReason> {
        let rate = self.tables.config.as_ref().map_or(1, |config| config.control_rate);
        let budget = match HostFrameKind::try_from(header.kind) {
            Ok(HostFrameKind::ControlRecord) => &mut self.budgets.control_records,
            Ok(HostFrameKind::Dhcp) => &mut self.budgets.requests,
            _ => &mut self.budgets.handshakes,
        };
        if self.host.is_full() || !budget.take(self.now_ns, rate) {
            return Err(DropReason::HostPoliced);
        }
        let octets = frame
            .push_front(size_of::<HostFrame>())
            .ok_or(DropReason::HostPoliced)?;
        octets[..size_of::<HostFrame>()].copy_from_slice(header.as_bytes());
        Ok(Verdict::Host)
    }
}

/// A frame of a VM that is answered.
struct Request<'a> {
    port: u16,
    frame: &'a [u8],
    /// Octets of link header.
    l3: usize,
}

/// ICMP errors are never answered with an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
fn is_icmp_error(inner: &Inner, frame: &[u8]) -> bool {
    let message = &frame[inner.l4.min(frame.len())..];
    match inner.protocol() {
        IpProtocol::ICMP => Icmpv4Packet::new_unchecked(message).is_error(),
        IpProtocol::ICMPV6 => Icmpv6Packet::new_unchecked(message).is_error(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::{HEADROOM, TAILROOM};
    use crate::testing::small_nic;

    #[test]
    fn a_flood_of_one_kind_leaves_the_others_their_budget() {
        use HostFrameKind::{ControlRecord, Dhcp, Handshake};
        let mut nic = small_nic();
        let mut hand = |kind: HostFrameKind| {
            let mut storage = std::vec![0; HEADROOM + 60 + TAILROOM];
            let mut frame = Frame::new(&mut storage, HEADROOM, HEADROOM + 60).unwrap();
            let header = HostFrame {
                kind: kind.into(),
                ..HostFrame::ZERO
            };
            nic.hand_to_host(&header, &mut frame)
        };
        // Without a configuration there is one of each a second.
        for kind in [Dhcp, Handshake, ControlRecord] {
            assert_eq!(hand(kind), Ok(Verdict::Host));
            for _ in 0..5 {
                assert_eq!(hand(kind), Err(DropReason::HostPoliced));
            }
        }
    }
}
