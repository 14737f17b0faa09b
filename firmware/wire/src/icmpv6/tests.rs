//! Messages that kernels sent, taken apart and built again.

use super::*;
use crate::testing::{hex, refuses_every_truncation};

// From kernels at fd00:1::a and fd00:1::b, but for the router advertisement, which was written by hand, and packet too big,
// whose quote is cut short and whose checksum was adapted to that.
const ECHO: &str = "8000 e239 1234 0002 61626364656667";
const SOLICITATION: &str = "8700 7d71 00000000 fd00000100000000000000000000000b 010102000000000a";
const ADVERTISEMENT: &str = "8800 9c72 e0000000 fd00000100000000000000000000000b 020102000000000b";
const ROUTER_SOLICITATION: &str = "8500 7b1a 00000000 010102000000000a";
const ROUTER: &str = "8600 e370 40c00708 00007530 000003e8 0101020000000001 05010000000005dc
    0304408000015180 0000384000000000 fd000001000000000000000000000000";
const TOO_BIG: &str = "0200 e7b7 00000578 60069f92 0594 11 40";

const A: Ipv6Address = Ipv6Address::new(0xfd00, 1, 0, 0, 0, 0, 0, 0xa);
const B: Ipv6Address = Ipv6Address::new(0xfd00, 1, 0, 0, 0, 0, 0, 0xb);
const SOLICITED_NODE: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0xb);
const LINK_LOCAL: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0xa);
const ALL_ROUTERS: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ROUTER_ADDR: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HOST_ADDR: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa);

const MAC_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0x0a]);
const MAC_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0x0b]);

/// Asserts that `text` is `repr` between `src` and `dst`, in both directions, and that each octet matters.
fn is_both_ways(text: &str, src: Ipv6Address, dst: Ipv6Address, repr: Icmpv6Repr<'_>) {
    let octets = hex(text);
    assert_eq!(
        Icmpv6Repr::parse(&src, &dst, &Icmpv6Packet::new_checked(&octets).unwrap()),
        Ok(repr)
    );
    assert_eq!(repr.buffer_len(), octets.len());
    let mut buffer = std::vec![0xff; octets.len()];
    repr.emit(&src, &dst, &mut buffer).unwrap();
    assert_eq!(buffer, octets);
    buffer.pop();
    assert_eq!(repr.emit(&src, &dst, &mut buffer), Err(Error::Truncated));
    refuses_every_truncation(&octets, |data| {
        Icmpv6Packet::new_checked(data).is_ok_and(|packet| Icmpv6Repr::parse(&src, &dst, &packet).is_ok())
    });
}

#[test]
fn echo() {
    let data = b"abcdefg";
    is_both_ways(
        ECHO,
        A,
        B,
        Icmpv6Repr::EchoRequest {
            ident: 0x1234,
            seq: 2,
            data,
        },
    );
    is_both_ways(
        "8100 e139 1234 0002 61626364656667",
        B,
        A,
        Icmpv6Repr::EchoReply {
            ident: 0x1234,
            seq: 2,
            data,
        },
    );
}

#[test]
fn neighbor_solicitation_and_advertisement() {
    is_both_ways(
        SOLICITATION,
        A,
        SOLICITED_NODE,
        Icmpv6Repr::NeighborSolicitation {
            target_addr: B,
            source_link_addr: Some(MAC_A),
        },
    );
    is_both_ways(
        ADVERTISEMENT,
        B,
        A,
        Icmpv6Repr::NeighborAdvertisement {
            router: true,
            solicited: true,
            override_cache: true,
            target_addr: B,
            target_link_addr: Some(MAC_B),
        },
    );
}

#[test]
fn router_solicitation_and_advertisement() {
    let solicitation = Icmpv6Repr::RouterSolicitation {
        source_link_addr: Some(MAC_A),
    };
    is_both_ways(ROUTER_SOLICITATION, LINK_LOCAL, ALL_ROUTERS, solicitation);
    let advertisement = RouterAdvertisement {
        hop_limit: 64,
        managed: true,
        other: true,
        router_lifetime_s: 1800,
        reachable_ms: 30_000,
        retrans_ms: 1000,
        source_link_addr: Some(EthernetAddress([2, 0, 0, 0, 0, 1])),
        mtu: Some(1500),
        prefix: Some(PrefixInformation {
            prefix: "fd00:1::".parse().unwrap(),
            prefix_len: 64,
            on_link: true,
            autonomous: false,
            valid_s: 86400,
            preferred_s: 14400,
        }),
    };
    let octets = hex(ROUTER);
    let packet = Icmpv6Packet::new_checked(&octets).unwrap();
    assert!(packet.is_ndp());
    let repr = Icmpv6Repr::RouterAdvertisement(advertisement);
    assert_eq!(Icmpv6Repr::parse(&ROUTER_ADDR, &HOST_ADDR, &packet), Ok(repr));
    let mut buffer = [0xff; 64];
    repr.emit(&ROUTER_ADDR, &HOST_ADDR, &mut buffer).unwrap();
    assert_eq!(buffer[..], octets);
}

#[test]
fn packet_too_big() {
    let octets = hex(TOO_BIG);
    let packet = Icmpv6Packet::new_checked(&octets).unwrap();
    assert!(packet.is_error() && !packet.is_ndp());
    assert_eq!(packet.mtu(), 1400);
    is_both_ways(
        TOO_BIG,
        B,
        A,
        Icmpv6Repr::PacketTooBig {
            mtu: 1400,
            quote: &octets[8..],
        },
    );
    let whole = [0x60; 1460];
    let repr = Icmpv6Repr::packet_too_big(1400, &whole);
    assert_eq!(repr.buffer_len() + crate::ipv6::HEADER_LEN, crate::ipv6::MIN_MTU);
    assert_eq!(Icmpv6Repr::packet_too_big(1400, &whole[..60]).buffer_len(), 68);
}

#[test]
fn destination_unreachable() {
    let quote = [0x60, 0, 0, 0];
    let repr = Icmpv6Repr::DestinationUnreachable {
        code: CODE_PROHIBITED,
        quote: &quote,
    };
    let mut buffer = [0xff; 12];
    repr.emit(&B, &A, &mut buffer).unwrap();
    assert_eq!((buffer[0], buffer[1], &buffer[4..8]), (1, 1, &[0; 4][..]));
    assert_eq!(
        Icmpv6Repr::parse(&B, &A, &Icmpv6Packet::new_checked(&buffer).unwrap()),
        Ok(repr)
    );
}

#[test]
fn refuses_messages_shorter_than_their_type() {
    for (text, fixed) in [
        (ECHO, 8),
        (SOLICITATION, 24),
        (ADVERTISEMENT, 24),
        (ROUTER, 16),
        (TOO_BIG, 8),
    ] {
        refuses_every_truncation(&hex(text)[..fixed], |data| Icmpv6Packet::new_checked(data).is_ok());
    }
}

#[test]
fn refuses_codes_targets_and_types_that_are_not_allowed() {
    let parse = |text: &str| {
        let octets = hex(text);
        let mut packet = Icmpv6Packet::new_checked(octets).unwrap();
        packet.fill_checksum(&A, &B);
        Icmpv6Repr::parse(&A, &B, &packet).err()
    };
    assert_eq!(parse("8001 0000 1234 0002"), Some(Error::Malformed));
    assert_eq!(
        parse("8700 0000 00000000 ff020000000000000000000000000001"),
        Some(Error::Malformed)
    );
    assert_eq!(
        parse("8700 0000 00000000 fd00000100000000000000000000000b 0100"),
        Some(Error::Malformed)
    );
    assert_eq!(parse("8f00 0000 00000000"), Some(Error::Unsupported));
    let damaged = hex(&ECHO.replace("e239", "e238"));
    assert_eq!(
        Icmpv6Repr::parse(&A, &B, &Icmpv6Packet::new_checked(&damaged).unwrap()),
        Err(Error::Checksum)
    );
    // A view over a buffer that nobody checked parses to an error, too.
    let short = Icmpv6Packet::new_unchecked([0x87, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Icmpv6Repr::parse(&A, &B, &short), Err(Error::Truncated));
}

#[test]
fn edits_in_place() {
    let mut octets = hex(SOLICITATION);
    let mut packet = Icmpv6Packet::new_checked(&mut octets[..]).unwrap();
    packet.set_target_addr(A);
    packet.payload_mut()[7] = 0x0c;
    packet.fill_checksum(&A, &SOLICITED_NODE);
    assert!(packet.verify_checksum(&A, &SOLICITED_NODE));
    let expected = Icmpv6Repr::NeighborSolicitation {
        target_addr: A,
        source_link_addr: Some(EthernetAddress([2, 0, 0, 0, 0, 0x0c])),
    };
    assert_eq!(Icmpv6Repr::parse(&A, &SOLICITED_NODE, &packet), Ok(expected));
}
