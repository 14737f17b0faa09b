"""Makes a two-host scenario for any Ethernet capture: its unicast addresses are split over two VMs.

    python3 tests/oracle/scenario_for.py CAPTURE [--dtls 1.2] [--cipher AES-128-GCM] [--cid 0] > scenario.toml

Who talks to whom is a graph of addresses; it is coloured greedily, busiest first, so that as many packets as possible cross
from one VM to the other. Past 2,000 addresses, prefixes are coloured instead. Frames that no VNet carries (multicast, ARP
replies, not IP, malformed) stay in the capture on purpose.
"""

import argparse
import os
import sys
from collections import Counter, defaultdict
from ipaddress import ip_network

from capture_file import CaptureError, read_capture, require_ethernet
from frame_facts import look_at
from scenario_model import is_multicast

MAX_ADDRESSES = 2000
LARGEST_MTU = 9000


def unicast(address):
    return not (is_multicast(address) or address.is_unspecified)


def conversations(packets):
    """Packets per pair of unicast addresses, addresses seen as sources only, and the largest IP packet."""
    pairs, lonely, largest = Counter(), Counter(), 0
    for packet in packets:
        facts = look_at(packet.data)
        if facts.kind not in ("ipv4", "ipv6") or facts.source is None or not unicast(facts.source):
            continue
        largest = max(largest, facts.ip_len)
        if facts.target_mac[0] & 1 or not unicast(facts.destination):
            lonely[facts.source] += 1
        else:
            pairs[frozenset((facts.source, facts.destination))] += 1
    return pairs, lonely, largest


def to_prefixes(pairs, lonely):
    """The same with addresses replaced by prefixes, as short as it takes to have at most MAX_ADDRESSES of them."""
    lens = {4: 32, 6: 128}
    while True:
        def prefix(address):
            return ip_network((int(address) if address.version == 6 else str(address), lens[address.version]), strict=False)

        coarse_pairs, coarse_lonely = Counter(), Counter()
        for pair, count in pairs.items():
            coarse_pairs[frozenset(prefix(address) for address in pair)] += count
        for address, count in lonely.items():
            coarse_lonely[prefix(address)] += count
        nodes = set(coarse_lonely).union(*coarse_pairs)
        if len(nodes) <= MAX_ADDRESSES:
            return coarse_pairs, coarse_lonely, nodes
        # Shorten whichever family holds more of them.
        version = 4 if sum(node.version == 4 for node in nodes) * 2 >= len(nodes) else 6
        lens[version] -= 2 if version == 4 else 8


def two_sides(pairs, nodes):
    """Greedy 2-colouring: breadth first from the busiest node, each node opposite to the weight of its placed neighbours."""
    weights = defaultdict(Counter)
    for pair, count in pairs.items():
        if len(pair) == 2:
            one, other = pair
            weights[one][other] += count
            weights[other][one] += count

    def order(node):
        return (-sum(weights[node].values()), node.version, int(node.network_address))

    side = {}
    for start in sorted(nodes, key=order):
        queue = [start]
        for node in queue:
            if node in side:
                continue
            pull = sum(count if side[peer] == "a" else -count for peer, count in weights[node].items() if peer in side)
            side[node] = "b" if pull > 0 else "a"
            queue += sorted((peer for peer in weights[node] if peer not in side), key=order)
    return side


def power_of_two(number):
    return 1 << max(number - 1, 1).bit_length()


def toml_list(values):
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def vm(name, host, addresses, mtu):
    addresses.sort(key=lambda n: (n.version, int(n.network_address)))
    shown = [str(n.network_address) if n.prefixlen == n.max_prefixlen else str(n) for n in addresses]
    return f"""
[[vm]]
name = "{name}"
host = "{host}"
vnet = "blue"
mac = "any"
addresses = {toml_list(shown)}
mtu = {mtu}
"""


def scenario(options, packets):
    pairs, lonely, largest = conversations(packets)
    coarse_pairs, _, nodes = to_prefixes(pairs, lonely)
    if not nodes:
        raise CaptureError(f"{options.capture}: no unicast IP address in it")
    side = two_sides(coarse_pairs, nodes)
    sides = {name: [node for node in nodes if side[node] == name] for name in "ab"}
    if not sides["b"]:
        # Nobody talks to anybody: still two hosts, so that there are two cards to look at.
        sides["b"].append(sides["a"].pop()) if len(sides["a"]) > 1 else sides["b"].append(ip_network("192.0.2.200/32"))
    mtu = min(max(largest, 1500), LARGEST_MTU)
    flows = power_of_two(max(65536, 4 * len(packets)))
    mappings = power_of_two(max(1024, 2 * len(nodes)))
    name = os.path.basename(options.capture).replace('"', "")
    text = f"""# Made by tests/oracle/scenario_for.py for {name}.
name = "{name}"
"""
    for letter, last in (("a", 1), ("b", 2)):
        text += f"""
[[host]]
name = "host-{letter}"
pa = ["192.0.2.{last}", "2001:db8:0:{last}::1"]
underlay_mtu = {options.underlay_mtu}
nic = {{ flows = {flows}, mappings = {mappings} }}
"""
    enabled = "false" if options.no_encryption else "true"
    text += f"""
[[vnet]]
name = "blue"
vni = 100
prefixes = ["0.0.0.0/0", "::/0"]
encryption = {{ enabled = {enabled}, enforcement = "{options.enforcement}" }}
"""
    text += vm("side-a", "host-a", sides["a"], mtu) + vm("side-b", "host-b", sides["b"], mtu)
    return text + f"""
[association]
dtls = "{options.dtls}"
cipher = "{options.cipher}"
connection_id = {options.cid}
underlay = "{options.underlay}"

[traffic]
capture = "{os.path.abspath(options.capture)}"
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("capture", help="pcap or pcapng, Ethernet only")
    arguments.add_argument("--dtls", choices=("1.2", "1.3"), default="1.3")
    arguments.add_argument("--cipher", choices=("AES-128-GCM", "AES-256-GCM"), default="AES-256-GCM")
    arguments.add_argument("--cid", type=int, default=8, help="octets of connection id, 0 for none")
    arguments.add_argument("--enforcement", choices=("DropUnencrypted", "AllowUnencrypted"), default="DropUnencrypted")
    arguments.add_argument("--no-encryption", action="store_true", help="the VNet isn't encrypted")
    arguments.add_argument("--underlay", choices=("ipv4", "ipv6"), default="ipv4")
    arguments.add_argument("--underlay-mtu", type=int, default=9216)
    options = arguments.parse_args()
    if options.no_encryption:
        options.enforcement = "AllowUnencrypted"
    try:
        packets = read_capture(options.capture)
        require_ethernet(options.capture, packets)
        sys.stdout.write(scenario(options, packets))
    except (CaptureError, OSError) as why:
        print(f"scenario_for: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
