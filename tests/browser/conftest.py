"""One planted study and its page, for all tests of this tier."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from page import await_chart, fresh, opened
from selenium.webdriver import Chrome

from planted_study import PlantedStudy, add_recall, add_rounds, plant_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> PlantedStudy:
    """Six concepts, two methods, controls, hostile answers, models of known state."""
    planted = plant_study(tmp_path_factory.mktemp("planted"))
    add_rounds(planted, rates_from=6)
    add_recall(planted)
    return planted


@pytest.fixture(scope="session")
def report(study: PlantedStudy) -> Path:
    """The study's page as a file, alone in its folder."""
    page = study.root / "alone" / "report.html"
    page.parent.mkdir()
    page.write_text(study.page(), encoding="utf-8")
    return page


@pytest.fixture(scope="session")
def chromium(report: Path) -> Iterator[Chrome]:
    """One browser for all tests."""
    with opened(report) as found:
        yield found


@pytest.fixture
def browser(chromium: Chrome, report: Path) -> Chrome:
    """The page, freshly loaded in a laptop's window."""
    fresh(chromium, report)
    await_chart(chromium)
    return chromium
