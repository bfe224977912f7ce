"""What goes wrong on a cluster, each with its end: a plain second run, and the same tables."""

import re
import signal
import time

import pytest
from slurm_study import (
    ONE,
    OTHER,
    Cluster,
    Study,
    assert_complete,
    assert_goes_on,
    attempts,
    submitted,
    sweeps_of,
)


def test_jobs_cancelled_or_out_of_time_or_memory_get_a_larger_second_attempt(
    study: Study, undisturbed: Study, cluster: Cluster
) -> None:
    late, large = "grad_diff_tea_attention", "grad_diff_tea_value_vectors"
    study.remove(late, large, ONE)
    study.fault(late, "time")
    study.fault(large, "memory")
    held = study.fault(ONE, "hold")
    run = study.start("--set-resources", "dissect_layers:runtime=attempt")
    study.reached(held, run)
    held.unlink()
    cluster.ask("scancel", cluster.job_of(ONE))
    done = run.finish()
    assert done.status == 0, done.output
    assert sweeps_of(done) == sorted([late, large, ONE] * 2)
    assert attempts(done, cluster, late) == [("TIMEOUT", 1), ("COMPLETED", 2)]
    assert [state for state, _ in attempts(done, cluster, ONE)] == ["CANCELLED", "COMPLETED"]
    (_, first), (_, second) = attempts(done, cluster, large, "mem_mb")
    assert second == 2 * first
    assert_complete(study, undisturbed)


def test_a_checkpoint_that_vanishes_is_named_in_the_failed_jobs_log(
    study: Study, undisturbed: Study
) -> None:
    study.remove(ONE, OTHER)
    held = study.fault(ONE, "hold")
    run = study.start("--retries", "0")
    study.reached(held, run)
    weights = study.root / "own/dpo_tea/model.safetensors"
    weights.rename(aside := weights.with_suffix(".aside"))
    held.unlink()
    failed = run.finish()
    assert failed.status == 1
    named = re.findall(r"log: (\S+), (\S+\.log) \(check log", failed.output)
    assert named, failed.output
    for own, slurm in named:
        assert "own/dpo_tea" in (study.root / own).read_text(encoding="utf-8")
        assert "own/dpo_tea" in (study.root / slurm).read_text(encoding="utf-8")
    aside.rename(weights)
    assert_goes_on(study, undisturbed)


def test_a_full_disk_is_named_and_leaves_nothing_behind(study: Study, undisturbed: Study) -> None:
    study.remove(ONE)
    full = study.fault(ONE, "full")
    failed = study.run("--retries", "0")
    assert failed.status == 1
    (named,) = re.findall(r"log: (\S+), \S+\.log \(check log", failed.output)
    said = (study.root / named).read_text(encoding="utf-8").splitlines()[-1]
    assert "no space left while writing" in said and study.sweep(ONE).name in said
    folder = study.sweep(ONE).parent
    assert not study.sweep(ONE).exists() and not list(folder.glob(".*"))
    full.unlink()
    assert_goes_on(study, undisturbed)


@pytest.mark.parametrize("moment", ["between looks", "during a look"])
def test_ctrl_c_cancels_the_jobs(moment: str, study: Study, undisturbed: Study) -> None:
    study.remove(ONE, OTHER)
    held = study.fault(ONE, "hold")
    run = study.start()
    study.reached(held, run)
    if moment == "during a look":
        with study.cluster.slow_look() as begun:
            study.cluster.wait_until(begun.exists)
            run.process.send_signal(signal.SIGINT)
            time.sleep(1)
    else:
        run.process.send_signal(signal.SIGINT)
    assert run.finish().status != 0
    study.cluster.wait_until(lambda: not study.cluster.queue())  # cancelled jobs take a moment
    held.unlink()
    assert not study.sweep(ONE).exists()
    assert_goes_on(study, undisturbed)


@pytest.mark.parametrize("way", ["end", "wait"])
def test_after_kill_9_one_command_ends_or_awaits_the_jobs_and_goes_on(
    way: str, study: Study, undisturbed: Study
) -> None:
    study.remove(ONE, OTHER)
    held = study.fault(ONE, "hold")
    run = study.start()
    study.reached(held, run)
    study.cluster.wait_until(lambda: len(study.cluster.queue()) == 1)  # the other one is done
    finished = study.sweep(OTHER).stat().st_mtime_ns
    run.process.kill()
    run.finish()
    assert study.cluster.job_of(ONE)

    refused = study.run()
    assert refused.status == 1
    assert f"-m stillknows.cluster {way}" in refused.output
    assert not submitted(refused)

    going_on = study.start(command=f"stillknows.cluster {way}")
    if way == "wait":
        held.unlink()
    else:
        study.cluster.wait_until(lambda: not study.cluster.queue())
        held.unlink(missing_ok=True)
    done = going_on.finish()
    assert done.status == 0, done.output
    assert sweeps_of(done) == ([] if way == "wait" else [ONE])
    assert study.sweep(OTHER).stat().st_mtime_ns == finished
    assert_complete(study, undisturbed)


def test_a_second_run_beside_the_first_says_that_it_holds_the_lock(
    study: Study, undisturbed: Study
) -> None:
    study.remove(ONE)
    held = study.fault(ONE, "hold")
    first = study.start()
    study.reached(held, first)
    second = study.run()
    assert second.status == 1
    assert "Directory cannot be locked" in second.output
    refused = study.start(command="stillknows.cluster end").finish()
    assert refused.status == 1
    assert "is still running" in refused.output
    held.unlink()
    assert first.finish().status == 0
    assert_complete(study, undisturbed)
