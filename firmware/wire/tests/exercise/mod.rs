//! One octet string through every parser of the crate: each accessor is called, on views that were checked and on views that were
//! not; each setter is called on a copy; and what parses is emitted and parsed again. A panic or a failed assertion is a bug.
//!
//! The robustness test and the fuzz target share this file, so it says what holds for octets that nobody has chosen.

pub(crate) mod seeds;

use sealnic_wire::dtls::{self, RecordKind};
use sealnic_wire::ethernet::EthernetAddress;
use sealnic_wire::ip::IpProtocol;
use sealnic_wire::ipv6ext::FragmentRepr;
use sealnic_wire::ndp::NdpOptions;
use sealnic_wire::*;
use sealnic_wire::{checksum, icmpv4, icmpv6, ipv6ext, vlan};
use std::fmt::Debug;
use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Runs `data` through everything.
pub(crate) fn all(data: &[u8]) {
    ethernet_and_vlan(data);
    arp(data);
    ipv4(data);
    ipv6(data);
    extensions(data);
    tcp(data);
    udp(data);
    icmp_v4(data);
    icmp_v6(data);
    neighbor_options(data);
    vxlan(data);
    dtls_record(data);
    for cid_len in [0, 1, 8, 20, 21] {
        dtls_cid_record(data, cid_len);
        dtls_unified(data, cid_len);
    }
    checksums(data);
}

/// Emits with `emit` into `length` octets and answers them; emitting into one octet less must fail.
fn emitted(length: usize, emit: impl Fn(&mut [u8]) -> Result<()>) -> Vec<u8> {
    let mut buffer = vec![0xa5; length];
    assert_eq!(emit(&mut buffer), Ok(()), "what was parsed can be emitted");
    if length > 0 {
        assert!(
            emit(&mut vec![0; length - 1]).is_err(),
            "a buffer that is too short is refused"
        );
    }
    buffer
}

/// The header `header` in front of what follows octet `at` in `data`.
fn with_rest(mut header: Vec<u8>, data: &[u8], at: usize) -> Vec<u8> {
    header.extend_from_slice(&data[at..]);
    header
}

/// Whether two parses agree; both must have succeeded.
fn same<T: PartialEq + Debug + Copy>(again: Result<T>, first: T) {
    assert_eq!(again, Ok(first), "what was emitted parses to the same");
}

const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);

fn ethernet_and_vlan(data: &[u8]) {
    let touch = |frame: &EthernetFrame<&[u8]>| {
        black_box((
            frame.dst_addr(),
            frame.src_addr(),
            frame.ethertype(),
            frame.payload().len(),
        ));
        let layer = vlan::network_layer(frame);
        if let Ok(layer) = layer
            && data.len() >= 14
        {
            assert!(layer.offset <= data.len() && !layer.ethertype.is_vlan());
        }
    };
    touch(&EthernetFrame::new_unchecked(data));
    if let Ok(frame) = EthernetFrame::new_checked(data) {
        touch(&frame);
        if let Ok(repr) = EthernetRepr::parse(&frame) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            same(EthernetRepr::parse(&EthernetFrame::new_unchecked(&buffer)), repr);
        }
    }
    let mut copy = data.to_vec();
    let mut frame = EthernetFrame::new_unchecked(&mut copy[..]);
    frame.set_dst_addr(MAC);
    frame.set_src_addr(MAC);
    frame.set_ethertype(EtherType::VLAN);
    frame.payload_mut().reverse();

    let touch = |tag: &VlanTag<&[u8]>| {
        black_box((
            tag.tci(),
            tag.vid(),
            tag.pcp(),
            tag.dei(),
            tag.inner_ethertype(),
            tag.payload().len(),
        ));
    };
    touch(&VlanTag::new_unchecked(data));
    if let Ok(tag) = VlanTag::new_checked(data) {
        touch(&tag);
        if let Ok(repr) = VlanRepr::parse(&tag) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            assert_eq!(buffer, data[..4]);
            same(VlanRepr::parse(&VlanTag::new_unchecked(&buffer)), repr);
        }
    }
    let mut copy = data.to_vec();
    let mut tag = VlanTag::new_unchecked(&mut copy[..]);
    tag.set_vid(0xffff);
    tag.set_pcp(0xff);
    tag.set_dei(true);
    tag.set_inner_ethertype(EtherType::ARP);
    tag.payload_mut().reverse();
}

fn arp(data: &[u8]) {
    let touch = |packet: &ArpPacket<&[u8]>| {
        black_box((
            packet.operation(),
            packet.sender_hardware_addr(),
            packet.sender_protocol_addr(),
        ));
        black_box((packet.target_hardware_addr(), packet.target_protocol_addr()));
    };
    touch(&ArpPacket::new_unchecked(data));
    if let Ok(packet) = ArpPacket::new_checked(data) {
        touch(&packet);
        if let Ok(repr) = ArpRepr::parse(&packet) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            assert_eq!(buffer, data[..28]);
            same(ArpRepr::parse(&ArpPacket::new_unchecked(&buffer)), repr);
            assert_eq!(repr.reply(MAC).target_protocol_addr, repr.sender_protocol_addr);
        }
    }
    let mut copy = data.to_vec();
    let mut packet = ArpPacket::new_unchecked(&mut copy[..]);
    packet.set_types();
    packet.set_operation(ArpOperation::REPLY);
    packet.set_sender_hardware_addr(MAC);
    packet.set_sender_protocol_addr(Ipv4Addr::LOCALHOST);
    packet.set_target_hardware_addr(MAC);
    packet.set_target_protocol_addr(Ipv4Addr::LOCALHOST);
}

fn ipv4(data: &[u8]) {
    let touch = |packet: &Ipv4Packet<&[u8]>| {
        black_box((
            packet.version(),
            packet.dscp(),
            packet.ecn(),
            packet.identification(),
            packet.ttl(),
        ));
        black_box((
            packet.dont_fragment(),
            packet.more_fragments(),
            packet.fragment_offset(),
            packet.protocol(),
        ));
        black_box((
            packet.src_addr(),
            packet.dst_addr(),
            packet.checksum(),
            packet.pseudo_header(),
        ));
        black_box((packet.options().len(), packet.payload().len(), packet.verify_checksum()));
        assert!(packet.is_fragment() || !packet.is_first_fragment());
    };
    touch(&Ipv4Packet::new_unchecked(data));
    if let Ok(packet) = Ipv4Packet::new_header(data) {
        touch(&packet);
        assert_eq!(packet.options().len() + 20, packet.header_len());
    }
    if let Ok(packet) = Ipv4Packet::new_checked(data) {
        assert!(Ipv4Packet::new_header(data).is_ok());
        assert_eq!(packet.header_len() + packet.payload().len(), packet.total_len());
        let mut copy = data.to_vec();
        let mut fixed = Ipv4Packet::new_unchecked(&mut copy[..]);
        fixed.fill_checksum();
        let fixed = Ipv4Packet::new_unchecked(&copy[..]);
        let repr = Ipv4Repr::parse(&fixed);
        assert!(repr.is_ok(), "a checked packet with its checksum right parses");
        if let Ok(repr) = repr {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            let buffer = with_rest(buffer, data, repr.buffer_len());
            assert!(Ipv4Packet::new_checked(&buffer).is_ok());
            same(Ipv4Repr::parse(&Ipv4Packet::new_unchecked(&buffer)), repr);
        }
    }
    let mut copy = data.to_vec();
    let mut packet = Ipv4Packet::new_unchecked(&mut copy[..]);
    packet.fill_checksum();
    packet.set_dscp(0xff);
    packet.set_ecn(0xff);
    packet.options_mut().reverse();
    packet.payload_mut().reverse();
    packet.set_version_and_header_len(60);
    packet.set_total_len(0xffff);
    packet.set_identification(7);
    packet.set_fragment(true, true, 0xffff);
    packet.set_ttl(1);
    packet.set_protocol(IpProtocol::UDP);
    packet.set_src_addr(Ipv4Addr::LOCALHOST);
    packet.set_dst_addr(Ipv4Addr::LOCALHOST);
    packet.fill_checksum();
    packet.payload_mut().reverse();
}

fn ipv6(data: &[u8]) {
    let touch = |packet: &Ipv6Packet<&[u8]>| {
        black_box((
            packet.version(),
            packet.dscp(),
            packet.ecn(),
            packet.flow_label(),
            packet.hop_limit(),
        ));
        black_box((
            packet.next_header(),
            packet.src_addr(),
            packet.dst_addr(),
            packet.payload().len(),
        ));
    };
    touch(&Ipv6Packet::new_unchecked(data));
    if let Ok(packet) = Ipv6Packet::new_checked(data) {
        touch(&packet);
        assert!(Ipv6Packet::new_header(data).is_ok());
        assert_eq!(packet.payload().len(), packet.payload_len());
        if let Ok(repr) = Ipv6Repr::parse(&packet) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            assert_eq!(buffer, data[..40]);
            same(Ipv6Repr::parse(&Ipv6Packet::new_unchecked(&buffer)), repr);
        }
        if let Ok(upper) = ipv6ext::walk(packet.next_header(), packet.payload()) {
            assert!(upper.offset <= packet.payload_len());
        }
    }
    let mut copy = data.to_vec();
    let mut packet = Ipv6Packet::new_unchecked(&mut copy[..]);
    packet.payload_mut().reverse();
    packet.set_version_class_flow(0xff, 0xff, u32::MAX);
    packet.set_ecn(0);
    packet.set_payload_len(0xffff);
    packet.set_next_header(IpProtocol::TCP);
    packet.set_hop_limit(1);
    packet.set_src_addr(Ipv6Addr::LOCALHOST);
    packet.set_dst_addr(Ipv6Addr::LOCALHOST);
    packet.payload_mut().reverse();
}

fn extensions(data: &[u8]) {
    for next_header in [0, 6, 43, 44, 51, 60] {
        let next_header = IpProtocol(next_header);
        if let Ok(upper) = ipv6ext::walk(next_header, data) {
            assert!(upper.offset <= data.len());
            assert!(!upper.has_header() || !upper.protocol.is_ipv6_extension());
            assert!(upper.fragment.is_none_or(|fragment| fragment.offset.is_multiple_of(8)));
        }
    }
    if let Ok(repr) = FragmentRepr::parse(data) {
        let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
        same(FragmentRepr::parse(&buffer), repr);
    }
}

fn tcp(data: &[u8]) {
    let touch = |segment: &TcpSegment<&[u8]>| {
        black_box((
            segment.src_port(),
            segment.dst_port(),
            segment.seq_number(),
            segment.ack_number(),
        ));
        black_box((
            segment.flags(),
            segment.window(),
            segment.checksum(),
            segment.urgent_pointer(),
        ));
        black_box((
            segment.options().len(),
            segment.payload().len(),
            segment.verify_checksum(1),
        ));
    };
    touch(&TcpSegment::new_unchecked(data));
    if let Ok(segment) = TcpSegment::new_checked(data) {
        touch(&segment);
        assert_eq!(segment.options().len() + 20, segment.header_len());
        assert_eq!(segment.header_len() + segment.payload().len(), data.len());
        if let Ok(repr) = TcpRepr::parse(&segment) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            same(TcpRepr::parse(&TcpSegment::new_unchecked(&buffer)), repr);
        }
    }
    let mut copy = data.to_vec();
    let mut segment = TcpSegment::new_unchecked(&mut copy[..]);
    segment.options_mut().reverse();
    segment.payload_mut().reverse();
    segment.set_src_port(1);
    segment.set_dst_port(2);
    segment.set_seq_number(3);
    segment.set_ack_number(4);
    segment.set_header_len(60);
    segment.set_flags(!TcpFlags::FIN);
    segment.set_window(5);
    segment.set_urgent_pointer(6);
    segment.fill_checksum(0x1234);
    assert!(data.len() < 20 || segment.verify_checksum(0x1234));
    segment.payload_mut().reverse();
}

fn udp(data: &[u8]) {
    let touch = |packet: &UdpPacket<&[u8]>| {
        black_box((packet.src_port(), packet.dst_port(), packet.length(), packet.checksum()));
        black_box((packet.payload().len(), packet.verify_checksum(1)));
    };
    touch(&UdpPacket::new_unchecked(data));
    if let Ok(packet) = UdpPacket::new_checked(data) {
        touch(&packet);
        assert_eq!(packet.payload().len() + 8, packet.length());
        if let Ok(repr) = UdpRepr::parse(&packet) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            same(UdpRepr::parse(&UdpPacket::new_unchecked(&buffer)), repr);
        }
        let mut copy = data.to_vec();
        let mut packet = UdpPacket::new_unchecked(&mut copy[..]);
        packet.fill_checksum(0x1234);
        assert!(packet.checksum() != 0 && packet.verify_checksum(0x1234));
    }
    let mut copy = data.to_vec();
    let mut packet = UdpPacket::new_unchecked(&mut copy[..]);
    packet.payload_mut().reverse();
    packet.set_src_port(1);
    packet.set_dst_port(2);
    packet.set_length(0xffff);
    packet.fill_checksum(0);
    packet.payload_mut().reverse();
}

fn icmp_v4(data: &[u8]) {
    let touch = |packet: &Icmpv4Packet<&[u8]>| {
        black_box((
            packet.msg_type(),
            packet.msg_code(),
            packet.is_error(),
            packet.checksum(),
        ));
        black_box((packet.echo_ident(), packet.echo_seq(), packet.next_hop_mtu()));
        black_box((packet.payload().len(), packet.verify_checksum()));
    };
    touch(&Icmpv4Packet::new_unchecked(data));
    let mut copy = data.to_vec();
    let mut packet = Icmpv4Packet::new_unchecked(&mut copy[..]);
    packet.fill_checksum();
    if let Ok(packet) = Icmpv4Packet::new_checked(&copy[..]) {
        touch(&packet);
        assert!(packet.verify_checksum());
        if let Ok(repr) = Icmpv4Repr::parse(&packet) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            same(Icmpv4Repr::parse(&Icmpv4Packet::new_unchecked(&buffer)), repr);
        }
    }
    let answer = Icmpv4Repr::fragmentation_needed(1400, data);
    assert!(answer.buffer_len() <= icmpv4::HEADER_LEN + icmpv4::MAX_QUOTE_LEN);
    let buffer = emitted(answer.buffer_len(), |buffer| answer.emit(buffer));
    same(Icmpv4Repr::parse(&Icmpv4Packet::new_unchecked(&buffer)), answer);
    let mut packet = Icmpv4Packet::new_unchecked(&mut copy[..]);
    packet.set_type_and_code(8, 0);
    packet.set_echo_ident(1);
    packet.set_echo_seq(2);
    packet.set_next_hop_mtu(3);
    packet.payload_mut().reverse();
}

fn icmp_v6(data: &[u8]) {
    let (src, dst) = (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    );
    let touch = |packet: &Icmpv6Packet<&[u8]>| {
        black_box((
            packet.msg_type(),
            packet.msg_code(),
            packet.is_error(),
            packet.is_ndp(),
            packet.checksum(),
        ));
        black_box((
            packet.echo_ident(),
            packet.echo_seq(),
            packet.mtu(),
            packet.target_addr(),
        ));
        black_box((packet.payload().len(), packet.verify_checksum(&src, &dst)));
        black_box(Icmpv6Repr::parse(&src, &dst, packet).is_ok());
    };
    touch(&Icmpv6Packet::new_unchecked(data));
    let mut copy = data.to_vec();
    let mut packet = Icmpv6Packet::new_unchecked(&mut copy[..]);
    packet.fill_checksum(&src, &dst);
    if let Ok(packet) = Icmpv6Packet::new_checked(&copy[..]) {
        touch(&packet);
        assert!(packet.verify_checksum(&src, &dst));
        if let Ok(repr) = Icmpv6Repr::parse(&src, &dst, &packet) {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(&src, &dst, buffer));
            same(
                Icmpv6Repr::parse(&src, &dst, &Icmpv6Packet::new_unchecked(&buffer)),
                repr,
            );
        }
    }
    let answer = Icmpv6Repr::packet_too_big(1400, data);
    assert!(answer.buffer_len() <= icmpv6::HEADER_LEN + icmpv6::MAX_QUOTE_LEN);
    let buffer = emitted(answer.buffer_len(), |buffer| answer.emit(&src, &dst, buffer));
    same(
        Icmpv6Repr::parse(&src, &dst, &Icmpv6Packet::new_unchecked(&buffer)),
        answer,
    );
    let mut packet = Icmpv6Packet::new_unchecked(&mut copy[..]);
    packet.payload_mut().reverse();
    packet.set_type_and_code(135, 0);
    packet.set_echo_ident(1);
    packet.set_echo_seq(2);
    packet.set_mtu(3);
    packet.set_target_addr(dst);
    packet.payload_mut().reverse();
}

fn neighbor_options(data: &[u8]) {
    if let Ok(options) = NdpOptions::parse(data) {
        let buffer = emitted(options.buffer_len(), |buffer| options.emit(buffer));
        same(NdpOptions::parse(&buffer), options);
    }
}

fn vxlan(data: &[u8]) {
    let touch = |packet: &VxlanPacket<&[u8]>| {
        black_box((
            packet.flags(),
            packet.has_vni(),
            packet.reserved_is_zero(),
            packet.payload().len(),
        ));
        assert!(packet.vni() <= vxlan::VNI_MAX);
    };
    touch(&VxlanPacket::new_unchecked(data));
    if let Ok(packet) = VxlanPacket::new_checked(data) {
        touch(&packet);
        assert_eq!(packet.payload().len() + 8, data.len());
        let repr = VxlanRepr::parse(&packet);
        assert!(repr.is_ok());
        if let Ok(repr) = repr {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            let again = VxlanPacket::new_unchecked(&buffer);
            assert!(again.reserved_is_zero());
            same(VxlanRepr::parse(&again), repr);
        }
    }
    let mut copy = data.to_vec();
    let mut packet = VxlanPacket::new_unchecked(&mut copy[..]);
    packet.set_flags();
    packet.set_vni(u32::MAX);
    packet.payload_mut().reverse();
    assert!(data.len() < 8 || VxlanPacket::new_checked(&copy[..]).is_ok());
}

fn dtls_record(data: &[u8]) {
    let touch = |record: &DtlsRecord<&[u8]>| {
        black_box((
            record.content_type(),
            record.version(),
            record.epoch(),
            record.sequence(),
        ));
        black_box((record.header().len(), record.fragment().len(), record.rest().len()));
        assert_eq!(
            record.epoch_and_sequence(),
            (u64::from(record.epoch()) << 48) | record.sequence()
        );
    };
    if data.len() >= dtls::RECORD_HEADER_LEN {
        touch(&DtlsRecord::new_unchecked(data));
    }
    black_box(DtlsRecord::new_unchecked(data).fragment().len());
    if let Ok(record) = DtlsRecord::new_checked(data) {
        touch(&record);
        let kind = dtls::classify(data[0]);
        assert!(matches!(kind, RecordKind::Plaintext(_) | RecordKind::ApplicationData));
        assert_eq!(
            record.header().len() + record.fragment().len() + record.rest().len(),
            data.len()
        );
        let repr = DtlsRecordRepr::parse(&record);
        assert!(repr.is_ok());
        if let Ok(repr) = repr {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            assert_eq!(buffer, record.header());
            same(DtlsRecordRepr::parse(&DtlsRecord::new_unchecked(&buffer)), repr);
        }
    }
    let mut copy = data.to_vec();
    let mut record = DtlsRecord::new_unchecked(&mut copy[..]);
    record.split_mut().1.reverse();
    record.set_content_type(dtls::ContentType::ALERT);
    record.set_version(dtls::Version::DTLS_1_2);
    record.set_epoch(1);
    record.set_sequence(u64::MAX);
    record.set_length(0xffff);
    record.split_mut().1.reverse();
}

fn dtls_cid_record(data: &[u8], cid_len: usize) {
    let touch = |record: &DtlsCidRecord<&[u8]>| {
        black_box((
            record.content_type(),
            record.version(),
            record.epoch(),
            record.sequence(),
        ));
        black_box((record.header().len(), record.fragment().len(), record.rest().len()));
        black_box((record.epoch_and_sequence(), record.connection_id().len()));
    };
    touch(&DtlsCidRecord::new_unchecked(data, cid_len));
    if let Ok(record) = DtlsCidRecord::new_checked(data, cid_len) {
        touch(&record);
        assert_eq!(dtls::classify(data[0]), RecordKind::ConnectionId);
        assert_eq!(record.connection_id().len(), cid_len);
        assert_eq!(
            record.header().len() + record.fragment().len() + record.rest().len(),
            data.len()
        );
        let repr = DtlsCidRecordRepr::parse(&record);
        assert!(repr.is_ok());
        if let Ok(repr) = repr {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            assert_eq!(buffer, record.header());
            same(
                DtlsCidRecordRepr::parse(&DtlsCidRecord::new_unchecked(&buffer[..], cid_len)),
                repr,
            );
        }
    }
    let mut copy = data.to_vec();
    let mut record = DtlsCidRecord::new_unchecked(&mut copy[..], cid_len);
    record.split_mut().1.reverse();
    record.set_type_and_version();
    record.set_epoch(1);
    record.set_sequence(u64::MAX);
    record.set_connection_id(&[1; 8]);
    record.set_length(0xffff);
    record.split_mut().1.reverse();
}

fn dtls_unified(data: &[u8], cid_len: usize) {
    let touch = |record: &DtlsUnified<&[u8]>| {
        black_box((
            record.epoch_bits(),
            record.record_number(),
            record.length(),
            record.connection_id(),
        ));
        black_box((record.header().len(), record.fragment().len(), record.rest().len()));
    };
    touch(&DtlsUnified::new_unchecked(data, cid_len));
    if let Ok(record) = DtlsUnified::new_checked(data, cid_len) {
        touch(&record);
        assert_eq!(dtls::classify(data[0]), RecordKind::Unified);
        assert_eq!(
            record.header().len() + record.fragment().len() + record.rest().len(),
            data.len()
        );
        let repr = DtlsUnifiedRepr::parse(&record);
        assert!(repr.is_ok());
        if let Ok(repr) = repr {
            let buffer = emitted(repr.buffer_len(), |buffer| repr.emit(buffer));
            assert_eq!(buffer, record.header());
            same(
                DtlsUnifiedRepr::parse(&DtlsUnified::new_unchecked(&buffer[..], cid_len)),
                repr,
            );
        }
    }
    let mut copy = data.to_vec();
    let mut record = DtlsUnified::new_unchecked(&mut copy[..], cid_len);
    record.record_number_mut().reverse();
    record.split_mut().1.reverse();
}

fn checksums(data: &[u8]) {
    let naive = data.chunks(2).fold(0u64, |sum, word| {
        sum + u64::from(word[0]) * 256 + u64::from(word.get(1).copied().unwrap_or(0))
    });
    let sum = checksum::data(data);
    // Ones-complement numbers are equal when they leave the same remainder modulo 2^16 - 1.
    assert_eq!(u64::from(sum) % 0xffff, naive % 0xffff);
    assert_eq!(sum == 0, naive == 0, "minus zero is not zero");
    let cut = data.len() / 4 * 2;
    assert_eq!(
        checksum::combine(&[checksum::data(&data[..cut]), checksum::data(&data[cut..])]),
        sum
    );
    let mut copy = data.to_vec();
    for (start, offset) in [(0, 0), (4, 6), (34, 16), (usize::MAX, usize::MAX)] {
        if checksum::complete(&mut copy, start, offset).is_ok() {
            assert!(start + offset + 2 <= data.len());
        }
    }
}
