"""Reference models: which rows they are, what they serve, and what is measured beside them."""

from pathlib import Path
from typing import Any

import pytest
from test_study import ROWS, concept, inputs, products, refused, study, write_concepts, write_table

__all__ = ["inputs"]  # a fixture that each test uses
RETAIN = "m\tretain\t\tpath:own/retain"
FACTS = {"QA_with_answers": ["? yes"], "answer_facts": ["yes"]}


@pytest.fixture(autouse=True)
def with_reference(inputs: Path) -> None:
    folder = inputs / "own/retain"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 6}')
    write_table(*ROWS, RETAIN)


def test_a_row_without_a_concept_serves_all_concepts() -> None:
    found = study(reference="retain")
    served = [row.concept for row in found.unlearned if row.method == "retain"]
    assert served == ["tea", "mate", "cocoa"]
    manifest = "results/x/checkpoints/path/m/retain/manifest.json"
    assert {found.manifest_path("m", "retain", name) for name in served} == {manifest}
    assert products(reference="retain").manifests().count(manifest) == 1
    sweeps = [path for path in products(reference="retain").results("krs") if "/retain/" in path]
    assert len(sweeps) == 3 * 4


def test_a_row_of_its_own_goes_before_the_one_for_all(inputs: Path) -> None:
    write_table(*ROWS, RETAIN, "m\tretain\ttea\tpath:own/dpo_mate")
    found = study(reference="retain")
    assert found.row("m", "retain", "tea").source == "path:own/dpo_mate"
    assert found.row("m", "retain", "mate").source == "path:own/retain"
    served = [row.concept for row in found.unlearned if row.method == "retain"]
    assert sorted(served) == ["cocoa", "mate", "tea"]


def test_the_reference_comes_along_when_other_methods_are_selected() -> None:
    found = study(reference="retain", methods=["dpo"], concepts={"m": ["tea"]})
    keys = [(row.method, row.concept) for row in found.unlearned]
    assert keys == [("dpo", "tea"), ("retain", "tea")]


def test_depth_is_measured_where_there_are_facts_and_a_reference() -> None:
    write_concepts(*[concept(name, **FACTS) for name in ("tea", "mate")], concept("cocoa"))
    paths = products(reference="retain").results("depth")
    assert paths == [
        f"results/x/depth/m/{method}/{name}.parquet"
        for method, name in [
            ("grad_diff", "tea"),
            ("dpo", "tea"),
            ("dpo", "mate"),
            ("retain", "tea"),
            ("retain", "mate"),
        ]
    ]
    names = [Path(path).name for path in products(reference="retain").tables()]
    assert {"depth.parquet", "uds.csv", "reference.csv"} <= set(names)


def test_weights_of_a_reference_are_needed_for_all_that_it_serves() -> None:
    write_concepts(*[concept(name, **FACTS) for name in ("tea", "mate", "cocoa")])
    made = products(reference="retain", controls={"self_patch": False}, weight_changes=False)
    reading = made.results_that_read(made.study.row("m", "retain"))
    assert len([path for path in reading if "/krs/" in path]) == 3 * 4
    assert len([path for path in reading if "/depth/" in path]) == 3


DONOR = {"donors": ["reference"], "layers": [2], "self_patch": False}


def test_weights_of_a_donor_are_needed_by_the_sweeps_of_the_copies(inputs: Path) -> None:
    write_table(*ROWS, RETAIN, "m\tretain\ttea\tpath:own/dpo_mate")
    made = products(reference="retain", controls=DONOR, experiments=["attention"])
    swept = {
        concept: {
            "/".join(Path(path).parts[-3:-1])
            for path in made.results_that_read(made.study.row("m", "retain", concept))
            if "/krs/" in path
        }
        for concept in ("", "tea")
    }
    assert swept[""] == {"retain/mate", "retain/cocoa", "dpo/mate", "dpo/cocoa"}
    assert swept["tea"] == {"retain/tea", "dpo/tea", "grad_diff/tea"}


def test_copies_without_a_reference_model_are_listed() -> None:
    assert study(reference="retain").without_reference == []
    write_table(*ROWS, "m\tretain\tmate\tpath:own/retain")
    # The own dpo models are of tea and mate, so one of them has a reference model.
    assert study(reference="retain").without_reference == [
        {"model": "m", "origin": "own", "method": "grad_diff"},
        {"model": "m", "origin": "trained_here", "method": "dpo"},
    ]


GONE = "m\tretain\t\tpath:own/nowhere"


@pytest.mark.parametrize(
    ("changes", "rows", "named"),
    [
        ({}, [*ROWS, RETAIN], "m retain"),
        ({"reference": "retian"}, [*ROWS, RETAIN], "'retian'"),
        ({"reference": "retain"}, [ROWS[0], RETAIN], "nothing is selected"),
        ({"reference": "retain", "on_missing_checkpoint": "unlearn"}, [*ROWS, GONE], "own/nowhere"),
        (
            {"reference": "retain", "on_missing_checkpoint": "skip", "controls": DONOR},
            [*ROWS, GONE],
            "own/nowhere",
        ),
        ({"controls": DONOR, "methods": ["dpo"]}, [*ROWS, RETAIN], "reference"),
        (
            {"reference": "retain", "controls": DONOR},
            [*ROWS, "m\tretain\ttea\tpath:own/retain"],
            "mate",
        ),
    ],
)
def test_what_cannot_be_a_reference_is_refused_by_name(
    changes: dict[str, Any], rows: list[str], named: str
) -> None:
    write_table(*rows)
    assert named in refused(**changes)
