"""Tests of the judge itself: pages spoiled in one way each must be found out. selftest.py PAGE.html, a page without findings."""

import pathlib
import sys
import tempfile

import browser
import check_report

# What is spoiled → text in the page, what it becomes, what the finding must say.
SPOILED = {
    "soft text in the light scheme": ("--soft: #57606a", "--soft: #8b949e", "light: contrast"),
    "soft text in the dark scheme": ("--soft: #a3b0bd", "--soft: #57606a", "dark: contrast"),
    "a line of a plot in the dark scheme": ("--c2: #79b8ff", "--c2: #1f3a5f", "dark: contrast"),
    "an axis in the light scheme": ("--axis: #6e7781", "--axis: #b8c0c8", "light: contrast"),
    "text made faint by opacity": ("</style>", "h2 { opacity: .5 }</style>", "contrast"),
    "no dark scheme": ("(prefers-color-scheme: dark)", "(prefers-color-scheme: none)", "is not dark"),
    "an axis label without unit": ("Goodput (Gb/s)", "Goodput", "has no unit"),
    "axis labels that are hidden": ("</style>", "svg .axis-label { visibility: hidden }</style>", "not to be seen"),
    "axis labels outside the drawing": ("</style>", "svg .axis-label.x { transform: translateY(40px) }</style>", "not to be seen"),
    "ticks too large to stand apart": ("</style>", "svg .tick { font-size: 60px }</style>", "lies on"),
    "a plot without description": ("<desc", "<metadata", "no title or description"),
    "a figure in a table": ("<td>28.", "<td>29.", "goodput-table lacks"),
    "a row less": ("<tr><th scope=\"row\">9000</th>", "<tr hidden><th scope=\"row\">8999</th>", "lacks"),
    "a head of a column": ("<small>% of line</small>", "<small>of line</small>", "share-table has the heads"),
    "a point of a plot": ("<polyline points=\"", "<polyline points=\"99.9,99.9 ", "points, not"),
    "a table that no key reaches": ("tabindex=\"0\"", "tabindex=\"-1\"", "no key reaches"),
    "focus that is not shown": ("</style>", ".data:focus-visible { outline: none }</style>", "first stop of the keyboard"),
    "a picture from elsewhere": ("</h1>", "</h1><img alt=\"\" src=\"http://127.0.0.1:9/x.png\">", "the browser says"),
    "a picture from elsewhere that is allowed": (
        ("default-src 'none'", "</h1>"),
        ("default-src *", "</h1><img alt=\"\" src=\"http://127.0.0.1:9/x.png\">"),
        "the page asks for",
    ),
    "a script that fails": (("default-src 'none'", "</h1>"), ("script-src 'unsafe-inline'", "</h1><script>fail()</script>"), "the browser says"),
    "a number that is none": ("</h1>", " NaN</h1>", "the page says NaN"),
    "a page that is too wide": ("</style>", "h1 { width: 600px }</style>", "at 420 pixels"),
    "the seed": (" · seed ", " · Seed ", "does not say 'seed"),
    "the data": ("\"frame_len\":64,", "\"frame_len\":66,", "not those of the file"),
}


def main():
    original = pathlib.Path(sys.argv[1])
    text = original.read_text()
    failed = 0
    with tempfile.TemporaryDirectory() as folder, browser.started() as page:
        data = check_report.embedded(page, original)
        findings = list(check_report.check(page, original, data))
        if findings:
            sys.exit(f"{original} is not without findings: {findings[:3]}")
        for name, (old, new, expected) in SPOILED.items():
            pairs = [(old, new)] if isinstance(old, str) else list(zip(old, new))
            spoiled = text
            for before, after in pairs:
                if before not in spoiled:
                    sys.exit(f"{name}: {before!r} is not in the page")
                spoiled = spoiled.replace(before, after, 1)
            file = pathlib.Path(folder) / "page.html"
            file.write_text(spoiled)
            findings = list(check_report.check(page, file, data))
            if not any(expected in finding for finding in findings) or not findings:
                failed += 1
                print(f"FAILED  {name} is not found out; found: {findings[:3]}")
    print(f"browser selftest: {len(SPOILED) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
