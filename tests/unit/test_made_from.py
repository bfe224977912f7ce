"""Whether results belong to a study: what differs is found, named, and refused."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from planted import flat, plant
from stillknows.errors import StudyError
from stillknows.files import sha256_of, write_json
from stillknows.models.manifest import SCHEMA, File, Manifest
from stillknows.study.expected import check_results, settings_fields
from stillknows.study.load import load_study
from stillknows.study.made_from import records
from stillknows.study.study import Study

CONCEPT = {"id": "tea", "Concept": "Tea", "QA": ["Why?"], "wikipedia_content": "Tea is hot."}
OTHER = CONCEPT | {"id": "mate", "Concept": "Mate"}
WEIGHTS = {"original": File("model.safetensors", 1, "1" * 64)}
WEIGHTS["dpo"] = File("model.safetensors", 1, "2" * 64)
ORIGINAL, UNLEARNED = (
    hashlib.sha256(f"{file.sha256}  {file.name}\n".encode()).hexdigest()
    for file in WEIGHTS.values()
)
WEIGHTS["retain"] = WEIGHTS["dpo"]
SWEEP = {"windows": ["sliding_1"], "prompt": "paper", "dtype": "checkpoint"}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study in the working directory: one trained checkpoint, whose concept has no answers."""
    monkeypatch.chdir(tmp_path)
    Path("own/original").mkdir(parents=True)
    Path("own/original/config.json").write_text('{"num_hidden_layers": 4}', encoding="utf-8")
    Path("concepts.json").write_text(json.dumps([CONCEPT, OTHER]), encoding="utf-8")
    rows = ["model\tmethod\tconcept\tsource", "tiny\toriginal\t\tpath:own/original"]
    rows += ["tiny\tdpo\ttea\tunlearn", "tiny\tdpo\tmate\tunlearn"]
    Path("table.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return load(study_config())


def study_config(**changes: Any) -> dict[str, Any]:
    return {
        "results": "results",
        "checkpoints": "table.tsv",
        "models": {"tiny": {"concepts": "concepts.json"}},
        "concepts": {"tiny": ["tea"]},
        "windows": ["sliding_1"],
        "experiments": ["attention"],
        "behaviour": {"new_tokens": 5, "patched": {"windows": ["1-2"]}},
    } | changes


def load(config: dict[str, Any]) -> Study:
    return load_study(config)


@pytest.fixture
def sweep(study: Study) -> Path:
    """Its one sweep, with manifests and concept, as the workflow makes them."""
    write_json(Path("results/concepts/tiny/mate.json"), OTHER)
    by = {"source": "path:own/original", "weights_sha256": ORIGINAL, "new_tokens": 30}
    by |= {"prompt": "paper", "dtype": "checkpoint"}
    answers = {"QA_with_answers": ["Why? So."], "answers_tokens_num": [1], "answered_by": by}
    write_json(Path(study.texts_path("tiny", "tea")), CONCEPT | answers)
    write_manifest(study, "original")
    manifest = study.manifest_path("tiny", "dpo", "tea")
    training = records(study)["manifests"][manifest]["training"]
    training = training | {"original_weights_sha256": ORIGINAL, "steps": 15}
    write_manifest(study, "dpo", "tea", training=training)
    return plant(Path("results"), flat(0.5), metadata=metadata_of(study))


def write_manifest(
    study: Study, method: str, concept: str = "", training: dict[str, Any] | None = None
) -> None:
    row = study.row("tiny", method, concept)
    manifest = Manifest(
        schema=SCHEMA,
        model="tiny",
        method=method,
        concept=concept,
        source=row.source,
        revision="",
        format="transformers",
        origin=row.origin,
        folder=Path("own/original"),
        files=[WEIGHTS[method]],
        weights_sha256=ORIGINAL if method == "original" else UNLEARNED,
        architecture="LlamaForCausalLM",
        layers=4,
        parameters=1,
        dtype="float32",
        training=training,
    )
    write_json(Path(study.manifest_path("tiny", method, concept)), asdict(manifest))


def metadata_of(study: Study) -> dict[str, str]:
    return {
        "original_weights_sha256": ORIGINAL,
        "unlearned_weights_sha256": UNLEARNED,
        "data_sha256": sha256_of(Path(study.texts_path("tiny", "tea"))),
        "dtype": "torch.float32",
        **settings_fields(**SWEEP),
    }


def check(study: Study, path: Path) -> None:
    """Whether the study's sweep at this path belongs to it."""
    expected = records(study, "krs")
    check_results(expected | {"results": {str(path): expected["results"][str(path)]}})


def test_a_study_s_own_sweep_belongs_to_it(study: Study, sweep: Path) -> None:
    check(study, sweep)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"windows": ["sliding_3"]}, r'windows is \["sliding_1"\], expected \["sliding_3"\]'),
        ({"dtype": "bfloat16"}, 'dtype is "checkpoint", expected "bfloat16"'),
        ({"answer_tokens": 4}, "tea.json .*answered_by.new_tokens is 30, expected 4"),
        ({"seed": 1}, "manifest.json .*training.seed is 0, expected 1"),
        ({"unlearning": {"dpo": {"steps": 2}}}, "training.recipe.steps is 15, expected 2"),
        (
            {"models": {"tiny": {"concepts": "concepts.json", "prompt": "Q {q}"}}},
            'training.prompt is "paper", expected "Q {q}"',
        ),
    ],
)
def test_another_config(sweep: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(StudyError, match=rf"^results/.*{told}"):
        check(load(study_config(**changes)), sweep)


@pytest.mark.parametrize(
    "key", ["original_weights_sha256", "unlearned_weights_sha256", "data_sha256"]
)
def test_another_source_of_a_sweep(study: Study, sweep: Path, key: str) -> None:
    path = plant(Path("results"), flat(0.5), metadata=metadata_of(study) | {key: "9" * 64})
    with pytest.raises(StudyError, match=f"{key} is 999999999999, expected"):
        check(study, path)


def test_another_reference_as_donor_of_a_sweep(sweep: Path) -> None:
    with Path("table.tsv").open("a", encoding="utf-8") as table:
        table.write("tiny\tretain\t\tpath:own/original\n")
    controls = {"donors": ["reference"], "layers": [1]}
    study = load(study_config(reference="retain", controls=controls))
    write_manifest(study, "retain")
    settings = settings_fields(**SWEEP, controls=study.config.controls.of_a_sweep(0))
    without = metadata_of(study) | settings
    with pytest.raises(StudyError, match="reference_weights_sha256 is missing"):
        check(study, plant(Path("results"), flat(0.5), metadata=without))
    key = "reference_weights_sha256"
    with pytest.raises(StudyError, match=f"{key} is 999999999999, expected"):
        check(study, plant(Path("results"), flat(0.5), metadata=without | {key: "9" * 64}))
    check(study, plant(Path("results"), flat(0.5), metadata=without | {key: UNLEARNED}))
    # The reference model's own sweep has no such donor.
    check(study, plant(Path("results"), flat(0.5), method="retain", metadata=without))


def test_a_changed_concept_file(study: Study, sweep: Path) -> None:
    edited = json.dumps([CONCEPT | {"QA": ["How?"]}, OTHER])
    Path("concepts.json").write_text(edited, encoding="utf-8")
    with pytest.raises(StudyError, match=r"answers/tiny/tea.json .*entry_sha256 is"):
        check(load(study_config()), sweep)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ([None], None),
        (["No."], None),  # the answer does not say it
        (["So."], r'answer_facts is \[null\], expected \["So."\]'),
        (None, r"answer_facts is \[null\], expected missing"),
    ],
)
def test_changed_facts_of_generated_answers(
    study: Study, sweep: Path, named: list[str | None] | None, told: str | None
) -> None:
    path = Path(study.texts_path("tiny", "tea"))
    answered = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, answered | {"answer_facts": [None]})
    files = plant(Path("results"), flat(0.5), metadata=metadata_of(study))
    facts = {} if named is None else {"answer_facts": named}
    Path("concepts.json").write_text(json.dumps([CONCEPT | facts, OTHER]), encoding="utf-8")
    study = load(study_config())
    if told is None:
        return check(study, files)
    with pytest.raises(StudyError, match=rf"answers/tiny/tea.json .*{told}"):
        check(study, files)
