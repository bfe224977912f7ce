"""A page in a real browser: Debian's chromium, driven by selenium."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

# Where Debian's packages chromium and chromium-driver put them; selenium shall fetch nothing.
BROWSER, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")


@contextmanager
def opened(
    page: Path, width: int = 1280, height: int = 900, *, chart: bool = True
) -> Iterator[Chrome]:
    """The page, loaded from its file; console and network are logged.

    Args:
        chart: wait until its chart is drawn.
    """
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    # no-sandbox: the tests may run as root. disable-dev-shm-usage: containers have little of it.
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options=options, service=Service(str(DRIVER)))
    try:
        browser.set_script_timeout(60)
        fresh(browser, page, width, height)
        if chart:
            await_chart(browser)
        yield browser
    finally:
        browser.quit()


def fresh(browser: Chrome, page: Path, width: int = 1280, height: int = 900) -> None:
    """The page as it is before anybody touched it, with empty logs."""
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    resize(browser, width, height)
    media(browser, "")
    browser.get(page.resolve().as_uri())


def await_chart(browser: Chrome) -> None:
    """Until the chart has drawn what was last asked of it."""
    browser.execute_async_script(
        "const done = arguments[0];"
        "window.chart.then((view) => view.runAsync()).then(() => done(), (error) => done(error));"
    )


def resize(browser: Chrome, width: int, height: int) -> None:
    """A window of exactly so many CSS pixels, narrower than a browser's own may be."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def media(browser: Chrome, name: str) -> None:
    """Show the page as on "print", or as on "" (the screen); without scrolling that takes time."""
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": name, "features": still})
