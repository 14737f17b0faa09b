"""Compares a finished run's output with what the oracle expects of it, frame by frame.

    python3 tests/oracle/check_run.py SCENARIO.toml OUT_DIR [KEYS.json] [--capture FILE] [--impaired] [--timed]

Exit status 0 when nothing differs. The files' formats are in tests/oracle/README.md.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from capture_file import CaptureError, read_capture, require_ethernet
from datagram import WireError, ones_sum, split_datagram
from expect import expected_fates, totals
from frame_facts import look_at
from open_wire import open_wire
from scenario_model import Scenario, ScenarioError

SHOWN_PER_CHECK = 10


class Report:
    """Differences found, each under the check that found it; only the first few of a check are printed."""

    def __init__(self):
        self.counts = Counter()
        self.passed = []

    def differs(self, check, text):
        self.counts[check] += 1
        if self.counts[check] <= SHOWN_PER_CHECK:
            print(f"DIFFERS {check}: {text}")

    def equal(self, check, name, expected, got):
        if expected != got:
            self.differs(check, f"{name}: expected {expected}, the run says {got}")

    def done(self, check, text):
        if not self.counts[check]:
            print(f"ok {check}: {text}")
        elif self.counts[check] > SHOWN_PER_CHECK:
            print(f"DIFFERS {check}: {self.counts[check] - SHOWN_PER_CHECK} more of these")


@dataclass
class Run:
    """The scenario, its capture, what must happen, and what did."""

    scenario: Scenario
    packets: list
    fates: list
    summary: dict
    directory: Path
    impaired: bool
    timed: bool
    arrived: set = field(default_factory=set)
    """Indexes of frames that reached a VM."""


def same_frame(original, got, at):
    """How many frames from `got[at]` on make up `original`: 1, or none."""
    return 1 if at < len(got) and got[at] == original else 0


def fragments_of(original, got, at):
    """How many IPv4 fragments from `got[at]` on put together give `original`; 0 when they don't."""
    facts = look_at(original)
    start = facts.network_at
    whole = original[start : start + facts.ip_len]
    head = (whole[0] & 15) * 4
    field = int.from_bytes(whole[6:8])
    offset, more, payload, taken = field & 0x1FFF, field & 0x2000, whole[head:], b""
    for count, frame in enumerate(got[at:], 1):
        piece = look_at(frame)
        if piece.kind != "ipv4" or piece.malformed or frame[:start] != original[:start]:
            return 0
        packet = frame[start : start + piece.ip_len]
        piece_head, piece_field = (packet[0] & 15) * 4, int.from_bytes(packet[6:8])
        same = packet[4:6] == whole[4:6] and packet[9] == whole[9] and packet[12:20] == whole[12:20]
        if not same or ones_sum(packet[:piece_head]) != 0xFFFF or piece_field & 0x1FFF != offset + len(taken) // 8:
            return 0
        taken += packet[piece_head:]
        last = len(taken) >= len(payload)
        if bool(piece_field & 0x2000) != bool(more if last else True) or (not last and len(taken) % 8):
            return 0
        if last:
            return count if taken == payload and count > 1 else 0
    return 0


def compare_sequences(run, report, check, expected, got):
    """`got` must be the frames of `expected` (fates) in order, byte for byte; `got` is [(label, octets)]."""
    octets = [frame for _, frame in got]
    at = 0
    for fate in expected:
        original = run.packets[fate.index].data
        count = (fragments_of if fate.kind == "fragmented" else same_frame)(original, octets, at)
        if not count:
            found = f"{got[at][0]} ({len(octets[at])} octets)" if at < len(got) else "nothing"
            report.differs(check, f"expected frame {fate.index} ({len(original)} octets, {fate.kind}) as number {at}, found {found}")
            return
        at += count
    if at < len(got):
        report.differs(check, f"{len(got) - at} more than expected, the first: {got[at][0]}")


def flow_of(frame):
    """What keeps its order in a NIC that takes time: frames of one flow. Fragments have no ports, and so a flow of their own."""
    facts = look_at(frame)
    return facts.kind, facts.source, facts.destination, facts.protocol, facts.ports


def compare_flows(run, report, check, expected, got):
    """As `compare_sequences`, but flow by flow: flows may overtake each other. Returns the (fate, label) that belong together."""
    flows, pairs = defaultdict(lambda: ([], [])), []
    for fate in expected:
        pieces = fate.kind == "fragmented"
        flow = flow_of(run.packets[fate.index].data)
        flows[flow[:-1] + (None,) if pieces else flow][0].append(fate)
    for label, octets in got:
        flows[flow_of(octets)][1].append((label, octets))
    for fates, frames in flows.values():
        if any(fate.kind == "fragmented" for fate in fates):
            compare_cut(run, report, check, fates, frames, pairs)
            continue
        compare_sequences(run, report, check, fates, frames)
        if len(fates) == len(frames):
            pairs += [(fate, label) for fate, (label, _) in zip(fates, frames)]
    return pairs


def compare_cut(run, report, check, fates, frames, pairs):
    """Frames that were cut, and their pieces, of one pair of hosts: each frame's pieces are in order, frames stand as they may."""
    left = list(frames)
    for fate in fates:
        original = run.packets[fate.index].data
        if fate.kind != "fragmented":
            found = next((i for i, (_, octets) in enumerate(left) if octets == original), None)
            taken = [] if found is None else [found]
        else:
            at = look_at(original).network_at
            same = [i for i, (_, octets) in enumerate(left) if octets[at + 4 : at + 6] == original[at + 4 : at + 6]]
            count = fragments_of(original, [left[i][1] for i in same], 0)
            taken = same[:count]
        if not taken:
            report.differs(check, f"frame {fate.index} ({fate.kind}) is not there")
        pairs += [(fate, left[i][0]) for i in taken[:1]]
        left = [frame for i, frame in enumerate(left) if i not in taken]
    if left:
        report.differs(check, f"{len(left)} more than expected, the first: {left[0][0]}")


def check_vm(run, report, name):
    """One VM's capture: what it received, in order, and what the NIC made for it."""
    check = f"vm-{name}"
    path = run.directory / f"vm-{name}.pcapng"
    received = read_capture(path)
    delivered, generated = [], []
    for packet in received:
        labels = [c for c in packet.comments if c == "generated" or c.startswith("frame ")]
        if len(labels) != 1:
            report.differs(check, f"packet {packet.index} has comments {packet.comments}, not one of \"frame N\", \"generated\"")
        elif labels[0] == "generated":
            generated.append(packet.data)
        else:
            delivered.append((int(labels[0][6:]), packet.data))
    run.arrived.update(index for index, _ in delivered)
    expected = [f for f in run.fates if f.receiver == name and f.kind in ("sealed", "clear", "local", "fragmented")]
    by_index = {fate.index: fate for fate in expected}
    for index in dict.fromkeys(i for i, _ in delivered if i not in by_index):
        known = index < len(run.fates)
        report.differs(check, f"frame {index} must not arrive here: {run.fates[index] if known else 'no such frame'}")
    arrivals = Counter(i for i, _ in delivered)
    for index, fate in by_index.items():
        if not arrivals[index] and not run.impaired:
            report.differs(check, f"frame {index} from {fate.sender} is missing ({fate.kind})")
        if arrivals[index] > 1 and fate.kind != "fragmented":
            report.differs(check, f"frame {index} arrived {arrivals[index]} times")
    for index, octets in delivered:
        if index in by_index and by_index[index].kind != "fragmented":
            original = run.packets[index].data
            if octets != original:
                where = next((i for i, (a, b) in enumerate(zip(original, octets)) if a != b), min(len(original), len(octets)))
                report.differs(check, f"frame {index} differs from octet {where} on ({len(original)} sent, {len(octets)} received)")
    if not report.counts[check] and not run.impaired:
        compare = compare_flows if run.timed else compare_sequences
        compare(run, report, check, expected, [(f"frame {i}", data) for i, data in delivered])
    check_generated(run, report, check, name, generated)
    run_says = run.summary["vms"].get(name, {})
    report.equal(check, "received", len(received), run_says.get("received"))
    report.equal(check, "sent", sum(f.sender == name for f in run.fates), run_says.get("sent"))
    report.done(check, f"{len(delivered)} frames in order and byte for byte, {len(generated)} made by the NIC")
    return len(generated)


def kind_of_answer(frame):
    """(kind, address asked about, octets right) of a frame that the NIC made."""
    facts = look_at(frame)
    if facts.kind == "arp" and facts.arp_operation == 2:
        return "arp", str(facts.source), not facts.malformed
    if facts.malformed or not facts.icmp:
        return "unknown", "", False
    if facts.kind == "ipv4":
        kind = "too_big" if facts.icmp[:2] == b"\x03\x04" else "unknown"
        return kind, "", ones_sum(facts.icmp) == 0xFFFF
    pseudo = facts.source.packed + facts.destination.packed + len(facts.icmp).to_bytes(4) + b"\0\0\0\x3a"
    right = ones_sum(pseudo + facts.icmp) == 0xFFFF
    kind = {136: "neighbour", 134: "router", 2: "too_big"}.get(facts.icmp[0], "unknown")
    asked = str(ip_address(facts.icmp[8:24])) if kind == "neighbour" and len(facts.icmp) >= 24 else ""
    return kind, asked, right and (facts.hop_limit == 255 or kind == "too_big")


def check_generated(run, report, check, name, generated):
    wanted = Counter((f.answer, f.asked) for f in run.fates if f.sender == name and f.answer)
    got = Counter()
    for number, frame in enumerate(generated):
        kind, asked, right = kind_of_answer(frame)
        got[kind, asked] += 1
        if not right:
            report.differs(check, f"generated frame {number} ({kind}) is wrong inside: {frame.hex()}")
    too_big, most = got.pop(("too_big", ""), 0), wanted.pop(("too_big", ""), 0)
    if not min(most, 1) <= too_big <= most:
        report.differs(check, f"{too_big} packet-too-big answers, expected {min(most, 1)} to {most}")
    for (kind, asked), count in ((wanted - got) + (got - wanted)).items():
        less = wanted[kind, asked] > got[kind, asked]
        report.differs(check, f"{count} {kind} answers {'for ' + asked + ' ' if asked else ''}too {'few' if less else 'many'}")


def check_summary(run, report, generated):
    expected = totals(run.scenario, run.fates)
    frames, drops, accounting = (run.summary[part] for part in ("frames", "drops", "accounting"))
    cut = any(fate.kind == "fragmented" for fate in run.fates)
    exact = ("capture", "not_in_scenario", "submitted", "consumed", "host", "local") if run.impaired else expected["frames"]
    for name in exact:
        if not (cut and name == "local"):
            report.equal("summary", f"frames.{name}", expected["frames"][name], frames.get(name))
    for reason in sorted(set(expected["drops"]) | set(drops)):
        if not run.impaired or reason in expected["drops"]:
            report.equal("summary", f"drops.{reason}", expected["drops"].get(reason, 0), drops.get(reason, 0))
    report.equal("summary", "frames.delivered", len(run.arrived), frames.get("delivered"))
    ends = ("sealed", "clear", "local", "consumed", "host", "dropped", "lost")
    report.equal("summary", "frames.submitted by fate", frames.get("submitted"), sum(frames.get(name, 0) for name in ends))
    if not cut:
        report.equal("summary", "frames.generated", generated, frames.get("generated"))
    a = accounting
    ins, outs = ("in", "generated", "copied"), ("delivered", "sent", "consumed", "punted", "dropped", "held")
    report.equal("summary", "accounting.balanced", True, a.get("balanced"))
    report.equal("summary", "accounting: in + generated + copied", sum(a[o] for o in outs), sum(a[i] for i in ins))
    report.equal("summary", "accounting.dropped", sum(drops.values()), a["dropped"])
    report.equal("summary", "accounting.generated", frames.get("generated"), a["generated"])
    if not cut and not run.impaired:
        outside = sum(fate.kind == "outside" for fate in run.fates)
        on_wire = expected["frames"]["sealed"] + expected["frames"]["clear"]
        report.equal("summary", "accounting.in", expected["frames"]["submitted"] + on_wire - outside, a["in"])
        report.equal("summary", "accounting.sent", on_wire, a["sent"])
        report.equal("summary", "accounting.delivered", expected["frames"]["delivered"] + generated, a["delivered"])
        report.equal("summary", "accounting.consumed", expected["frames"]["consumed"], a["consumed"])
        report.equal("summary", "accounting.punted", expected["frames"]["host"], a["punted"])
        report.equal("summary", "accounting.held", 0, a["held"])
    for said in run.summary.get("frame_fates") or []:
        fate = run.fates[said["index"]]
        mine = {"fate": wire_kind(fate) or fate.kind, "from": fate.sender, "to": fate.receiver, "reason": fate.reason}
        for key in ("fate", "from", "to", "reason"):
            if key in said and (said[key] or "") != mine[key] and not run.impaired:
                report.differs("frame_fates", f"frame {fate.index}: {key} expected {mine[key]!r}, the run says {said[key]!r}")
    if run.summary.get("frame_fates"):
        report.done("frame_fates", f"{len(run.summary['frame_fates'])} frames")
    counts = ", ".join(f"{k} {v}" for k, v in expected["frames"].items() if v)
    report.done("summary", f"{counts}; drops {sum(expected['drops'].values())}")


def check_wire(run, report, key_file):
    """Every datagram opens, and gives the frames that had to be sealed, in order, between the right hosts."""
    packets = read_capture(run.directory / "wire.pcapng")
    got = {"sealed": [], "clear": []}
    for packet, kind, _, vni, what in open_wire(packets, key_file):
        if kind == "bad" and run.impaired and what != "NONCE USED TWICE":
            continue  # a repeated or corrupted datagram, as asked for
        if kind == "bad":
            report.differs("wire", f"datagram {packet.index}: {what}")
        else:
            got[kind].append((packet, vni, what))
    for kind in got:
        goes = [f for f in run.fates if wire_kind(f) == kind]
        if not run.impaired:
            report.equal("wire", f"summary's {kind} datagrams", len(got[kind]), run.summary["wire"][kind])
        else:
            surplus = Counter(w for _, _, w in got[kind]) - Counter(run.packets[f.index].data for f in goes)
            if surplus and not any(f.kind == "fragmented" for f in goes):
                report.differs("wire", f"{surplus.total()} {kind} frames on the wire that don't belong there")
            continue
        if run.timed:
            by_label = {f"{kind} datagram {p.index}": (p, vni) for p, vni, _ in got[kind]}
            frames = [(f"{kind} datagram {p.index}", w) for p, _, w in got[kind]]
            for fate, label in compare_flows(run, report, "wire", goes, frames):
                check_outer(run, report, fate, *by_label[label])
            continue
        compare_sequences(run, report, "wire", goes, [(f"{kind} datagram {p.index}", w) for p, _, w in got[kind]])
        if len(goes) == len(got[kind]):
            for fate, (packet, vni, _) in zip(goes, got[kind]):
                check_outer(run, report, fate, packet, vni)
    if not run.impaired:
        report.equal("wire", "summary's datagrams", len(packets), run.summary["wire"]["datagrams"])
    report.done("wire", f"{len(packets)} datagrams: {len(got['sealed'])} sealed and opened, {len(got['clear'])} clear, nothing else")


def wire_kind(fate):
    if fate.kind in ("sealed", "clear", "outside"):
        return "sealed" if fate.kind == "sealed" else "clear"
    if fate.kind == "fragmented":
        return "sealed" if fate.code == "X" else "clear"
    return ""


def check_outer(run, report, fate, packet, vni):
    """The datagram goes from the sender's host to the receiver's (or the gateway), with the VNI of the receiving end."""
    sender = run.scenario.vms[fate.sender]
    receiver = run.scenario.vms.get(fate.receiver)
    try:
        source, target = split_datagram(packet.data)[:2]
    except WireError as why:
        report.differs("wire", f"datagram {packet.index}: {why}")
        return
    there = [str(pa) for pa in receiver.host.pa] if receiver else [str(sender.vnet.gateway)]
    if source not in [str(pa) for pa in sender.host.pa] or target not in there:
        report.differs("wire", f"frame {fate.index} went from {source} to {target}")
    if receiver:
        report.equal("wire", f"VNI of frame {fate.index}", receiver.vnet.vni, vni)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("scenario")
    arguments.add_argument("out", type=Path)
    arguments.add_argument("keys", nargs="?", help="without it the wire isn't opened")
    arguments.add_argument("--capture", help="instead of the scenario's own")
    arguments.add_argument("--impaired", action="store_true",
                           help="the wire lost, repeated or corrupted datagrams: frames may be missing, never doubled or changed")
    arguments.add_argument("--timed", action="store_true",
                           help="the NICs took time: flows may have overtaken each other, frames of one flow not")
    options = arguments.parse_args()
    report = Report()
    try:
        scenario = Scenario(options.scenario)
        capture = options.capture or scenario.capture
        if capture is None:
            raise ScenarioError("the scenario names no capture: give --capture")
        packets = read_capture(capture)
        require_ethernet(capture, packets)
        summary = json.loads((options.out / "summary.json").read_text())
        run = Run(scenario, packets, expected_fates(scenario, packets), summary, options.out, options.impaired, options.timed)
        generated = sum(check_vm(run, report, name) for name in scenario.vms)
        check_summary(run, report, generated)
        if options.keys:
            check_wire(run, report, json.loads(Path(options.keys).read_text()))
        else:
            print("wire: not opened, no key file given")
    except (CaptureError, ScenarioError, OSError, KeyError, ValueError) as why:
        print(f"check_run: {type(why).__name__}: {why}", file=sys.stderr)
        return 1
    wrong = report.counts.total()
    print(f"{wrong} differences" if wrong else "everything as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
