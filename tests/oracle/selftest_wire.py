"""The opener against records of other people's libraries, and against fabricated wires."""

import copy
import json
import os
import struct
import sys
import unittest

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from capture_file import Packet  # noqa: E402
from datagram import WireError, ones_sum, split_datagram  # noqa: E402
from open_wire import open_record, open_wire  # noqa: E402

VECTORS = os.path.join(HERE, "..", "vectors", "library_made_dtls_records.json")


def keys_of(vector):
    """A published vector's keys, in the form of a run's key file."""
    return {
        "epoch": int(vector["epoch"]),
        "connection_id": vector["cid"],
        "key": vector["key"],
        "iv": vector.get("iv") or vector["salt"],
        "sn_key": vector.get("sn_key", ""),
    }


class LibraryMadeRecords(unittest.TestCase):
    """Records that other people's DTLS libraries emitted."""

    def setUp(self):
        with open(VECTORS) as file:
            self.vectors = json.load(file)["vectors"]
        self.assertTrue(self.vectors)

    def test_every_record_opens_to_its_plaintext(self):
        for vector in self.vectors:
            with self.subTest(vector["made_by"], record=vector["record"]):
                record = bytes.fromhex(vector["record"])
                content_type, sequence, plain = open_record(record, keys_of(vector))
                self.assertEqual(content_type, int(vector["content_type"]))
                self.assertEqual(sequence, int(vector["seq"]))
                self.assertEqual(plain.hex(), vector["plaintext"])

    def test_no_record_opens_with_any_one_bit_flipped(self):
        for vector in self.vectors:
            record = bytes.fromhex(vector["record"])
            for bit in range(len(record) * 8):
                flipped = bytearray(record)
                flipped[bit // 8] ^= 0x80 >> bit % 8
                with self.assertRaises((WireError, IndexError), msg=f"{vector['made_by']} bit {bit}"):
                    open_record(bytes(flipped), keys_of(vector))


INNER = bytes.fromhex("000d3a000002000d3a0000010800") + bytes(range(60))
OVER = struct.pack(">II", 0x08000000, 100 << 8) + INNER


def association(dtls, cid=b"", key_len=32):
    return {
        "from": "192.0.2.1", "to": "192.0.2.2", "src_port": 4433, "dst_port": 4433, "dtls": dtls,
        "cipher": f"AES-{key_len * 8}-GCM", "connection_id": cid.hex(), "vni": 100,
        "epoch": 3 if dtls == "1.3" else 1, "key": bytes(range(key_len)).hex(),
        "iv": bytes(range(12) if dtls == "1.3" else range(4)).hex(),
        "sn_key": bytes(range(7, 7 + key_len)).hex() if dtls == "1.3" else "",
    }  # fmt: skip


def seal(keys, sequence, plain, content_type=23):
    """The other direction of `open_record`, written only to make test datagrams."""
    key, iv, cid = (bytes.fromhex(keys[name]) for name in ("key", "iv", "connection_id"))
    if keys["dtls"] == "1.3":
        head = bytes([0x28 | (0x10 if cid else 0) | keys["epoch"] & 3]) + cid
        nonce = (int.from_bytes(iv) ^ sequence).to_bytes(12)
        number = (sequence & 0xFFFF).to_bytes(2)
        body = AESGCM(key).encrypt(nonce, plain + bytes([content_type]), head + number)
        ecb = Cipher(algorithms.AES(bytes.fromhex(keys["sn_key"])), modes.ECB())
        mask = ecb.encryptor().update(body[:16])
        return head + bytes(a ^ b for a, b in zip(number, mask)) + body
    number = keys["epoch"].to_bytes(2) + sequence.to_bytes(6)
    inner = plain + bytes([content_type]) if cid else plain
    outer_type = 25 if cid else content_type
    length = struct.pack(">H", len(inner))
    aad = number + bytes([outer_type, 0xFE, 0xFD]) + length
    if cid:
        aad = b"\xff" * 8 + bytes([25, len(cid), 25, 0xFE, 0xFD]) + number + cid + length
    body = number + AESGCM(key).encrypt(iv + number, inner, aad)
    return bytes([outer_type, 0xFE, 0xFD]) + number + cid + struct.pack(">H", len(body)) + body


def datagram(payload, source_port=4433, port=4433):
    udp = struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0)
    ip += bytes([192, 0, 2, 1, 192, 0, 2, 2])
    ip = ip[:10] + (0xFFFF ^ ones_sum(ip)).to_bytes(2) + ip[12:]
    return bytes.fromhex("025e00000002025e000000010800") + ip + udp


def opened(associations, *frames):
    """(kind, what) of each frame on a fabricated wire."""
    packets = [Packet(i, frame, len(frame), 0, 1) for i, frame in enumerate(frames)]
    key_file = {"device_cid_len": 8, "associations": associations}
    return [(kind, what) for _, kind, _, _, what in open_wire(packets, key_file)]


VARIANTS = [(dtls, cid, key_len) for dtls in ("1.2", "1.3") for cid in (b"", b"SERVER-8") for key_len in (16, 32)]


class FabricatedWire(unittest.TestCase):
    def test_a_sealed_frame_opens_in_every_variant(self):
        for variant in VARIANTS:
            keys = association(*variant)
            self.assertEqual(opened([keys], datagram(seal(keys, 5, OVER))), [("sealed", INNER)])

    def test_the_source_port_is_entropy_only_with_a_connection_id(self):
        for dtls, cid, key_len in VARIANTS:
            keys = association(dtls, cid, key_len)
            kind = opened([keys], datagram(seal(keys, 0, OVER), source_port=50000))[0][0]
            self.assertEqual(kind, "sealed" if cid else "bad")

    def test_any_flipped_bit_of_the_record_is_reported(self):
        for variant in VARIANTS:
            keys = association(*variant)
            whole = datagram(seal(keys, 5, OVER))
            for bit in range(42 * 8, len(whole) * 8, 7):
                flipped = bytearray(whole)
                flipped[bit // 8] ^= 1 << bit % 8
                self.assertEqual(opened([keys], bytes(flipped))[0][0], "bad", (variant, bit))

    def test_a_clear_datagram_is_reported(self):
        self.assertEqual(opened([], datagram(OVER, 50000, 4789)), [("clear", INNER)])

    def test_a_foreign_datagram_is_reported(self):
        for frame in (datagram(b"hello", 53, 53), INNER, b"", datagram(b"")):
            self.assertEqual(opened([association("1.3")], frame)[0][0], "bad")

    def test_a_nonce_used_twice_is_reported(self):
        for variant in VARIANTS:
            keys = association(*variant)
            twice = opened([keys], datagram(seal(keys, 5, OVER)), datagram(seal(keys, 5, OVER[:-1])))
            self.assertEqual(twice[1], ("bad", "NONCE USED TWICE"))

    def test_another_vni_inside_is_reported(self):
        keys = association("1.3", b"SERVER-8")
        other = copy.copy(keys)
        other["vni"] = 101
        self.assertIn("VNI 100", opened([other], datagram(seal(keys, 5, OVER)))[0][1])

    def test_another_content_type_is_reported(self):
        for variant in VARIANTS:
            keys = association(*variant)
            self.assertEqual(opened([keys], datagram(seal(keys, 5, OVER, 21)))[0][0], "bad")

    def test_sequence_numbers_are_followed_across_the_16_bit_wrap(self):
        keys = association("1.3", b"SERVER-8")
        numbers = [0, 30000, 62000, 65535, 65536, 65534, 90000, 120000, 131072]
        frames = [datagram(seal(keys, number, OVER)) for number in numbers]
        self.assertEqual([kind for kind, _ in opened([keys], *frames)], ["sealed"] * len(numbers))

    def test_outer_headers_are_checked(self):
        good = datagram(b"payload")
        self.assertEqual(split_datagram(good)[4], b"payload")
        for at, why in ((14 + 2, "total length"), (14 + 6, "flags"), (14 + 10, "header checksum"), (34 + 4, "UDP length")):
            bad = bytearray(good)
            bad[at] ^= 0x20
            with self.assertRaises(WireError, msg=why):
                split_datagram(bytes(bad))
