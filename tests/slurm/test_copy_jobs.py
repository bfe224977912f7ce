"""`jobs: copy` on the cluster: one job for all sweeps of an unlearned model on a concept."""

import pandas as pd
from slurm_study import Cluster, Study, assert_complete, attempts, submitted
from tiny_study import CONFIG

KILLED, OTHER = "dpo_tea", "dpo_coffee"
LOST = [f"{copy}_{name}" for copy in (KILLED, OTHER) for name in CONFIG["experiments"]]


def test_one_job_per_copy_gives_the_same_files_and_only_what_is_lost_runs_again(
    study: Study, undisturbed: Study, cluster: Cluster
) -> None:
    study.workflow.write_config(device="auto", jobs="copy")
    study.remove(*LOST)  # the files of a third copy are those of jobs: experiment
    held = study.fault(KILLED, "hold")
    run = study.start()
    study.reached(held, run)
    cluster.ask("scancel", cluster.job_of(KILLED))
    held.unlink()
    done = run.finish()
    assert done.status == 0, done.output
    jobs = [f"dissect_copy/tiny_{copy}" for copy in (OTHER, KILLED, KILLED)]
    assert sorted(submitted(done).values()) == jobs
    assert [state for state, _ in attempts(done, cluster, KILLED)] == ["CANCELLED", "COMPLETED"]
    for name in LOST:
        one, other = (pd.read_parquet(of.sweep(name)) for of in (study, undisturbed))
        pd.testing.assert_frame_equal(one, other, check_exact=True)

    study.remove(LOST[0])
    again = study.run()
    assert list(submitted(again).values()) == [f"dissect_copy/tiny_{KILLED}"]
    assert_complete(study, undisturbed)
