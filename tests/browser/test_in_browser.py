"""report.html in a real browser: quiet, alone, and answering to a reader."""

import json
from pathlib import Path
from typing import Any

from page import await_chart, opened
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from planted import EXPERIMENTS
from planted_study import CONCEPTS, LAYERS, PlantedStudy
from stillknows.report.explore import COLUMNS


def requests_of(browser: Chrome) -> list[str]:
    """Every address that the page has asked for."""
    messages = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    sent = [one for one in messages if one["method"] == "Network.requestWillBeSent"]
    return [one["params"]["request"]["url"] for one in sent]


def points(browser: Chrome) -> list[dict[str, Any]]:
    """The points that the chart draws."""
    await_chart(browser)
    return browser.execute_async_script(
        "const done = arguments[0]; window.chart.then((view) =>"
        " done(view.data('points_marks').map((mark) => mark.datum)));"
    )


def choose(browser: Chrome, field: str, value: str) -> None:
    Select(browser.find_element(By.NAME, field)).select_by_value(value)
    await_chart(browser)


def cells(browser: Chrome, table: str, column: str) -> list[str]:
    """What a table shows in one column."""
    return browser.execute_script(
        "const table = document.querySelector(`#table-${arguments[0]} table`);"
        "const heads = [...table.tHead.rows[0].cells].map((one) => one.textContent);"
        "const place = heads.indexOf(arguments[1]);"
        "return [...table.tBodies[0].rows].map((row) => row.cells[place].textContent);",
        table,
        column,
    )


def test_the_console_is_quiet_and_nothing_leaves_the_file(browser: Chrome, report: Path) -> None:
    choose(browser, "window", "each layer and all after it")
    browser.execute_script("document.querySelectorAll('details').forEach((one) => one.open = true)")
    for experiment in EXPERIMENTS:
        browser.find_element(By.NAME, experiment).click()
    assert points(browser) == []
    assert [one["message"] for one in browser.get_log("browser")] == []
    asked = {url for url in requests_of(browser) if not url.startswith("data:")}
    assert asked == {report.resolve().as_uri()}


def test_what_a_model_says_is_text(browser: Chrome) -> None:
    assert browser.title.startswith("Dissecting fine-tuning unlearning")
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    shown = browser.execute_script("return document.getElementById('concepts').textContent")
    assert "document.title='owned'" in shown and "Mate <b>&" in shown


def test_every_figure_is_there_with_its_caption(browser: Chrome, study: PlantedStudy) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach((one) => one.open = true)")
    found = browser.execute_script(
        "return [...document.querySelectorAll('figure.picture')].map((one) => ({id: one.id,"
        " seen: one.querySelector('img').naturalWidth, alt: one.querySelector('img').alt,"
        " caption: one.querySelector('figcaption').innerText}))"
    )
    drawn = {
        "figure-" + "-".join([path.parent.name, *path.stem.split(".")])
        for path in study.root.glob("figures/*/*.png")
    }
    assert {one["id"] for one in found} == drawn and len(drawn) == 16
    assert all(one["seen"] > 300 and len(one["alt"]) > 20 for one in found)
    assert all(len(one["caption"]) > 100 and "{{" not in one["caption"] for one in found)


def test_a_choice_changes_the_curves(browser: Chrome) -> None:
    mean = points(browser)
    assert {one["kind"] for one in mean} == {"main", "control"}
    assert len([one for one in mean if one["kind"] == "main"]) == 4 * LAYERS
    choose(browser, "concept", "Cocoa")
    one = points(browser)
    assert {point["curve"] for point in one if point["kind"] == "main"} == {
        "Cocoa, mean over methods"
    }
    choose(browser, "method", "dpo")
    two = points(browser)
    assert [p["value"] for p in two] != [p["value"] for p in one]
    browser.find_element(By.NAME, "attention").click()
    assert {point["experiment"] for point in points(browser)} == {
        *("mlp_coefficients", "mlp_coefficients_and_attention", "value_vectors")
    }
    browser.find_element(By.NAME, "controls").click()
    assert {point["kind"] for point in points(browser)} == {"main"}
    title = browser.find_element(By.ID, "chart-title").text
    assert title.startswith("planted-1b, dpo, Cocoa, windows of 5 layers")


def test_marks_follow_and_values_can_be_read(browser: Chrome) -> None:
    drawn = "return document.querySelectorAll('#chart path[aria-roledescription=point]').length"
    await_chart(browser)
    before = browser.execute_script(drawn)
    browser.find_element(By.NAME, "singles").click()
    await_chart(browser)
    assert browser.execute_script(drawn) == before + 4 * LAYERS * len(CONCEPTS)
    # The nearest point answers, wherever in the chart the pointer is.
    box = browser.execute_script(
        "const chart = document.querySelector('#chart svg');"
        "chart.scrollIntoView({block: 'center'});"
        "const box = chart.getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2];"
    )
    for step in range(2):
        place = {"type": "mouseMoved", "x": box[0] + 3 * step, "y": box[1]}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", place)
    await_chart(browser)
    tip = browser.execute_script("return document.getElementById('vg-tooltip-element').innerText")
    said = dict(line.split("\t\n") for line in tip.split("\n\n"))
    assert said in [{name: str(point[name]) for name in COLUMNS} for point in points(browser)]


def test_a_table_sorts_by_number_and_by_name(browser: Chrome) -> None:
    def head(name: str) -> Any:
        found = browser.find_elements(By.CSS_SELECTOR, "#table-weight_changes th")
        return next(one for one in found if one.text.startswith(name))

    def press(name: str) -> str:
        head(name).find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        return str(head(name).get_attribute("aria-sort"))

    assert press("relative") == "ascending"
    rising = [float(text) for text in cells(browser, "weight_changes", "relative change")]
    assert press("relative") == "descending"
    falling = [float(text) for text in cells(browser, "weight_changes", "relative change")]
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)
    assert falling[-1] > rising[-1]
    assert press("concept") == "ascending"
    assert head("relative").get_attribute("aria-sort") == "none"
    assert set(cells(browser, "weight_changes", "concept")) == {"Cider"}


def test_it_can_be_read_without_any_script(report: Path, tmp_path: Path) -> None:
    """Where scripts are off, all findings, figures, first rows and answers still stand there."""
    still = tmp_path / "still.html"
    text = report.read_text(encoding="utf-8")
    still.write_text(text.replace("script-src 'unsafe-inline' 'unsafe-eval'", "script-src 'none'"))
    with opened(still, chart=False) as browser:
        assert len(browser.find_elements(By.CSS_SELECTOR, ".finding")) == 11
        assert len(cells(browser, "weight_changes", "component")) == 25
        assert len(browser.find_elements(By.CSS_SELECTOR, ".answer.original")) > 2 * len(CONCEPTS)
