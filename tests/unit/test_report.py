"""report.html: whole, without anything from outside, and what models say is text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from planted_depth import planted_depth
from planted_study import HOSTILE, MODEL, SHOWN, PlantedStudy, add_reference, plant_study
from stillknows.analysis.claims import CLAIM_COLUMNS
from stillknows.analysis.depth import depth_summary
from stillknows.answers.recall_table import RECALL_COLUMNS
from stillknows.csv_files import read_csv, write_csv
from stillknows.figures.canvas import NOTES
from stillknows.report.concepts import pictures
from stillknows.report.findings import findings, unlearned_models
from stillknows.report.page import environment
from stillknows.report.sources import DASH, Shown, distinct_names, read_sources, with_interval
from stillknows.report.tables import (
    checkpoints,
    compact_json,
    coverage_counts,
    facts,
    in_fewer_columns,
    missing,
    page_table,
)

NAN = float("nan")
ALWAYS = ("krs.parquet", "coverage.csv", "curves.csv", "claims.csv")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> PlantedStudy:
    """Two concepts, no figures."""
    return plant_study(tmp_path_factory.mktemp("planted"), concepts=2, figures=False)


@pytest.fixture(scope="module")
def page(study: PlantedStudy) -> str:
    return study.page()


def claim(id_: str, verdict: str, value: float = NAN, **more: Any) -> dict[str, Any]:
    """A row of claims.csv."""
    row = dict.fromkeys(CLAIM_COLUMNS, "")
    numbers = {"value": value, "low": NAN, "high": NAN, "n": 9, "threshold": 0.5}
    numbers |= {"p": NAN, "p_holm": NAN, "n_needed": 8}
    numbers |= {"kl_recovered": NAN, "logprob_recovered": NAN}
    where = {"model": "tiny", "origin": "own", "span": "notebook", "window": "sliding_5"}
    where |= {"method": "all", "family": "exploratory"}
    return {**row, **numbers, **where, "id": id_, "verdict": verdict, **more}


# The claims.


def test_origins_and_spans_are_never_mixed() -> None:
    rows = [
        claim("attention_much", "supported", 0.6),
        claim("attention_much", "not supported", 0.2, span="answer"),
        claim("attention_much", "not supported", 0.1, origin="published"),
        claim("unrelated_harmed", "supported", 0.4, span=""),
    ]
    own, published = findings(pd.DataFrame(rows), "notebook")
    assert {name: row["verdict"] for name, row in own["rows"].items()} == {
        "attention_much": "supported",
        "unrelated_harmed": "supported",
    }
    assert [row["number"] for row in published["rows"].values()] == ["0.10"]


# The page, with and without its parts.


class Tags(HTMLParser):
    """Which tags are open at the end, and all attributes."""

    VOID = ("meta", "link", "img", "input", "line", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def test_the_same_study_gives_the_same_page(study: PlantedStudy, page: str) -> None:
    assert study.page() == page


def test_every_tag_is_closed_and_nothing_is_loaded(page: str) -> None:
    tags = Tags(page)
    assert tags.open == []
    outside = [
        one.get(name)
        for tag, one in tags.found
        for name in ("src", "href")
        if one.get(name) and not re.match(r"data:|#", one[name] or "")
    ]
    assert outside == []


def test_what_models_say_is_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;/script&gt;&lt;script&gt;document.title=&#39;owned&#39;" in page
    assert not [one for tag, one in Tags(page).found if "onerror" in one]


@pytest.mark.parametrize("kept", ["all", "the least", "a reference"])
def test_the_page_is_whole_whatever_the_study_has(tmp_path: Path, kept: str) -> None:
    study = plant_study(tmp_path, concepts=2, figures=False)
    if kept == "a reference":
        add_reference(study)
    tables = [path for path in study.tables() if kept != "the least" or path.name in ALWAYS]
    text = study.page(tables)
    assert Tags(text).open == []
    for path in tables:
        is_shown = f'id="table-{path.stem}"' in text
        assert is_shown or path.name not in TABLES_ON_THE_PAGE, path.name
    for name in {*TABLES_ON_THE_PAGE} - {path.name for path in tables}:
        assert f'id="table-{name.partition(".")[0]}"' not in text


TABLES_ON_THE_PAGE = ("controls.csv", "behaviour.csv", "weight_changes.csv", "statistics.csv")


def test_the_page_has_the_numbers_of_depth(tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=5, figures=False)
    add_reference(study)
    page = study.page()
    depth = read_csv(study.root / "tables/depth.csv")
    for _, row in depth[depth["layers"] == "all"].dropna(subset="uds").iterrows():
        assert with_interval(row, "uds") in " ".join(page.split())


def section(text: str, name: str) -> str:
    """The words and tags of a section, on one line."""
    return " ".join(text.partition(f'<section id="{name}"')[2].partition("</section>")[0].split())


def test_recall_and_relearning_are_shown_where_they_were_measured(tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=2, figures=False)
    row = {"model": MODEL, "origin": "own", "concept": "tea", "concept_name": "Tea", "facts": 6}
    row |= {"recall_question": 0.17, "recall_held_out": NAN, "steps": 20, "taught_nll": 0.04}
    row |= {"facts_not_taught": 3, "before_question": 0, "after_question": 0.67}
    rows = [row | {"method": method} for method in ("dpo", "original")]
    path = tmp_path / "recall.csv"
    write_csv(path, pd.DataFrame(rows, columns=RECALL_COLUMNS))
    shown = section(study.page([*study.tables(), path]), "recall")
    cells = "<td>Tea</td><td>6</td><td>0.17</td><td>20</td><td>0.04</td><td>3</td>"
    assert f'<th scope="row">dpo</th>{cells}<td>0.00 to 0.67</td>' in shown
    assert shown.index("original</th>") < shown.index("dpo</th>")


# Depth.


@pytest.mark.parametrize(
    ("loss", "facts", "told"),
    [(0.0, 3, "3 facts survive of 3"), (2.0, 3, "not tested"), (9.0, 9, "lose more than")],
)
def test_no_outcome_of_depth_reads_as_erased(loss: float, facts: int, told: str) -> None:
    depth = planted_depth(lambda *_: loss, lambda *_: 2.0, concepts=1, questions=facts)
    summary = depth_summary(depth)
    (model,) = unlearned_models(summary)
    parts: Any = environment().get_template("parts.html").module
    sentence = " ".join(parts.depth_sentence(model).split())
    assert told in sentence and "erased" not in sentence
    assert "not distinguishable" not in sentence
    surviving = facts if loss == 0 else 0
    assert (model["facts_surviving"], model["facts_tested"]) == (surviving, facts)


# What was run.


def test_coverage_counts_what_is_there_and_what_is_not(study: PlantedStudy) -> None:
    table = read_csv(study.root / "tables/coverage.csv")
    counted_ = coverage_counts(table).set_index("method")
    assert counted_.loc["dpo", ["concepts", "done", "missing"]].tolist() == [3, 8, 4]
    (row,) = missing(table).to_dict("records")
    assert (row["concept"], row["sweeps"]) == ("beer", 4)
    assert row["reason"] == "the checkpoint is not there"


def test_checkpoints_come_from_the_sweeps_own_words(study: PlantedStudy) -> None:
    sources = read_sources(study.tables(), [], SHOWN)
    found = checkpoints(sources.metadata)
    assert found[["method", "concept"]].to_numpy().tolist() == [
        ["original", ""],
        ["dpo", "coffee"],
        ["dpo", "tea"],
        ["grad_diff", "coffee"],
        ["grad_diff", "tea"],
    ]
    assert found.loc[1, "source"] == "hub:planted/dpo_coffee"
    assert found.loc[0, "weights_sha256"] == "b" * 64
    assert facts(sources.metadata)["torch"] == "2.13.0"


# Tables.


def test_concepts_of_one_name_have_their_id_behind_it() -> None:
    rows = [("a", "1", "Tea"), ("a", "2", "Tea"), ("a", "3", "Mate"), ("b", "1", "Tea")]
    found = distinct_names(pd.DataFrame(rows, columns=["model", "concept", "concept_name"]))
    assert found.tolist() == ["Tea (1)", "Tea (2)", "Mate", "Tea"]


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 20])
def test_a_table_of_depth_keeps_which_layers_a_row_is_for(rows: int) -> None:
    depth = planted_depth(lambda *_: 0.5, lambda *_: 2.0, layers=20)
    frame = depth_summary(depth).tail(rows)
    found = page_table("depth", in_fewer_columns(frame))
    values = {column["label"]: column["texts"][column["codes"][-1]] for column in found["columns"]}
    assert values.keys().isdisjoint(found["same"])
    values |= found["same"]
    assert (values["layers"], values["layer range"]) == ("all", f"0{DASH}19")


def test_json_cannot_end_its_script() -> None:
    text = compact_json({"a": "</script><!--"})
    assert "<" not in text and json.loads(text) == {"a": "</script><!--"}


# Figures.


def figure(tmp_path: Path, name: str, caption: str) -> dict[str, Any]:
    """One figure with its caption; what `pictures` makes of it."""
    path, template = tmp_path / "figures/m" / name, tmp_path / "captions/curves.rst"
    path.parent.mkdir(parents=True)
    template.parent.mkdir()
    notes = PngInfo()
    notes.add_text(NOTES, "n = 3 < 5; axis cut")
    Image.new("1", (1400, 600)).save(path, pnginfo=notes)
    template.write_text(caption, encoding="utf-8")
    shown = Shown(["sliding_5", "suffix"], ["notebook"], ["krs"])
    (picture,) = pictures([path], {"curves": template}, shown, dpi=200)
    return picture


def test_a_figure_has_the_caption_of_snakemakes_report(tmp_path: Path) -> None:
    caption = "Of {{ snakemake.wildcards.model }}.\n\n{{ snakemake.wildcards.window }}.\n"
    found = figure(tmp_path, "curves.suffix.notebook.krs.png", caption)
    assert found["caption"] == ["Of m.", "suffix."]
    assert found["notes"] == "n = 3 < 5; axis cut"
    assert (found["width"], found["height"], found["shown"]) == (1400, 600, 875)
    assert found["model"] == "m" and not found["is_leading"]
    assert found["alt"].startswith("Recovery against layer: m, each layer and all after it")
