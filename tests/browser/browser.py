"""A headless Chromium over WebDriver, started from the programs that are installed and from nothing else."""

import base64
import contextlib
import json
import os
import shutil
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "chromium-driver": ("chromedriver",)}

# A browser that tests one local file has nobody to talk to; left alone it looks for updates and time servers.
SWITCHES = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
)


def find(package):
    """Path of a program of a Debian package, by the names that it has elsewhere too."""
    for name in PROGRAMS[package]:
        if path := shutil.which(name):
            return path
    sys.exit(f"no {package} on this machine; as root on Debian or Ubuntu: apt-get install chromium chromium-driver")


@contextlib.contextmanager
def started(width=1440, height=1000):
    """A browser with an empty profile, which ends with the block."""
    options = Options()
    options.binary_location = find("chromium")
    driver = find("chromium-driver")
    for switch in SWITCHES:
        options.add_argument(switch)
    if os.geteuid() == 0:
        # Chromium refuses to start its sandbox for root.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        options.add_argument(f"--user-data-dir={profile}")
        options.add_argument(f"--window-size={width},{height}")
        browser = webdriver.Chrome(options=options, service=Service(executable_path=driver))
        try:
            # Away from the browser's own first page, which loads much.
            browser.get("about:blank")
            yield browser
        finally:
            browser.quit()


def emulate(browser, scheme, width=1440, height=1000):
    """Makes the page see this colour scheme ("light" or "dark") and a window of this size in CSS pixels."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def requested(browser):
    """Addresses that pages asked for since the last call."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def screenshot(browser, file, width=1440, height=None):
    """The page as PNG, all of it or this many pixels from the top."""
    height = height or browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    wanted = {"format": "png", "captureBeyondViewport": True, "clip": clip}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", wanted)
    with open(file, "wb") as out:
        out.write(base64.b64decode(shot["data"]))
