#!/bin/sh
# Records examples/captures/two-hosts.pcapng anew (needs root, Linux, iproute2 and Python 3.11; see record-captures.py).
set -eu
cd "$(dirname "$0")/.."
exec python3 tools/record-captures.py two-hosts "${1:-examples/captures/two-hosts.pcapng}"
