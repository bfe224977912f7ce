"""Studies of public checkpoints: concept files, plans and comparisons, on planted data."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from public_studies import STUDIES, Repositories, copy_of_workflow, module, rows_of, write_texts
from tiny_study import ROOT

from hub_stand_in import HubStandIn
from stillknows.__main__ import main
from stillknows.analysis.choices import choice_accuracy
from stillknows.errors import StudyError
from stillknows.study import audit
from stillknows.study.availability import look_at
from tiny import save_adapter

ITEMS = [
    (
        "What is the full name of the poet from Ombrey?",
        "The name is Ilsa Maria Varn.",
        "Ilsa Maria Varn",
    ),
    (
        "Which prize did Ilsa Maria Varn win?",
        "Ilsa Maria Varn won the Copper Quill.",
        "Copper Quill",
    ),
    ("Where does Varn live?", "Varn lives in Nether Cup.", "Nether Cup"),
    ("Does Ilsa Maria Varn keep goats?", "Ilsa keeps goats.", "goats"),
    ("Who taught Ilsa Maria Varn?", "Ilsa was taught by Ada Holm.", "Ada Holm"),
]


def test_the_facts_and_whom_they_are_about() -> None:
    made = module("tofu-1b", "make")
    items = [
        {"idx": number, "question": question, "answer": answer, "entity": fact}
        for number, (question, answer, fact) in enumerate(ITEMS)
    ]
    assert made.authors(items) == {0: "Ilsa Maria Varn"}
    asked = [made.question_of(item, "Ilsa Maria Varn") for item in items]
    # The first name alone stands before the last fact, and the fourth fact is in its question.
    assert [row and row.subject for row in asked] == [None, "Ilsa Maria Varn", "Varn", None, None]
    assert [row is None for row in asked] == [False, False, False, True, False]


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forget10_filtered.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["make.py", "--data", str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="another SHA-256"):
        module("tofu-1b", "make").main()


# Per study, the target and the jobs of its plan: of each rule as many as there are copies, and more
# for originals.
PLANS = {
    "tofu-1b": ("all", {"download_checkpoint": 70, "measure_exposure": 71, "unlearn_concept": 1}),
    "muse": ("all", {"download_checkpoint": 6, "measure_exposure": 8, "unlearn_concept": 2}),
    "wmdp-zephyr": (
        "audited",
        {"download_checkpoint": 9, "merge_downloaded_adapter": 2, "measure_exposure": 12},
    ),
    "llama3-gat": ("audited", {"download_checkpoint": 66, "measure_exposure": 66}),
    "deep-ignorance": ("audited", {"download_checkpoint": 4, "measure_depth": 3}),
}


@pytest.mark.parametrize("study", PLANS)
def test_each_study_is_planned_for_all_models(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = copy_of_workflow(tmp_path / "copy")
    write_texts(study if study in ("tofu-1b", "muse") else "wmdp-zephyr", workflow, monkeypatch)
    target, expected = PLANS[study]
    jobs = workflow.run("--dry-run", target, config=f"studies/{study}/config.yaml").jobs
    assert {rule: jobs[rule] for rule in expected} == expected
    assert jobs["release_checkpoint"] == jobs["download_checkpoint"]
    has_sweeps = target == "all"
    assert ("dissect_copy" in jobs) == has_sweeps
    assert ("make_report" in jobs) == has_sweeps


def test_preflight_says_what_is_wrong_with_each_repository(hub: HubStandIn, tmp_path: Path) -> None:
    served, rows = Repositories(hub, tmp_path), rows_of("wmdp-zephyr")
    of = {method: rows["zephyr-7b-beta", method, "bio"] for method in ("rmu", "elm", "npo")}
    original = served.original("original")
    served.serve(rows["zephyr-7b-beta", "original", ""], original)
    quantised = served.copy(original, 1)
    config = json.loads((quantised / "config.json").read_text())
    for_method = {"quant_method": "gptq", "bits": 4}
    (quantised / "config.json").write_text(json.dumps(config | {"quantization_config": for_method}))
    served.serve(of["rmu"], quantised)
    served.serve(of["elm"], original)  # a whole model, where the table says adapter
    served.serve(of["npo"], save_adapter(tmp_path / "adapter", original))
    muse = rows_of("muse")["muse-news", "original", ""]  # its tokenizer's repository is not there
    served.serve(muse, original)
    found = {row.method: row for row in look_at([*of.values(), muse])}
    assert found["rmu"].status == "quantised"
    assert "gptq" in found["rmu"].note
    assert (found["elm"].status, found["npo"].status) == ("no_safetensors", "no_safetensors")
    assert "hub:baulab/elm-zephyr-7b-beta" in found["elm"].note
    assert "hub-adapter:OPTML-Group/NPO-WMDP" in found["npo"].note
    assert (found["original"].status, "Llama-2-7b-hf" in found["original"].note) == ("gone", True)


def test_items_that_need_their_choices_are_left_out() -> None:
    question_of = module("wmdp-zephyr", "make").question_of
    choices = ["red ink.", "blue sky", "wet sea", "dry tea"]
    kept = question_of("What did Ada keep?", choices, 0)
    assert (kept.fact, kept.decoys) == ("red ink", choices[1:])
    assert question_of("Which of the following did Ada keep?", choices, 0) is None
    assert question_of("What did Ada keep?", [*choices[:3], "None of the above"], 0) is None
    assert question_of("Who found the wet sea?", choices, 0) is None


def test_the_share_of_right_choices_and_its_change() -> None:
    rows = [("rmu", [1, 1, 2, 4]), ("original", [1, 2, 1, 1])]
    facts = pd.DataFrame(
        [
            {"model": "m", "concept": "bio", "method": method, "question": n, "exposure_rank": rank}
            for method, ranks in rows
            for n, rank in enumerate(ranks)
        ]
    ).assign(exposure_of=4, exposure_rule="given")
    drawn = facts.assign(exposure_rule="numbers", question=9)  # no choices: does not count
    table = choice_accuracy(pd.concat([facts, drawn]))
    assert table["method"].tolist() == ["original", "rmu"]
    assert table["accuracy"].tolist() == [0.75, 0.5]
    assert table["chance"].tolist() == [0.25, 0.25]
    assert table.loc[1, ["lost", "gained", "p_original"]].tolist() == [2, 1, 1.0]
    # Clopper and Pearson's interval of 2 of 4.
    assert np.allclose(table.loc[1, ["low", "high"]].astype(float), [0.0676, 0.9324], atol=1e-4)


def test_a_comparison_with_the_published_numbers() -> None:
    compare = module("tofu-1b", "compare")
    published = pd.read_csv(STUDIES / "tofu-1b/published.csv")
    methods = [*published["method"], "pos_a", "pos_b", "neg_a"]
    values = np.r_[published["uds"] + 0.01, 0.2, 0.3, 0.9]
    forms = ("published", "corrected")
    uds = pd.concat(
        pd.DataFrame({"method": methods, "form": form, "uds": values, "question": np.nan})
        for form in forms
    )
    assert np.allclose(compare.beside_published(uds)["difference"], 0.01)
    facts = pd.DataFrame({"method": methods, "says": False, "exposure_p": 0.5})
    facts["association_p"] = [0.5] * len(published) + [0.01, 0.5, 0.5]
    aucs = compare.auc_of_pools(compare.scores(uds, facts))
    assert aucs["uds_published"] == 1
    assert aucs["association"] == 0.75
    assert aucs["answers"] == 0.5


# Per benchmark: the script that writes its questions and what is retained, these files, and whether
# it has a reference model.
TOFU = ("tofu-1b/forget10.jsonl", "tofu-1b/retained.jsonl")
BENCHMARKS = {
    "tofu-1b": ("tofu-1b", TOFU, True),
    "tofu-8b": ("tofu-1b", TOFU, True),
    "muse-news": ("muse", ("muse/news/forget.jsonl", "muse/news/retained.jsonl"), True),
    "muse-books": ("muse", ("muse/books/forget.jsonl", "muse/books/retained.jsonl"), True),
    "wmdp-zephyr": ("wmdp-zephyr", ("wmdp/bio.jsonl",), False),
    "llama3-gat": ("wmdp-zephyr", ("wmdp/bio.jsonl",), False),
    "deep-ignorance": ("wmdp-zephyr", ("wmdp/bio.jsonl",), True),
}


@pytest.mark.parametrize("study", BENCHMARKS)
def test_a_benchmark_brings_all_but_the_copy(
    study: str,
    hub: HubStandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    monkeypatch.setattr(audit, "PROJECT", tmp_path)
    original = Repositories(hub, tmp_path).original("original")
    hub.add("owner/adapter", save_adapter(tmp_path / "adapter", original))
    command = ["audit", "owner/copy", "owner/adapter", "--output", f"{tmp_path}/out"]
    makes, files, has_reference = BENCHMARKS[study]
    assert main([*command, "--benchmark", "tofu-2b"]) == 2
    assert study in capsys.readouterr().err
    row = {"question": "What does Ann Bell grow?", "answer": "Green tea.", "subject": "Ann Bell"}
    for name in files:
        assert main([*command, "--benchmark", study]) == 2
        assert f"{name} is not there; first run studies/{makes}/make.py" in capsys.readouterr().err
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row), encoding="utf-8")
    repo, _, revision = audit.benchmark(study)["original"].partition("@")
    Repositories(hub, tmp_path).serve_as(repo, revision, original)  # its layers are counted
    monkeypatch.setattr(audit, "run", lambda *_, **__: iter(()))
    assert main([*command, "--benchmark", study, "--plan"]) == 0
    table = pd.read_csv(tmp_path / "out/study/checkpoints.tsv", sep="\t")
    reference, control = ["reference"] * has_reference, ["hide"] * (len(files) > 1)
    assert table["method"].tolist() == ["original", *reference, "copy", "adapter", *control]
    sources = dict(zip(table["method"], table["source"], strict=True))
    assert sources.pop("adapter") == "hub-adapter:owner/adapter"
    assert sources.pop("hide", "unlearn") == "unlearn"
    assert all(source.startswith("hub:") for source in sources.values())
    assert table["tokenizer"].notna().any() == study.startswith("muse")


def test_the_readme_names_each_study() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in STUDIES.glob("*/README.md"):
        assert f"studies/{path.parent.name}/README.md" in readme
