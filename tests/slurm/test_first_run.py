"""The tiny study through `snakemake --profile slurm`: what is a job, what asks for what."""

from slurm_study import Cluster, Ended, submitted
from tiny_study import Run

JOBS = {
    "answer_questions": 1,
    "dissect_layers": 6,
    "record_original": 2,
    "register_checkpoint": 3,
    "unlearn_concept": 1,
}
ON_A_GPU = ("answer_questions", "dissect_layers", "record_original", "unlearn_concept")


def counted(run: Run) -> dict[str, int]:
    rules = [name.split("/")[0] for name in submitted(run).values()]
    return {rule: rules.count(rule) for rule in sorted(set(rules))}


def test_models_run_as_jobs_and_downloads_tables_and_figures_do_not(first_run: Run) -> None:
    assert first_run.status == 0, first_run.output
    assert counted(first_run) == JOBS
    assert "(100%) done" in first_run.output


def test_every_job_ran_under_slurm_with_the_memory_that_its_rule_states(
    first_run: Run, cluster: Cluster
) -> None:
    ids = submitted(first_run)
    ended = cluster.ended(list(ids))
    assert {job.id for job in ended} == set(ids)
    assert {job.state for job in ended} == {"COMPLETED"}
    assert {job.mem_mb for job in ended} <= set(range(1000, 1010))


def test_two_jobs_share_the_two_gpus_and_never_three(first_run: Run, cluster: Cluster) -> None:
    ids = [job for job, name in submitted(first_run).items() if name.split("/")[0] in ON_A_GPU]
    assert most_at_once(cluster.ended(ids)) == 2


def most_at_once(jobs: list[Ended]) -> int:
    return max(sum(job.start <= one.start < job.end for job in jobs) for one in jobs)
