"""Checks a run's flow log (Azure VNet flow log, version 4) against the format and against the capture, flow by flow.

    python3 tests/oracle/check_flow_log.py SCENARIO.toml OUT_DIR [--capture FILE] [--impaired]

Every packet that a VM handed to its NIC and that policy let go is in exactly one tuple of that VM's log, and so is every
packet that the VM received; denied flows have their own tuples, without statistics. Exit status 0 when nothing differs.
"""

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from ipaddress import ip_address
from pathlib import Path

from capture_file import CaptureError, read_capture, require_ethernet
from check_run import Report
from expect import expected_fates
from frame_facts import TCP, UDP, look_at
from scenario_model import Scenario, ScenarioError

CODES = {
    "X", "NX", "NX_HW_NOT_SUPPORTED", "NX_SW_NOT_READY", "NX_NOT_ACCEPTED", "NX_NOT_SUPPORTED", "NX_LOCAL_DST", "NX_FALLBACK",
}
RECORD_FIELDS = {
    "time": str, "flowLogVersion": int, "flowLogGUID": str, "macAddress": str, "category": str, "flowLogResourceID": str,
    "targetResourceID": str, "operationName": str, "flowRecords": dict,
}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
NUMBER = re.compile(r"0|[1-9]\d*")
UNSPECIFIED = "unspecified"


class Tuple:
    """One tuple: source is who began the flow. Raises ValueError where the text is not exactly as the format has it."""

    def __init__(self, text):
        fields = text.split(",")
        if len(fields) != 13:
            raise ValueError(f"{len(fields)} fields, not 13")
        self.source, self.target = (ip_address(field) for field in fields[1:3])
        if [str(self.source), str(self.target)] != fields[1:3] or self.source.version != self.target.version:
            raise ValueError("addresses are of two families, or not as RFC 5952 writes them")
        for field in (fields[0], *fields[3:6], *fields[9:]):
            if not NUMBER.fullmatch(field):
                raise ValueError(f"{field!r} is no number")
        self.time_ms, self.source_port, self.target_port, self.protocol = (int(fields[i]) for i in (0, 3, 4, 5))
        self.direction, self.state, self.code = fields[6:9]
        self.statistics = tuple(int(field) for field in fields[9:])
        if max(self.source_port, self.target_port) > 0xFFFF or self.protocol > 0xFF:
            raise ValueError("port or protocol out of range")
        if self.protocol not in (TCP, UDP) and (self.source_port or self.target_port):
            raise ValueError("ports of a protocol that has none")
        if self.direction not in ("I", "O") or self.state not in ("B", "C", "E", "D") or self.code not in CODES:
            raise ValueError("direction, state or encryption")
        if self.state in ("B", "D") and any(self.statistics):
            raise ValueError("statistics where a flow begins or is denied")
        if self.state == "D" and self.code == "X":
            raise ValueError("denied, and encrypted")
        sent, sent_octets, received, received_octets = self.statistics
        if sent_octets < 14 * sent or received_octets < 14 * received or (sent_octets and not sent):
            raise ValueError("octets without packets, or too few")

    def ends(self):
        """(VM's address and port, peer's address and port, protocol)."""
        source, target = (self.source, self.source_port), (self.target, self.target_port)
        return (source, target, self.protocol) if self.direction == "O" else (target, source, self.protocol)


def tuples_of(document, report):
    """All tuples as (MAC, tuple) in the file's order; everything around them is checked on the way."""
    found, last = [], None
    if not isinstance(document, dict) or set(document) != {"records"}:
        report.differs("format", "the file is not one object with records")
        return found
    for number, record in enumerate(document["records"]):
        where = f"record {number}"
        shape = {name: type(value) for name, value in record.items()}
        if shape != RECORD_FIELDS:
            report.differs("format", f"{where} has other fields: {sorted(set(record) ^ set(RECORD_FIELDS)) or shape}")
            continue
        names_right = record["category"] == record["operationName"] == "FlowLogFlowEvent"
        if record["flowLogVersion"] != 4 or not names_right or not GUID.fullmatch(record["flowLogGUID"]):
            report.differs("format", f"{where}: version, category, operation name or GUID")
        if not TIME.fullmatch(record["time"]) or not re.fullmatch("[0-9A-F]{12}", record["macAddress"]):
            report.differs("format", f"{where}: time or MAC")
        if record["flowLogResourceID"] != record["flowLogResourceID"].upper():
            report.differs("format", f"{where}: the resource is not in upper case")
        order = (record["time"], record["macAddress"])
        if last is not None and order <= last:
            report.differs("format", f"{where} does not come after the one before it: {last}, {order}")
        last = order
        if set(record["flowRecords"]) != {"flows"}:
            report.differs("format", f"{where}: flowRecords")
            continue
        for flows in record["flowRecords"]["flows"]:
            if set(flows) != {"aclID", "flowGroups"} or not flows["flowGroups"]:
                report.differs("format", f"{where}: flows")
                continue
            for group in flows["flowGroups"]:
                found += group_tuples(record, flows["aclID"], group, where, report)
    return found


def group_tuples(record, acl, group, where, report):
    if set(group) != {"rule", "flowTuples"} or not group["flowTuples"]:
        report.differs("format", f"{where}: a flow group")
        return []
    found, time_ms = [], 0
    for text in group["flowTuples"]:
        try:
            parsed = Tuple(text)
        except ValueError as why:
            report.differs("format", f"{where}, {text!r}: {why}")
            continue
        denied = [name == UNSPECIFIED for name in (acl, group["rule"])]
        if denied != [parsed.state == "D"] * 2:
            report.differs("format", f"{where}, {text!r}: under rule {acl}, {group['rule']}")
        if parsed.time_ms < time_ms:
            report.differs("format", f"{where}, {text!r}: is older than the tuple before it")
        time_ms = parsed.time_ms
        found.append((record["macAddress"], parsed))
    return found


def check_states(tuples, report):
    """Begin, then continuations, then end; each flow ends, as the run does."""
    going = {}
    for mac, parsed in tuples:
        if parsed.state == "D":
            continue
        flow = (mac, parsed.direction, *parsed.ends())
        if (parsed.state == "B") == going.get(flow, False):
            what = "begins twice" if parsed.state == "B" else "goes on before it begins"
            report.differs("states", f"{mac}: flow {shown(flow[2:])} {what}")
        going[flow] = parsed.state != "E"
    for flow, open_ in going.items():
        if open_:
            report.differs("states", f"{flow[0]}: flow {shown(flow[2:])} never ends")
    report.done("states", f"{len(going)} flows begin, go on and end in this order")


def shown(flow):
    (vm, vm_port), (peer, peer_port), protocol = flow
    return f"{vm} port {vm_port}, {peer} port {peer_port}, protocol {protocol}"


def vm_of(scenario, mac, parsed):
    """The VM whose log a tuple is in."""
    octets, address = bytes.fromhex(mac), parsed.ends()[0][0]
    vms = [vm for vm in scenario.vms.values() if vm.mac in (octets, None) and vm.owns(address)]
    return next((vm for vm in vms if vm.mac == octets), vms[0] if vms else None)


class Flow:
    """What is known of one flow at one VM, from the log or from the capture."""

    def __init__(self):
        self.statistics = [0, 0, 0, 0]
        """Packets and octets from the VM, packets and octets to it."""
        self.codes = set()
        self.denied = Counter()
        """Times by encryption code."""
        self.is_cut = False
        """The NIC cut some of its packets: how many came of it isn't known here."""

    def add(self, at, packets, octets):
        self.statistics[at] += packets
        self.statistics[at + 1] += octets


def logged_flows(scenario, tuples, report):
    flows = defaultdict(Flow)
    for mac, parsed in tuples:
        vm = vm_of(scenario, mac, parsed)
        if vm is None:
            report.differs("flows", f"the VM with MAC {mac} has no address {parsed.ends()[0][0]}")
            continue
        flow = flows[vm.name, parsed.ends()]
        if parsed.state == "D":
            flow.denied[parsed.code] += 1
            continue
        flow.codes.add(parsed.code)
        outbound = parsed.direction == "O"
        flow.add(0 if outbound else 2, *parsed.statistics[:2])
        flow.add(2 if outbound else 0, *parsed.statistics[2:])
    return flows


def expected_flows(packets, fates):
    flows = defaultdict(Flow)
    for packet, fate in zip(packets, fates):
        if not fate.code:
            continue  # not in the scenario, answered, or dropped before any decision
        facts = look_at(packet.data)
        source_port, target_port = facts.ports or (0, 0)
        ends = [(facts.source, source_port), (facts.destination, target_port)]
        sender = flows[fate.sender, (*ends, facts.protocol)]
        if fate.kind == "dropped" and fate.reason != "PacketTooBig":
            sender.denied[fate.code] += 1
            continue
        touched = [(sender, 0)]
        if fate.kind != "dropped" and fate.receiver:
            touched.append((flows[fate.receiver, (*reversed(ends), facts.protocol)], 2))
        if fate.kind == "fragmented":
            # All pieces but those of a fragmented packet are in a flow of their own, which shows no ports.
            for vm, (one, other) in ((fate.sender, ends), (fate.receiver, reversed(ends))):
                touched.append((flows[vm, ((one[0], 0), (other[0], 0), facts.protocol)], 0))
        for flow, at in touched:
            flow.add(at, 1, len(packet.data))
            flow.codes.add(fate.code)
            flow.is_cut |= fate.kind == "fragmented"
    return flows


def check_flows(expected, logged, impaired, report):
    packets = 0
    for name in sorted(set(expected) | set(logged), key=str):
        vm, ends = name
        want, got = expected.get(name, Flow()), logged.get(name, Flow())
        where = f"{vm}: flow {shown(ends)}"
        if set(got.denied) != set(want.denied):
            report.differs("flows", f"{where}: denied as {sorted(got.denied)}, expected {sorted(want.denied)}")
        packets += got.statistics[0] + got.statistics[2]
        if want.is_cut:
            if not got.codes <= want.codes:
                report.differs("flows", f"{where}: encryption {sorted(got.codes)}, expected {sorted(want.codes)}")
            continue
        if impaired:
            # What the wire did to the way to the VM isn't known here, but nothing can come out of nothing.
            right = got.statistics[:2] == want.statistics[:2] and got.statistics[2] <= want.statistics[2]
        else:
            right = got.statistics == want.statistics
        if not right:
            report.differs("flows", f"{where}: {got.statistics} packets and octets from and to the VM, expected {want.statistics}")
        if not got.codes <= want.codes or (not impaired and got.codes != want.codes):
            report.differs("flows", f"{where}: encryption {sorted(got.codes)}, expected {sorted(want.codes)}")
    report.done("flows", f"{packets} packets in {len(logged)} flows, as in the capture")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("scenario")
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--capture", help="instead of the scenario's own")
    arguments.add_argument("--impaired", action="store_true", help="the wire lost, repeated or corrupted datagrams")
    options = arguments.parse_args()
    report = Report()
    try:
        scenario = Scenario(options.scenario)
        capture = options.capture or scenario.capture
        if capture is None:
            raise ScenarioError("the scenario names no capture: give --capture")
        packets = read_capture(capture)
        require_ethernet(capture, packets)
        document = json.loads((options.out / "flow-log.json").read_text())
        summary = json.loads((options.out / "summary.json").read_text())
        tuples = tuples_of(document, report)
        report.equal("format", "flow_log_tuples", len(tuples), summary["flow_log_tuples"])
        report.done("format", f"{len(tuples)} tuples in {len(document['records'])} records")
        check_states(tuples, report)
        expected = expected_flows(packets, expected_fates(scenario, packets))
        check_flows(expected, logged_flows(scenario, tuples, report), options.impaired, report)
    except (CaptureError, ScenarioError, OSError, KeyError, TypeError, ValueError) as why:
        print(f"check_flow_log: {type(why).__name__}: {why}", file=sys.stderr)
        return 1
    wrong = report.counts.total()
    print(f"{wrong} differences" if wrong else "everything as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
