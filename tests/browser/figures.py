"""What the page's tables and plots must show, computed from the report's data without the program that drew them."""

import math

PROTECTIONS = {"clear": "clear", "dtls12": "DTLS 1.2", "dtls13": "DTLS 1.3"}
DISTRIBUTIONS = {"uniform": "uniform", "zipf": "Zipf", "cyclic": "worst case"}
PERCENTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p99.9": "p99_9", "max": "max"}
DASH = "–"


def side(point, name):
    return next((side for side in point["directions"] if side["direction"] == name), None)


def number(value, decimals):
    return DASH if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def share(figures):
    return 100 * figures["achieved"]["frames_per_s"] / figures["line"]["frames_per_s"]


def limit(point, name):
    found = side(point, name)["limit"]
    return f"{found['unit']}: {found['cause']}"


def lost(point):
    return sum(drops["frames"] for figures in point["directions"] for drops in figures["drops"])


def both(point, value, decimals):
    return [number(value(side(point, name)) if side(point, name) else None, decimals) for name in ("egress", "ingress")]


def tables(report):
    """Expected tables: identifier → (heads, rows), rows in no order."""
    sizes = [point for point in report["points"] if point["series"] == "frame_sizes"]
    flows = [point for point in report["points"] if point["series"] == "flows"]
    expected = {}

    def rate(table, unit, value):
        heads = ["Frame octets", "Protection", *(f"{name} {unit}" for name in ("Line", "Offered", "Egress", "Ingress"))]
        rows = []
        for point in sizes:
            least = [min(value(figures[name]) for figures in point["directions"]) for name in ("line", "offered")]
            rows.append(
                [
                    str(point["frame_len"]),
                    PROTECTIONS[point["protection"]],
                    *(number(each, 3) for each in least),
                    *both(point, lambda figures: value(figures["achieved"]), 3),
                ]
            )
        expected[table] = (heads, rows)

    if sizes:
        rate("goodput-table", "Gb/s", lambda rates: rates["goodput_gbit_per_s"])
        rate("frame-rate-table", "Mframes/s", lambda rates: rates["frames_per_s"] / 1e6)
        expected["share-table"] = (
            ["Frame octets", "Protection", "Egress % of line", "Ingress % of line", "Dropped frames"],
            [
                [str(p["frame_len"]), PROTECTIONS[p["protection"]], *both(p, share, 2), str(lost(p))]
                for p in sizes
            ],
        )
        expected["limits-table"] = (
            ["Frame octets", "Protection", "Egress", "% of time", "Ingress", "% of time"],
            [
                [
                    str(p["frame_len"]),
                    PROTECTIONS[p["protection"]],
                    *(
                        text
                        for name in ("egress", "ingress")
                        for text in (limit(p, name), number(side(p, name)["limit"]["busy_percent"], 1))
                    ),
                ]
                for p in sizes
            ],
        )
    for protection in {point["protection"] for point in sizes}:
        expected[f"latency-{protection}-table"] = (
            ["Frame octets", "Direction", *(f"{name} µs" for name in PERCENTILES)],
            [
                [
                    str(point["frame_len"]),
                    figures["direction"],
                    *(number(figures["latency"][key] / 1000, 3) for key in PERCENTILES.values()),
                ]
                for point in sizes
                if point["protection"] == protection
                for figures in point["directions"]
            ],
        )
    for protection, frame_len in {(point["protection"], point["frame_len"]) for point in flows}:
        expected[f"flows-{protection}-{frame_len}-table"] = (
            [
                "Flows a direction",
                "Distribution",
                "Egress % of line",
                "Ingress % of line",
                "Dropped frames",
                "Egress limit",
                "Ingress limit",
            ],
            [
                [
                    str(p["flows"]),
                    DISTRIBUTIONS[p["distribution"]],
                    *both(p, share, 2),
                    str(lost(p)),
                    *(limit(p, name) for name in ("egress", "ingress")),
                ]
                for p in flows
                if (p["protection"], p["frame_len"]) == (protection, frame_len)
            ],
        )
    return expected


def lines(report):
    """Expected lines of the plots: identifier of the chart → name of the line → {x: y}."""
    expected = {}

    def add(chart, name, x, y):
        expected.setdefault(chart, {}).setdefault(name, {})[x] = y

    for point in report["points"]:
        sides, protection = point["directions"], PROTECTIONS[point["protection"]]
        if point["series"] == "flows":
            chart = f"flows-{point['protection']}-{point['frame_len']}"
            add(chart, DISTRIBUTIONS[point["distribution"]], point["flows"], min(map(share, sides)))
            continue
        x = point["frame_len"]
        for chart, value in (
            ("goodput", lambda rates: rates["goodput_gbit_per_s"]),
            ("frame-rate", lambda rates: rates["frames_per_s"] / 1e6),
        ):
            add(chart, protection, x, min(value(figures["achieved"]) for figures in sides))
            add(chart, f"{protection}, line", x, min(value(figures["line"]) for figures in sides))
        add("share", protection, x, min(map(share, sides)))
        for name, key in PERCENTILES.items():
            add(f"latency-{point['protection']}", name, x, max(figures["latency"][key] for figures in sides) / 1000)
    return expected
