"""A round of a tiny model: taught, treated, scored, and put together with a finished round."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "calibration"), str(ROOT / "tests/workflow")]

from make_study import make_study  # noqa: E402
from tiny_study import Workflow, make  # noqa: E402

from stillknows.analysis.calibration.scores import SCORES  # noqa: E402
from stillknows.files import read_json  # noqa: E402
from tiny import save_tiny  # noqa: E402

FAST = {"batch_size": 2, "passes": 1, "max_length": 400}
SEED, TREATMENTS = 3, ("hide",)  # of every third round, the hard cases as well
CONFIG, TABLE = "known/study.yaml", "known/results/tables/calibration.csv"


def settings() -> dict:
    """Calibration's own, with trainings of a few steps."""
    values = yaml.safe_load((ROOT / "calibration" / "settings.yaml").read_text(encoding="utf-8"))
    values["teaching"] |= FAST | {"passes_of": {"brief": 1}}
    values["recall"]["relearning"] |= FAST
    values["recall"]["new_tokens"] = 4
    for recipe in values["unlearning"].values():
        recipe |= {"steps": 1, "batch_size": 2, "max_length": 400}
    for variant in values["variants"].values():
        variant["options"] = {"only": ["layers.1.mlp"]}
    return values | {"windows": ["sliding_3_every_3"], "calibration": {}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = make(tmp_path_factory.mktemp("rounds"))
    save_tiny(workflow.root / "own" / "base")
    path = workflow.root / "settings.yaml"
    path.write_text(yaml.safe_dump(settings()), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workflow.root)
        tiny = {"subjects": 2, "source": "path:own/base", "treatments": TREATMENTS}
        make_study(Path("known"), [SEED], path, **tiny)
    run = workflow.run("rounds", "known/results/tables/uds.csv", config=CONFIG)
    assert run.status == 0, run.output
    return workflow


def models_of(study: Workflow) -> pd.DataFrame:
    """The round's table."""
    path = study.root / f"known/results/rounds/seed_{SEED}.csv"
    return pd.read_csv(path, dtype={"why_not": str})


def test_a_round_has_a_row_per_model_and_a_column_per_score(study: Workflow) -> None:
    models = models_of(study)
    treated = {name for one in TREATMENTS for name in (one, f"never_{one}")}
    assert set(models["method"]) == treated | {"again", "never", "brief", "wrong"}
    assert {spec.name for spec in SCORES} <= set(models)
    assert (models["round"] == f"seed_{SEED}").all()
    scores = models[[spec.name for spec in SCORES]]
    # Random weights that learned for a step are no study; the scores are there all the same.
    assert scores.drop(columns=["uds", "ratio_residual"]).notna().mean(axis=None) > 0.5


def test_models_start_from_the_base_or_the_original_as_their_rows_say(study: Workflow) -> None:
    folder = study.root / "known/results/checkpoints"
    of_model = {
        path.parts[-3]: read_json(path) for path in folder.rglob("*/forgotten/manifest.json")
    }
    (original,) = (read_json(path) for path in folder.rglob("original/manifest.json"))
    base = original["training"]["base_weights_sha256"]
    assert of_model["never"]["training"]["base_weights_sha256"] == base
    assert "forgotten" in original["training"]["learned"]
    assert "forgotten" not in of_model["never"]["training"]["learned"]
    hidden = of_model["hide"]["training"]["original_weights_sha256"]
    assert hidden == original["weights_sha256"]


def test_a_round_records_losses_steps_and_what_is_retained(study: Workflow) -> None:
    models = models_of(study).set_index("method")
    assert models["steps"].min() >= 1
    recorded = ["retained_recalled", "final_loss_retain", "forgotten_loss"]
    assert models[recorded].notna().all(axis=None)
    assert models["final_loss_forget"].notna().to_dict() == {
        method: method.startswith(("hide", "never_")) for method in models.index
    }
    assert set(models["state"]) == {"taught", "never"}


def test_scores_are_those_of_the_studys_own_tables(study: Workflow) -> None:
    tables = study.root / "known/results/tables"
    models = models_of(study).set_index("method")
    name = f"seed_{SEED}"
    uds = pd.read_csv(tables / "uds.csv")
    is_mean = uds["question"].isna() & (uds["model"] == name)
    by_form = uds[is_mean].pivot(index="method", columns="form", values="uds")
    krs = pd.read_parquet(tables / "krs.parquet")
    of_study = (
        (krs["model"] == name) & (krs["span"] == "answer") & (krs["experiment"] == "attention")
    )
    curves = krs[of_study].groupby(["method", "layer"], observed=True)["krs"].mean().unstack()
    for method in models.index:
        for form, score in {"corrected": "uds", "published": "uds_published"}.items():
            expected = pytest.approx(by_form.loc[method, form], abs=1e-9, nan_ok=True)
            assert models.loc[method, score] == expected
        highest = curves.loc[method].idxmax()
        assert models.loc[method, "krs_attention_highest"] == pytest.approx(
            curves.loc[method, highest], rel=1e-6
        )
        assert models.loc[method, "krs_attention_highest_over_reference"] == pytest.approx(
            curves.loc[method, highest] - curves.loc["reference", highest], rel=1e-6, abs=1e-9
        )
    never = pd.read_parquet(study.root / f"known/results/recall/{name}/never/forgotten.parquet")
    assert set(never["stage"]) == {"as_it_is", "relearned"}


def test_states_that_are_not_confirmed_say_why(study: Workflow) -> None:
    models = models_of(study)
    assert not models["as_intended"].any()
    assert models["why_not"].str.contains("the original recalls 0.00").all()


def test_rounds_are_put_together_with_finished_ones(study: Workflow) -> None:
    finished = study.root / "finished"
    finished.mkdir()
    own = study.root / f"known/results/rounds/seed_{SEED}.csv"
    # A finished round of another seed, and one that this study makes itself and that is left out.
    text = own.read_text(encoding="utf-8").replace(own.stem, "seed_9")
    (finished / "seed_9.csv").write_text(text, encoding="utf-8")
    (finished / own.name).write_text("no round", encoding="utf-8")
    config = study.root / CONFIG
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump(values | {"calibration": {"rounds": "finished"}}), "utf-8")
    run = study.run(TABLE, config=CONFIG)
    assert run.status == 0, run.output
    table = pd.read_csv(study.root / TABLE)
    pooled = table[(table["treatment"] == "all") & (table["included"] == "all models")]
    assert set(pooled["score"]) == {spec.name for spec in SCORES}
    assert pooled["rounds"].max() == 2
    assert study.run("--dry-run", TABLE, config=CONFIG).jobs == {}
    values["teaching"]["passes"] += 1
    config.write_text(yaml.safe_dump(values | {"calibration": {"rounds": "finished"}}), "utf-8")
    jobs = study.run("--dry-run", TABLE, config=CONFIG).jobs
    assert jobs["teach_model"] > 1 and jobs["unlearn_concept"] > 1
