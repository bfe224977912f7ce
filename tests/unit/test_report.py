"""report.html: what it says follows from the tables, and what it shows is text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dissect.analysis.claims import CLAIM_COLUMNS
from dissect.analysis.depth import depth_summary
from dissect.analysis.specificity import SPECIFICITY_COLUMNS
from dissect.errors import DissectError
from dissect.figures.canvas import NOTES
from dissect.figures.style import Style
from dissect.report import depth as depth_report
from dissect.report.concepts import MOST_UNRELATED
from dissect.report.explore import looks_of
from dissect.report.findings import findings, sentences
from dissect.report.formatting import (
    DASH,
    MINUS,
    counted,
    listed,
    name_of,
    number,
    setting,
    with_interval,
)
from dissect.report.pictures import pictures
from dissect.report.run import checkpoints, coverage_counts, facts, missing
from dissect.report.sources import Shown, distinct_names, read_sources, read_table
from dissect.report.tables import (
    FIRST_ROWS,
    MANY_ROWS,
    MOST_ROWS,
    compact_json,
    narrowed,
    page_table,
)
from dissect.terms import DENOISING
from planted_depth import planted_depth
from planted_study import HOSTILE, SHOWN, PlantedStudy, add_reference, plant_study

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


# What was found of the claims, in sentences.


def test_what_holds_is_said_with_its_interval() -> None:
    rows = [
        claim("both_nearly_all", "supported", 0.934, low=0.9, high=0.951),
        claim("value_vectors_nothing", "supported", 0.02, low=-0.01, high=0.05),
        claim("both_over_value_vectors", "supported", 0.9),
        claim("attention_much", "supported", 0.6),
        claim("coefficients_very_much", "supported", 0.75),
        claim("last_layer_needed", "supported", 0.123),
    ]
    assert sentences(pd.DataFrame(rows)) == [
        "With the original's MLP coefficients and attention output patched, KRS reaches 0.93 "
        "[0.90, 0.95]; with the original's value vectors alone, KRS moves by at most 0.02 "
        f"[{MINUS}0.01, 0.05]: the claim that coefficients and attention recover far more than "
        "value vectors is supported here.",
        "With attention output of the middle and late layers, KRS reaches 0.60; with MLP "
        "coefficients of the late layers, 0.75; windows with the last layer do 0.12 better than "
        "those without: the claim that windows with the last layer recover more than those without "
        "is supported here.",
        "Of the paper's 6 claims, 6 are supported, 0 are not supported and 0 are mixed.",
    ]


def test_what_does_not_hold_is_said_so() -> None:
    rows = [
        claim("both_over_value_vectors", "not supported", 0.1),
        claim("last_layer_needed", "not supported", -0.2),
        claim("attention_much", "supported", 0.7),
    ]
    first, second, last = sentences(pd.DataFrame(rows))
    assert first == (
        "The claim that coefficients and attention recover far more than value vectors is not "
        "supported here."
    )
    assert "do 0.20 worse than those without: the claim that windows with the last layer" in second
    assert last == ("Of the paper's 3 claims, 1 is supported, 2 are not supported and 0 are mixed.")


def test_what_is_undecided_is_said_once_with_its_reasons() -> None:
    few = "2 concepts decide: a decision needs 8"
    rows = [
        claim("both_over_value_vectors", "undecided", 0.8, note=few),
        claim("both_nearly_all", "undecided", 0.9, note=few),
        claim("last_layer_best", "undecided", note="the window sliding_1 was not computed"),
    ]
    (one,) = findings(pd.DataFrame(rows), "notebook")
    assert one["sentences"] == [
        "With the original's MLP coefficients and attention output patched, KRS reaches 0.90.",
        "None of the paper's 3 claims could be decided.",
    ]
    few = "2 concepts decide, a decision needs 8"
    absent = "the window sliding_1 was not computed"
    assert one["undecided"] == {
        "count": "3 of 3 claims are undecided",
        "reasons": [
            {"mark": "a", "reason": few, "claims": 2},
            {"mark": "b", "reason": absent, "claims": 1},
        ],
    }
    assert [row["why"] for row in one["rows"]] == ["a", "a", "b"]


def test_a_single_reason_needs_no_letter() -> None:
    rows = [
        claim("both_nearly_all", "supported", 0.9),
        claim("last_layer_best", "undecided", note="no concept has a value"),
    ]
    (one,) = findings(pd.DataFrame(rows), "notebook")
    (reason,) = one["undecided"]["reasons"]
    assert (reason["mark"], reason["reason"]) == ("", "no concept has a value")
    assert one["undecided"]["count"] == "1 of 2 claims is undecided"
    assert one["sentences"][-1] == (
        "Of the paper's 2 claims, 1 is supported, 0 are not supported and 0 are mixed."
    )
    decided = findings(pd.DataFrame(rows[:1]), "notebook")[0]["undecided"]
    assert decided == {"count": "", "reasons": []}


def test_what_is_mixed_is_said_with_its_reason() -> None:
    rows = [claim("both_over_value_vectors", "mixed", 0.8, note="not so in KL")]
    first, last = sentences(pd.DataFrame(rows))
    assert first == (
        "The claim that coefficients and attention recover far more than value vectors is mixed "
        "(not so in KL)."
    )
    assert last.endswith("0 are not supported and 1 is mixed: not so in KL (1).")


def test_origins_and_spans_are_never_mixed() -> None:
    rows = [
        claim("attention_much", "supported", 0.6),
        claim("attention_much", "not supported", 0.2, span="answer"),
        claim("attention_much", "not supported", 0.1, origin="published"),
        claim("unrelated_harmed", "supported", 0.4, span=""),
    ]
    own, published = findings(pd.DataFrame(rows), "notebook")
    assert [(one["id"], one["verdict"]) for one in own["rows"]] == [
        ("attention_much", "supported"),
        ("unrelated_harmed", "supported"),
    ]
    assert [one["value"] for one in published["rows"]] == ["0.10, n = 9"]


def test_methods_stand_beside_the_claim_over_all() -> None:
    rows = [
        claim("attention_much", "supported", 0.6),
        claim("attention_much", "mixed", 0.7, method="dpo", note="not so in KL"),
        claim("attention_much", "undecided", 0.5, method="npo"),
    ]
    (one,) = findings(pd.DataFrame(rows), "notebook")
    (row,) = one["rows"]
    assert (row["verdict"], row["value"]) == ("supported", "0.60, n = 9")
    assert [(own["method"], own["verdict"]) for own in row["by_method"]] == [
        ("dpo", "mixed"),
        ("npo", "undecided"),
    ]
    (alone,) = findings(pd.DataFrame(rows[:2]), "notebook")
    assert alone["rows"][0]["by_method"] == []  # one method is all methods


def test_the_page_says_how_many_concepts_a_decision_needs(page: str) -> None:
    text = " ".join(page.split())
    assert "over the 4 primary claims, a decision needs at least n = 8 concepts" in text


def test_the_other_scores_of_a_claim_are_shown() -> None:
    numbers = {"p": 2 / 2**9, "p_holm": 8 / 2**9, "kl_recovered": 0.6, "logprob_recovered": -0.1}
    (one,) = findings(pd.DataFrame([claim("attention_much", "mixed", 0.7, **numbers)]), "notebook")
    assert one["rows"][0]["test"] == (
        f"p = 0.0039, adjusted 0.016; KL 0.60, log-probability {MINUS}0.10"
    )


def test_a_finding_is_drawn_where_it_lies() -> None:
    rows = [claim("a", "supported", 1.1, low=-0.5, high=9.0), claim("b", "undecided", note="none")]
    (one,) = findings(pd.DataFrame(rows), "notebook")
    assert one["rows"][0]["positions"] == {
        "value": 100.0,
        "low": 0.0,
        "high": 100.0,
        "threshold": 62.5,
    }
    assert one["rows"][1]["positions"] == {"threshold": 62.5}
    assert one["rows"][1]["value"] == "no value"


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


@pytest.mark.parametrize(
    "left_out", ["controls.csv", "behaviour.csv", "weight_changes.csv", "statistics.csv"]
)
def test_a_table_that_is_not_there_is_said_to_be_missing(
    study: PlantedStudy, page: str, left_out: str
) -> None:
    name = left_out.partition(".")[0]
    text = study.page([path for path in study.tables() if path.name != left_out])
    assert f'id="table-{name}"' not in text
    assert f'id="table-{name}"' in page
    assert {
        "controls.csv": "no controls were computed (config: controls.donors)",
        "behaviour.csv": "answers were not computed (config: behaviour.sets)",
        "weight_changes.csv": "the parameters were not compared (config: weight_changes)",
        "statistics.csv": "statistics.csv has no rows",
    }[left_out].replace("'", "&#39;") in text


def test_specificity_is_shown_where_it_was_computed(
    study: PlantedStudy, page: str, tmp_path: Path
) -> None:
    assert "no sweeps on unrelated questions were computed (config: specificity)" in page
    row = dict.fromkeys(SPECIFICITY_COLUMNS, "x") | {"target": 0.75, "unrelated": 0.25}
    row |= {"difference": 0.5, "low": NAN, "high": NAN, "n_concepts": 2}
    row |= {"layer": 3, "first_layer": 1, "last_layer": 5}
    path = tmp_path / "specificity.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    assert 'id="table-specificity"' in study.page([*study.tables(), path])


def test_the_least_study_has_a_whole_page(study: PlantedStudy) -> None:
    text = study.page([path for path in study.tables() if path.name in ALWAYS])
    assert Tags(text).open == []
    assert "figures.formats has no png" in text
    assert "Questions with the original's answers, as they are compared" in text
    assert "Question: Who drinks Tea &lt;i&gt;first&lt;/i&gt;?" in text
    assert 'class="answer original"' not in text


@pytest.mark.parametrize("left_out", ALWAYS)
def test_what_the_page_cannot_do_without(study: PlantedStudy, left_out: str) -> None:
    with pytest.raises(DissectError, match=f"the report needs tables/{left_out}"):
        study.page([path for path in study.tables() if path.name != left_out])


def test_answers_stand_beside_the_originals(page: str) -> None:
    assert page.count('class="answer original"') == 2 * (2 + 1 + MOST_UNRELATED)
    assert f"attention output patched, layers 8{DASH}12" in page
    assert page.count("2 more in <code>tables/answers.parquet</code>") == 2
    assert "What is the capital of country 9?" in page
    assert "What is the capital of country 10?" not in page


def test_the_answers_stand_beside_the_krs_of_the_same_patch(study: PlantedStudy, page: str) -> None:
    behaviour = read_table(study.root / "tables/behaviour.csv")
    asked = behaviour[behaviour["set"] == "target"].groupby("experiment")["rouge_l"].mean()
    share = 100 * (asked["attention"] - asked[""]) / (1 - asked[""])
    curves = read_table(study.root / "tables/curves.csv")
    krs = curves[
        (curves[["first_layer", "last_layer"]] == [8, 12]).all(axis=1)
        & (curves[["experiment", "donor", "method"]] == ["attention", "original", "all"]).all(
            axis=1
        )
        & (curves[["span", "score"]] == ["notebook", "krs"]).all(axis=1)
    ]["mean"].item()
    assert (
        f'<th scope="row">attention output</th><td>8 to 12</td><td>{number(krs)}</td>'
        f"<td>{number(share, 0)} %</td>"
    ) in page
    without = study.page([path for path in study.tables() if path.name != "behaviour.csv"])
    assert "no answers under a patch were computed (config: behaviour.patched.windows)" in without


def section(text: str, name: str) -> str:
    """The words and tags of a section, on one line."""
    return " ".join(text.partition(f'<section id="{name}"')[2].partition("</section>")[0].split())


def test_the_page_begins_with_what_was_studied_and_found_and_cannot_be_concluded(
    study: PlantedStudy, page: str
) -> None:
    parts = ['<p class="lead">', *(f'<section id="{name}"' for name in FIRST)]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    lead = " ".join(page.partition(parts[0])[2].partition("</p>")[0].split())
    coverage = read_table(study.root / "tables/coverage.csv")
    done = (coverage["status"] == "done").sum()
    assert lead == (
        "This study compares planted-1b with copies that were fine-tuned to unlearn one concept "
        "each: 2 unlearning methods (dpo and grad_diff), 2 concepts (Coffee and Tea). "
        f"{done} of {len(coverage)} planned sweeps have been computed."
    )
    limits = section(page, "limits")
    assert "KRS alone does not show this. That needs a reference model" in limits
    assert "For the concepts of the paper" in limits and "none exists" in limits


FIRST = ("found", "limits", "findings", "measured", "depth", "error-rates", "run")


def test_undecided_is_said_once_and_not_on_every_row(study: PlantedStudy, page: str) -> None:
    claims = read_table(study.root / "tables/claims.csv")
    rows = claims[(claims["method"] == "all") & claims["span"].isin(["notebook", ""])]
    is_open = rows["verdict"] == "undecided"
    assert f"{is_open.sum()} of {len(rows)} claims are undecided" in section(page, "limits")
    for reason, count in rows.loc[is_open, "note"].str.replace(": ", ", ").value_counts().items():
        assert f"{reason} ({counted(count, 'claim')})" in section(page, "limits")
    of_claims = section(page, "findings")
    assert of_claims.count('aria-label="undecided"') == is_open.sum() > 5
    listed_ = re.sub("<[^>]*>", " ", of_claims.partition('<ul class="finding-list">')[2])
    assert "undecided" not in listed_.partition("Control baselines")[0].lower()
    assert all(value in of_claims for value in ("n = 1", "no value"))


def test_controls_are_shown_as_baselines(page: str) -> None:
    assert '<th scope="col">other question</th>' in page
    assert "control baselines (dotted)" in page


# Depth.


@pytest.fixture(scope="module")
def with_reference(tmp_path_factory: pytest.TempPathFactory) -> PlantedStudy:
    """Five concepts and a reference model; its only figure is that of depth."""
    planted = plant_study(tmp_path_factory.mktemp("reference"), concepts=5, figures=False)
    add_reference(planted)
    return planted


@pytest.fixture(scope="module")
def reference_page(with_reference: PlantedStudy) -> str:
    return with_reference.page()


def depth_section(text: str) -> str:
    """The words and tags of the section on depth, on one line."""
    return section(text, "depth")


def test_without_a_reference_the_page_says_so_in_two_sentences(page: str) -> None:
    paragraphs = re.findall("<p>(.*?)</p>", depth_section(page))
    assert paragraphs == [
        "This study has no reference model, which would be one that never learned the concepts. "
        "So nothing can be concluded about erasure."
    ]
    assert "<table" not in depth_section(page)
    assert '<a href="#depth">' in page and "this study has none" in section(page, "limits")


def test_the_page_on_depth_begins_with_what_cannot_be_concluded(reference_page: str) -> None:
    text = reference_page
    assert Tags(text).open == []
    section = depth_section(text)
    assert section.index("What cannot be concluded") < section.index("Fact loss")
    assert "this study has none" not in text and "is compared with one reference model" in section


def test_each_outcome_of_depth_has_its_sentence(
    with_reference: PlantedStudy, reference_page: str
) -> None:
    found = section(reference_page, "found")
    depth = read_table(with_reference.root / "tables/depth.csv")
    rows = depth[depth["layers"] == "all"].set_index("method")
    for method, told in [("dpo", "10 facts survive of 10"), ("grad_diff", "none of 10 facts")]:
        row = rows.loc[method]
        uds = {"value": row["uds"], "low": row["uds_low"], "high": row["uds_high"]}
        sentence = found[found.index(f"{method}: ") :].partition("</p>")[0]
        assert told in sentence and f"UDS is {with_interval(uds)} (5 concepts)." in sentence
    assert "does not show that the facts are gone" in sentence
    none = "npo has no reference model, so nothing can be concluded about erasure."
    assert none in found
    assert '<th scope="row">dpo</th>' in depth_section(reference_page)


def test_the_page_shows_the_figure_of_depth_once_and_where_it_belongs(reference_page: str) -> None:
    figure = 'id="figure-planted-1b-depth-corrected"'
    assert reference_page.count(figure) == 1 and figure in depth_section(reference_page)


def test_krs_stands_beside_the_references(
    with_reference: PlantedStudy, reference_page: str
) -> None:
    beside = read_table(with_reference.root / "tables/reference.csv")
    rows = beside[
        (beside[["method", "experiment"]] == ["grad_diff", "attention"]).all(axis=1)
        & (beside[["window", "span", "score"]] == ["sliding_5", "notebook", "krs"]).all(axis=1)
    ]
    best = rows.loc[rows["mean"].idxmax()]
    above = int((rows["outcome"] == "above the reference").sum())
    section = depth_section(reference_page)
    assert (
        '<th scope="row">attention output</th>'
        f"<td>{number(best['mean'])} at layer {best['layer']}</td>"
        f"<td>{number(best['reference'])}</td>"
    ) in section
    assert f"<td>{above} of {len(rows)}</td>" in section


def test_too_few_concepts_for_an_interval_are_not_tested(tmp_path: Path) -> None:
    """No count of layers, as 0 of 30, which would read as a result."""
    planted = plant_study(tmp_path, concepts=2, figures=False)
    add_reference(planted)
    beside = read_table(tmp_path / "tables/reference.csv")
    assert set(beside["outcome"]) == {"not tested"}
    table = depth_report.score_table(beside, SHOWN)
    assert set(table["outcome"]) == set(table["layers above"]) == {"not tested"}


def test_a_reference_is_no_unlearning_method(reference_page: str) -> None:
    assert "2 unlearning methods (dpo and grad_diff)" in " ".join(reference_page.split())


@pytest.mark.parametrize(
    ("loss", "facts", "told"),
    [(0.0, 3, "3 facts survive of 3"), (2.0, 3, "not tested"), (9.0, 9, "lose more than")],
)
def test_no_outcome_of_depth_reads_as_erased(loss: float, facts: int, told: str) -> None:
    depth = planted_depth(lambda *_: loss, lambda *_: 2.0, concepts=1, questions=facts)
    summary = depth_summary(depth)
    (sentence,) = depth_report.sentences(summary)
    assert told in sentence and "erased" not in sentence
    assert "not distinguishable" not in sentence
    (row,) = depth_report.uds_table(summary).to_dict("records")
    assert row["surviving facts"] == f"{facts if loss == 0 else 0} of {facts}"


def test_depth_that_was_not_measured_is_said_so(with_reference: PlantedStudy) -> None:
    tables = [path for path in with_reference.tables() if path.name != "depth.csv"]
    section = depth_section(with_reference.page(tables))
    assert "Depth was not measured (config: depth; concept file: answer_facts)." in section
    assert "beside the reference model" in section


# What was run.


def test_coverage_counts_what_is_there_and_what_is_not(study: PlantedStudy) -> None:
    table = read_table(study.root / "tables/coverage.csv")
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


def test_what_differs_between_sweeps_is_said_of_each() -> None:
    sweeps = {"m/a/c/e": {"device": "cpu"}, "m/b/c/e": {"device": "cuda:0"}}
    assert facts({"sweeps": sweeps, "dtype": "float32"}) == {
        "number format": "float32",
        "device": "cpu | cuda:0",
    }


# Tables.


def test_names_stay_names_and_numbers_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("concept,value,mixed,none\n16,0.5,1,\nNA,,a,\n", encoding="utf-8")
    found = read_table(path)
    assert found["concept"].tolist() == ["16", "NA"]
    assert found["value"].tolist()[0] == 0.5 and np.isnan(found["value"][1])
    assert found["mixed"].tolist() == ["1", "a"]


def test_concepts_of_one_name_have_their_id_behind_it() -> None:
    rows = [("a", "1", "Tea"), ("a", "2", "Tea"), ("a", "3", "Mate"), ("b", "1", "Tea")]
    found = distinct_names(pd.DataFrame(rows, columns=["model", "concept", "concept_name"]))
    assert found.tolist() == ["Tea (1)", "Tea (2)", "Mate", "Tea"]


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DissectError, match=r"answers\.parquet cannot be read"):
        read_table(path)


def test_a_table_is_compact_and_says_once_what_all_rows_share() -> None:
    frame = pd.DataFrame(
        {"model": "m", "method": ["a", "b"] * 20, "krs": [0.25, NAN] * 20, "n": range(40)}
    )
    found = page_table("t", frame, "T")
    assert found.same == {"model": "m"}
    assert [column.label for column in found.columns] == ["method", "KRS", "n"]
    assert found.first[:2] == [["a", "0.250", "0"], ["b", DASH, "1"]]
    assert len(found.first) == FIRST_ROWS and found.rows == 40
    read = json.loads(found.json())
    assert read[0]["texts"] == ["a", "b"] and read[0]["codes"][:3] == [0, 1, 0]
    assert read[1]["texts"] == ["0.250", DASH]


def test_a_short_table_keeps_its_columns() -> None:
    frame = pd.DataFrame({"model": ["m"] * (MANY_ROWS - 1), "n": range(MANY_ROWS - 1)})
    found = page_table("t", frame, "T")
    assert not found.many and found.same == {}


def test_a_long_table_is_cut_and_says_how_long_it_is() -> None:
    found = page_table("t", pd.DataFrame({"n": range(MOST_ROWS + 7)}), "T", file="tables/t.csv")
    assert (found.rows, found.total) == (MOST_ROWS, MOST_ROWS + 7)


def test_small_numbers_keep_their_digits() -> None:
    found = page_table("t", pd.DataFrame({"change": [0.000123, 0.000456]}), "T")
    assert found.first == [["0.000123"], ["0.000456"]]


def test_layers_stand_in_one_column_and_empty_ones_nowhere() -> None:
    frame = pd.DataFrame(
        {
            "concept": ["16", "18"],
            "concept_name": ["Tea", "Mate"],
            "first_layer": [3.0, NAN],
            "last_layer": [7.0, NAN],
            "dim": [NAN, NAN],
        }
    )
    found = narrowed(frame)
    assert found.to_dict("list") == {"concept": ["Tea", "Mate"], "layers": [f"3{DASH}7", ""]}


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 20])
def test_a_table_of_depth_keeps_which_layers_a_row_is_for(rows: int) -> None:
    depth = planted_depth(lambda *_: 0.5, lambda *_: 2.0, layers=20)
    frame = depth_summary(depth).tail(rows)
    found = page_table("depth", narrowed(frame), "T")
    labels = [column.label for column in found.columns]
    assert len({*labels, *found.same}) == len(labels) + len(found.same)
    values = found.same | dict(zip(labels, found.first[-1], strict=True))
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
    by_place = pictures([path], {"curves": template}, shown, dpi=200)["m"]
    ((place, picture),) = [(place, one) for place, all_ in by_place.items() for one in all_]
    return {**picture, "place": place}


def test_a_figure_has_the_caption_of_snakemakes_report(tmp_path: Path) -> None:
    caption = "Of {{ snakemake.wildcards.model }}.\n\n{{ snakemake.wildcards.window }}.\n"
    found = figure(tmp_path, "curves.suffix.notebook.krs.png", caption)
    assert found["caption"] == ["Of m.", "suffix."]
    assert found["notes"] == "n = 3 < 5; axis cut"
    assert (found["width"], found["height"], found["shown"]) == (1400, 600, 875)
    assert found["place"] == "others"
    assert found["alt"].startswith("Recovery against layer: m, each layer and all after it")


def test_the_first_window_leads(tmp_path: Path) -> None:
    assert figure(tmp_path, "curves.sliding_5.notebook.krs.png", "x")["place"] == "leading"


def test_a_caption_that_asks_for_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DissectError, match="has no attribute 'experiment'"):
        caption = "{{ snakemake.wildcards.experiment }}"
        figure(tmp_path, "curves.suffix.notebook.krs.png", caption)


# Words.


def test_every_experiment_has_a_shape_of_its_own_in_the_chart() -> None:
    looks = looks_of(DENOISING, Style())
    assert list(looks) == list(DENOISING)
    assert len({look["shape"] for look in looks.values()}) == len(looks)
    assert all(re.fullmatch("#[0-9a-f]{6}", look["colour"]) for look in looks.values())


def test_numbers_and_lists_in_words() -> None:
    assert [number(-0.004), number(-1.5), number(NAN)] == ["0.00", f"{MINUS}1.50", DASH]
    assert with_interval({"value": 0.5, "low": NAN, "high": NAN}) == "0.50"
    assert with_interval({"value": 0.5, "low": -0.1, "high": 0.9}) == f"0.50 [{MINUS}0.10, 0.90]"
    assert [listed(["a"]), listed(["a", "b", "c"])] == ["a", "a, b and c"]
    assert [counted(1, "sweep"), counted(2, "sweep")] == ["1 sweep", "2 sweeps"]
    assert name_of("attention") == "attention output" and name_of("answer") == "the answer's span"
    assert setting("suffix", None, None) == "each layer and all after it patched"
