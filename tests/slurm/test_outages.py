"""Daemons and nodes that go away for a while: everything waits, and ends with the same tables."""

import shutil
import subprocess
import time

from slurm_study import HANGS, ONE, Study, assert_complete, assert_outlives, sweeps_of


def test_while_the_controller_is_away_everything_waits(study: Study, undisturbed: Study) -> None:
    assert_outlives("slurmctld", study, undisturbed)


def test_a_job_submitted_while_the_controller_is_away_waits_for_it(study: Study) -> None:
    cluster = study.cluster
    real = shutil.which("sbatch")
    assert real
    cluster.stop_daemon("slurmctld")
    try:
        waiting = subprocess.Popen(
            [study.root / "profiles/slurm/wrappers/sbatch", "--parsable", "--wrap", "true"],
            env=cluster.environment() | {"DISSECT_SBATCH": real},
            stdout=subprocess.PIPE,
            text=True,
            cwd=study.root,
        )
        time.sleep(15)  # sbatch itself gives up after nine seconds
        assert waiting.poll() is None
    finally:
        cluster.start_daemon("slurmctld")
    printed, _ = waiting.communicate(timeout=HANGS)
    assert waiting.returncode == 0
    cluster.wait_until(lambda: cluster.ended([printed.strip()]))


def test_a_node_that_goes_down_costs_nothing_but_time(study: Study, undisturbed: Study) -> None:
    study.remove(ONE)
    held = study.fault(ONE, "hold")
    run = study.start()
    study.reached(held, run)
    node = study.cluster.ask("sinfo", "--noheader", "--format", "%n").split()[0]
    set_node = ("scontrol", "update", f"nodename={node}")
    study.cluster.ask(*set_node, "state=drain", "reason=test")
    study.cluster.ask(*set_node, "state=down", "reason=test")
    held.unlink()
    study.cluster.ask(*set_node, "state=resume")
    state = ("squeue", "--noheader", "--jobs", study.cluster.job_of(ONE), "--format", "%T")
    study.cluster.wait_until(lambda: study.cluster.ask(*state) == "PENDING\n")
    # Slurm lets a requeued job wait for two minutes. That is not cut short here: the order to end
    # the first copy may come late, and ends whatever bears the job's number on the node by then.
    done = run.finish()
    assert done.status == 0, done.output
    assert sweeps_of(done) == [ONE]
    assert_complete(study, undisturbed)
