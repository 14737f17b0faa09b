"""A picture of a page as PNG: shot.py PAGE.html OUT.png [--scheme light|dark] [--width PIXELS]."""

import argparse
import pathlib

import browser

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("page", type=pathlib.Path)
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--scheme", choices=("light", "dark"), default="light")
parser.add_argument("--width", type=int, default=1440)
parser.add_argument("--height", type=int, help="pixels from the top; the whole page without it")
arguments = parser.parse_args()
with browser.started() as chromium:
    browser.emulate(chromium, arguments.scheme, arguments.width)
    chromium.get(arguments.page.resolve().as_uri())
    browser.screenshot(chromium, arguments.out, arguments.width, arguments.height)
