"""Each shape of public study from its own table to its comparison, with tiny checkpoints.

Their repositories do what those of the table are known to do: they lack a tokenizer, or bring
another one, hold an adapter, float32 shards beside a bfloat16 original, or have vanished.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from public_studies import (
    Repositories,
    adapter,
    copy_of_workflow,
    in_float32_shards,
    module,
    other_tokenizer,
    rows_of,
    without_tokenizer,
    write_texts,
)
from tiny_study import Run, Workflow
from transformers import AutoModelForCausalLM

from hub_stand_in import HubStandIn
from stillknows.csv_files import read_csv
from stillknows.files import read_json
from tiny import save_tiny

CPU = ("device=cpu",)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Repositories]:
    before = dict(os.environ)
    with HubStandIn() as hub:
        os.environ.update(hub.environment(tmp_path / "home", token=hub.token))
        yield Repositories(hub, tmp_path / "served")
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return copy_of_workflow(tmp_path / "work")


def run(workflow: Workflow, study: str, *options: str, over: str = "") -> Run:
    config = f"studies/{study}/config.yaml"
    done = workflow.run(*options, "--config", *CPU, config=config, over=over)
    assert done.status == 0, done.output
    return done


def weights_of(workflow: Workflow, study: str) -> dict[str, str]:
    """Per copy the hash of its weights."""
    made_from = read_json(workflow.root / f"results/{study}/verdict.json")["made_from"]
    return {name: row["unlearned_weights_sha256"] for name, row in made_from.items()}


def facts_of(workflow: Workflow, study: str) -> pd.DataFrame:
    return read_csv(workflow.root / f"results/{study}/tables/facts.csv")


def test_multiple_choice_with_an_adapter_and_a_copy_without_tokenizer(
    served: Repositories, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts("wmdp-zephyr", workflow, monkeypatch)
    rows, model = rows_of("wmdp-zephyr"), "zephyr-7b-beta"
    original = served.original("original")
    served.serve(rows[model, "original", ""], original)
    served.serve(rows[model, "rmu", "bio"], other_tokenizer(served.copy(original, 1)))
    served.serve(rows[model, "simnpo", "bio"], without_tokenizer(served.copy(original, 2)))
    served.serve(rows[model, "elm", "bio"], adapter(served.folder / "elm", original))
    only = "{methods: [rmu, simnpo, elm, npo], concepts: {zephyr-7b-beta: [bio]}}"
    (workflow.root / "only.yaml").write_text(only, encoding="utf-8")
    # npo has vanished: the first run says so, the second one goes on without it.
    config = "studies/wmdp-zephyr/config.yaml"
    first = workflow.run("audited", "--config", *CPU, config=config, over="only.yaml")
    assert "zephyr-7b-beta npo bio" in first.error
    run(workflow, "wmdp-zephyr", "audited", over="only.yaml")
    facts = facts_of(workflow, "wmdp-zephyr")
    assert set(facts["method"]) == {"original", "rmu", "simnpo", "elm"}
    assert (facts["exposure_of"] == 4).all()
    assert facts.groupby("method").size().eq(4).all()
    manifest = workflow.root / f"results/wmdp-zephyr/checkpoints/hub-adapter/{model}/elm/bio"
    made = read_json(manifest / "manifest.json")
    assert (made["origin"], made["revision"]) == (
        "published",
        served.hub.repositories["baulab/elm-zephyr-7b-beta"].commits["main"],
    )
    # One tokenizer for all: the same text has as many tokens in each model.
    exposure = workflow.root / f"results/wmdp-zephyr/exposure/{model}"
    tables = [pd.read_parquet(path) for path in exposure.glob("*/bio.parquet")]
    assert len(tables) == 4
    assert all(table["tokens"].tolist() == tables[0]["tokens"].tolist() for table in tables)
    # All weights that were downloaded are gone, but for the merged adapter.
    cached = [*(served.folder.parent / "home").rglob("model*.safetensors")]
    assert not [path for path in cached if path.exists()]
    module("wmdp-zephyr", "compare").main(workflow.root / "results/wmdp-zephyr")
    assert run(workflow, "wmdp-zephyr", "audited", "--dry-run", over="only.yaml").jobs == {}


def test_a_trajectory_and_float32_shards_beside_a_bfloat16_original(
    served: Repositories,
    workflow: Workflow,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_texts("wmdp-zephyr", workflow, monkeypatch)
    rows, model = rows_of("llama3-gat"), "llama-3-8b-instruct"
    original = served.original("original")
    AutoModelForCausalLM.from_pretrained(original, dtype="bfloat16").save_pretrained(original)
    served.serve(rows[model, "original", ""], original, gated=True)
    for number in (1, 8):
        row = rows[model, f"rmu_{number}", "bio"]
        served.serve(row, served.copy(original, number))
    row = rows[model, "tar_bio_v2", "bio"]
    served.serve(row, in_float32_shards(served.folder / "tar", served.copy(original, 9)))
    over = "methods: [rmu_1, rmu_8, tar_bio_v2]"
    (workflow.root / "only.yaml").write_text(over, encoding="utf-8")
    run(workflow, "llama3-gat", "audited", over="only.yaml")
    results = workflow.root / "results/llama3-gat"
    module("llama3-gat", "compare").main(results)
    assert (results / "trajectories.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("original", "rmu_1", "rmu_8", "tar_bio_v2"))


def test_a_filtered_reference_of_another_family(
    served: Repositories, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts("wmdp-zephyr", workflow, monkeypatch)
    rows, model = rows_of("deep-ignorance"), "deep-ignorance-6.9b"
    original = served.original("original", is_neox=True)
    served.serve(rows[model, "original", ""], original)
    # One more copy: a step of a training, in a branch of a repository that has other steps.
    step = rows[model, "cb", "bio"].location, "global_step1000"
    served.serve_as(*step, served.copy(original, 4))
    for seed, method in enumerate(("strong_filter", "cb", "cb_lat"), 1):
        served.serve(rows[model, method, "bio"], served.copy(original, seed))
    with (workflow.root / "studies/deep-ignorance/checkpoints.tsv").open("a") as table:
        table.write("\t".join((model, "cb_1000", "bio", f"hub:{step[0]}", step[1])) + "\n")
    run(workflow, "deep-ignorance", "audited")
    facts = facts_of(workflow, "deep-ignorance")
    assert facts[facts["method"] == "cb"]["uds"].notna().any()
    hashes = weights_of(workflow, "deep-ignorance")
    assert len({*hashes.values()}) == len(hashes) == 5  # with the original's
    compare = module("deep-ignorance", "compare")
    table = compare.beside_published(compare.choice_accuracy(facts))
    assert table["method"].tolist() == ["original", "cb", "cb_1000", "cb_lat", "strong_filter"]
    assert table["published"].notna().sum() == 4


def test_an_original_whose_tokenizer_is_in_another_repository(
    served: Repositories, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts("muse", workflow, monkeypatch)
    rows, model = rows_of("muse"), "muse-news"
    tokenizer = served.original("tokenizer")
    repo, _, revision = rows[model, "original", ""].tokenizer.removeprefix("hub:").partition("@")
    served.serve_as(repo, revision, tokenizer, gated=True)
    original = without_tokenizer(save_tiny(served.folder / "target", seed=3))
    served.serve(rows[model, "original", ""], original)
    served.serve(
        rows[model, "retrain", "forget"], without_tokenizer(save_tiny(served.folder / "r", seed=4))
    )
    copy = served.copy(tokenizer, 1)
    served.serve(rows[model, "simnpo", "forget"], without_tokenizer(copy))
    over = "concepts: {muse-books: []}\nunlearning: {hide: {only: [layers.3], precision: 'no'}}\n"
    (workflow.root / "small.yaml").write_text(over, encoding="utf-8")
    run(workflow, "muse", over="small.yaml")
    verdicts = read_csv(workflow.root / "results/muse/tables/verdicts.csv")
    assert set(verdicts["method"]) == {"hide", "retrain", "simnpo"}
    assert (workflow.root / "results/muse/tables/uds.csv").is_file()
    assert (workflow.root / "results/muse/report.html").is_file()


def test_pools_of_known_state_beside_published_numbers(
    served: Repositories,
    workflow: Workflow,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_texts("tofu-1b", workflow, monkeypatch)
    rows, model = rows_of("tofu-1b"), "tofu-llama-3.2-1b"
    methods = ["retain90", "npo_lr2e5_b01_a5_ep10", "pos_full_lr1e-05_epoch5"]
    methods.append("neg_retain90_celeb10_bio_lr1e-05_epoch5")
    original = served.original("original")
    served.serve(rows[model, "original", ""], original)
    for seed, method in enumerate(methods, 1):
        served.serve(rows[model, method, "forget10"], served.copy(original, seed))
    over = f"methods: [{', '.join([*methods, 'hide'])}]\nexperiments: [attention]\n"
    over += "unlearning: {hide: {only: [layers.3], precision: 'no'}}\n"
    (workflow.root / "only.yaml").write_text(over, encoding="utf-8")
    run(workflow, "tofu-1b", over="only.yaml")
    module("tofu-1b", "compare").main(workflow.root / "results/tofu-1b")
    assert "published AUC of UDS: 0.971" in capsys.readouterr().out
    verdicts = read_csv(workflow.root / "results/tofu-1b/tables/verdicts.csv")
    assert verdicts["method"][verdicts["is_control"]].tolist() == ["hide"]
    recall = workflow.root / f"results/tofu-1b/recall/{model}/retain90/forget10.parquet"
    assert (pd.read_parquet(recall)["wording"] == "retained").sum() == 12
