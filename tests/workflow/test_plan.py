"""What is planned, and what is refused before any job, by the real command line."""

from pathlib import Path

import pytest
from tiny_study import ROOT, Run, Workflow, make

from stillknows.study.selection import PreflightRow, write_preflight

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


def test_what_the_config_asks_for_comes_along(planned: Workflow) -> None:
    """Answers, self-patch checks and unrelated questions of three copies and two concepts."""
    jobs = planned.plan(
        behaviour={"patched": {"windows": ["0-1"]}}, controls={"self_patch": True}, specificity=True
    ).jobs
    assert jobs == TINY | {
        "answer_as_original": 2,
        "answer_as_unlearned": 3,
        "answer_patched": 3,
        **dict.fromkeys(ANSWER_TABLES, 1),
        "plot_behaviour": 1,
        "plot_behaviour_patched": 1,
        "check_self_patch": 3 + 2,
        "collect_self_patch": 1,
        "prepare_concept": 3 + 2,
        "answer_questions": 1 + 2,
        "record_original": 2 + 2,
        "dissect_unrelated": 3,
        "collect_krs_unrelated": 1,
        "summarise_specificity": 1,
    }


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


def test_the_pretrained_study_in_a_folder_of_its_own_with_more_widths(shipped: Workflow) -> None:
    both = {"config": "config/pretrained.yaml", "over": "config/widths.yaml"}
    jobs = shipped.run("--dry-run", **both).jobs
    assert (jobs["import_wheel"], jobs["unlearn_concept"]) == (1, 4)
    assert (jobs["record_original"], jobs["dissect_layers"]) == (2, 16)
    assert (jobs["plot_curves"], jobs["plot_widths"]) == (4, 2)  # two windows, two spans


def test_the_paper_by_one_job_per_copy_that_keeps_no_weights(shipped: Workflow) -> None:
    options = ("--config", "jobs=copy", "keep_checkpoints=false")
    jobs = plan_paper(shipped, "sweeps", *options).jobs
    assert (jobs["dissect_copy"], jobs["download_checkpoint"]) == (40, 42)
    # The loop over concepts keeps the originals for the next round.
    assert jobs["release_checkpoint"] == 40 and "dissect_layers" not in jobs


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resutls": "x"}, "did you mean results?"),
        ({"figures": {"style": {"palette": "colourblind"}}}, "'colourblind'"),
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
