"""What one VM frame says: Ethernet, up to two VLAN tags, ARP (RFC 826), IPv4 (RFC 791), IPv6 (RFC 8200), first transport octets."""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

VLAN_TYPES = (0x8100, 0x88A8)
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
EXTENSION_HEADERS = (0, 43, 44, 51, 60, 135, 139, 140)
FRAGMENT_HEADER, AUTHENTICATION_HEADER = 44, 51
MAX_EXTENSION_HEADERS = 8
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


@dataclass
class Facts:
    """Outcome of `look_at`; fields beyond `kind` hold only as far as the frame goes."""

    kind: str
    """"short" (also a cut-off VLAN tag), "other", "arp", "ipv4", "ipv6"."""
    source_mac: bytes = b""
    target_mac: bytes = b""
    source: object = None
    """Source address (ARP: sender protocol address) where the fixed header is there, else None."""
    destination: object = None
    malformed: str = ""
    ip_len: int = 0
    dont_fragment: bool = True
    fragment: bool = False
    protocol: object = None
    ports: object = None
    """(source, destination) of an unfragmented TCP or UDP packet."""
    arp_operation: int = 0
    icmp: bytes = b""
    """ICMP or ICMPv6 message of an unfragmented packet."""
    hop_limit: int = 0
    network_at: int = 0


def look_at(frame):
    if len(frame) < 14:
        return Facts("short", frame[6:12] if len(frame) >= 12 else b"", frame[:6])
    target_mac, source_mac, at = frame[:6], frame[6:12], 12
    kind = int.from_bytes(frame[12:14])
    for _ in range(2):
        if kind in VLAN_TYPES:
            at += 4
            if at + 2 > len(frame):
                return Facts("short", source_mac, target_mac)
            kind = int.from_bytes(frame[at : at + 2])
    name = {ARP: "arp", IPV4: "ipv4", IPV6: "ipv6"}.get(kind, "other")
    facts = Facts(name, source_mac, target_mac, network_at=at + 2)
    body = frame[at + 2 :]
    if name != "other":
        {"arp": _arp, "ipv4": _ipv4, "ipv6": _ipv6}[name](facts, body)
    return facts


def _arp(facts, body):
    if len(body) < 28 or body[:6] != bytes.fromhex("000108000604"):
        facts.malformed = "ARP: too short, or not for Ethernet and IPv4"
        return
    facts.arp_operation = int.from_bytes(body[6:8])
    facts.source, facts.destination = ip_address(body[14:18]), ip_address(body[24:28])


def _ipv4(facts, body):
    if len(body) < 20:
        facts.malformed = "IPv4 header cut short"
        return
    facts.source, facts.destination = ip_address(body[12:16]), ip_address(body[16:20])
    header_len, total = (body[0] & 15) * 4, int.from_bytes(body[2:4])
    if body[0] >> 4 != 4 or header_len < 20 or not header_len <= total <= len(body):
        facts.malformed = "IPv4 version or lengths"
        return
    fragmentation = int.from_bytes(body[6:8])
    facts.ip_len, facts.protocol = total, body[9]
    facts.dont_fragment = bool(fragmentation & 0x4000)
    facts.fragment = bool(fragmentation & 0x3FFF)
    _transport(facts, body[header_len:total])


def _ipv6(facts, body):
    if len(body) < 40:
        facts.malformed = "IPv6 header cut short"
        return
    facts.source, facts.destination = ip_address(body[8:24]), ip_address(body[24:40])
    payload_len = int.from_bytes(body[4:6])
    if body[0] >> 4 != 6 or 40 + payload_len > len(body):
        facts.malformed = "IPv6 version or payload length"
        return
    facts.ip_len, facts.hop_limit = 40 + payload_len, body[7]
    header, payload, at, seen = body[6], body[40 : 40 + payload_len], 0, 0
    while header in EXTENSION_HEADERS:
        seen += 1
        if seen > MAX_EXTENSION_HEADERS or at + 8 > len(payload):
            facts.malformed = "IPv6 extension headers: too many, or past the payload"
            return
        if header == FRAGMENT_HEADER:
            # What follows may be the middle of a packet: nothing beyond is read, an atomic fragment's neither.
            facts.fragment, facts.protocol = True, payload[at]
            return
        unit = 4 if header == AUTHENTICATION_HEADER else 8
        extra = 2 if header == AUTHENTICATION_HEADER else 1
        header, at = payload[at], at + (payload[at + 1] + extra) * unit
        if at > len(payload):
            facts.malformed = "IPv6 extension header past the payload"
            return
    facts.protocol = header
    _transport(facts, payload[at:])


def _transport(facts, octets):
    if facts.fragment:
        return
    needed = {TCP: 20, UDP: 8, ICMP: 4, ICMPV6: 4}.get(facts.protocol, 0)
    if len(octets) < needed:
        facts.malformed = "transport header cut short"
    elif facts.protocol == TCP and not 20 <= (octets[12] >> 4) * 4 <= len(octets):
        facts.malformed = "TCP data offset"
    elif facts.protocol in (TCP, UDP):
        facts.ports = struct.unpack_from(">HH", octets)
    elif facts.protocol in (ICMP, ICMPV6):
        facts.icmp = octets
