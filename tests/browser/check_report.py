"""Opens a line-rate report in a headless browser and judges it as a reader would: check_report.py PAGE.html [--data REPORT.json]

Axes have visible labels with units, texts and graphics have the contrast of WCAG 2.2 level AA in a light and in a dark scheme, the
browser has nothing to complain of, nothing is loaded from anywhere, and tables and plots show the report's data.
"""

import argparse
import json
import math
import pathlib
import re
import sys

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import browser
import contrast
import figures

UNITS = {"octets", "Gb/s", "Mframes/s", "%", "µs", "number", "name"}
WIDTHS = (1440, 800, 420)
# Places where a drawing is rounded to a tenth of a unit, of some hundreds.
PLOT_TOLERANCE = 0.002

CHARTS = """
const box = element => { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
const shown = element => element.checkVisibility({opacityProperty: true, visibilityProperty: true});
return [...document.querySelectorAll("section[data-figure]")].map(section => {
  const svg = section.querySelector("svg");
  const texts = [...svg.querySelectorAll("text")].map(text => ({
    text: text.textContent.trim(), kind: text.getAttribute("class"), box: box(text), shown: shown(text),
    x: parseFloat(text.getAttribute("x")), y: parseFloat(text.getAttribute("y")),
  }));
  const lines = [...svg.querySelectorAll("g.series[data-name]")].map(line => ({
    name: line.dataset.name,
    points: line.querySelector("polyline") ? [...line.querySelector("polyline").points].map(p => [p.x, p.y]) : null,
    markers: line.querySelectorAll(".marker").length,
  }));
  return {
    id: section.dataset.figure, box: box(svg), role: svg.getAttribute("role"), texts, lines,
    title: (svg.querySelector("title") || {}).textContent, description: (svg.querySelector("desc") || {}).textContent,
  };
});
"""

TABLES = """
const words = element => element.innerText.replace(/\\s+/g, " ").trim();
return Object.fromEntries([...document.querySelectorAll("table[id]")].map(table => [table.id, {
  caption: table.caption ? words(table.caption) : "",
  heads: [...table.tHead.rows[0].cells].map(words),
  scopes: [...table.querySelectorAll("th")].every(head => head.scope),
  rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(words)),
}]));
"""

COLOURS = """
const behind = element => {
  const all = [];
  for (let e = element; e; e = e.parentElement) all.push(getComputedStyle(e).backgroundColor);
  return all;
};
const texts = new Map(), shapes = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; node = walker.nextNode();) {
  const element = node.parentElement;
  if (!node.data.trim() || element.closest("script, style, title, desc") || !element.checkVisibility()) continue;
  const style = getComputedStyle(element), colour = element instanceof SVGElement ? style.fill : style.color;
  const found = {colour, behind: behind(element), opacity: style.opacity, of: node.data.trim().slice(0, 40)};
  texts.set(JSON.stringify([colour, found.behind, found.opacity]), found);
}
const add = (selector, property) => document.querySelectorAll(selector).forEach(element => {
  const style = getComputedStyle(element), colour = style[property];
  const found = {colour, behind: behind(element), opacity: style.opacity, of: selector};
  shapes.set(JSON.stringify([selector, colour, found.behind, found.opacity]), found);
});
add(".series polyline", "stroke");
add(".legend line", "stroke");
add(".marker", "fill");
add(".axis path", "stroke");
return {texts: [...texts.values()], shapes: [...shapes.values()],
  isDark: matchMedia("(prefers-color-scheme: dark)").matches, page: getComputedStyle(document.body).backgroundColor};
"""

STRUCTURE = """
return {
  lang: document.documentElement.lang, title: document.title, h1: document.querySelectorAll("h1").length,
  unnamed: [...document.querySelectorAll("[role=region], section")].filter(e => {
    const by = e.getAttribute("aria-labelledby"); return !by || !document.getElementById(by);
  }).length,
  scrolls: [...document.querySelectorAll(".data")].filter(e => e.tabIndex !== 0).length,
  identifiers: [...document.querySelectorAll("[id]")].map(e => e.id),
  text: document.body.innerText,
};
"""


def check_structure(page):
    found = page.execute_script(STRUCTURE)
    if not found["lang"] or not found["title"] or found["h1"] != 1:
        yield f"the page has language {found['lang']!r}, title {found['title']!r} and {found['h1']} main headings"
    if found["unnamed"] or found["scrolls"]:
        yield f"{found['unnamed']} regions without a name, {found['scrolls']} scrolling ones that no key reaches"
    if len(set(found["identifiers"])) != len(found["identifiers"]):
        yield "an identifier stands twice"
    for word in re.findall(r"\b(?:NaN|nan|inf|Infinity|undefined|null|None)\b", found["text"]):
        yield f"the page says {word}"
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focus = "const e = document.activeElement; return [e.className, getComputedStyle(e).outlineStyle]"
    name, outline = page.execute_script(focus)
    if name != "data" or outline == "none":
        yield f"the first stop of the keyboard is {name!r} with outline {outline!r}, no table that shows it"


def inside(inner, outer):
    slack = 0.5
    return (
        inner[0] >= outer[0] - slack
        and inner[1] >= outer[1] - slack
        and inner[2] <= outer[2] + slack
        and inner[3] <= outer[3] + slack
    )


def overlap(a, b):
    slack = 1.0
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack


def check_labels(charts, width):
    for chart in charts:
        where = f"chart {chart['id']} at {width} pixels"
        if chart["role"] != "img" or not chart["title"] or not chart["description"]:
            yield f"{where} has no title or description"
        for axis in "xy":
            labels = [text for text in chart["texts"] if text["kind"] == f"axis-label {axis}"]
            if len(labels) != 1:
                yield f"{where} has {len(labels)} labels on its {axis} axis"
                continue
            unit = re.search(r"\(([^()]+)\)$", labels[0]["text"])
            if not unit or unit.group(1) not in UNITS:
                yield f"{where}: the {axis} axis has no unit: {labels[0]['text']!r}"
            elif unit.group(1) != "name" and sum(text["kind"] == f"tick {axis}" for text in chart["texts"]) < 2:
                yield f"{where}: the {axis} axis has less than two ticks"
        for text in chart["texts"]:
            left, top, right, bottom = text["box"]
            if not text["shown"] or right - left < 1 or bottom - top < 1 or not inside(text["box"], chart["box"]):
                yield f"{where}: {text['text']!r} is not to be seen"
        for i, text in enumerate(chart["texts"]):
            for other in chart["texts"][i + 1 :]:
                if overlap(text["box"], other["box"]):
                    yield f"{where}: {text['text']!r} lies on {other['text']!r}"


def value_of(tick):
    match = re.fullmatch(r"([0-9.]+)\s?([kM]?)", tick)
    return float(match.group(1)) * {"": 1, "k": 1e3, "M": 1e6}[match.group(2)] if match else None


def scale_of(ticks):
    """How an axis maps, from two of its ticks and a third: (place → value), or none where it has names."""
    ticks = [(place, value_of(text)) for place, text in ticks]
    if any(value is None for _, value in ticks) or len(ticks) < 2:
        return None
    (p0, v0), (p1, v1) = ticks[0], ticks[-1]

    def linear(place):
        return v0 + (v1 - v0) * (place - p0) / (p1 - p0)

    def logarithmic(place):
        return math.exp(math.log(v0) + (math.log(v1) - math.log(v0)) * (place - p0) / (p1 - p0))

    if min(v0, v1) <= 0:
        return linear
    middle, value = ticks[len(ticks) // 2]
    is_linear = len(ticks) > 2 and abs(linear(middle) - value) < abs(logarithmic(middle) - value)
    return linear if is_linear else logarithmic


def check_plots(charts, report):
    """Reads each line's points back by the axes' ticks."""
    expected = figures.lines(report)
    drawn = {chart["id"]: chart for chart in charts}
    for chart in expected.keys() - drawn.keys():
        yield f"there is no chart {chart}"
    for name, lines in expected.items():
        chart = drawn.get(name)
        if not chart:
            continue
        ticks = lambda axis: [(text[axis], text["text"]) for text in chart["texts"] if text["kind"] == f"tick {axis}"]
        # Ticks of the vertical axis stand a little below their lines.
        x_of, y_of = scale_of(ticks("x")), scale_of([(place - 4.5, text) for place, text in ticks("y")])
        seen = {line["name"]: line["points"] for line in chart["lines"]}
        if seen.keys() != lines.keys():
            yield f"chart {name} has the lines {sorted(seen)}, not {sorted(lines)}"
            continue
        greatest = max(abs(y) for points in lines.values() for y in points.values())
        for line, points in lines.items():
            wanted = sorted(points.items())
            if len(seen[line]) != len(wanted):
                yield f"chart {name}: {line} has {len(seen[line])} points, not {len(wanted)}"
                continue
            for (x, y), (px, py) in zip(wanted, seen[line]):
                if abs(x_of(px) / x - 1) > 0.02 or abs(y_of(py) - y) > max(0.01 * y, PLOT_TOLERANCE * greatest):
                    yield f"chart {name}: {line} is drawn at ({x_of(px):.6g}, {y_of(py):.6g}), not ({x}, {y:.6g})"


def check_tables(page, report):
    seen = page.execute_script(TABLES)
    for name, (heads, rows) in figures.tables(report).items():
        table = seen.get(name)
        if not table:
            yield f"there is no table {name}"
            continue
        if not table["caption"] or not table["scopes"]:
            yield f"table {name} has no caption, or a head without scope"
        if table["heads"] != heads:
            yield f"table {name} has the heads {table['heads']}, not {heads}"
        missing = [row for row in rows if row not in table["rows"]]
        surplus = [row for row in table["rows"] if row not in rows]
        if missing or surplus or len(rows) != len(table["rows"]):
            yield f"table {name} lacks {missing[:2]} and has {surplus[:2]} ({len(table['rows'])} rows of {len(rows)})"


def check_facts(page, report):
    text = page.execute_script("return document.body.innerText")
    wanted = [report["sealnic"], f"seed {report['seed']}", report["hardware"]["name"]]
    wanted += [part for p in report["hardware"]["parameters"] for part in (p["name"].split(".")[-1], p["value"])]
    for word in wanted:
        if word not in text:
            yield f"the page does not say {word!r}"


def backdrop(colours):
    """The colour behind an element, of the backgrounds from itself outwards."""
    layers = []
    for colour in map(contrast.parse, colours):
        layers.append(colour)
        if colour[3] == 1:
            break
    else:
        layers.append((255, 255, 255, 1.0))
    back = layers.pop()
    while layers:
        back = contrast.over(layers.pop(), back)
    return back


def check_contrast(page, scheme):
    found = page.execute_script(COLOURS)
    if found["isDark"] != (scheme == "dark"):
        yield f"the browser does not show the {scheme} scheme"
    if (contrast.luminance(contrast.parse(found["page"])) < 0.2) != (scheme == "dark"):
        yield f"the page is not {scheme}: {found['page']}"
    for kind, least in (("texts", contrast.TEXT), ("shapes", contrast.GRAPHICS)):
        if not found[kind]:
            yield f"no {kind} found"
        for item in found[kind]:
            ratio = contrast.ratio(contrast.parse(item["colour"]), backdrop(item["behind"]))
            if ratio < least or float(item["opacity"]) < 1:
                yield f"{scheme}: contrast {ratio:.2f} below {least} of {item['of']!r}, {item['colour']}"


def check_width(page, width):
    scroll = page.execute_script("return document.documentElement.scrollWidth")
    if scroll > width:
        yield f"at {width} pixels the page is {scroll} wide"


def same(a, b):
    """Whether two values are equal, but for the last digits of a number that was read and written again."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-12)
    return a == b


def read_data(page):
    """The report that the open page carries."""
    return json.loads(page.execute_script("return document.getElementById('report-data').textContent"))


def embedded(page, file):
    """The report that a page carries."""
    page.get(file.resolve().as_uri())
    return read_data(page)


def check(page, file, data=None):
    """Everything; yields what is wrong."""
    address = file.resolve().as_uri()
    page.get("about:blank")
    browser.requested(page)
    page.get_log("browser")
    browser.emulate(page, "light", WIDTHS[0])
    page.get(address)
    for asked in browser.requested(page):
        if asked != address and not asked.startswith("data:"):
            yield f"the page asks for {asked}"
    report = read_data(page)
    if data is not None and not same(report, data):
        yield "the data in the page are not those of the file"
    yield from check_structure(page)
    yield from check_facts(page, report)
    yield from check_tables(page, report)
    charts = page.execute_script(CHARTS)
    if not charts:
        yield "the page has no charts"
    yield from check_plots(charts, report)
    for width in WIDTHS:
        browser.emulate(page, "light", width)
        yield from check_labels(page.execute_script(CHARTS), width)
        yield from check_width(page, width)
    for scheme in ("light", "dark"):
        browser.emulate(page, scheme)
        yield from check_contrast(page, scheme)
    for entry in page.get_log("browser"):
        yield f"the browser says: {entry['message']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, help="the report as JSON, which the page must show")
    arguments = parser.parse_args()
    data = json.loads(arguments.data.read_text()) if arguments.data else None
    with browser.started() as page:
        findings = list(check(page, arguments.page, data))
        version = page.capabilities["browserVersion"]
    for finding in findings:
        print(f"FAILED  {finding}")
    print(f"browser: {arguments.page}: {len(findings)} findings in Chromium {version}")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
