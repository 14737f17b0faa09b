"""A scenario file as the oracle understands it: hosts, VNets, VMs, and who owns which address."""

import tomllib
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path


class ScenarioError(Exception):
    """The scenario contradicts itself; the text says where."""


class PrefixTable:
    """Longest-prefix match; several values may share one prefix."""

    def __init__(self):
        self.by_len = {4: {}, 6: {}}

    def add(self, prefix, value):
        network = ip_network(prefix)
        table = self.by_len[network.version].setdefault(network.prefixlen, {})
        table.setdefault(int(network.network_address), []).append(value)

    def find(self, address):
        """All values of the longest prefix that holds `address`, with that prefix's length; `([], -1)` when none does."""
        bits, number = address.max_prefixlen, int(address)
        for prefix_len in sorted(self.by_len[address.version], reverse=True):
            values = self.by_len[address.version][prefix_len].get(number >> (bits - prefix_len) << (bits - prefix_len))
            if values:
                return values, prefix_len
        return [], -1


@dataclass
class Host:
    name: str
    pa: list
    underlay_mtu: int


@dataclass
class Vnet:
    name: str
    vni: int
    prefixes: list
    encrypted: bool
    drops_unencrypted: bool
    peers: list = field(default_factory=list)
    gateway: object = None
    exclusions: list = field(default_factory=list)
    mappings: PrefixTable = field(default_factory=PrefixTable)


@dataclass
class Vm:
    name: str
    host: Host
    vnet: Vnet
    mac: bytes
    """None: any source MAC is accepted."""
    addresses: list
    mtu: int
    hardware: bool
    ready: bool
    discovery: bool

    def owns(self, address):
        return any(address in network for network in self.addresses)


PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17}


@dataclass
class Exclusion:
    prefix: object
    protocol: object
    port: object

    def matches(self, destination, protocol, destination_port):
        """`destination_port` is None where the frame shows none (fragments, ICMP)."""
        if destination not in self.prefix:
            return False
        if self.protocol == "icmp":
            if protocol != (1 if destination.version == 4 else 58):
                return False
        elif self.protocol is not None and protocol != PROTOCOL_NUMBERS.get(self.protocol, self.protocol):
            return False
        return self.port is None or self.port == destination_port


UNREACHABLE = "unreachable"
OUTSIDE = "outside"


class Scenario:
    """Everything of the file that decides a frame's fate."""

    def __init__(self, path):
        path = Path(path)
        with open(path, "rb") as file:
            text = tomllib.load(file)
        association = text.get("association", {})
        self.dtls = association.get("dtls", "1.3")
        self.cid_len = association.get("connection_id", 8)
        self.underlay = {"ipv4": 4, "ipv6": 6}[association.get("underlay", "ipv4")]
        self.states = {frozenset(s["hosts"]): s["state"] for s in association.get("state", [])}
        self.hosts = {
            h["name"]: Host(h["name"], [ip_address(a) for a in h["pa"]], h.get("underlay_mtu", 1700))
            for h in text.get("host", [])
        }
        self.vnets = {}
        for v in text.get("vnet", []):
            encryption = v.get("encryption", {})
            self.vnets[v["name"]] = Vnet(
                v["name"],
                v["vni"],
                [ip_network(p) for p in v.get("prefixes", [])],
                encryption.get("enabled", False),
                encryption.get("enforcement", "AllowUnencrypted") == "DropUnencrypted",
            )
        for peering in text.get("peering", []):
            one, other = (self._vnet(name) for name in peering["vnets"])
            one.peers.append(other)
            other.peers.append(one)
        self.vms = {v["name"]: self._vm(v) for v in text.get("vm", [])}
        for e in text.get("exclusion", []):
            exclusion = Exclusion(ip_network(e["prefix"]), e.get("protocol"), e.get("port"))
            self._vnet(e["vnet"]).exclusions.append(exclusion)
        for g in text.get("gateway", []):
            self._vnet(g["vnet"]).gateway = ip_address(g["pa"])
        self.capture = None
        if "traffic" in text:
            self.capture = path.parent / text["traffic"]["capture"]
        self._fill_tables()

    def _vnet(self, name):
        if name not in self.vnets:
            raise ScenarioError(f"no VNet named {name!r}")
        return self.vnets[name]

    def _vm(self, v):
        if v["host"] not in self.hosts:
            raise ScenarioError(f"VM {v['name']!r}: no host named {v['host']!r}")
        mac = v.get("mac", "any")
        return Vm(
            v["name"],
            self.hosts[v["host"]],
            self._vnet(v["vnet"]),
            None if mac == "any" else bytes.fromhex(mac.replace(":", "")),
            [ip_network(a) for a in v["addresses"]],
            v.get("mtu", 1500),
            v.get("accelerated_networking", True) and v.get("supported_sku", True),
            v.get("ready", True),
            v.get("discovery", True),
        )

    def _fill_tables(self):
        self.owners = PrefixTable()
        for vm in self.vms.values():
            for network in vm.addresses:
                self.owners.add(network, vm)
        for vnet in self.vnets.values():
            # Where prefixes are equal the first entry wins: own VMs, then peers', then what nobody has.
            for space in (vnet, *vnet.peers):
                for vm in self.vms.values():
                    if vm.vnet is space:
                        for network in vm.addresses:
                            vnet.mappings.add(network, vm)
            for space in (vnet, *vnet.peers):
                for network in space.prefixes:
                    vnet.mappings.add(network, UNREACHABLE)
            if vnet.gateway is not None:
                vnet.mappings.add("0.0.0.0/0", OUTSIDE)
                vnet.mappings.add("::/0", OUTSIDE)

    def owner(self, address):
        """The VM that owns a source address, over all VNets, or None."""
        owners, prefix_len = self.owners.find(address)
        if len(owners) > 1:
            names = ", ".join(vm.name for vm in owners)
            raise ScenarioError(f"{address} (/{prefix_len}) belongs to more than one VM: {names}")
        return owners[0] if owners else None

    def by_mac(self, mac):
        """The only VM with this MAC, or None."""
        vms = [vm for vm in self.vms.values() if vm.mac == mac]
        return vms[0] if len(vms) == 1 else None

    def destination(self, vnet, address):
        """A VM, `OUTSIDE`, `UNREACHABLE`, or None: what the mappings of `vnet` say of `address`."""
        values, _ = vnet.mappings.find(address)
        found = values[0] if values else None
        # Addresses of one link or one host are never outside.
        if found == OUTSIDE and (address.is_link_local or address.is_loopback):
            return UNREACHABLE
        return found

    def record_overhead(self):
        """Octets that sealing adds to a VM's frame, outer IP header included (design: section 4's table)."""
        cid = self.cid_len
        if self.dtls == "1.2":
            record = 13 + cid + 8 + (1 if cid else 0) + 16
        else:
            record = 1 + cid + 2 + 1 + 16
        return 8 + record + self.clear_outer()

    def clear_outer(self):
        """Outer IP and UDP headers."""
        return 8 + (20 if self.underlay == 4 else 40)

    def association_state(self, one, other):
        return self.states.get(frozenset((one.name, other.name)), "ready")


def is_multicast(address):
    """224/4, 255.255.255.255, ff00::/8."""
    limited_broadcast = address.version == 4 and int(address) == 0xFFFFFFFF
    return address.is_multicast or limited_broadcast


