"""The study: what is selected, where it goes, what is told before a job runs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planted_manifest import plant_manifest
from stillknows.errors import StudyError
from stillknows.study.jobs import Jobs
from stillknows.study.load import load_study
from stillknows.study.products import Products
from stillknows.study.selection import PreflightRow, write_preflight
from stillknows.study.study import Study
from stillknows.terms import NEVER, PAPER_EXPERIMENTS
from stillknows.terms import TAUGHT as WAS_TAUGHT

ROWS = [
    "m\toriginal\t\tpath:own/original",
    "m\tgrad_diff\ttea\tpath:own/grad_diff_tea",
    "m\tdpo\ttea\tpath:own/dpo_tea",
    "m\tdpo\tmate\tpath:own/dpo_mate",
    "m\tdpo\tcocoa\tunlearn",
]


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's files, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_table(*ROWS)
    write_concepts(*[concept(name) for name in ("tea", "mate", "cocoa")])
    for name in ("original", "grad_diff_tea", "dpo_tea", "dpo_mate"):
        folder = tmp_path / "own" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"num_hidden_layers": 6}')
        (folder / "model.safetensors").write_bytes(bytes(2_000_000))
    return tmp_path


def write_table(*rows: str) -> None:
    text = "\n".join(["model\tmethod\tconcept\tsource", *rows])
    Path("checkpoints.tsv").write_text(f"{text}\n", encoding="utf-8")


def write_concepts(*entries: dict[str, Any]) -> None:
    Path("concepts.json").write_text(json.dumps(entries), encoding="utf-8")


def concept(name: str, **changes: Any) -> dict[str, Any]:
    plain = {"id": name, "Concept": name, "QA": ["?"], "wikipedia_content": f"On {name}."}
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def study(**changes: Any) -> Study:
    values = {
        "results": "results/x",
        "checkpoints": "checkpoints.tsv",
        "models": {"m": {"concepts": "concepts.json"}},
    }
    return load_study(values | changes)


def products(**changes: Any) -> Products:
    return Products(study(**changes))


def refused(**changes: Any) -> str:
    with pytest.raises(StudyError) as caught:
        study(**changes).refuse_missing()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_rows_by_default() -> None:
    found = study()
    assert len(Products(found).results("krs")) == 4 * len(PAPER_EXPERIMENTS)
    assert found.models == ["m"]
    assert found.methods == ["grad_diff", "dpo"]
    assert found.missing_sweeps == []


def test_lists_select_a_part() -> None:
    found = study(concepts={"m": ["tea"]}, methods=["dpo"], experiments=["attention"])
    assert Products(found).results("krs") == ["results/x/krs/m/dpo/tea/attention.parquet"]
    assert [row.method for row in found.rows] == ["original", "dpo"]


def test_a_checkpoint_is_needed_by_its_sweeps_and_its_weight_changes() -> None:
    found = study(experiments=["attention"], behaviour={"sets": []}, controls={"self_patch": False})
    assert Products(found).results_that_read(found.row("m", "dpo", "tea")) == [
        "results/x/krs/m/dpo/tea/attention.parquet",
        "results/x/weight_changes/m/dpo/tea.parquet",
    ]
    of_original = Products(found).results_that_read(found.row("m", "original"))
    assert {*of_original} == {
        *Products(found).results("krs"),
        *Products(found).results("weight_changes"),
    }
    assert len(of_original) == 2 * 4
    assert "results/x/tables/weight_changes.csv" in Products(found).tables()
    assert "results/x/figures/m/weight_changes.pdf" in Products(found).figures()


def test_texts_are_the_files_or_answered_here() -> None:
    write_concepts(concept("tea", QA_with_answers=["a"]), concept("mate"), concept("cocoa"))
    found = study()
    assert found.texts_path("m", "tea") == "results/x/concepts/m/tea.json"
    assert found.texts_path("m", "mate") == "results/x/answers/m/mate.json"


def test_a_digest_is_of_one_entry_alone() -> None:
    before = study().concept_digest("m", "tea")
    write_concepts(*[concept(name) for name in ("new", "tea", "mate", "cocoa")])
    assert study().concept_digest("m", "tea") == before
    write_concepts(*[concept(n) for n in ("mate", "cocoa")], concept("tea", QA=["?", "??"]))
    assert study().concept_digest("m", "tea") != before


def test_a_file_by_url_is_planned_before_it_is_there() -> None:
    source = {"url": "https://example.org/c.json", "sha256": "0" * 64}
    found = study(models={"m": {"concepts": source}})
    assert found.config.concept_file("m") == "results/x/concepts/m.json"
    assert found.texts_path("m", "tea") == "results/x/concepts/m/tea.json"
    planned = found.concept_digest("m", "tea")
    Path("results/x/concepts").mkdir(parents=True)
    Path("concepts.json").rename("results/x/concepts/m.json")
    fetched = study(models={"m": {"concepts": source}})
    assert fetched.concept_digest("m", "tea") == planned
    assert fetched.texts_path("m", "tea") == "results/x/answers/m/tea.json"


def remove(name: str) -> None:
    folder = Path("own", name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def test_missing_folders_are_all_named() -> None:
    remove("dpo_tea")
    remove("grad_diff_tea")
    said = refused()
    assert "folder own/dpo_tea does not exist: m dpo tea" in said
    assert "folder own/grad_diff_tea does not exist: m grad_diff tea" in said
    assert study(concepts={"m": ["mate"]}).methods == ["dpo"]


def test_missing_ones_are_skipped_if_wanted() -> None:
    remove("dpo_tea")
    found = study(on_missing_checkpoint="skip", experiments=["attention"])
    assert "results/x/krs/m/dpo/tea/attention.parquet" not in Products(found).results("krs")
    assert found.missing_sweeps == [
        {
            "model": "m",
            "method": "dpo",
            "concept": "tea",
            "experiment": "attention",
            "reason": "folder own/dpo_tea does not exist",
            "origin": "own",
        }
    ]


def test_missing_ones_are_unlearned_if_wanted() -> None:
    remove("dpo_tea")
    row = study(on_missing_checkpoint="unlearn").row("m", "dpo", "tea")
    assert (row.kind, row.origin) == ("unlearn", "trained_here")


def test_rows_of_one_repository_need_its_weights_together() -> None:
    write_table(
        *(f"{model}\toriginal\t\thub:lab/base" for model in "mn"),
        *(f"{model}\tdpo\ttea\tpath:own/dpo_tea" for model in "mn"),
    )
    both = products(models={name: {"concepts": "concepts.json"} for name in "mn"})
    for model in "mn":
        reading = both.results_that_read(both.study.row(model, "original"))
        assert {path.split("/")[3] for path in reading if "/krs/" in path} == {"m", "n"}


def test_a_folder_with_an_adapter_is_to_be_merged() -> None:
    Path("own/dpo_tea/adapter_config.json").write_text("{}")
    found = study()
    row = found.row("m", "dpo", "tea")
    assert (row.kind, row.location, row.origin) == ("adapter", "own/dpo_tea", "own")
    folder = "results/x/checkpoints/adapter/m/dpo/tea"
    assert found.manifest_path("m", "dpo", "tea") == f"{folder}/manifest.json"
    assert found.row("m", "dpo", "mate").kind == "path"
    assert found.selection.missing == {}


def test_an_original_cannot_be_trained_or_done_without() -> None:
    remove("original")
    for policy in ("error", "unlearn", "skip"):
        assert "folder own/original does not exist" in refused(on_missing_checkpoint=policy)


def test_a_hub_row_is_taken_to_be_there_until_preflight_has_looked(inputs: Path) -> None:
    write_table(*ROWS[:4], "m\tdpo\tcocoa\thub:a/b")
    assert study().row("m", "dpo", "cocoa").kind == "hub"
    folder = inputs / "results/x/checkpoints"
    found = PreflightRow("m", "dpo", "cocoa", "hub:a/b", "", "gone")
    write_preflight(folder / "preflight.csv", [found])
    assert "private or gone (the hub does not say which): m dpo cocoa" in refused()
    assert "snakemake preflight checks again" in refused()
    assert study(on_missing_checkpoint="unlearn").row("m", "dpo", "cocoa").kind == "unlearn"
    skipped = study(on_missing_checkpoint="skip").missing_sweeps
    assert {(sweep["concept"], sweep["origin"]) for sweep in skipped} == {("cocoa", "published")}
    # What was found of another source says nothing of this one.
    write_table(*ROWS[:4], "m\tdpo\tcocoa\thub:a/c")
    assert study().selection.missing == {}


def test_a_downloaded_originals_size_is_known_from_preflight_and_then_its_manifest(
    inputs: Path,
) -> None:
    write_table("m\toriginal\t\thub:a/o", *ROWS[1:3])
    folder = inputs / "results/x/checkpoints"
    assert study().weights_mb("m") is None
    found = PreflightRow("m", "original", "", "hub:a/o", "", "there", bytes=5_000_000)
    write_preflight(folder / "preflight.csv", [found])
    assert study().weights_mb("m") == 5.0
    row, sizes = study().row("m", "original"), {"a.safetensors": 4_000_000, "b.json": 9}
    plant_manifest(folder / "hub/m/original/manifest.json", row, inputs, sizes, layers=4)
    assert study(windows=["sliding_3"]).weights_mb("m") == 4.0
    assert "sliding_5 is wider than m, which has 4 layers" in refused()


def describe(folder: str, model_type: str, layers: int = 6) -> None:
    values = {"model_type": model_type, "num_hidden_layers": layers}
    Path("own", folder, "config.json").write_text(json.dumps(values), encoding="utf-8")


def test_a_folder_that_is_no_checkpoint_is_refused() -> None:
    Path("own/dpo_tea/config.json").unlink()
    with pytest.raises(StudyError, match=r"own/dpo_tea has no config.json"):
        study()
    inside = Path("own/dpo_tea/checkpoint-15")
    inside.mkdir()
    (inside / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StudyError, match=r"did you mean own/dpo_tea/checkpoint-15\?"):
        study()


@pytest.mark.parametrize(
    ("model_type", "layers", "said"),
    [("mistral", 6, "family mistral and 6 layers"), ("llama", 8, "family llama and 8 layers")],
)
def test_another_model_is_no_copy_of_the_original(model_type: str, layers: int, said: str) -> None:
    for folder in ("original", "grad_diff_tea", "dpo_mate"):
        describe(folder, "llama")
    describe("dpo_tea", model_type, layers)
    expected = f"m dpo tea: own/dpo_tea has {said}, but its original own/original has family llama"
    with pytest.raises(StudyError, match=expected):
        study()


def test_specificity_reads_unrelated_questions_that_the_original_answers() -> None:
    asked = study(specificity=True)
    assert asked.texts_path("m", "tea.unrelated") == "results/x/answers/m/tea.unrelated.json"
    assert {"tea", "tea.unrelated"} <= set(asked.concepts)
    made = Products(asked)
    sweeps = made.results("krs_unrelated")
    assert len(sweeps) == 4 * len(PAPER_EXPERIMENTS)
    assert "results/x/krs_unrelated/m/dpo/tea/attention.parquet" in sweeps
    assert set(sweeps) <= set(made.results_that_read(asked.row("m", "original")))
    assert "results/x/tables/specificity.csv" in made.tables()
    assert not products().results("krs_unrelated") and not study().concepts[3:]


BENIGN = {"tests": ["exposure", "benign"]}


def test_a_copy_is_not_trained_on_what_it_is_asked_for() -> None:
    audit = BENIGN | {"retained": ["tea", "mate"]}
    found = study(audit=audit, recall={"wordings": ["question"]})
    asked = {
        name: SimpleNamespace(model="m", concept=name, alteration="benign")
        for name in ("tea", "mate", "cocoa")
    }
    trained = {name: Jobs(found).trained_on(wildcards) for name, wildcards in asked.items()}
    tea, mate = (f"results/x/concepts/m/{name}.json" for name in ("tea", "mate"))
    assert trained == {"tea": [mate], "mate": [tea], "cocoa": [tea, mate]}
    asked["tea"].alteration = "relearned"
    assert Jobs(found).trained_on(asked["tea"]) == []


TAUGHT = [
    "m\tbase\t\tpath:own/original",
    "m\toriginal\t\tteach",
    "m\tnever\ttea\tteach",
    "m\tgrad_diff\ttea\tunlearn",
]


def with_answers(*names: str) -> None:
    write_concepts(*[concept(name, QA_with_answers=["? Yes."]) for name in names])


def test_an_original_is_taught_everything_and_others_all_but_their_concept() -> None:
    write_table(*TAUGHT)
    with_answers("tea", "mate", "cocoa")
    taught = study(unlearning={"grad_diff": {"texts": "answers", "retain": ["mate"]}})
    learned = {row.method: taught.learned_concepts(row) for row in taught.rows}
    everything = ["tea", "mate", "cocoa"]
    assert learned == {
        "base": [],
        "original": everything,
        "never": ["mate", "cocoa"],
        "grad_diff": [],
    }
    assert taught.methods == ["never", "grad_diff"]
    assert set(everything) <= set(taught.concepts)
    # Size and layers are the base's as long as the original is still to be trained.
    assert taught.weights_mb("m") == pytest.approx(2)
    assert taught.layers("m") == 6


ANSWERS = {"texts": "answers", "retain": ["mate"]}


def test_a_treatment_starts_from_any_row_by_any_recipe() -> None:
    write_table(
        *TAUGHT[:3],
        "m\tfirst\ttea\tunlearn:grad_diff",
        "m\tsecond\ttea\tunlearn:gentle@never",
        "m\tthird\ttea\tunlearn:grad_diff@second",
        "m\twrong\ttea\tteach:mate,cocoa",
    )
    with_answers("tea", "mate", "cocoa")
    found = study(
        unlearning={"grad_diff": ANSWERS},
        variants={"gentle": {"method": "grad_diff", "options": {"steps": 1}}},
    )
    rows = {row.method: row for row in found.unlearned}
    starts = {name: found.start(row).method for name, row in rows.items()}
    assert starts == {
        "never": "base",
        "first": "original",
        "second": "never",
        "third": "second",
        "wrong": "base",
    }
    assert found.config.recipe("gentle").steps == 1
    assert found.config.recipe("gentle").texts == "answers"
    assert found.learned_concepts(rows["wrong"]) == ["mate", "cocoa"]
    # Whether they ever learned tea, whatever was done to them.
    assert {name: found.state(row) for name, row in rows.items()} == {
        "never": NEVER,
        "first": WAS_TAUGHT,
        "second": NEVER,
        "third": NEVER,
        "wrong": NEVER,
    }
    known = {one["method"]: (one["treatment"], one["recipe"]) for one in found.model_states("m")}
    assert known["second"] == ("grad_diff", "gentle")
    assert known["wrong"] == ("none", "none")


def test_a_state_is_that_of_the_rows_own_concept() -> None:
    write_table(
        TAUGHT[0],
        "m\toriginal\t\tteach:mate",
        *TAUGHT[2:],
        "m\tplacebo\ttea\tunlearn:grad_diff@never",
    )
    with_answers("tea", "mate")
    taught = study(unlearning={"grad_diff": ANSWERS}, reference="never")
    states = {row.method: taught.state(row) for row in taught.unlearned}
    # The original never learned tea. And nothing that is made from the reference is scored.
    assert states == {"never": None, "grad_diff": NEVER, "placebo": None}


def test_what_is_trained_from_a_missing_model_is_left_out_with_it() -> None:
    write_table(*ROWS[:2], "m\tgone\ttea\tpath:own/gone", "m\tx\ttea\tunlearn:dpo@gone")
    found = study(on_missing_checkpoint="skip", unlearning={"dpo": {"retain": ["mate"]}})
    assert found.methods == ["grad_diff"]
    reasons = {row.method: reason for row, reason in found.selection.missing.items()}
    assert reasons == {
        "gone": "folder own/gone does not exist",
        "x": "what it is made from is missing: folder own/gone does not exist",
    }


def test_finished_rounds_are_those_that_the_study_does_not_make(inputs: Path) -> None:
    folder = inputs / "rounds"
    folder.mkdir()
    for name in ("m.csv", "n.csv", "README.md"):
        (folder / name).touch()
    found = study(calibration={"rounds": "rounds"})
    assert found.finished_rounds == ["rounds/n.csv"]
    # A round of the same name is replaced by this study's only where that counts.
    not_counted = study(calibration={"rounds": "rounds", "own": False})
    assert not_counted.finished_rounds == ["rounds/m.csv", "rounds/n.csv"]
    with pytest.raises(StudyError, match="rounds: nowhere is not a folder"):
        _ = study(calibration={"rounds": "nowhere"}).finished_rounds


def test_a_studys_own_rounds_are_pooled_unless_the_config_says_no(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inputs / "rounds").mkdir()
    (inputs / "rounds/n.csv").touch()
    own, finished = "results/x/rounds/m.csv", "rounds/n.csv"
    monkeypatch.setattr(Products, "rounds", lambda _: [own])
    pooled = products(calibration={"rounds": "rounds"})
    assert pooled.all_rounds() == [own, finished]
    apart = products(calibration={"rounds": "rounds", "own": False})
    assert (apart.pooled_rounds(), apart.all_rounds()) == ([], [finished])
    assert apart.rounds() == [own]  # written all the same
    alone = products(calibration={"own": False})
    assert alone.all_rounds() == [] and alone.table("calibration.csv") == []


# What is refused before a job: changes of the config, rows of the table (none: the study's own),
# whether all concepts have answers, and what the message names.
FROM_ANSWERS = {"grad_diff": ANSWERS, "dpo": ANSWERS}
REFUSALS: list[tuple[dict[str, Any], list[str], bool, str]] = [
    ({"concepts": {"m": ["coco"]}}, [], False, "did you mean cocoa?"),
    ({"methods": ["dpoo"]}, [], False, "did you mean dpo?"),
    ({"models": {"n": {"concepts": "concepts.json"}}}, [], False, "allowed: m"),
    ({"concepts": {"m": []}}, [], False, "nothing is selected"),
    ({"windows": ["sliding_7"]}, [], False, "sliding_7"),
    ({"behaviour": {"patched": {"windows": ["3-99"]}}}, [], False, "3-99"),
    ({"controls": {"donors": ["noise"], "layers": [0, 6]}}, [], False, "layer 6"),
    ({"figures": {"spans": ["fact"]}}, [], False, "fact"),
    (
        {"audit": BENIGN | {"retained": ["tea"]}, "recall": {"wordings": ["question"]}},
        [],
        False,
        "names only tea",
    ),
    ({"results": "/"}, [], False, "/"),
    ({"results": "concepts.json/deep"}, [], False, "concepts.json"),
    ({"unlearning": {"dpo": {"retain": ["x"]}}}, [], False, "'x'"),
    ({"unlearning": {"dpo": {"retain": ["cocoa"]}}}, [], False, "nothing to retain"),
    ({"unlearning": {"refuse": {"stop_at_forget_nll": 5.0}}}, [], False, "stop_at_forget_nll"),
    ({"unlearning": {"dpo": ANSWERS}}, [], False, "cocoa of m has no QA_with_answers"),
    ({}, [*ROWS, "m\tforget_it\ttea\tunlearn"], False, "'forget_it'"),
    ({}, ROWS[1:], False, "method original"),
    ({}, [*ROWS, "m\tdpo\trum\tunlearn"], False, "'rum'"),
    ({}, TAUGHT[1:3], True, "method base"),
    ({}, TAUGHT[:3], False, "no QA_with_answers"),
    ({}, ["m\tbase\ttea\tpath:own/original", *TAUGHT[1:3]], True, "'tea'"),
    ({}, ["m\tbase\t\tteach", *TAUGHT[1:3]], True, "base"),
    ({}, [*TAUGHT[:2], "m\tnever\t\tteach"], True, "concept"),
    ({"teaching": {"passes_of": {"nevre": 2}}}, TAUGHT[:3], True, "'nevre'"),
    ({}, [*TAUGHT[:3], "m\tx\ttea\tunlearn:forget_it"], True, "'forget_it'"),
    ({}, [*TAUGHT[:3], "m\tx\ttea\tunlearn:dpo@nobody"], True, "nobody"),
    ({}, [*TAUGHT[:3], "m\tx\ttea\tunlearn:dpo@x"], True, "starts from x"),
    ({}, [*TAUGHT[:3], "m\tx\ttea\tteach:mate,rum"], True, "'rum'"),
]


@pytest.mark.parametrize(("changes", "rows", "answered", "named"), REFUSALS)
def test_what_cannot_be_planned_is_refused_by_name(
    changes: dict[str, Any], rows: list[str], answered: bool, named: str
) -> None:
    if rows:
        write_table(*rows)
    if answered:
        with_answers("tea", "mate")
        changes = {"unlearning": FROM_ANSWERS} | changes
    assert named in refused(**changes)


@pytest.mark.parametrize("content", [b"model;method\nm;dpo\n", "model".encode("utf-16")])
def test_a_preflight_that_another_program_has_saved_is_told(inputs: Path, content: bytes) -> None:
    path = inputs / "results/x/checkpoints/preflight.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert "results/x/checkpoints/preflight.csv" in refused()
