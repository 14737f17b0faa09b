#!/bin/sh
# Records examples/captures/many-flows.pcapng anew (needs root, Linux, iproute2 and Python 3.11; see record-captures.py).
set -eu
cd "$(dirname "$0")/.."
exec python3 tools/record-captures.py many-flows "${1:-examples/captures/many-flows.pcapng}"
