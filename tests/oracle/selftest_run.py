"""`expect.py` against fates worked out by hand, and `check_run.py` against an output directory made here, whole and damaged."""

import contextlib
import io
import json
import struct
import sys
import tempfile
import unittest
from ipaddress import ip_address
from pathlib import Path
from unittest import mock

import check_run
from capture_file import read_capture, write_pcap
from datagram import ones_sum
from expect import expected_fates, totals
from policy_table import decide
from scenario_model import Scenario
from selftest_wire import association, seal

ALICE, BOB, CAROL = (bytes.fromhex(f"000d3a00000{n}") for n in (1, 2, 3))
SCENARIO = """
[[host]]
name = "a"
pa = ["192.0.2.1"]
[[host]]
name = "b"
pa = ["192.0.2.2"]
[[vnet]]
name = "blue"
vni = 100
prefixes = ["10.1.0.0/16", "fd00:1::/64"]
encryption = { enabled = true, enforcement = "DropUnencrypted" }
[[vm]]
name = "alice"
host = "a"
vnet = "blue"
mac = "00:0d:3a:00:00:01"
addresses = ["10.1.0.4", "fd00:1::4"]
mtu = 3000
[[vm]]
name = "bob"
host = "b"
vnet = "blue"
mac = "00:0d:3a:00:00:02"
addresses = ["10.1.0.5", "10.1.5.0/24", "fd00:1::5"]
[[vm]]
name = "carol"
host = "a"
vnet = "blue"
mac = "00:0d:3a:00:00:03"
addresses = ["10.1.0.6"]
[[exclusion]]
name = "backup"
vnet = "blue"
prefix = "10.1.5.9/32"
protocol = "tcp"
port = 445
[traffic]
capture = "in.pcap"
"""


def ethernet(target, source, kind, body):
    return target + source + kind.to_bytes(2) + body


def ipv4(source, target, protocol, payload, fragmentation=0x4000, target_mac=BOB, source_mac=ALICE, identification=7):
    addresses = ip_address(source).packed + ip_address(target).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identification, fragmentation, 64, protocol, 0) + addresses
    head = head[:10] + (0xFFFF ^ ones_sum(head)).to_bytes(2) + head[12:]
    return ethernet(target_mac, source_mac, 0x0800, head + payload)


def ipv6(source, target, protocol, payload, target_mac=BOB, source_mac=ALICE):
    addresses = ip_address(source).packed + ip_address(target).packed
    return ethernet(target_mac, source_mac, 0x86DD, struct.pack(">IHBB", 6 << 28, len(payload), protocol, 255) + addresses + payload)


def udp(source_port, target_port, payload=b"x"):
    return struct.pack(">HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def tcp(target_port):
    return struct.pack(">HHIIBBHHH", 40000, target_port, 0, 0, 0x50, 2, 1000, 0, 0)


def arp(operation, sender, target, target_mac=b"\xff" * 6, source_mac=ALICE):
    body = bytes.fromhex("0001080006040000")[:6] + operation.to_bytes(2)
    body += source_mac + ip_address(sender).packed + b"\0" * 6 + ip_address(target).packed
    return ethernet(target_mac, source_mac, 0x0806, body)


def solicit(source, target):
    return ipv6(source, "ff02::1:ff00:5", 58, bytes([135, 0, 0, 0]) + b"\0" * 4 + ip_address(target).packed, b"\x33\x33\xff\0\0\5")


def vlan(frame):
    return frame[:12] + b"\x81\0\0\7" + frame[12:]


A, B = "10.1.0.4", "10.1.0.5"
# (what, frame, fate, receiver or drop reason)
TRAFFIC = [
    ("UDP between hosts", ipv4(A, B, 17, udp(1, 2)), "sealed", "bob"),
    ("the same octets again", ipv4(A, B, 17, udp(1, 2)), "sealed", "bob"),
    ("VLAN-tagged", vlan(ipv4(A, B, 17, udp(1, 2))), "sealed", "bob"),
    ("Ethernet padding is kept", ipv4(A, B, 17, udp(1, 2)) + b"\0" * 18, "sealed", "bob"),
    ("a later fragment", ipv4(A, B, 17, b"xyz", 0x2001), "sealed", "bob"),
    ("an unknown protocol", ipv4(A, B, 200, b""), "sealed", "bob"),
    ("IPv6", ipv6("fd00:1::4", "fd00:1::5", 17, udp(1, 2)), "sealed", "bob"),
    ("to the other VM's prefix", ipv4(A, "10.1.5.200", 6, tcp(80)), "sealed", "bob"),
    ("the named exclusion", ipv4(A, "10.1.5.9", 6, tcp(445)), "clear", "bob"),
    ("its port only", ipv4(A, "10.1.5.9", 6, tcp(446)), "sealed", "bob"),
    ("its fragments show no port", ipv4(A, "10.1.5.9", 6, tcp(445), 0x2000), "sealed", "bob"),
    ("same host", ipv4(A, "10.1.0.6", 17, udp(1, 2), target_mac=CAROL), "local", "carol"),
    ("backwards", ipv4(B, A, 17, udp(2, 1), target_mac=ALICE, source_mac=BOB), "sealed", "alice"),
    ("too long for the underlay, DF", ipv4(A, B, 17, udp(1, 2, b"y" * 1900)), "dropped", "PacketTooBig"),
    ("too long for the underlay, no DF", ipv4(A, B, 17, udp(1, 2, bytes(range(256)) * 8), 0), "fragmented", "bob"),
    ("too long for the port", ipv4(B, A, 17, udp(2, 1, b"y" * 1480), source_mac=BOB), "dropped", "FrameTooLong"),
    ("nobody's address", ipv4(A, "10.1.0.99", 17, udp(1, 2)), "dropped", "NoMapping"),
    ("outside without a gateway", ipv4(A, "198.51.100.1", 17, udp(1, 2)), "dropped", "NoMapping"),
    ("multicast address", ipv4(A, "224.0.0.251", 17, udp(1, 2)), "dropped", "Multicast"),
    ("broadcast MAC", ipv4(A, "10.1.255.255", 17, udp(1, 2), target_mac=b"\xff" * 6), "dropped", "Multicast"),
    ("somebody else's MAC", ipv4(A, B, 17, udp(1, 2), source_mac=BOB), "dropped", "SpoofedMac"),
    ("nobody's source address", ipv4("10.1.0.77", B, 17, udp(1, 2)), "dropped", "SpoofedAddress"),
    ("UDP header cut off", ipv4(A, B, 17, b"1234567"), "dropped", "Malformed"),
    ("TCP data offset", ipv4(A, B, 6, tcp(80)[:12] + b"\xf0" + tcp(80)[13:]), "dropped", "Malformed"),
    ("IPv4 total length", ipv4(A, B, 17, udp(1, 2))[:-1], "dropped", "Malformed"),
    ("IPv6 hop-by-hop header past the end", ipv6("fd00:1::4", "fd00:1::5", 0, b"\x11\1" + b"\0" * 6), "dropped", "Malformed"),
    ("not IP", ethernet(BOB, ALICE, 0x88CC, b"\0" * 40), "dropped", "NotIp"),
    ("three VLAN tags", vlan(vlan(vlan(ipv4(A, B, 17, udp(1, 2))))), "dropped", "NotIp"),
    ("cut VLAN tag", BOB + ALICE + b"\x81\0\0", "dropped", "Malformed"),
    ("ARP for bob", arp(1, A, B), "consumed", ""),
    ("ARP for nobody", arp(1, A, "10.1.0.99"), "dropped", "Multicast"),
    ("ARP for oneself", arp(1, A, A), "dropped", "Multicast"),
    ("ARP answer", arp(2, A, B, target_mac=BOB), "dropped", "NotIp"),
    ("solicitation", solicit("fd00:1::4", "fd00:1::5"), "consumed", ""),
    ("duplicate address detection", solicit("::", "fd00:1::4"), "dropped", "Multicast"),
    ("DHCP", ipv4("0.0.0.0", "255.255.255.255", 17, udp(68, 67), target_mac=b"\xff" * 6), "host", ""),
    ("a stranger", ipv4("203.0.113.9", A, 17, udp(1, 2), source_mac=b"\x02" * 6), "not_in_scenario", ""),
    ("a runt", b"\1\2\3", "not_in_scenario", ""),
]


class Workshop(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.directory = Path(self.temporary.name)
        self.file = self.directory / "scenario.toml"
        self.file.write_text(SCENARIO)
        write_pcap(self.directory / "in.pcap", [(n, frame) for n, (_, frame, _, _) in enumerate(TRAFFIC)])
        self.scenario = Scenario(self.file)
        self.packets = read_capture(self.scenario.capture)
        self.fates = expected_fates(self.scenario, self.packets)


class Fates(Workshop):
    def test_every_frame_ends_as_worked_out_by_hand(self):
        for (what, _, kind, more), fate in zip(TRAFFIC, self.fates, strict=True):
            self.assertEqual((fate.kind, fate.receiver or fate.reason), (kind, more), what)

    def test_no_frame_is_counted_twice_or_not_at_all(self):
        frames = totals(self.scenario, self.fates)["frames"]
        parts = ("sealed", "clear", "local", "consumed", "host", "dropped")
        self.assertEqual(frames["submitted"], sum(frames[part] for part in parts))

    def test_the_policy_table(self):
        alice, bob, carol = (self.scenario.vms[name] for name in ("alice", "bob", "carol"))
        cases = [
            ({}, "sealed", "sealed"),
            ({"hardware": False}, "clear", "HwNotSupported"),
            ({"ready": False}, "SwNotReady", "SwNotReady"),
            ({"discovery": False}, "NotSupported", "NotSupported"),
            ({"state": "failed"}, "clear", "NotAccepted"),
            ({"state": "not-ready"}, "SwNotReady", "SwNotReady"),
            ({"encrypted": False}, "clear", "NotAccepted"),
            ({"hardware": False, "ready": False}, "clear", "HwNotSupported"),
            ({"ready": False, "state": "failed"}, "SwNotReady", "SwNotReady"),
        ]
        for changes, allowed, enforced in cases:
            for demanded, fate in ((False, allowed), (True, enforced)):
                self.scenario.states = {frozenset("ab"): changes.get("state", "ready")}
                alice.vnet.encrypted = changes.get("encrypted", True)
                alice.vnet.drops_unencrypted = demanded
                for name in ("hardware", "ready", "discovery"):
                    setattr(bob, name, changes.get(name, True))
                decided = decide(self.scenario, alice, bob, ip_address(B), 17, 2)
                self.assertEqual(decided[1], fate, (changes, demanded))
                self.assertEqual(decide(self.scenario, alice, carol, ip_address("10.1.0.6"), 17, 2)[1], "local")
                self.assertEqual(decide(self.scenario, alice, bob, ip_address("10.1.5.9"), 6, 445)[1], "clear")
                self.assertEqual(decide(self.scenario, alice, None, ip_address("198.51.100.1"), 6, 445)[1], "clear")


def pcapng(path, packets):
    """Writes (octets, comment) pairs."""

    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    with open(path, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0)))
        for octets, comment in packets:
            body = struct.pack("<IIIII", 0, 0, 0, len(octets), len(octets)) + octets + b"\0" * (-len(octets) % 4)
            if comment:
                body += struct.pack("<HH", 1, len(comment)) + comment.encode() + b"\0" * (-len(comment) % 4) + b"\0" * 4
            file.write(block(6, body))


def fragments(frame):
    """The frame's IPv4 packet in two, cut after 1,200 octets of payload."""
    packet = frame[14:]
    source, target = (str(ip_address(packet[n : n + 4])) for n in (12, 16))
    return [ipv4(source, target, packet[9], packet[20:1220], 0x2000), ipv4(source, target, packet[9], packet[1220:], 150)]


def overlay(source, target, port, payload):
    return ipv4(source, target, 17, udp(4433, port, payload))


class FinishedRun(Workshop):
    """A stand-in for the device writes an output directory; then one thing at a time is broken in it."""

    def setUp(self):
        super().setUp()
        there, back = association("1.3", b"to-host-b"[:8]), association("1.3", b"to-host-a"[:8])
        back.update({"from": "192.0.2.2", "to": "192.0.2.1", "connection_id": b"HOST-A-8".hex(), "key": "77" * 32})
        self.keys = {"version": 1, "device_cid_len": 8, "associations": [there, back]}
        self.vms = {name: [] for name in self.scenario.vms}
        self.wire = []
        for fate in self.fates:
            frame = self.packets[fate.index].data
            pieces = fragments(frame) if fate.kind == "fragmented" else [frame]
            if fate.receiver:
                self.vms[fate.receiver] += [(piece, f"frame {fate.index}") for piece in pieces]
            keys, ends = (there, ("192.0.2.1", "192.0.2.2")) if fate.sender == "alice" else (back, ("192.0.2.2", "192.0.2.1"))
            for piece in pieces if fate.receiver and fate.kind != "local" else ():
                payload = struct.pack(">II", 0x08000000, 100 << 8) + piece
                if fate.kind == "clear":
                    self.wire.append((overlay(*ends, 4789, payload), ""))
                else:
                    self.wire.append((overlay(*ends, 4433, seal(keys, len(self.wire), payload)), ""))
        answer = bytes([136, 0, 0, 0, 0xE0, 0, 0, 0]) + ip_address("fd00:1::5").packed
        pseudo = ip_address("fd00:1::5").packed + ip_address("fd00:1::4").packed + struct.pack(">II", len(answer), 58)
        answer = answer[:2] + (0xFFFF ^ ones_sum(pseudo + answer)).to_bytes(2) + answer[4:]
        self.vms["alice"] += [
            (arp(2, B, A, ALICE, BOB), "generated"),
            (ipv6("fd00:1::5", "fd00:1::4", 58, answer, ALICE, BOB), "generated"),
            (self.too_big(), "generated"),
        ]
        expected = totals(self.scenario, self.fates)
        frames = expected["frames"] | {"generated": 5}
        vms = {n: {"sent": v["sent"], "received": len(self.vms[n])} for n, v in expected["vms"].items()}
        on_wire = len(self.wire)
        sums = {"balanced": True, "in": frames["submitted"] + on_wire, "generated": 5, "copied": 0, "sent": on_wire, "held": 0}
        # The NIC is done with the frame that it cut; its pieces are new.
        sums |= {"consumed": frames["consumed"] + 1, "punted": frames["host"], "dropped": frames["dropped"]}
        sums["delivered"] = sum(len(packets) for packets in self.vms.values())
        wire = {"datagrams": on_wire, "sealed": on_wire - 1, "clear": 1}
        self.summary = {"frames": frames, "drops": expected["drops"], "accounting": sums, "vms": vms, "wire": wire}

    def too_big(self):
        message = bytes([3, 4, 0, 0, 0, 0, 5, 220]) + self.packets[0].data[14:42]
        message = message[:2] + (0xFFFF ^ ones_sum(message)).to_bytes(2) + message[4:]
        return ipv4(B, A, 1, message, target_mac=ALICE, source_mac=BOB)

    def verdict(self, *options):
        """check_run's exit status and what it printed."""
        for name, packets in self.vms.items():
            pcapng(self.directory / f"vm-{name}.pcapng", packets)
        pcapng(self.directory / "wire.pcapng", self.wire)
        (self.directory / "summary.json").write_text(json.dumps(self.summary))
        (self.directory / "keys.json").write_text(json.dumps(self.keys))
        words = ["check_run", str(self.file), str(self.directory), str(self.directory / "keys.json"), *options]
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(printed):
            return check_run.main(), printed.getvalue()

    def assert_found(self, text, *options):
        status, printed = self.verdict(*options)
        self.assertEqual(status, 1, printed)
        self.assertIn(text, printed)

    def test_a_right_run_passes(self):
        status, printed = self.verdict()
        self.assertEqual(status, 0, printed)

    def test_a_missing_frame_is_found(self):
        self.vms["bob"] = [p for p in self.vms["bob"] if p[1] != "frame 3"]
        self.assert_found("frame 3 from alice is missing")

    def test_a_doubled_frame_is_found(self):
        self.vms["bob"].insert(1, self.vms["bob"][0])
        self.assert_found("frame 0 arrived 2 times")
        self.assert_found("frame 0 arrived 2 times", "--impaired")

    def test_a_changed_octet_is_found(self):
        octets, label = self.vms["bob"][2]
        self.vms["bob"][2] = (octets[:-1] + b"!", label)
        self.assert_found(f"frame 2 differs from octet {len(octets) - 1} on")
        self.assert_found("frame 2 differs", "--impaired")

    def test_a_swap_is_found(self):
        self.vms["bob"][2:4] = self.vms["bob"][3:1:-1]
        self.assert_found("expected frame 2")

    def test_flows_may_overtake_each_other_only_where_nics_take_time(self):
        for packets in (self.vms["bob"], self.wire):
            packets[5:7] = packets[6:4:-1]
        self.assert_found("expected frame 5")
        self.assertEqual(self.verdict("--timed")[0], 0, self.verdict("--timed")[1])

    def test_nics_that_take_time_keep_the_order_of_a_flow_and_lose_nothing(self):
        self.assertEqual(self.verdict("--timed")[0], 0, self.verdict("--timed")[1])
        whole, wire = list(self.vms["bob"]), list(self.wire)
        self.vms["bob"][2:4] = self.vms["bob"][3:1:-1]
        self.assert_found("vm-bob: expected frame 2", "--timed")
        self.vms["bob"] = [packet for packet in whole if packet[1] != "frame 3"]
        self.assert_found("frame 3 from alice is missing", "--timed")
        at = next(i for i, (_, label) in enumerate(whole) if label == "frame 14")
        self.vms["bob"] = whole[:at] + whole[at + 1 :]
        self.assert_found("frame 14 (fragmented) is not there", "--timed")
        self.vms["bob"] = whole[:at] + [whole[at + 1], whole[at]] + whole[at + 2 :]
        self.assert_found("frame 14 (fragmented) is not there", "--timed")
        self.vms["bob"] = whole
        for n in range(len(wire)):
            self.wire = wire[:n] + wire[n + 1 :]
            self.assertEqual(self.verdict("--timed")[0], 1, n)

    def test_a_frame_at_the_wrong_vm_is_found(self):
        self.vms["carol"].append(self.vms["bob"][0])
        self.assert_found("vm-carol: frame 0 must not arrive here")

    def test_a_wrong_fragment_is_found(self):
        at = next(i for i, (_, label) in enumerate(self.vms["bob"]) if label == "frame 14")
        self.vms["bob"].pop(at)
        self.assert_found("expected frame 14")

    def test_wrong_answers_are_found(self):
        self.vms["alice"].pop(-3)
        self.assert_found("arp answers for 10.1.0.5 too few")
        self.vms["alice"][-2] = (self.vms["alice"][-2][0][:-1] + b"\7", "generated")
        self.assert_found("wrong inside")

    def test_a_wrong_count_is_found(self):
        for part, name in (("frames", "submitted"), ("drops", "Multicast"), ("wire", "sealed")):
            self.summary[part][name] += 1
            self.assert_found(name)
            self.summary[part][name] -= 1
        self.summary["accounting"]["held"] = 1
        self.assert_found("accounting: in + generated + copied")

    def test_a_clear_datagram_too_many_is_found(self):
        self.wire.append((overlay("192.0.2.1", "192.0.2.2", 4789, bytes(8) + self.packets[0].data), ""))
        self.assert_found("bad VXLAN header")
        self.wire[-1] = (overlay("192.0.2.1", "192.0.2.2", 4789, b"\x08" + bytes(7) + self.packets[0].data), "")
        self.assert_found("1 more than expected")

    def test_a_frame_sent_clear_instead_of_sealed_is_found(self):
        payload = struct.pack(">II", 0x08000000, 100 << 8) + self.packets[0].data
        self.wire[0] = (overlay("192.0.2.1", "192.0.2.2", 4789, payload), "")
        self.assert_found("expected frame")
        self.assert_found("1 clear frames on the wire that don't belong there", "--impaired")

    def test_a_foreign_datagram_is_found(self):
        self.wire.append((overlay("192.0.2.1", "192.0.2.2", 53, b"hello"), ""))
        self.assert_found("not a protected DTLS record")

    def test_a_loss_passes_only_as_an_impairment(self):
        self.vms["bob"] = [p for p in self.vms["bob"] if p[1] != "frame 3"]
        self.summary["vms"]["bob"]["received"] -= 1
        for part, less, more in (("accounting", "delivered", "dropped"), ("frames", "sealed", "dropped")):
            self.summary[part][less] -= 1
            self.summary[part][more] += 1
        self.summary["frames"]["delivered"] -= 1
        self.summary["drops"]["AuthFailed"] = 1
        self.assertEqual(self.verdict("--impaired")[0], 0, self.verdict("--impaired")[1])
        self.assert_found("drops.AuthFailed")
