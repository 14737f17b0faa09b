"""Computes from a scenario and its capture what must happen to every frame, independently of the device.

    python3 tests/oracle/expect.py SCENARIO.toml [--capture FILE] [--json]
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address

from capture_file import CaptureError, read_capture, require_ethernet
from frame_facts import ICMPV6, UDP, look_at
from policy_table import decide
from scenario_model import OUTSIDE, Scenario, ScenarioError, Vm, is_multicast

ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION = 133, 135


@dataclass
class Fate:
    """What becomes of one frame of the capture.

    `kind`: "not_in_scenario", "sealed", "clear" (to a VM), "outside" (clear, to a gateway), "local", "fragmented" (cut, then
    sent as `code` says), "consumed" (answered), "host", or "dropped" with `reason`. `answer` is the kind of frame the NIC
    makes for the sender: "arp", "neighbour", "router", "too_big" (may be withheld by its rate limit), or "".
    """

    index: int
    kind: str
    sender: str = ""
    receiver: str = ""
    reason: str = ""
    code: str = ""
    answer: str = ""
    asked: str = ""


def sender_of(scenario, facts):
    """The VM at whose port a frame goes in, or None."""
    if facts.kind in ("arp", "ipv4", "ipv6") and facts.source is not None:
        owner = scenario.owner(facts.source)
        if owner:
            return owner
    return scenario.by_mac(facts.source_mac)


def answered(scenario, vm, target):
    """Whether the NIC answers for `target`: a VM's address, or one beyond the gateway.

    Never about the asker's own address: an answer to duplicate address detection (RFC 4862 section 5.4, RFC 5227 section 2.1)
    would take that address from the VM.
    """
    if vm.owns(target):
        return False
    found = scenario.destination(vm.vnet, target)
    return isinstance(found, Vm) or found == OUTSIDE


def fate_in_nic(scenario, vm, facts, frame_len):
    """The checks of a frame from a VM, first hit decides: fields of `Fate` beyond index and sender."""

    def drop(reason):
        return {"kind": "dropped", "reason": reason}

    if facts.kind == "short":
        return drop("Malformed")
    if facts.kind == "other":
        return drop("NotIp")
    if facts.source_mac[0] & 1 or (vm.mac is not None and vm.mac != facts.source_mac):
        return drop("SpoofedMac")
    to_many = bool(facts.target_mac[0] & 1)
    if facts.malformed:
        return drop("Malformed")
    if facts.kind == "arp":
        if facts.arp_operation == 1 and answered(scenario, vm, facts.destination):
            return {"kind": "consumed", "answer": "arp", "asked": str(facts.destination)}
        return drop("Multicast" if to_many else "NotIp")
    if facts.protocol == UDP and facts.ports:
        dhcp4 = facts.kind == "ipv4" and facts.ports == (68, 67) and not facts.destination.is_multicast
        if dhcp4 or (facts.kind == "ipv6" and facts.ports == (546, 547)):
            return {"kind": "host"}
    if facts.kind == "ipv6" and facts.protocol == ICMPV6 and facts.icmp and facts.hop_limit == 255:
        answer = solicitation(scenario, vm, facts.icmp)
        if answer:
            return answer
    if to_many or is_multicast(facts.destination):
        return drop("Multicast")
    if facts.source.is_unspecified or not vm.owns(facts.source):
        return drop("SpoofedAddress")
    if facts.ip_len > vm.mtu:
        return drop("FrameTooLong")
    return forwarded(scenario, vm, facts, frame_len)


def solicitation(scenario, vm, icmp):
    """Router and neighbour solicitations (RFC 4861 sections 6.1.1 and 7.1.1) that the NIC answers, else None."""
    if icmp[0] == ROUTER_SOLICITATION and icmp[1] == 0 and len(icmp) >= 8:
        return {"kind": "consumed", "answer": "router"}
    if icmp[0] == NEIGHBOUR_SOLICITATION and icmp[1] == 0 and len(icmp) >= 24:
        target = ip_address(icmp[8:24])
        if not target.is_multicast and answered(scenario, vm, target):
            return {"kind": "consumed", "answer": "neighbour", "asked": str(target)}
    return None


def forwarded(scenario, vm, facts, frame_len):
    """Mapping, policy, underlay MTU."""
    found = scenario.destination(vm.vnet, facts.destination)
    receiver = found if isinstance(found, Vm) else None
    if receiver is None and found != OUTSIDE:
        return {"kind": "dropped", "reason": "NoMapping"}
    port = facts.ports[1] if facts.ports else None
    code, fate = decide(scenario, vm, receiver, facts.destination, facts.protocol, port)
    to = receiver.name if receiver else ""
    if fate == "local":
        return {"kind": "local", "receiver": to, "code": code}
    if fate not in ("sealed", "clear"):
        return {"kind": "dropped", "reason": fate, "code": code}
    outer = scenario.record_overhead() if fate == "sealed" else scenario.clear_outer() + 8
    if frame_len + outer > vm.host.underlay_mtu:
        if facts.kind == "ipv6" or facts.dont_fragment:
            return {"kind": "dropped", "reason": "PacketTooBig", "answer": "too_big", "code": code}
        return {"kind": "fragmented", "receiver": to, "code": code}
    return {"kind": fate if receiver else "outside", "receiver": to, "code": code}


def expected_fates(scenario, packets):
    fates = []
    for packet in packets:
        facts = look_at(packet.data)
        vm = sender_of(scenario, facts)
        if vm is None:
            fates.append(Fate(packet.index, "not_in_scenario"))
        else:
            fates.append(Fate(packet.index, sender=vm.name, **fate_in_nic(scenario, vm, facts, len(packet.data))))
    return fates


def totals(scenario, fates):
    """The parts of summary.json that follow from the fates. A frame that the NIC cuts counts like one that it doesn't."""
    kinds = Counter(fate.kind for fate in fates)
    cut = [fate for fate in fates if fate.kind == "fragmented"]
    cut_and_sealed = sum(fate.code == "X" for fate in cut)
    drops = Counter(fate.reason for fate in fates if fate.kind == "dropped")
    frames = {
        "capture": len(fates),
        "not_in_scenario": kinds["not_in_scenario"],
        "submitted": len(fates) - kinds["not_in_scenario"],
        "delivered": kinds["sealed"] + kinds["clear"] + kinds["local"] + sum(bool(fate.receiver) for fate in cut),
        "sealed": kinds["sealed"] + cut_and_sealed,
        "clear": kinds["clear"] + kinds["outside"] + len(cut) - cut_and_sealed,
        "local": kinds["local"],
        "consumed": kinds["consumed"],
        "host": kinds["host"],
        "dropped": kinds["dropped"],
    }
    vms = {}
    for name in scenario.vms:
        indexes = [f.index for f in fates if f.receiver == name and f.kind in ("sealed", "clear", "local")]
        sent = sum(f.sender == name for f in fates)
        answers = sum(f.sender == name and f.kind == "consumed" for f in fates)
        vms[name] = {"sent": sent, "received": len(indexes) + answers, "frames": indexes}
    return {"frames": frames, "drops": dict(sorted(drops.items())), "vms": vms}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("scenario")
    arguments.add_argument("--capture", help="instead of the scenario's own")
    arguments.add_argument("--json", action="store_true", help="everything, each frame's fate included")
    options = arguments.parse_args()
    try:
        scenario = Scenario(options.scenario)
        capture = options.capture or scenario.capture
        if capture is None:
            raise ScenarioError("the scenario names no capture: give --capture")
        packets = read_capture(capture)
        require_ethernet(capture, packets)
        fates = expected_fates(scenario, packets)
    except (CaptureError, ScenarioError, OSError) as why:
        print(f"expect: {why}", file=sys.stderr)
        return 1
    result = totals(scenario, fates)
    if options.json:
        result["fates"] = [{k: v for k, v in vars(fate).items() if v != ""} for fate in fates]
        json.dump(result, sys.stdout, indent=1)
        print()
        return 0
    print("frames: " + ", ".join(f"{name} {count}" for name, count in result["frames"].items()))
    print("drops: " + (", ".join(f"{name} {count}" for name, count in result["drops"].items()) or "none"))
    for name, vm in result["vms"].items():
        print(f"{name}: sent {vm['sent']}, received {vm['received']} ({len(vm['frames'])} from other VMs)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
