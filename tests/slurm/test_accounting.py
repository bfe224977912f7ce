"""The same on a cluster with accounting, as most have it: other daemons, the efficiency report."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest
from slurm_study import (
    ONE,
    OTHER,
    Cluster,
    Study,
    assert_complete,
    assert_outlives,
    attempts,
    submitted,
)


@pytest.fixture
def accounted(study: Study, accounting_cluster: Cluster) -> Iterator[Study]:
    """The computed study, to go on on the cluster with accounting."""
    yield replace(study, cluster=accounting_cluster)
    accounting_cluster.ask("scancel", "--user", str(os.getuid()))


def test_jobs_run_and_the_efficiency_report_names_them(
    accounted: Study, undisturbed: Study
) -> None:
    accounted.remove(ONE, OTHER)
    held = accounted.fault(ONE, "hold")
    run = accounted.start()
    accounted.reached(held, run)
    held.unlink()
    accounted.cluster.ask("scancel", accounted.cluster.job_of(ONE))
    done = run.finish()
    assert done.status == 0, done.output
    states = [state for state, _ in attempts(done, accounted.cluster, ONE)]
    assert states == ["CANCELLED", "COMPLETED"]
    (report,) = (accounted.root / ".snakemake/slurm_efficiency").glob("*.csv")
    text = report.read_text(encoding="utf-8")
    for job in submitted(done):
        assert f"{job}.0" in text
    assert f"rule_dissect_layers_wildcards_tiny_{OTHER}" in text
    assert_complete(accounted, undisturbed)

    assert accounted.run(target="resources").status == 0
    table = pd.read_csv(accounted.root / "results/tiny/tables/resources.csv").set_index("job")
    row = table.loc["tiny/dpo/tea/attention"]
    ids = [job for job, name in submitted(done).items() if name.endswith(f"/tiny_{ONE}")]
    assert row["slurm_job"] == max(map(int, ids))
    assert row["wanted_mem_mb"] > 2000 > row["used_mem_mb"] > 100  # its second attempt


@pytest.mark.parametrize("daemon", ["slurmdbd", "slurmctld"])
def test_while_a_daemon_is_away_everything_waits(
    daemon: str, accounted: Study, undisturbed: Study
) -> None:
    assert_outlives(daemon, accounted, undisturbed)
