"""What is planned, and what is refused before any job, by the real command line."""

import time
from pathlib import Path

import pytest
from tiny_study import ROOT, ROWS, Run, Workflow, make

from dissect.study.preflight import PreflightRow, write_preflight

TABLES = (
    "collect_krs",
    "summarise_curves",
    "summarise_scores",
    "summarise_statistics",
    "summarise_controls",
    "decide_claims",
    "make_report",
)
PER_MODEL = (
    "plot_curves",
    "plot_curves_by_method",
    "plot_heatmap",
    "plot_last_layer",
    "plot_spans",
    "plot_scores",
)
WEIGHT_CHANGES = {
    "measure_weight_changes": 40,
    "collect_weight_changes": 1,
    "plot_weight_changes": 2,
}
ANSWER_TABLES = ("collect_answers", "summarise_behaviour")


TINY = {
    "prepare_concept": 3,
    "answer_questions": 1,
    "register_checkpoint": 3,
    "unlearn_concept": 1,
    "record_original": 2,
    "dissect_layers": 6,
    **dict.fromkeys(TABLES, 1),
    **dict.fromkeys(PER_MODEL, 1),
}


def test_the_tiny_study_from_nothing(planned: Workflow) -> None:
    plan = planned.plan()
    assert plan.jobs == TINY
    # A given config replaces the paper's; merged, its models would come along, and their hub: rows.
    assert "llama2" not in plan.output


def test_answers_are_asked_for_in_the_config(planned: Workflow) -> None:
    assert planned.plan(behaviour={"patched": {"windows": ["0-1"]}}).jobs == TINY | {
        "answer_as_original": 2,
        "answer_as_unlearned": 3,
        "answer_patched": 3,
        **dict.fromkeys(ANSWER_TABLES, 1),
        "plot_behaviour": 1,
        "plot_behaviour_patched": 1,
    }


def test_the_self_patch_check_covers_each_copy_and_its_original(planned: Workflow) -> None:
    """Three copies, and the original for two concepts."""
    checks = {"check_self_patch": 3 + 2, "collect_self_patch": 1}
    assert planned.plan(controls={"self_patch": True}).jobs == TINY | checks
    # They are the tables', not the sweeps'.
    assert "check_self_patch" not in planned.plan("sweeps", controls={"self_patch": True}).jobs
    assert planned.plan("tables", controls={"self_patch": True}).jobs["check_self_patch"] == 5


def test_specificity_sweeps_each_copy_once_more(planned: Workflow) -> None:
    """Three copies; two concepts, whose unrelated questions the original answers."""
    assert planned.plan(specificity=True).jobs == TINY | {
        "prepare_concept": 3 + 2,
        "answer_questions": 1 + 2,
        "record_original": 2 + 2,
        "dissect_unrelated": 3,
        "summarise_specificity": 1,
    }
    with_noising = planned.plan("sweeps", specificity=True, jobs="copy")
    assert with_noising.jobs["dissect_unrelated"] == with_noising.jobs["dissect_copy"] == 3


def plan_pretrained(workflow: Workflow) -> Run:
    return workflow.run("--dry-run", config="config/pretrained.yaml")


@pytest.fixture
def shipped(tmp_path: Path) -> Workflow:
    """The workflow with the input files that it ships."""
    workflow = make(tmp_path)
    for name in ("calibration", "demo", "pretrained"):
        (tmp_path / name).symlink_to(ROOT / name)
    return workflow


def test_the_demo_is_a_round_of_models_whose_state_is_known(shipped: Workflow) -> None:
    jobs = shipped.run("--dry-run", config="config/demo.yaml").jobs
    assert (jobs["import_wheel"], jobs["teach_model"], jobs["unlearn_concept"]) == (1, 3, 3)
    # Copies and the reference are swept; recall is also asked of the original.
    assert (jobs["dissect_copy"], jobs["measure_depth"], jobs["recall_facts"]) == (5, 5, 6)
    assert (jobs["score_round"], jobs["make_report"]) == (1, 1)


def test_the_pretrained_study_is_planned_in_seconds(shipped: Workflow) -> None:
    started = time.monotonic()
    jobs = plan_pretrained(shipped).jobs
    assert time.monotonic() - started < 15  # 2 s on an idle machine; the tests share theirs
    assert (jobs["import_wheel"], jobs["unlearn_concept"]) == (1, 4)
    assert (jobs["record_original"], jobs["dissect_layers"]) == (2, 16)
    assert jobs["check_self_patch"] == 4 + 2
    assert (jobs["measure_weight_changes"], jobs["plot_weight_changes"]) == (4, 1)
    assert (jobs["answer_as_original"], jobs["answer_patched"]) == (2, 4)
    assert jobs["plot_widths"] == 2  # one per span


def test_more_widths_are_laid_over_a_config_in_a_folder_of_their_own(shipped: Workflow) -> None:
    both = {"config": "config/pretrained.yaml", "over": "config/widths.yaml"}
    wide = shipped.run("--dry-run", **both)
    assert wide.jobs["dissect_layers"] == 16
    assert wide.jobs["plot_widths"] == 2
    assert wide.jobs["plot_curves"] == 4  # two windows, two spans
    table = "results/pretrained_widths/tables/krs.parquet"
    assert shipped.run("--dry-run", table, **both).jobs["dissect_layers"] == 16


def test_a_third_concept_is_one_line_away(shipped: Workflow) -> None:
    config = shipped.root / "config/pretrained.yaml"
    text = config.read_text(encoding="utf-8")
    assert text.count("# - photosynthesis") == 1
    config.write_text(text.replace("# - photosynthesis", "- photosynthesis"), encoding="utf-8")
    assert plan_pretrained(shipped).jobs["dissect_layers"] == 24


def plan_paper(workflow: Workflow, *options: str) -> Run:
    return workflow.run("--dry-run", *options, config="config/config.yaml")


def test_the_paper_is_160_sweeps(shipped: Workflow) -> None:
    assert plan_paper(shipped).jobs == {
        "fetch_concepts": 2,
        "prepare_concept": 20,
        "download_checkpoint": 42,
        "record_original": 20,
        "dissect_layers": 160,
        "check_self_patch": 40 + 20,
        "collect_self_patch": 1,
        "answer_as_original": 20,
        "answer_as_unlearned": 40,
        **dict.fromkeys([*TABLES, *ANSWER_TABLES], 1),
        **dict.fromkeys([*PER_MODEL, "plot_behaviour"], 2),
        **WEIGHT_CHANGES,
    }


def test_with_one_job_per_copy_the_paper_is_40_jobs(shipped: Workflow) -> None:
    jobs = plan_paper(shipped, "sweeps", "--config", "jobs=copy").jobs
    assert jobs["dissect_copy"] == 40
    assert "dissect_layers" not in jobs


def test_noising_is_one_line_away(shipped: Workflow) -> None:
    experiments = "experiments=[attention,noising_attention,noising_residual]"
    jobs = plan_paper(shipped, "sweeps", "--config", experiments).jobs
    assert (jobs["dissect_layers"], jobs["record_original"]) == (3 * 40, 20)


def test_the_weight_changes_of_one_copy_can_be_asked_for(shipped: Workflow) -> None:
    one = "results/paper/weight_changes/olmo-7b/dpo/77.parquet"
    assert plan_paper(shipped, one).jobs == {
        "fetch_concepts": 1,
        "prepare_concept": 1,
        "download_checkpoint": 2,
        "measure_weight_changes": 1,
    }


def test_one_concept_of_each_model_is_16_sweeps(shipped: Workflow) -> None:
    one = 'concepts={"llama2-7b": [27], "olmo-7b": [77]}'
    jobs = plan_paper(shipped, "--config", one).jobs
    assert (jobs["dissect_layers"], jobs["record_original"]) == (16, 2)
    assert jobs["download_checkpoint"] == 2 + 2 * 2
    assert plan_paper(shipped, "sweeps", "--config", one).jobs["dissect_layers"] == 16


def test_checkpoints_alone_compute_nothing(shipped: Workflow) -> None:
    jobs = plan_paper(shipped, "checkpoints").jobs
    assert jobs == {"checkpoints": 1, "download_checkpoint": 42, "fetch_concepts": 2}


def test_removed_weights_are_noted_for_every_checkpoint(shipped: Workflow) -> None:
    drop = "keep_checkpoints=false"
    assert plan_paper(shipped, "--config", drop).jobs["release_checkpoint"] == 42
    # The loop over concepts keeps the originals for the next round.
    assert plan_paper(shipped, "sweeps", "--config", drop).jobs["release_checkpoint"] == 40


def looked_at(workflow: Workflow, **status: str) -> None:
    """What preflight would have written, for the rows of llama2-7b named method_concept."""
    rows = [
        PreflightRow("llama2-7b", method, concept, f"hub:YihuaiHong/{name}", "", status[key])
        for key in status
        for method, concept in [key.rsplit("_", 1)]
        for name in [f"llama2-7b_{method}_unlearn_on_id_{concept}_concept"]
    ]
    write_preflight(workflow.root / "results/paper/checkpoints/preflight.csv", rows)


def test_what_preflight_did_not_find_stops_the_paper_in_one_line(shipped: Workflow) -> None:
    looked_at(shipped, dpo_16="gone", dpo_18="there", grad_diff_54="gated")
    error = plan_paper(shipped).error
    assert "private or gone (the hub does not say which): llama2-7b dpo 16" in error
    assert "there is no token or it gives no access: llama2-7b grad_diff 54" in error
    assert "dpo 18" not in error
    assert shipped.run("--dry-run", "preflight", config="config/config.yaml").status == 0


def test_the_paper_goes_on_without_them_or_trains_them(shipped: Workflow) -> None:
    looked_at(shipped, dpo_16="gone", dpo_18="there", grad_diff_54="gated")
    jobs = plan_paper(shipped, "--config", "on_missing_checkpoint=skip").jobs
    assert (jobs["dissect_layers"], jobs["download_checkpoint"]) == (152, 40)
    jobs = plan_paper(shipped, "--config", "on_missing_checkpoint=unlearn").jobs
    assert (jobs["dissect_layers"], jobs["unlearn_concept"]) == (160, 2)


def test_a_hub_that_did_not_answer_makes_nothing_missing(shipped: Workflow) -> None:
    looked_at(shipped, dpo_16="unreachable", dpo_18="busy")
    assert plan_paper(shipped).jobs["download_checkpoint"] == 42


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resutls": "x"}, "key 'resutls' is not known (did you mean results?)"),
        ({"methods": ["dop"]}, "method 'dop' is not in checkpoints.tsv"),
        ({"controls": {"donors": ["noise"]}}, "donors need layers; name the layers"),
        ({"windows": ["sliding_7"]}, "sliding_7 is wider than tiny, which has 6 layers"),
        ({"figures": {"style": {"palette": "colourblind"}}}, "'colourblind' is not a palette of"),
        ({"models": {"tiny": {"concepts": "none.json"}}}, "none.json cannot be read"),
    ],
)
def test_a_bad_config_is_one_line(planned: Workflow, changes: dict[str, object], said: str) -> None:
    assert said in planned.plan(**changes).error


def test_a_missing_config_file_is_one_line(planned: Workflow) -> None:
    error = planned.run("--dry-run", config="my/config.yaml").error
    assert "my/config.yaml does not exist" in error and "docs/tutorials/guide.md" in error


def test_a_key_given_twice_is_one_line(planned: Workflow) -> None:
    """Also where the config begins with a byte order mark."""
    path = planned.root / "study.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "dtype: bfloat16\n", encoding="utf-8-sig")
    assert "study.yaml: the key 'dtype' is given twice" in planned.run("--dry-run").error
    path.write_text(text, encoding="utf-8-sig")
    assert planned.run("--dry-run").status == 0


def test_a_missing_checkpoint_folder_is_one_line(planned: Workflow) -> None:
    planned.write_table([*ROWS[:3], ("tiny", "dpo", "coffee", "path:own/nowhere")])
    said = "folder own/nowhere does not exist: tiny dpo coffee"
    assert said in planned.plan().error
    assert planned.plan("preflight").jobs == {"preflight": 1}
    assert planned.plan(on_missing_checkpoint="skip").jobs["dissect_layers"] == 4
    planned.write_table([*ROWS[:3], ("tiny", "dpo", "coffee", "path:own/nowhere"), ROWS[4]])
    jobs = planned.plan(on_missing_checkpoint="unlearn").jobs
    assert (jobs["unlearn_concept"], jobs["dissect_layers"]) == (1, 6)


def test_a_bad_concept_file_is_one_line(planned: Workflow) -> None:
    (planned.root / "concepts.json").write_text('[{"id": "tea"}]', encoding="utf-8")
    assert "Concept is missing" in planned.plan().error
