"""The examples of docs/how-to/cluster.md, on the tiny study: how many jobs each sends."""

from slurm_study import Study, submitted

FIGURE = "results/tiny/figures/tiny/curves.sliding_3.notebook.krs.png"


def sent(study: Study, *options: str, target: str = "tables") -> dict[str, int]:
    """The jobs of a run, by rule."""
    run = study.run(*options, target=target)
    assert run.status == 0, run.output
    rules = [name.split("/")[0] for name in submitted(run).values()]
    return {rule: rules.count(rule) for rule in set(rules)}


def test_one_concept_more_sends_its_own_jobs(study: Study) -> None:
    jobs = sent(study, "--config", "concepts={tiny: [tea, mate]}")
    assert jobs == {"register_checkpoint": 1, "record_original": 1, "dissect_layers": 2}


def test_one_method_that_is_there_sends_nothing(study: Study) -> None:
    assert sent(study, "--config", "methods=[dpo]") == {}


def test_one_figure_is_drawn_here(study: Study) -> None:
    figure = study.root / FIGURE
    figure.unlink()
    assert sent(study, target=FIGURE) == {}
    assert figure.exists()


def test_one_sweep_again_is_one_job(study: Study) -> None:
    study.remove("dpo_tea_attention")
    assert sent(study) == {"dissect_layers": 1}


def test_a_new_method_sends_its_checkpoint_and_its_sweeps(study: Study) -> None:
    with (study.root / "checkpoints.tsv").open("a", encoding="utf-8") as table:
        table.write("tiny\tgrad_diff\tcoffee\tpath:own/dpo_mate\n")
    assert sent(study) == {"register_checkpoint": 1, "dissect_layers": 2}
