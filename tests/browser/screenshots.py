"""Pictures of every section, to be looked at: python tests/browser/screenshots.py PAGE FOLDER."""

import base64
import sys
from pathlib import Path

from page import await_chart, opened, resize, screenshot
from selenium.webdriver import Chrome

WIDTHS = (1280, 390)
TALLEST = 5000  # pixels of one picture


def take(page: Path, folder: Path) -> None:
    """Write FOLDER/{width}.{section}.png for each width, and FOLDER/print.pdf."""
    with opened(page) as browser:
        for width in WIDTHS:
            resize(browser, width, 900)
            for section in sections_of(browser):
                clip = box_of(browser, section, width)
                screenshot(browser, folder / f"{width}.{section}.png", clip)
        resize(browser, 1280, 900)
        await_chart(browser)
        printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
        (folder / "print.pdf").write_bytes(base64.b64decode(printed["data"]))


def sections_of(browser: Chrome) -> list[str]:
    """The ids of all sections, in the order of the page's contents."""
    links = "[...document.querySelectorAll('nav.contents a')]"
    ids: list[str] = browser.execute_script(f"return {links}.map((one) => one.hash.slice(1));")
    return ids


def box_of(browser: Chrome, section: str, width: int) -> dict[str, float]:
    """Where a section lies on the page, across its whole width."""
    found = browser.execute_script(
        "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return [box.top + scrollY, box.height];",
        section,
    )
    return {"x": 0, "y": found[0], "width": width, "height": min(found[1], TALLEST)}


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
