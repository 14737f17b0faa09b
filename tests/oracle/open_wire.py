"""Opens every datagram of a run's wire.pcapng with the run's record keys, from the RFCs alone.

RFC 7348 (VXLAN), 6347 + 5288 (DTLS 1.2, AES-GCM), 9146 (its connection id), 9147 (DTLS 1.3). The AES is the
`cryptography` package's. Exit status 1 when anything is on the wire that isn't a good record or was said to be allowed.
"""

import argparse
import json
import struct
import sys
from ipaddress import ip_address

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from capture_file import read_capture, write_pcap
from datagram import WireError, need, split_datagram


def record_connection_id(record, cid_len):
    """The connection id a record shows: its version is told by the first octet (RFC 9147 section 4.1)."""
    need(record and (record[0] in (23, 25) or record[0] >> 5 == 1), "not a protected DTLS record")
    if record[0] >> 5 == 1:
        return "1.3", record[1 : 1 + cid_len] if record[0] & 0x10 else b""
    return "1.2", record[11 : 11 + cid_len] if record[0] == 25 else b""


def open_record(record, keys, highest=-1):
    """One whole record -> (content type, sequence number, plaintext). `highest` is the last number seen, for DTLS 1.3."""
    key, iv, cid = (bytes.fromhex(keys[name]) for name in ("key", "iv", "connection_id"))
    if record[0] >> 5 != 1:  # DTLS 1.2, with and without connection id
        header = 13 + (len(cid) if record[0] == 25 else 0)
        need(len(record) >= header + 24 and record[1:3] == b"\xfe\xfd", "DTLS 1.2 header")
        number, length = record[3:11], struct.unpack_from(">H", record, header - 2)[0]
        need(header + length == len(record), "more or less than one record in the datagram")
        need(int.from_bytes(number[:2]) == keys["epoch"], "epoch has no key")
        need((record[0] == 25) == bool(cid) and record[11 : header - 2] == cid, "connection id missing or wrong")
        aad = number + record[:3] + struct.pack(">H", length - 24)
        if cid:
            aad = b"\xff" * 8 + bytes([25, len(cid)]) + record[:3] + number + cid + struct.pack(">H", length - 24)
        nonce, sealed = iv + record[header : header + 8], record[header + 8 :]
        sequence, inner_type = int.from_bytes(number[2:]), bool(cid)
    else:  # DTLS 1.3: undo record-number encryption, then take the number closest to highest + 1
        first, at = record[0], 1 + (len(cid) if record[0] & 0x10 else 0)
        bits, header = (16 if first & 8 else 8), at + (2 if first & 8 else 1) + (2 if first & 4 else 0)
        need(bool(first & 0x10) == bool(cid) and record[1:at] == cid, "connection id missing or wrong")
        need(first & 3 == keys["epoch"] & 3, "epoch has no key")
        need(len(record) >= header + 16, "too short for a DTLS 1.3 record")
        need(not first & 4 or header + int.from_bytes(record[header - 2 : header]) == len(record), "not one record")
        mask = Cipher(algorithms.AES(bytes.fromhex(keys["sn_key"])), modes.ECB()).encryptor().update(record[header : header + 16])
        number = bytes(a ^ b for a, b in zip(record[at : at + bits // 8], mask))
        near, span = highest + 1, 1 << bits
        sequence = near + (int.from_bytes(number) - near + span // 2) % span - span // 2
        sequence += span if sequence < 0 else 0
        aad, sealed = record[:at] + number + record[at + bits // 8 : header], record[header:]
        nonce, inner_type = bytes(a ^ b for a, b in zip(iv, sequence.to_bytes(12))), True
    try:
        plain = AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise WireError("the tag is wrong") from None
    content = plain.rstrip(b"\0") if inner_type else plain
    need(content, "no content type inside")
    return (content[-1], sequence, content[:-1]) if inner_type else (record[0], sequence, content)


def unwrap_vxlan(payload):
    """VXLAN header and frame -> (VNI, frame)."""
    need(len(payload) >= 22 and payload[0] == 8 and payload[1:4] == b"\0\0\0" and payload[7] == 0, "bad VXLAN header")
    return int.from_bytes(payload[4:7]), payload[8:]


def open_wire(packets, key_file):
    """Yields (packet, "sealed" or "clear" or "bad", association's index or None, VNI or None, VM frame or reason)."""
    highest, used = {}, {}
    for packet in packets:
        try:
            source, target, source_port, port, payload = split_datagram(packet.data)
            if port == 4789:
                yield packet, "clear", None, *unwrap_vxlan(payload)
                continue
            dtls, cid = record_connection_id(payload, key_file["device_cid_len"])
            pairs = [(i, a) for i, a in enumerate(key_file["associations"]) if (a["dtls"], ip_address(a["from"]), ip_address(a["to"]))
                     == (dtls, ip_address(source), ip_address(target)) and a["dst_port"] == port and a["connection_id"] == cid.hex()
                     and (cid or a["src_port"] == source_port)]
            need(len(pairs) == 1, f"{len(pairs)} keys for {source} -> {target}, ports {source_port} -> {port}, id {cid.hex()!r}")
            index, keys = pairs[0]
            content_type, sequence, plain = open_record(payload, keys, highest.get(index, -1))
            highest[index] = max(sequence, highest.get(index, -1))
            nonce = payload[13 + len(cid) :][:8] if dtls == "1.2" else sequence
            before = used.setdefault((keys["key"], nonce), payload)
            need(before is payload, "NONCE USED TWICE" if before != payload else "the same record twice")
            need(content_type == 23, f"content type {content_type}, not application data")
            vni, inner = unwrap_vxlan(plain)
            need(vni == keys["vni"], f"VNI {vni} inside, the association's is {keys['vni']}")
            yield packet, "sealed", index, vni, inner
        except (WireError, struct.error, IndexError) as why:
            yield packet, "bad", None, None, str(why)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("wire"), arguments.add_argument("keys")
    for option, text in (("--expect", "pcap: the VM frames must be exactly these, in order"), ("--out", "pcap to write them to")):
        arguments.add_argument(option, help=text)
    arguments.add_argument("--allow-clear", action="store_true", help="clear VXLAN is no failure")
    options = arguments.parse_args()
    with open(options.keys) as file:
        opened = list(open_wire(read_capture(options.wire), json.load(file)))
    failures = [o for o in opened if o[1] == "bad" or (o[1] == "clear" and not options.allow_clear)]
    for packet, kind, _, vni, what in failures:
        print(f"datagram {packet.index}: {'clear VXLAN, VNI ' + str(vni) if kind == 'clear' else what}")
    frames = [(packet.time_ns, inner) for packet, kind, _, _, inner in opened if kind != "bad"]
    if options.out:
        write_pcap(options.out, frames)
    expected = [p.data for p in read_capture(options.expect)] if options.expect else [f for _, f in frames]
    wrong = sum(a != b for a, (_, b) in zip(expected, frames)) + abs(len(expected) - len(frames))
    sealed, clear, bad = (sum(o[1] == kind for o in opened) for kind in ("sealed", "clear", "bad"))
    print(f"{len(opened)} datagrams: {sealed} sealed and opened, {clear} clear, {bad} unexplained"
          + (f"; {wrong} of {len(expected)} expected frames differ" if options.expect else ""))
    return 1 if failures or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
