"""Reads pcap and pcapng captures, and writes pcap, with nothing but the standard library.

Sources: the pcap and pcapng Internet-Drafts (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).
"""

import struct
import sys
from dataclasses import dataclass, field

LINKTYPE_ETHERNET = 1


class CaptureError(Exception):
    """The file isn't a capture this module can read; the text says why."""


@dataclass
class Packet:
    """One captured packet; `index` counts from 0 in file order over all interfaces."""

    index: int
    data: bytes
    original_len: int
    time_ns: int
    linktype: int
    comments: list = field(default_factory=list)


def read_capture(path):
    """All packets of a pcap or pcapng file, in file order."""
    with open(path, "rb") as file:
        octets = file.read()
    if len(octets) < 4:
        raise CaptureError(f"{path}: too short for a capture")
    packets = []
    reader = _read_pcapng if octets[:4] == b"\x0a\x0d\x0d\x0a" else _read_pcap
    for packet in reader(path, octets):
        packet.index = len(packets)
        packets.append(packet)
    return packets


def require_ethernet(path, packets):
    """Refuses link types other than Ethernet (Linux cooked, raw IP, ...)."""
    for packet in packets:
        if packet.linktype != LINKTYPE_ETHERNET:
            raise CaptureError(
                f"{path}: packet {packet.index} has link type {packet.linktype}; "
                "only Ethernet (1) can be put into a VM's network card"
            )


def _read_pcap(path, octets):
    magics = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
    for order in "<>":
        magic = struct.unpack_from(order + "I", octets)[0]
        if magic in magics:
            break
    else:
        raise CaptureError(f"{path}: neither pcap nor pcapng")
    if len(octets) < 24:
        raise CaptureError(f"{path}: pcap header cut short")
    # The upper octets of the link-type word tell of a trailing FCS, not of the link type.
    linktype = struct.unpack_from(order + "I", octets, 20)[0] & 0xFFFF
    at = 24
    while at < len(octets):
        if at + 16 > len(octets):
            print(f"{path}: last packet header cut short, ignored", file=sys.stderr)
            return
        seconds, fraction, captured, original = struct.unpack_from(order + "IIII", octets, at)
        at += 16
        if at + captured > len(octets):
            print(f"{path}: last packet cut short, ignored", file=sys.stderr)
            return
        time_ns = seconds * 1_000_000_000 + fraction * magics[magic]
        yield Packet(0, octets[at : at + captured], original, time_ns, linktype)
        at += captured


def _read_pcapng(path, octets):
    order, interfaces, at = "<", [], 0
    while at + 12 <= len(octets):
        if octets[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if octets[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, block_len = struct.unpack_from(order + "II", octets, at)
        if block_len < 12 or block_len % 4 or at + block_len > len(octets):
            print(f"{path}: block at octet {at} cut short or malformed, reading stops", file=sys.stderr)
            return
        body = octets[at + 8 : at + block_len - 4]
        at += block_len
        if kind == 1:
            linktype, snaplen = struct.unpack_from(order + "H2xI", body)
            ticks = 1_000_000
            for code, value in _options(body, 8, order):
                if code == 9 and value:
                    ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            interfaces.append((linktype, snaplen, ticks))
        elif kind in (2, 6):
            form = "HxxIIII" if kind == 2 else "IIIII"
            interface, high, low, captured, original = struct.unpack_from(order + form, body)
            if interface >= len(interfaces) or 20 + captured > len(body):
                raise CaptureError(f"{path}: packet block with an unknown interface or a bad length")
            linktype, _, ticks = interfaces[interface]
            options = _options(body, 20 + (captured + 3) // 4 * 4, order)
            comments = [value.decode("utf-8", "replace") for code, value in options if code == 1]
            time_ns = (high << 32 | low) * 1_000_000_000 // ticks
            yield Packet(0, body[20 : 20 + captured], original, time_ns, linktype, comments)
        elif kind == 3:
            if not interfaces:
                raise CaptureError(f"{path}: packet block before any interface")
            original = struct.unpack_from(order + "I", body)[0]
            linktype, snaplen, _ = interfaces[0]
            captured = min(original, snaplen or original, len(body) - 4)
            yield Packet(0, body[4 : 4 + captured], original, 0, linktype)


def _options(body, at, order):
    while at + 4 <= len(body):
        code, value_len = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            return
        yield code, body[at + 4 : at + 4 + value_len]
        at += 4 + (value_len + 3) // 4 * 4


def write_pcap(path, frames):
    """Writes `(time_ns, octets)` pairs as a nanosecond pcap of Ethernet frames."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, LINKTYPE_ETHERNET))
        for time_ns, octets in frames:
            seconds, fraction = divmod(time_ns, 1_000_000_000)
            file.write(struct.pack("<IIII", seconds, fraction, len(octets), len(octets)) + octets)
