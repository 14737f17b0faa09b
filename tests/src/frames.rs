//! Frames of VMs, written and checked with `etherparse`, which shares nothing with the device's own code.

use etherparse::{
    IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header,
    Ipv6FragmentHeader, Ipv6Header, NetHeaders, PacketHeaders, TcpHeader, TransportHeader, UdpHeader,
};
use std::net::IpAddr;

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// TCP; `flags` as in the header's last flag octet.
    Tcp {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
        /// Sequence number.
        seq: u32,
        /// FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
        flags: u8,
        /// Payload.
        payload: Vec<u8>,
    },
    /// UDP.
    Udp {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
        /// Payload.
        payload: Vec<u8>,
    },
    /// ICMP or ICMPv6 echo request.
    Echo {
        /// Payload.
        payload: Vec<u8>,
    },
    /// Any other protocol.
    Other {
        /// Protocol number.
        protocol: u8,
        /// All that stands behind the IP header.
        octets: Vec<u8>,
    },
}

/// A frame to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameSpec {
    /// Source MAC.
    pub src_mac: [u8; 6],
    /// Destination MAC.
    pub dst_mac: [u8; 6],
    /// VLAN tags from outside in: protocol identifier, control information.
    pub vlans: Vec<(u16, u16)>,
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// DSCP and ECN.
    pub class: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4: don't fragment.
    pub dont_fragment: bool,
    /// Identification.
    pub id: u16,
    /// IPv4 options, a multiple of four octets.
    pub options: Vec<u8>,
    /// What it carries.
    pub body: Body,
    /// Octets behind the IP packet.
    pub padding: usize,
}

impl FrameSpec {
    /// UDP from port 1111 to 2222 without payload.
    #[must_use]
    pub fn new(src_mac: [u8; 6], dst_mac: [u8; 6], src: IpAddr, dst: IpAddr) -> Self {
        Self {
            src_mac,
            dst_mac,
            vlans: Vec::new(),
            src,
            dst,
            class: 0,
            ttl: 61,
            dont_fragment: true,
            id: 0x1234,
            options: Vec::new(),
            body: Body::Udp {
                src: 1111,
                dst: 2222,
                payload: Vec::new(),
            },
            padding: 0,
        }
    }

    /// UDP with these ports and payload.
    #[must_use]
    pub fn udp(mut self, src: u16, dst: u16, payload: &[u8]) -> Self {
        let payload = payload.to_vec();
        self.body = Body::Udp { src, dst, payload };
        self
    }

    /// TCP with these ports, flags and payload.
    #[must_use]
    pub fn tcp(mut self, src: u16, dst: u16, flags: u8, payload: &[u8]) -> Self {
        let (seq, payload) = (0xffff_f000, payload.to_vec());
        self.body = Body::Tcp {
            src,
            dst,
            seq,
            flags,
            payload,
        };
        self
    }

    /// Another body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Changes anything.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Octets in front of the IP header.
    #[must_use]
    pub fn l3(&self) -> usize {
        14 + 4 * self.vlans.len()
    }

    /// Octets in front of the transport header, without fragment headers.
    #[must_use]
    pub fn l4(&self) -> usize {
        self.l3()
            + if self.src.is_ipv4() {
                20 + self.options.len()
            } else {
                40
            }
    }

    /// Protocol number, and what stands behind the IP header, checksums included.
    #[must_use]
    pub fn upper(&self) -> (u8, Vec<u8>) {
        let join = |header: &[u8], payload: &[u8]| [header, payload].concat();
        match &self.body {
            Body::Tcp {
                src,
                dst,
                seq,
                flags,
                payload,
            } => {
                let mut header = TcpHeader::new(*src, *dst, *seq, 0x2000);
                header.acknowledgment_number = 0x0102_0304;
                (header.fin, header.syn, header.rst, header.psh) =
                    (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 8 != 0);
                (header.ack, header.urg, header.ece, header.cwr) =
                    (flags & 16 != 0, flags & 32 != 0, flags & 64 != 0, flags & 128 != 0);
                header.checksum = match (self.src, self.dst) {
                    (IpAddr::V4(src), IpAddr::V4(dst)) => {
                        header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), payload)
                    }
                    (IpAddr::V6(src), IpAddr::V6(dst)) => {
                        header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), payload)
                    }
                    _ => panic!("addresses of two families"),
                }
                .unwrap();
                (6, join(&header.to_bytes(), payload))
            }
            Body::Udp { src, dst, payload } => {
                let mut header = UdpHeader {
                    source_port: *src,
                    destination_port: *dst,
                    length: u16::try_from(8 + payload.len()).unwrap(),
                    checksum: 0,
                };
                header.checksum = match (self.src, self.dst) {
                    (IpAddr::V4(src), IpAddr::V4(dst)) => {
                        header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), payload)
                    }
                    (IpAddr::V6(src), IpAddr::V6(dst)) => {
                        header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), payload)
                    }
                    _ => panic!("addresses of two families"),
                }
                .unwrap();
                (17, join(&header.to_bytes(), payload))
            }
            Body::Echo { payload } => {
                let echo = IcmpEchoHeader { id: 7, seq: 9 };
                match (self.src, self.dst) {
                    (IpAddr::V6(src), IpAddr::V6(dst)) => {
                        let kind = Icmpv6Type::EchoRequest(echo);
                        let header = Icmpv6Header::with_checksum(kind, src.octets(), dst.octets(), payload).unwrap();
                        (58, join(&header.to_bytes(), payload))
                    }
                    _ => {
                        let header = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), payload);
                        (1, join(&header.to_bytes(), payload))
                    }
                }
            }
            Body::Other { protocol, octets } => (*protocol, octets.clone()),
        }
    }

    /// The whole frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let (protocol, upper) = self.upper();
        self.around(protocol, &upper, None)
    }

    /// The packet in IP fragments, each with at most `len` octets of it (a multiple of eight).
    #[must_use]
    pub fn fragments(&self, len: usize) -> Vec<Vec<u8>> {
        let (protocol, upper) = self.upper();
        let count = upper.len().div_ceil(len);
        upper
            .chunks(len)
            .enumerate()
            .map(|(n, chunk)| self.around(protocol, chunk, Some((n * len, n + 1 != count))))
            .collect()
    }

    fn around(&self, protocol: u8, upper: &[u8], fragment: Option<(usize, bool)>) -> Vec<u8> {
        let mut frame = [self.dst_mac, self.src_mac].concat();
        let offset = |octets: usize| IpFragOffset::try_new(u16::try_from(octets / 8).unwrap()).unwrap();
        for (tpid, tci) in &self.vlans {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                frame.extend([0x08, 0x00]);
                let len = u16::try_from(upper.len()).unwrap();
                let mut header =
                    Ipv4Header::new(len, self.ttl, IpNumber(protocol), src.octets(), dst.octets()).unwrap();
                header.options = self.options[..].try_into().unwrap();
                header.set_payload_len(upper.len()).unwrap();
                header.dscp = (self.class >> 2).try_into().unwrap();
                header.ecn = (self.class & 3).try_into().unwrap();
                header.identification = self.id;
                header.dont_fragment = self.dont_fragment && fragment.is_none();
                if let Some((at, more)) = fragment {
                    (header.fragment_offset, header.more_fragments) = (offset(at), more);
                }
                header.header_checksum = header.calc_header_checksum();
                frame.extend(header.to_bytes());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                frame.extend([0x86, 0xdd]);
                let extension = fragment.map(|(at, more)| {
                    Ipv6FragmentHeader::new(IpNumber(protocol), offset(at), more, self.id.into()).to_bytes()
                });
                let extension = extension.as_ref().map_or(&[][..], |octets| octets);
                let header = Ipv6Header {
                    traffic_class: self.class,
                    payload_length: u16::try_from(upper.len() + extension.len()).unwrap(),
                    next_header: IpNumber(if extension.is_empty() { protocol } else { 44 }),
                    hop_limit: self.ttl,
                    source: src.octets(),
                    destination: dst.octets(),
                    ..Ipv6Header::default()
                };
                frame.extend(header.to_bytes());
                frame.extend(extension);
            }
            _ => panic!("addresses of two families"),
        }
        frame.extend(upper);
        frame.resize(frame.len() + self.padding, 0);
        frame
    }
}

/// A frame taken apart, with every checksum found right.
#[derive(Debug, Clone)]
pub struct Checked {
    /// IP header.
    pub net: NetHeaders,
    /// Transport header, but for fragments and protocols without one.
    pub transport: Option<TransportHeader>,
    /// What stands behind the last header.
    pub payload: Vec<u8>,
}

impl Checked {
    /// TCP header.
    #[track_caller]
    #[must_use]
    pub fn tcp(&self) -> &TcpHeader {
        match &self.transport {
            Some(TransportHeader::Tcp(header)) => header,
            other => panic!("no TCP: {other:?}"),
        }
    }

    /// IPv4 header.
    #[track_caller]
    #[must_use]
    pub fn ipv4(&self) -> &Ipv4Header {
        self.net.ipv4_ref().expect("IPv4").0
    }

    /// IPv6 header.
    #[track_caller]
    #[must_use]
    pub fn ipv6(&self) -> &Ipv6Header {
        self.net.ipv6_ref().expect("IPv6").0
    }
}

/// Takes a frame apart and checks lengths and checksums.
///
/// # Panics
/// When something is wrong.
#[track_caller]
#[must_use]
pub fn check(frame: &[u8]) -> Checked {
    let packet = PacketHeaders::from_ethernet_slice(frame).expect("well-formed");
    let net = packet.net.clone().expect("IP");
    let payload = packet.payload.slice().to_vec();
    let (wanted, found) = match (&net, &packet.transport) {
        (NetHeaders::Ipv4(ip, _), transport) => {
            assert_eq!(ip.calc_header_checksum(), ip.header_checksum, "IPv4 header checksum");
            match transport {
                Some(TransportHeader::Tcp(t)) => (t.calc_checksum_ipv4(ip, &payload).unwrap(), t.checksum),
                Some(TransportHeader::Udp(t)) => (t.calc_checksum_ipv4(ip, &payload).unwrap(), t.checksum),
                Some(TransportHeader::Icmpv4(t)) => (t.icmp_type.calc_checksum(&payload), t.checksum),
                _ => (0, 0),
            }
        }
        (NetHeaders::Ipv6(ip, _), transport) => match transport {
            Some(TransportHeader::Tcp(t)) => (t.calc_checksum_ipv6(ip, &payload).unwrap(), t.checksum),
            Some(TransportHeader::Udp(t)) => (t.calc_checksum_ipv6(ip, &payload).unwrap(), t.checksum),
            Some(TransportHeader::Icmpv6(t)) => (
                t.icmp_type.calc_checksum(ip.source, ip.destination, &payload).unwrap(),
                t.checksum,
            ),
            _ => (0, 0),
        },
        _ => (0, 0),
    };
    assert_eq!(found, wanted, "transport checksum");
    Checked {
        net,
        transport: packet.transport,
        payload,
    }
}
