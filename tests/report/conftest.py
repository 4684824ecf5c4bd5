import os
import shutil
import time

import pytest
from filelock import FileLock
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.support.ui import WebDriverWait

from flexnas_bench.cli.app import run_app

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND")


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The explorer of G1 as the command writes it, once for all processes of a test run."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    path = folder / "g1.html"
    with FileLock(folder / "g1.lock"):
        if not path.exists():
            assert run_app(["report", "--space", "g1", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium that reaches no network, where there is one."""
    browser, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if browser is None or driver is None:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ARGUMENTS:
        options.add_argument(argument)
    try:
        found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    except WebDriverException as error:
        pytest.skip(f"Chromium does not start: {error.msg}")
    yield found
    found.quit()


@pytest.fixture
def chromium(browser):
    """The browser; a test fails if the browser's console has anything to say after it."""
    yield browser
    assert browser.get_log("browser") == []


@pytest.fixture
def explorer(chromium, page):
    """The page, just opened in a window for desks, all charts drawn."""
    chromium.set_window_size(1500, 2300)
    return open_page(chromium, page.as_uri())


def open_page(browser, address):
    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, 60, 0.05).until(
        lambda one: one.execute_script("return document.documentElement.dataset.ready")
    )
    time.sleep(0.2)  # what is asked for is painted in the next frame
    return browser
