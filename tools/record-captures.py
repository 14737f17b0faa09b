#!/usr/bin/env python3
"""Records real kernel traffic between two network namespaces into a pcapng file, with the standard library and `ip` alone.

    tools/record-captures.py two-hosts|many-flows OUT.pcapng      (as root, on Linux, with iproute2)

Two namespaces are joined by a veth pair whose offloads are off, so that each frame looks as it would on a VM's card:
whole checksums, no segments longer than the MTU. A sniffer at the first namespace's end (the VM's side) writes what
passes in either direction. MACs and addresses are fixed, so that a scenario can name them. Everything is removed on exit.
"""

import contextlib
import ctypes
import fcntl
import functools
import http.server
import os
import random
import selectors
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

LINK = "vm0"
SIDES = {
    "alice": {"mac": "00:0d:3a:00:00:01", "v4": "10.1.0.4", "v6": "fd00:1::4", "pods4": "10.1.4.{}", "pods6": "fd00:1::4:{}"},
    "bob": {"mac": "00:0d:3a:00:00:02", "v4": "10.1.0.5", "v6": "fd00:1::5", "pods4": "10.1.5.{}", "pods6": "fd00:1::5:{}"},
}
PODS = range(1, 5)
# In the address space but nobody's, and outside of it: both get a neighbour entry, so that frames really leave.
NOBODY, OUTSIDE = "10.1.7.7", "198.51.100.7"
HTTP_PORT, BULK_PORT, UPLOAD_PORT, DNS_PORT, ECHO_PORT, SINK_PORT = 80, 5001, 5002, 53, 7, 514
ALICE, BOB = SIDES["alice"], SIDES["bob"]


# ---- the two namespaces -------------------------------------------------------------------------------------------


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def namespaces():
    return {side: f"sealnic-rec-{side}-{os.getpid()}" for side in SIDES}


def python_in(namespace, *words, **more):
    return subprocess.Popen(["ip", "netns", "exec", namespace, sys.executable, os.path.abspath(__file__), *words], **more)


def wait_for_line(process):
    if process.stdout.readline().strip() != b"ready":
        raise SystemExit("record-captures: a child process did not start")


def record(kind, out):
    spaces = namespaces()
    children = []
    try:
        for namespace in spaces.values():
            ip("netns", "add", namespace)
        a, b = spaces.values()
        ip("link", "add", LINK, "netns", a, "type", "veth", "peer", "name", LINK, "netns", b)
        for side, namespace in spaces.items():
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", LINK, "address", SIDES[side]["mac"], "mtu", "1500")
            python_in(namespace, "offloads-off").wait()
        ip("-n", b, "link", "set", LINK, "up")
        ip("-n", a, "link", "set", LINK, "up")
        sniffer = python_in(a, "sniff", out, stdout=subprocess.PIPE)
        children.append(sniffer)
        wait_for_line(sniffer)
        for side, namespace in spaces.items():
            configure(side, namespace, PODS if kind == "many-flows" else ())
        time.sleep(2.5)  # duplicate address detection and its multicast, as on any machine that starts
        server = python_in(b, "serve", kind, stdout=subprocess.PIPE)
        children.append(server)
        wait_for_line(server)
        client = python_in(a, "drive", kind)
        children.append(client)
        if client.wait():
            raise SystemExit("record-captures: the traffic did not run to its end")
        time.sleep(0.3)
    finally:
        for child in reversed(children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                child.wait(10)
        for namespace in spaces.values():
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def configure(side, namespace, pods):
    own = SIDES[side]
    other = next(s for name, s in SIDES.items() if name != side)
    ip("-n", namespace, "addr", "add", own["v4"] + "/16", "brd", "10.1.255.255", "dev", LINK)
    ip("-n", namespace, "addr", "add", own["v6"] + "/64", "dev", LINK)
    for pod in pods:
        ip("-n", namespace, "addr", "add", own["pods4"].format(pod) + "/32", "dev", LINK)
        ip("-n", namespace, "addr", "add", own["pods6"].format(pod) + "/128", "nodad", "dev", LINK)
        ip("-n", namespace, "route", "add", other["pods4"].format(pod), "via", other["v4"])
        ip("-n", namespace, "-6", "route", "add", other["pods6"].format(pod), "via", other["v6"])
    for address in (NOBODY, "10.1.0.1"):
        ip("-n", namespace, "neigh", "add", address, "lladdr", "02:00:00:00:00:01", "dev", LINK)
    ip("-n", namespace, "route", "add", "default", "via", "10.1.0.1")


def offloads_off():
    """What `ethtool -K LINK rx off tx off sg off tso off gso off gro off` does (linux/ethtool.h)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C):
            value = bytearray(struct.pack("II", command, 0))
            address = ctypes.addressof(ctypes.c_char.from_buffer(value))
            request = struct.pack("16sP16x", LINK.encode(), address)
            with contextlib.suppress(OSError):  # a kernel without one of these has nothing to turn off
                fcntl.ioctl(any_socket, 0x8946, request)


# ---- the sniffer --------------------------------------------------------------------------------------------------


def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def option(code, text):
    text = text.encode()
    return struct.pack("<HH", code, len(text)) + text + b"\0" * (-len(text) % 4)


def sniff(out):
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    tap.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    tap.bind((LINK, 0))
    tap.settimeout(0.1)
    os.write(1, b"ready\n")
    with open(out, "wb") as file:
        notes = option(1, "Recorded by the SealNIC project between two network namespaces. MIT OR Apache-2.0.") + option(4, "record-captures.py")
        file.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + notes + b"\0" * 4))
        file.write(block(1, struct.pack("<HHI", 1, 0, 0) + option(2, LINK) + b"\0" * 4))
        while True:
            try:
                frame, extra, _, _ = tap.recvmsg(65536, 256)
            except TimeoutError:
                if stopping.is_set():
                    return
                continue
            seconds, nanoseconds = next(struct.unpack("qq", data[:16]) for _, kind, data in extra if kind == 35)
            stamp = seconds * 1_000_000 + nanoseconds // 1000
            file.write(block(6, struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame)) + frame))


# ---- bob: the servers ---------------------------------------------------------------------------------------------


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listener(address, port):
    sock = socket.socket(family_of(address))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(256)
    return sock


def datagram_socket(address, port=0):
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def dns_answer(query):
    """A response to one question: A, AAAA, or a TXT of 3,000 octets, which has to be fragmented."""
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack_from(">H", query, end - 4)[0]
    data = {
        1: socket.inet_aton(BOB["v4"]),
        28: socket.inet_pton(socket.AF_INET6, BOB["v6"]),
        16: b"".join(bytes([250]) + bytes([65 + n]) * 250 for n in range(12)),
    }[kind]
    header = query[:2] + struct.pack(">HHHHH", 0x8580, 1, 1, 0, 0)
    return header + query[12:end] + struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data


class Dual(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, handler):
        self.address_family = family_of(address[0])
        super().__init__(address, handler)

    def server_bind(self):
        # The inherited one asks the machine's resolver for a host name, which would land in the capture.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(kind):
    selector = selectors.DefaultSelector()

    def answering(sock, answer):
        def handle():
            question, peer = sock.recvfrom(65536)
            reply = answer(question)
            if reply is not None:
                sock.sendto(reply, peer)

        selector.register(sock, selectors.EVENT_READ, handle)

    def accepting(sock, talk):
        def handle():
            connection, _ = sock.accept()
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

        selector.register(sock, selectors.EVENT_READ, handle)

    def swallow(connection):
        total = 0
        while data := connection.recv(65536):
            total += len(data)
        connection.sendall(struct.pack(">Q", total))
        connection.close()

    def pour(connection):
        connection.sendall(content(70_000, 2))
        connection.close()

    def echo(connection):
        with contextlib.suppress(ConnectionError), connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    if kind == "two-hosts":
        directory = tempfile.mkdtemp()
        for name, size in (("index.html", 600), ("picture.bin", 24_000)):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content(size, size))
        handler = functools.partial(Quiet, directory=directory)
        for address in (BOB["v4"], BOB["v6"]):
            threading.Thread(target=Dual((address, HTTP_PORT), handler).serve_forever, daemon=True).start()
            answering(datagram_socket(address, DNS_PORT), dns_answer)
            accepting(listener(address, UPLOAD_PORT), swallow)
            accepting(listener(address, BULK_PORT), pour)
    else:
        for pod in PODS:
            for pods in ("pods4", "pods6"):
                address = BOB[pods].format(pod)
                answering(datagram_socket(address, ECHO_PORT), lambda question: question[:1])
                answering(datagram_socket(address, SINK_PORT), lambda question: None)
                accepting(listener(address, ECHO_PORT), echo)
    os.write(1, b"ready\n")
    while True:
        for key, _ in selector.select():
            key.data()


def content(size, seed):
    return random.Random(seed).randbytes(size)


# ---- alice: the traffic -------------------------------------------------------------------------------------------


def ping(address, size, count=1):
    """Echo requests of `size` octets through a raw socket; the kernel makes the IP headers and the fragments."""
    v6 = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    with socket.socket(family_of(address), socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(2)
        for number in range(count):
            head = struct.pack(">BBHHH", 128 if v6 else 8, 0, 0, 0x4E49, number)
            message = head + content(size, size)
            if not v6:  # for ICMPv6 the kernel fills it in
                message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
            sock.sendto(message, (address, 0))
            while sock.recv(65536)[0 if v6 else 20] != (129 if v6 else 0):
                pass


def checksum(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ask_dns(address, own, kind, name, identifier):
    with datagram_socket(own) as sock:
        sock.settimeout(2)
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        sock.sendto(struct.pack(">HHHHHH", identifier, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1), (address, DNS_PORT))
        sock.recv(65536)


def fetch(path, address, method="GET"):
    host = f"[{address}]" if ":" in address else address
    request = urllib.request.Request(f"http://{host}/{path}", method=method)
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=5) as response:
        response.read()


def drive_two_hosts():
    for address in (BOB["v4"], BOB["v6"]):
        own = ALICE["v6"] if ":" in address else ALICE["v4"]
        ping(address, 56, 3)
        for number, (kind, name) in enumerate(((1, "bob.blue.example"), (28, "bob.blue.example"), (16, "text.blue.example"))):
            ask_dns(address, own, kind, name, 0x1000 + number)
        for path, method in (("", "GET"), ("picture.bin", "GET"), ("picture.bin", "HEAD"), ("missing", "GET")):
            fetch(path, address, method)
        ping(address, 4000, 2)
    with socket.create_connection((BOB["v4"], UPLOAD_PORT), 5) as upload:
        upload.sendall(content(90_000, 1))
        upload.shutdown(socket.SHUT_WR)
        upload.recv(8)
    with socket.create_connection((BOB["v6"], BULK_PORT), 5) as download:
        while download.recv(65536):
            pass
    for address in (BOB["v4"], BOB["v6"]):  # nobody listens there: a reset, and port unreachable
        with contextlib.suppress(ConnectionError):
            socket.create_connection((address, 9), 2)
        with datagram_socket(ALICE["v6"] if ":" in address else ALICE["v4"]) as sock:
            sock.sendto(b"anybody there?", (address, 9))
    with datagram_socket(ALICE["v4"]) as sock:  # what a VNet doesn't carry, and addresses that aren't anybody's
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for target in ("224.0.0.251", "10.1.255.255", "255.255.255.255", NOBODY, OUTSIDE):
            sock.sendto(b"hello", (target, 5353))
    with datagram_socket(ALICE["v6"]) as sock:
        sock.sendto(b"hello", ("ff02::fb", 5353, 0, socket.if_nametoindex(LINK)))
    time.sleep(0.5)


def drive_many_flows():
    choose = random.Random(7)

    def ends(pods):
        return ALICE[pods].format(choose.choice(PODS)), BOB[pods].format(choose.choice(PODS))

    plan = [("ask", "pods4")] * 1350 + [("ask", "pods6")] * 400 + [("tell", "pods4")] * 500
    plan += [("connect", "pods4")] * 40 + [("connect", "pods6")] * 20
    choose.shuffle(plan)
    ports = {pods: iter(choose.sample(range(10_000, 60_000), 3000)) for pods in ("pods4", "pods6")}
    for what, pods in plan:
        own, other = ends(pods)
        port = next(ports[pods])
        if what == "connect":
            with socket.socket(family_of(own)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
                sock.bind((own, port))
                sock.settimeout(5)
                sock.connect((other, ECHO_PORT))
                sock.sendall(b"hi")
                sock.recv(16)
            continue
        with datagram_socket(own, port) as sock:
            sock.settimeout(2)
            sock.sendto(b"a", (other, ECHO_PORT if what == "ask" else SINK_PORT))
            if what == "ask":
                sock.recv(16)


def main():
    what, *rest = sys.argv[1:] or ["help"]
    actions = {
        "offloads-off": offloads_off,
        "sniff": sniff,
        "serve": serve,
        "drive": lambda kind: drive_two_hosts() if kind == "two-hosts" else drive_many_flows(),
    }
    if what in actions:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        actions[what](*rest)
    elif what in ("two-hosts", "many-flows") and len(rest) == 1:
        if os.geteuid():
            raise SystemExit("record-captures: network namespaces need root")
        record(what, os.path.abspath(rest[0]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
