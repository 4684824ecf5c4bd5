"""How large the explorer of a space is, and how long a browser takes until all of it is drawn.

    python benchmarks/page_time.py --space g1 --runs 7

Needs Chromium and its driver. Time runs from the beginning of the navigation; the first opening, with nothing in the
browser's cache of compiled scripts, is told apart.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from flexnas_bench.cli.app import run_app

READY = "return document.documentElement.dataset.ready"


def main() -> None:
    """Writes the page and opens it a few times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="g1")
    parser.add_argument("--runs", type=int, default=7, help="openings after the first one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        if code := run_app(["report", "--space", options.space, "--out", str(page)]):
            raise SystemExit(code)
        first, *others = openings(page, options.runs + 1)
    print(f"first opening {first:.2f} s; median of {len(others)} more {statistics.median(others):.2f} s")


def openings(page: Path, times: int) -> list[float]:
    """Seconds until the page was ready, each time that it was opened."""
    settings = webdriver.ChromeOptions()
    settings.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,2300"):
        settings.add_argument(argument)
    browser = webdriver.Chrome(options=settings, service=webdriver.ChromeService(shutil.which("chromedriver")))
    found = []
    for _ in range(times):
        browser.get("about:blank")
        browser.get(page.as_uri())
        WebDriverWait(browser, 60, 0.05).until(lambda one: one.execute_script(READY))
        found.append(int(browser.execute_script(READY)) / 1000)
    browser.quit()
    return found


if __name__ == "__main__":
    main()
