"""Takes one outer datagram apart: Ethernet, IPv4 (RFC 791) or IPv6 (RFC 8200), UDP (RFC 768)."""

import struct
from ipaddress import ip_address


class WireError(Exception):
    """Why a datagram isn't what it should be."""


def need(fact, why):
    if not fact:
        raise WireError(why)


def ones_sum(octets):
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets[: len(octets) // 2 * 2])) + (octets[-1] << 8) * (len(octets) % 2)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def split_datagram(frame):
    """Ethernet frame -> (source, destination, source port, destination port, UDP payload)."""
    need(len(frame) >= 42, "too short for Ethernet, IP and UDP")
    kind, ip = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and ip[0] >> 4 == 4:
        head, total, flags = (ip[0] & 15) * 4, *struct.unpack_from(">H2xH", ip, 2)
        need(20 <= head < total <= len(ip) and ones_sum(ip[:head]) == 0xFFFF, "bad IPv4 header")
        need(flags == 0x4000 and ip[9] == 17, "outer IPv4: a fragment, DF not set, or not UDP")
        source, target, udp = ip[12:16], ip[16:20], ip[head:total]
    else:
        need(kind == b"\x86\xdd" and ip[0] >> 4 == 6 and ip[6] == 17, "not UDP over IPv4 or IPv6")
        source, target, udp = ip[8:24], ip[24:40], ip[40 : 40 + struct.unpack_from(">H", ip, 4)[0]]
    source_port, target_port, length, checksum = struct.unpack_from(">4H", udp)
    pseudo = source + target + struct.pack(">II", length, 17)
    need(length == len(udp), "UDP length differs from the IP header's")
    need(checksum == 0 or ones_sum(pseudo + udp) == 0xFFFF, "bad UDP checksum")
    return str(ip_address(source)), str(ip_address(target)), source_port, target_port, udp[8:]
