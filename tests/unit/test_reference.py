"""Reference models: which rows they are, what they serve, and what is measured beside them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_study import ROWS, concept, inputs, products, refused, study, write_concepts, write_table

from dissect.study.jobs import Jobs

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
    sweeps = [path for path in products(reference="retain").sweeps() if "/retain/" in path]
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


def test_an_original_serves_all_concepts_too() -> None:
    manifest = "results/x/checkpoints/path/m/original/manifest.json"
    assert study(reference="retain").manifest_path("m", "original", "tea") == manifest


def test_depth_is_measured_where_there_are_facts_and_a_reference() -> None:
    write_concepts(*[concept(name, **FACTS) for name in ("tea", "mate")], concept("cocoa"))
    paths = products(reference="retain").depths()
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


@pytest.mark.parametrize(
    "changes", [{"reference": None, "methods": ["dpo"]}, {"depth": {"forms": []}}]
)
def test_else_it_is_not(changes: dict[str, Any]) -> None:
    write_concepts(*[concept(name, **FACTS) for name in ("tea", "mate", "cocoa")])
    assert products(**{"reference": "retain"} | changes).depths() == []


def test_weights_of_a_reference_are_needed_for_all_that_it_serves() -> None:
    write_concepts(*[concept(name, **FACTS) for name in ("tea", "mate", "cocoa")])
    made = products(reference="retain", controls={"self_patch": False}, weight_changes=False)
    needing = made.needing(made.study.row("m", "retain"))
    assert len([path for path in needing if "/krs/" in path]) == 3 * 4
    assert len([path for path in needing if "/depth/" in path]) == 3


def test_a_method_that_is_no_reference_needs_a_concept() -> None:
    said = "m retain has no concept; name it, or set reference: retain in the config"
    assert said in refused()


def test_an_unknown_reference_is_told() -> None:
    assert "reference: method 'retian' is not in checkpoints.tsv" in refused(reference="retian")


def test_references_alone_are_no_study() -> None:
    write_table(ROWS[0], RETAIN, "m\tretain\ttea\tpath:own/dpo_tea")
    assert "nothing is selected" in refused(reference="retain")


def test_a_missing_reference_is_never_trained() -> None:
    write_table(*ROWS, "m\tretain\t\tpath:own/nowhere")
    said = refused(reference="retain", on_missing_checkpoint="unlearn")
    assert "folder own/nowhere does not exist: m retain" in said


DONOR = {"donors": ["reference"], "layers": [2], "self_patch": False}


def test_a_donor_needs_a_reference_model() -> None:
    said = refused(controls=DONOR, methods=["dpo"])
    assert "controls.donors: reference needs a reference model: name its method" in said


def test_each_concept_needs_one(inputs: Path) -> None:
    write_table(*ROWS, "m\tretain\ttea\tpath:own/retain")
    assert study(reference="retain", controls=DONOR, concepts={"m": ["tea"]}).models == ["m"]
    said = refused(reference="retain", controls=DONOR)
    assert "checkpoints.tsv has no row of m retain for concept mate; add it" in said


def test_a_sweep_has_its_reference_as_an_input_but_for_its_own() -> None:
    wildcards = SimpleNamespace(model="m", method="dpo", concept="tea")
    manifest = "results/x/checkpoints/path/m/retain/manifest.json"
    assert Jobs(study(reference="retain")).reference(wildcards) == []
    with_donor = Jobs(study(reference="retain", controls=DONOR))
    assert with_donor.reference(wildcards) == [manifest]
    wildcards.method = "retain"
    assert with_donor.reference(wildcards) == []


def test_weights_of_a_donor_are_needed_by_the_sweeps_of_the_copies(inputs: Path) -> None:
    write_table(*ROWS, RETAIN, "m\tretain\ttea\tpath:own/dpo_mate")
    made = products(reference="retain", controls=DONOR, experiments=["attention"])
    swept = {
        concept: {
            "/".join(Path(path).parts[-3:-1])
            for path in made.needing(made.study.row("m", "retain", concept))
            if "/krs/" in path
        }
        for concept in ("", "tea")
    }
    assert swept[""] == {"retain/mate", "retain/cocoa", "dpo/mate", "dpo/cocoa"}
    assert swept["tea"] == {"retain/tea", "dpo/tea", "grad_diff/tea"}


def test_a_missing_donor_is_never_skipped() -> None:
    write_table(*ROWS, "m\tretain\t\tpath:own/nowhere")
    left = study(reference="retain", on_missing_checkpoint="skip")
    assert [one.row.method for one in left.selection.missing] == ["retain"]
    said = refused(reference="retain", on_missing_checkpoint="skip", controls=DONOR)
    assert "own/nowhere does not exist (it is a donor of controls, which is never skipped)" in said


def test_copies_without_a_reference_model_are_listed() -> None:
    assert study(reference="retain").without_reference == []
    write_table(*ROWS, "m\tretain\tmate\tpath:own/retain")
    # The own dpo models are of tea and mate, so one of them has a reference model.
    assert study(reference="retain").without_reference == [
        {"model": "m", "origin": "own", "method": "grad_diff"},
        {"model": "m", "origin": "trained_here", "method": "dpo"},
    ]


def test_a_reference_of_another_shape_is_told_before_any_job(inputs: Path) -> None:
    for folder, layers in (("original", 6), ("retain", 5)):
        config = inputs / "own" / folder / "config.json"
        config.write_text(f'{{"model_type": "llama", "num_hidden_layers": {layers}}}')
    said = refused(reference="retain")
    assert "m retain: own/retain has family llama and 5 layers" in said
