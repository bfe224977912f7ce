"""`jobs: copy` on the cluster: one job for all sweeps of an unlearned model on a concept."""

from pathlib import Path

import pandas as pd
from slurm_study import Cluster, Study, assert_complete, attempts, submitted
from tiny_study import CONFIG

COPIES = ["dpo_coffee", "dpo_tea", "grad_diff_tea"]
KILLED = "dpo_tea"


def sweeps(study: Study) -> list[Path]:
    return sorted((study.root / "results/tiny/krs").rglob("*.parquet"))


def test_one_job_per_copy_gives_the_same_files_and_only_what_is_lost_runs_again(
    study: Study, undisturbed: Study, cluster: Cluster
) -> None:
    study.workflow.write_config(device="auto", jobs="copy")
    expected = [path.relative_to(study.root) for path in sweeps(study)]
    assert len(expected) == len(COPIES) * len(CONFIG["experiments"])
    for path in expected:
        (study.root / path).unlink()

    held = study.fault(KILLED, "hold")
    run = study.start()
    study.reached(held, run)
    cluster.ask("scancel", cluster.job_of(KILLED))
    held.unlink()
    done = run.finish()
    assert done.status == 0, done.output
    jobs = [f"dissect_copy/tiny_{copy}" for copy in [*COPIES, KILLED]]
    assert sorted(submitted(done).values()) == sorted(jobs)
    assert [state for state, _ in attempts(done, cluster, KILLED)] == ["CANCELLED", "COMPLETED"]
    assert [path.relative_to(study.root) for path in sweeps(study)] == expected
    for path in expected:
        one, other = (pd.read_parquet(of.root / path) for of in (study, undisturbed))
        pd.testing.assert_frame_equal(one, other, check_exact=True)

    study.remove(f"{KILLED}_attention")
    again = study.run()
    assert list(submitted(again).values()) == [f"dissect_copy/tiny_{KILLED}"]
    assert_complete(study, undisturbed)
