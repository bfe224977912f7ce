"""After kill -9 with the local profile: what the next run says, and that its advice works."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

from tiny_study import Workflow

TARGET = "results/tiny/concepts/tiny/tea.json"


def start(workflow: Workflow) -> subprocess.Popen[bytes]:
    """A run that is stopped while it holds its lock."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", TARGET]
    environment = os.environ | {"PYTHONPATH": str(workflow.root / "workflow/lib")}
    process = subprocess.Popen(
        [*command, "--configfile", "study.yaml"],
        cwd=workflow.root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(workflow.root.glob(".snakemake/locks/*.output.lock")):
        assert process.poll() is None, "it ended without a lock"
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    return process


def test_a_killed_runs_lock_is_told_with_the_command_that_removes_it(planned: Workflow) -> None:
    first = start(planned)
    living = planned.run(TARGET)
    assert living.status == 1 and "Directory cannot be locked" in living.output
    assert "was killed" not in living.output

    first.kill()
    first.wait()
    said = planned.run(TARGET).error
    assert "an earlier run in this folder was killed and has left its lock" in said
    assert planned.run("--dry-run", TARGET).status == 0

    command = re.search(r"to remove the lock: (.*); then run the same command again", said)
    assert command and "-m snakemake --unlock" in command[1]
    assert "--profile profiles/local" in command[1] and "--configfile study.yaml" in command[1]
    environment = os.environ | {"PYTHONPATH": str(planned.root / "workflow/lib")}
    subprocess.run(shlex.split(command[1]), cwd=planned.root, env=environment, check=True)
    assert planned.run(TARGET).status == 0
    assert (planned.root / TARGET).exists()
