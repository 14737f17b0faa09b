"""An invented line-rate report, for tests of the page alone: its figures are nobody's measurement.

It has what a page must stand up to: many series, values that lie close together and far apart, drops, and names with
characters that mean something in HTML.
"""

import json
import sys

SIZES = (64, 65, 127, 128, 256, 512, 1024, 1280, 1454, 1500, 1514, 9000)
OVERHEAD = {"clear": 0, "dtls12": 46, "dtls13": 28}
LINE_MBIT_PER_S = 100_000


def rates(frame_len, frames_per_s):
    return {"frames_per_s": frames_per_s, "goodput_gbit_per_s": (frame_len - 18) * 8 * frames_per_s / 1e9}


def point(series, protection, frame_len, flows, distribution, share):
    line = LINE_MBIT_PER_S * 1e6 / 8 / (frame_len + 70 + OVERHEAD[protection])
    directions = []
    for direction, its_share in (("egress", share), ("ingress", share * 0.998)):
        lost = round((1 - its_share) * 10_000) if its_share < 0.97 else 0
        typical = 900 + frame_len // 4 + (300 if protection != "clear" else 0)
        directions.append(
            {
                "direction": direction,
                "line": rates(frame_len, line),
                "offered": rates(frame_len, line * 1.01),
                "achieved": rates(frame_len, line * its_share),
                "latency": {
                    "p50": typical,
                    "p90": typical * 5 // 4,
                    "p99": typical * 2,
                    "p99_9": typical * 4,
                    "max": typical * 9,
                },
                "drops": [{"unit": f"{direction}.queue", "reason": "Vf<Queue>&Full", "frames": lost}] if lost else [],
                "limit": {
                    "unit": f"{direction}.mac" if frame_len > 256 else f"{direction}.engine" if lost == 0 else "memory",
                    "busy_percent": 100 * min(1, its_share + 0.001),
                    "cause": "busy" if lost == 0 else "waits for <memory>",
                },
            }
        )
    return {
        "series": series,
        "protection": protection,
        "frame_len": frame_len,
        "flows": flows,
        "distribution": distribution,
        "sample_frames": 10_000,
        "directions": directions,
    }


def report():
    points = []
    for protection, loss in (("clear", 0.0005), ("dtls12", 0.002), ("dtls13", 0.003)):
        for i, frame_len in enumerate(SIZES):
            points.append(point("frame_sizes", protection, frame_len, 1, "uniform", 1 - loss * (1 + i % 3)))
    for distribution, loss in (("uniform", 0.11), ("zipf", 0.04), ("cyclic", 0.14)):
        for decade in range(7):
            share = 1 - loss * max(0, decade - 2) - 0.001
            points.append(point("flows", "dtls13", 256, 10**decade, distribution, share))
    names = ("clock_mhz", "bus_bits", "engine.count", "engine.lanes", "memory.banks", "memory.latency_ns", "pcie.lanes")
    return {
        "format": 1,
        "sealnic": "0.0.0",
        "seed": 7,
        "hardware": {
            "name": "invented <100g> & \"more\"",
            "line_mbit_per_s": LINE_MBIT_PER_S,
            "parameters": [{"name": name, "value": str(8 << i)} for i, name in enumerate(names)],
        },
        "points": points,
    }


if __name__ == "__main__":
    json.dump(report(), sys.stdout, indent=1)
