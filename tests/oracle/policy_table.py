"""The encryption policy, written as a table and independently of the device: first row that fits decides.

Each row: (situation, outcome where both ends allow clear traffic, outcome where either end demands encryption).
An outcome is (code, fate); a fate is "clear", "local", "sealed" or the name of a drop reason.
"""

CLEAR = ("NX", "clear")
LOCAL = ("NX_LOCAL_DST", "local")

ROWS = [
    ("outside", CLEAR, CLEAR),
    ("same host", LOCAL, LOCAL),
    ("excluded", CLEAR, CLEAR),
    ("not encrypted", CLEAR, ("NX_NOT_ACCEPTED", "NotAccepted")),
    ("hardware", ("NX_HW_NOT_SUPPORTED", "clear"), ("NX_HW_NOT_SUPPORTED", "HwNotSupported")),
    ("not ready", ("NX_SW_NOT_READY", "SwNotReady"), ("NX_SW_NOT_READY", "SwNotReady")),
    ("no discovery", ("NX_NOT_SUPPORTED", "NotSupported"), ("NX_NOT_SUPPORTED", "NotSupported")),
    ("association not ready", ("NX_SW_NOT_READY", "SwNotReady"), ("NX_SW_NOT_READY", "SwNotReady")),
    ("association failed", ("NX_FALLBACK", "clear"), ("NX_NOT_ACCEPTED", "NotAccepted")),
    ("association ready", ("X", "sealed"), ("X", "sealed")),
]


def situations(scenario, sender, receiver, destination, protocol, destination_port):
    """The names of all rows that fit; `receiver` is a VM, or None for the outside."""
    if receiver is None:
        return {"outside"}
    found = {"association ready"}
    if sender.host is receiver.host:
        found.add("same host")
    if any(e.matches(destination, protocol, destination_port) for e in sender.vnet.exclusions):
        found.add("excluded")
    if not (sender.vnet.encrypted and receiver.vnet.encrypted):
        found.add("not encrypted")
    if not (sender.hardware and receiver.hardware):
        found.add("hardware")
    state = scenario.association_state(sender.host, receiver.host)
    if not (sender.ready and receiver.ready):
        found.add("not ready")
    if state == "not-ready":
        found.add("association not ready")
    if not (sender.discovery and receiver.discovery):
        found.add("no discovery")
    if state == "failed":
        found.add("association failed")
    return found


def decide(scenario, sender, receiver, destination, protocol, destination_port):
    """(code, fate) of one frame."""
    found = situations(scenario, sender, receiver, destination, protocol, destination_port)
    ends = [sender.vnet] + ([receiver.vnet] if receiver else [])
    demanded = any(vnet.drops_unencrypted for vnet in ends)
    for name, allowed, enforced in ROWS:
        if name in found:
            return enforced if demanded else allowed
    raise AssertionError("the last row always fits")
