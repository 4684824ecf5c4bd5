"""How large the explorer of a space is, and how long a browser takes until all of it is drawn.

    python benchmarks/page_time.py --space g1 --runs 7

    python benchmarks/page_time.py --runs 7 --picture FILE.png

The second one also saves a picture of the page of G1, opened on FlexiBERT-Mini, 1500 wide and light: this is how
docs/explorer.png is made.

Needs Chromium and its driver. Time runs from the beginning of the navigation; the first opening, with nothing in the
browser's cache of compiled scripts, is told apart.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from flexnas_bench import ModelCard
from flexnas_bench.cli.app import run_app

MINI = ModelCard.named("flexibert-mini")
READY = "return document.documentElement.dataset.ready"


def main() -> None:
    """Writes the page and opens it a few times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="g1")
    parser.add_argument("--runs", type=int, default=7, help="openings after the first one")
    parser.add_argument("--picture", type=Path, help="where a picture of the page of g1 is saved (.png)")
    options = parser.parse_args()
    if options.picture and (options.space != "g1" or options.picture.suffix != ".png"):
        parser.error("--picture is a .png file, of g1")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        if code := run_app(["report", "--space", options.space, "--out", str(page)]):
            raise SystemExit(code)
        first, *others = openings(page, options.runs + 1)
        if options.picture:
            take_picture(page, options.picture)
    print(f"first opening {first:.2f} s; median of {len(others)} more {statistics.median(others):.2f} s")


def openings(page: Path, times: int) -> list[float]:
    """Seconds until the page was ready, each time that it was opened."""
    with opened_browser(2300) as browser:
        return [open_page(browser, page.as_uri()) for _ in range(times)]


def take_picture(page: Path, path: Path) -> None:
    """Saves a picture of the page of G1; raises `SystemExit` if it cannot be written."""
    light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    with opened_browser(1600) as browser:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
        open_page(browser, f"{page.as_uri()}#{MINI.hash}")
        time.sleep(0.5)  # until the browser has painted the last of it
        if not browser.save_screenshot(str(path)):
            raise SystemExit(f"{path} cannot be written")


@contextmanager
def opened_browser(height: int) -> Iterator[webdriver.Chrome]:
    """Headless Chromium, its window 1500 wide."""
    settings = webdriver.ChromeOptions()
    settings.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size=1500,{height}"):
        settings.add_argument(argument)
    browser = webdriver.Chrome(options=settings, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def open_page(browser: webdriver.Chrome, address: str) -> float:
    """Seconds until the page was ready."""
    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, 60, 0.05).until(lambda one: one.execute_script(READY))
    return int(browser.execute_script(READY)) / 1000


if __name__ == "__main__":
    main()
