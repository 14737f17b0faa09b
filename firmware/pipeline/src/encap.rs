//! Outer headers: a template per association (and one made on the spot for clear datagrams), patched per packet.

use sealnic_abi::object::Address;
use sealnic_wire::{
    EtherType, EthernetAddress, EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, UdpPacket,
    UdpRepr, checksum, ethernet, ipv4, ipv6, udp, vxlan,
};

/// TTL and hop limit of outer headers.
const TTL: u8 = 64;
const V4_LEN: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN;
const V6_LEN: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + udp::HEADER_LEN;

/// Outer Ethernet, IP and UDP headers towards one peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    octets: [u8; V6_LEN],
    is_ipv6: bool,
    /// Sum of the IPv4 header with class, length and checksum zero.
    ip_sum: u16,
}

/// Ends of an outer datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) mac: [u8; 6],
    pub(crate) next_hop_mac: [u8; 6],
    pub(crate) src: Address,
    pub(crate) dst: Address,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
}

impl Template {
    /// Headers between two ends; `None` when their addresses are not of one family.
    pub(crate) fn new(ends: &Ends) -> Option<Self> {
        use core::net::IpAddr::{V4, V6};
        let mut octets = [0; V6_LEN];
        let (link, rest) = octets.split_at_mut(ethernet::HEADER_LEN);
        let (ethertype, ip_len) = match (ends.src.to_ip()?, ends.dst.to_ip()?) {
            (V4(src_addr), V4(dst_addr)) => {
                let repr = Ipv4Repr {
                    src_addr,
                    dst_addr,
                    protocol: IpProtocol::UDP,
                    dscp: 0,
                    ecn: 0,
                    // RFC 6864: a datagram with DF set is atomic, and its identification means nothing.
                    identification: 0,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: TTL,
                    options: &[],
                    payload_len: 0,
                };
                repr.emit(rest).ok()?;
                (EtherType::IPV4, ipv4::HEADER_LEN)
            }
            (V6(src_addr), V6(dst_addr)) => {
                let repr = Ipv6Repr {
                    src_addr,
                    dst_addr,
                    next_header: IpProtocol::UDP,
                    dscp: 0,
                    ecn: 0,
                    flow_label: 0,
                    hop_limit: TTL,
                    payload_len: 0,
                };
                repr.emit(rest).ok()?;
                (EtherType::IPV6, ipv6::HEADER_LEN)
            }
            _ => return None,
        };
        // The UDP checksum stays zero (RFC 7348 section 5, RFC 6935): the record's tag covers what matters.
        UdpRepr {
            src_port: ends.src_port,
            dst_port: ends.dst_port,
            payload_len: 0,
        }
        .emit(&mut rest[ip_len..])
        .ok()?;
        EthernetRepr {
            dst_addr: EthernetAddress(ends.next_hop_mac),
            src_addr: EthernetAddress(ends.mac),
            ethertype,
        }
        .emit(link)
        .ok()?;
        let mut ip = [0; ipv4::HEADER_LEN];
        ip.copy_from_slice(&octets[ethernet::HEADER_LEN..][..ipv4::HEADER_LEN]);
        let mut view = Ipv4Packet::new_unchecked(&mut ip[..]);
        view.set_total_len(0);
        view.set_checksum(0);
        Some(Self {
            octets,
            is_ipv6: ethertype == EtherType::IPV6,
            ip_sum: checksum::data(&ip),
        })
    }

    /// Octets of the headers.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        if self.is_ipv6 { V6_LEN } else { V4_LEN }
    }

    /// Octets of the outer IP packet around a UDP payload.
    #[inline]
    pub(crate) fn ip_len(&self, payload_len: usize) -> usize {
        self.len() - ethernet::HEADER_LEN + payload_len
    }

    /// Writes the headers to the front of `datagram`, which holds them and the UDP payload. DSCP and ECN are copied from
    /// the inner header (RFC 6040 section 4.1, normal mode); `src_port` carries flow entropy where given.
    #[inline(always)]
    pub(crate) fn write(&self, datagram: &mut [u8], class: u8, src_port: Option<u16>) -> Option<()> {
        let ip_len = u16::try_from(datagram.len().checked_sub(ethernet::HEADER_LEN)?).ok()?;
        let (dscp, ecn) = (class >> 2, class & 3);
        // Arrays of known length: every field's place is checked when this is compiled.
        let (udp, udp_len) = if self.is_ipv6 {
            let headers: &mut [u8; V6_LEN] = datagram.first_chunk_mut()?;
            headers.copy_from_slice(&self.octets);
            let (ip, udp) = headers[ethernet::HEADER_LEN..].split_at_mut(ipv6::HEADER_LEN);
            let mut view = Ipv6Packet::new_unchecked(ip);
            let udp_len = ip_len.checked_sub(ipv6::HEADER_LEN as u16)?;
            view.set_version_class_flow(dscp, ecn, 0);
            view.set_payload_len(udp_len);
            (udp, udp_len)
        } else {
            let headers: &mut [u8; V4_LEN] = datagram.first_chunk_mut()?;
            headers.copy_from_slice(&self.octets[..V4_LEN]);
            let (ip, udp) = headers[ethernet::HEADER_LEN..].split_at_mut(ipv4::HEADER_LEN);
            let mut view = Ipv4Packet::new_unchecked(ip);
            view.set_dscp(dscp);
            view.set_ecn(ecn);
            view.set_total_len(ip_len);
            view.set_checksum(!checksum::combine(&[self.ip_sum, u16::from(class), ip_len]));
            (udp, ip_len.checked_sub(ipv4::HEADER_LEN as u16)?)
        };
        let mut view = UdpPacket::new_unchecked(udp);
        view.set_length(udp_len);
        if let Some(port) = src_port {
            view.set_src_port(port);
        }
        Some(())
    }
}

/// Octets that sealing adds around the VM's frame, besides the outer headers: record header, VXLAN, trailer.
pub(crate) const fn record_overhead(header_len: usize, trailer_len: usize) -> usize {
    header_len + vxlan::HEADER_LEN + trailer_len
}

/// UDP source port that carries a flow's entropy (RFC 7348 section 5: the dynamic range). The hash is linear in its key, so its
/// bits are not shown as they are: they are multiplied by a secret, and what is shown are middle bits of the product.
#[inline]
pub(crate) fn entropy_port(hash: u64, secret: u64) -> u16 {
    let mixed = hash.wrapping_mul(secret | 1);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(secret.rotate_left(31) | 1);
    0xc000 | (mixed >> 41) as u16 & 0x3fff
}
