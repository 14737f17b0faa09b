//! Datagrams of the underlay, read with `etherparse`; nothing here can open a record.

use crate::frames;
use etherparse::{NetHeaders, TransportHeader};
use std::collections::HashSet;
use std::net::IpAddr;

/// Outer headers of a datagram, and its UDP payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outer {
    /// Source MAC.
    pub src_mac: [u8; 6],
    /// Destination MAC.
    pub dst_mac: [u8; 6],
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// DSCP and ECN.
    pub class: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4: don't fragment, and identification.
    pub ipv4: Option<(bool, u16)>,
    /// Length of the IP packet, in octets.
    pub ip_len: usize,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
    /// UDP checksum.
    pub checksum: u16,
    /// UDP payload.
    pub payload: Vec<u8>,
}

/// Reads a datagram.
///
/// # Panics
/// When it is none, or a length or the IPv4 checksum is wrong.
#[track_caller]
#[must_use]
pub fn read(frame: &[u8]) -> Outer {
    // The UDP checksum is zero by design; the library's check of it is left out by reading the headers here.
    let packet = etherparse::PacketHeaders::from_ethernet_slice(frame).expect("well-formed");
    let link = packet
        .link
        .clone()
        .and_then(etherparse::LinkHeader::ethernet2)
        .expect("Ethernet");
    let Some(TransportHeader::Udp(udp)) = &packet.transport else {
        panic!("no UDP: {packet:?}");
    };
    let payload = packet.payload.slice().to_vec();
    assert_eq!(usize::from(udp.length), 8 + payload.len(), "UDP length");
    let (src, dst, class, ttl, ipv4, ip_len): (IpAddr, IpAddr, _, _, _, _) = match packet.net.expect("IP") {
        NetHeaders::Ipv4(ip, _) => {
            assert_eq!(ip.calc_header_checksum(), ip.header_checksum, "IPv4 header checksum");
            assert!(!ip.is_fragmenting_payload());
            assert_eq!(ip.header_len(), 20, "no options");
            let class = ip.dscp.value() << 2 | ip.ecn.value();
            (
                ip.source.into(),
                ip.destination.into(),
                class,
                ip.time_to_live,
                Some((ip.dont_fragment, ip.identification)),
                usize::from(ip.total_len),
            )
        }
        NetHeaders::Ipv6(ip, _) => (
            ip.source.into(),
            ip.destination.into(),
            ip.traffic_class,
            ip.hop_limit,
            None,
            40 + usize::from(ip.payload_length),
        ),
        NetHeaders::Arp(_) => panic!("ARP on the underlay"),
    };
    assert_eq!(14 + ip_len, frame.len(), "nothing behind the packet");
    Outer {
        src_mac: link.source,
        dst_mac: link.destination,
        src,
        dst,
        class,
        ttl,
        ipv4,
        ip_len,
        src_port: udp.source_port,
        dst_port: udp.destination_port,
        checksum: udp.checksum,
        payload,
    }
}

impl Outer {
    /// VNI and frame of a clear datagram; `None` for one that is not VXLAN.
    #[must_use]
    pub fn vxlan(&self) -> Option<(u32, &[u8])> {
        if self.dst_port != 4789 {
            return None;
        }
        let header = self.payload.get(..8)?;
        assert_eq!([header[0], header[1], header[2], header[3], header[7]], [8, 0, 0, 0, 0]);
        let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
        Some((vni, &self.payload[8..]))
    }
}

/// Whether eight octets in a row of a VM's frame stand anywhere in a datagram.
#[must_use]
pub fn shows(datagram: &[u8], frame: &[u8]) -> bool {
    let inner: HashSet<&[u8]> = frame.windows(8).collect();
    datagram.windows(8).any(|window| inner.contains(window))
}

/// A clear VXLAN datagram with outer IPv4 or IPv6 headers, as a peer host or a forger would send it.
#[must_use]
pub fn clear(src: IpAddr, dst: IpAddr, mac: [u8; 6], vni: u32, frame: &[u8]) -> Vec<u8> {
    let vxlan = [&[8, 0, 0, 0][..], &(vni << 8).to_be_bytes(), frame].concat();
    datagram(src, dst, mac, (50_000, 4789), &vxlan)
}

/// A UDP datagram on the underlay.
#[must_use]
pub fn datagram(src: IpAddr, dst: IpAddr, mac: [u8; 6], ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    frames::FrameSpec::new(crate::setup::ROUTER_MAC, mac, src, dst)
        .udp(ports.0, ports.1, payload)
        .build()
}
