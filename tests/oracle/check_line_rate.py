"""Judges a line-rate sweep from nothing but the times at which frames passed the wire port.

    python3 tests/oracle/check_line_rate.py OUT_DIR [--least 99]

OUT_DIR is what `sealnic bench line-rate --out` wrote. The theory is computed here from the octets around a frame; goodput from
wire-timestamps.csv: frames that were carried, over the time from the first frame's last bit to the last one's. Every
point of the series over frame sizes must reach the least percentage of the theory, and no point may pass 100 %. Frames
that still wait inside when the sweep ends count as carried, so the claim is checked where nothing piles up: over frame sizes. Exit status 0 when all do.
"""

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

ETHERNET, FCS, PREAMBLE, GAP = 14, 4, 8, 12
IPV4, UDP, VXLAN = 20, 8, 8
TAG, CID, CONTENT_TYPE = 16, 8, 1
RECORD = {
    "clear": 0,
    # RFC 9146 section 4: type, version, epoch, number, connection id, length; RFC 5288 section 3: explicit nonce.
    "dtls12": 1 + 2 + 2 + 6 + CID + 2 + 8 + CONTENT_TYPE + TAG,
    # RFC 9147 section 4: flags, connection id, 16 bits of the number, no length.
    "dtls13": 1 + CID + 2 + CONTENT_TYPE + TAG,
}
# More frames than fit between two times come only from rounding of the last picosecond.
ROUNDING = 1e-9


def octets_on_wire(protection, frame):
    """Octets with FCS at the wire port of a frame of so many octets with FCS at the VM."""
    return ETHERNET + IPV4 + UDP + RECORD[protection] + VXLAN + (frame - FCS) + FCS


def theory(protection, frame, line_bits_per_s):
    """Greatest goodput, in bits of the VM's IP packets a second."""
    on_line = octets_on_wire(protection, frame) + PREAMBLE + GAP
    return line_bits_per_s * (frame - ETHERNET - FCS) / on_line


def measured(marks, frame):
    """Goodput of [(end_ps, carried)]: the first frame only starts the clock. None when there are too few to tell."""
    times = [end_ps for end_ps, _ in marks]
    if len(times) < 100 or times != sorted(times):
        return None
    carried = sum(carried for _, carried in marks[1:])
    return carried * (frame - ETHERNET - FCS) * 8 * 1e12 / (times[-1] - times[0]) if times[-1] > times[0] else None


def judge(directory, least):
    """(problems, lines of text) of a sweep."""
    with open(directory / "line-rate.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    marks, wrong_len = defaultdict(list), []
    expected = {r["point"]: octets_on_wire(r["protection"], int(r["frame_octets"])) for r in rows}
    with open(directory / "wire-timestamps.csv", newline="") as file:
        for mark in csv.DictReader(file):
            marks[mark["point"], mark["direction"]].append((int(mark["end_ps"]), int(mark["carried"])))
            if int(mark["octets"]) != expected.get(mark["point"]):
                wrong_len.append(mark)
    problems, text = [], []
    if not rows:
        problems.append("line-rate.csv has no rows")
    if wrong_len:
        problems.append(f"{len(wrong_len)} frames of a wrong length, the first: {wrong_len[0]}")
    points = {r["point"] for r in rows}
    for point in points:
        directions = sorted(r["direction"] for r in rows if r["point"] == point)
        if directions != ["egress", "ingress"]:
            problems.append(f"point {point} has directions {directions}")
    for row in rows:
        frame = int(row["frame_octets"])
        name = f"{row['protection']:7} {frame:5} octets {row['flows']:>8} flows {row['distribution']:8} {row['direction']:8}"
        most = theory(row["protection"], frame, float(row["line_gbit_per_s"]) * 1e9)
        goodput = measured(marks[row["point"], row["direction"]], frame)
        if goodput is None:
            problems.append(f"{name}: too few frames at the wire port, or out of order")
            continue
        percent = goodput / most * 100
        text.append(f"{name} {goodput / 1e9:10.4f} of {most / 1e9:10.4f} Gbit/s {percent:8.3f} %")
        if percent > 100 * (1 + ROUNDING):
            problems.append(f"{name}: {percent:.4f} % is more than a line can carry")
        if row["series"] == "frame_sizes":
            if percent < least:
                problems.append(f"{name}: {percent:.3f} % is less than {least} %")
            claimed = float(row["percent_of_theory"])
            if abs(claimed - percent) > 0.5:
                problems.append(f"{name}: the report says {claimed:.3f} %, the wire {percent:.3f} %")
        if abs(float(row["theory_goodput_gbit_per_s"]) - most / 1e9) > 1e-5:
            problems.append(f"{name}: the report's theory is {row['theory_goodput_gbit_per_s']} Gbit/s, not {most / 1e9:.6f}")
    return problems, text


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--least", type=float, default=99.0, help="percent of the theory that every frame size must reach")
    options = arguments.parse_args()
    try:
        problems, text = judge(options.out, options.least)
    except (OSError, KeyError, ValueError) as why:
        print(f"check_line_rate: {type(why).__name__}: {why}", file=sys.stderr)
        return 1
    print("\n".join(text))
    for problem in problems:
        print(f"WRONG {problem}")
    print(f"{len(problems)} problems" if problems else "every point as it must be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
