"""A Slurm cluster of one's own, and the tiny study on it through `snakemake --profile slurm`."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml
from tiny_study import CONFIG, Run, Workflow

HERE = Path(__file__).parent
TABLES = ("krs.parquet", "curves.csv", "coverage.csv")
HANGS = 600  # seconds: nothing takes half of it, and what hangs should say how things stood
HARD = 30  # seconds after which a daemon that does not end is killed
AWAY = 75  # seconds of an outage: longer than all that Slurm and its commands wait by themselves
ONE, OTHER = "dpo_tea_attention", "dpo_tea_value_vectors"


@dataclass(frozen=True)
class Ended:
    """A job as Slurm saw it: what it asked for, and how it ended."""

    id: str
    state: str
    start: datetime
    end: datetime
    minutes: int
    mem_mb: int


@dataclass(frozen=True)
class Cluster:
    """A running cluster in a folder."""

    folder: Path

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def ask(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environment(), stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def queue(self) -> list[str]:
        """Comments of the jobs that wait or run."""
        return self.ask("squeue", "--noheader", "--format", "%k").split()

    def job_of(self, sweep: str) -> str:
        """The id of the job in the queue whose wildcards end with this."""
        lines = self.ask("squeue", "--noheader", "--format", "%i %k").splitlines()
        (found,) = [line.split()[0] for line in lines if line.endswith(f"_{sweep}")]
        return found

    def ended(self, ids: list[str]) -> list[Ended]:
        """These jobs, from the file in which Slurm notes each job that has ended."""
        noted = (self.folder / "log/jobcomp.txt").read_text(encoding="utf-8").splitlines()
        jobs = [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in noted]
        return [_ended(job) for job in jobs if job["JobId"] in ids]

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait; what never comes says how things stood."""
        started = time.monotonic()
        while not condition():
            assert time.monotonic() - started < HANGS, f"waited in vain:\n{self.state()}"
            time.sleep(0.2)

    def state(self) -> str:
        return self.ask("squeue") + self.ask("sinfo", "--list-reasons")

    @contextmanager
    def slow_look(self) -> Iterator[Path]:
        """Let Snakemake's next look at its jobs last until this is over.

        The file that is given appears when it has begun.
        """
        waiting, begun = self.folder / "bin/squeue", self.folder / "look_begun"
        # Only that question has these columns; jobs, too, ask squeue for something.
        wait = f"touch {begun}; while [ -e {waiting} ]; do sleep 0.1; done"
        script = f'case "$*" in *"%i|%T"*) {wait} ;; esac\nexec {shutil.which("squeue")} "$@"\n'
        waiting.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
        waiting.chmod(0o755)
        try:
            yield begun
        finally:
            waiting.unlink()
            begun.unlink()

    def stop_daemon(self, name: str) -> None:
        pid = int((self.folder / f"run/{name}.pid").read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        started = time.monotonic()
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() - started > HARD:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def start_daemon(self, name: str) -> None:
        socket = {"MYSQL_UNIX_PORT": str(self.folder / "run/mariadb.sock")}
        subprocess.run([name], env=self.environment() | socket, check=True)


def _ended(job: dict[str, str]) -> Ended:
    memory = re.search(r"mem=(\d+)([MG])", job["Tres"])
    assert memory, job
    return Ended(
        job["JobId"],
        job["JobState"],
        datetime.fromisoformat(job["StartTime"]),
        datetime.fromisoformat(job["EndTime"]),
        int(job["TimeLimit"]),
        int(memory[1]) * (1024 if memory[2] == "G" else 1),
    )


@dataclass(frozen=True)
class Started:
    """A Snakemake that is running."""

    process: subprocess.Popen[bytes]
    log: Path
    cluster: Cluster

    def finish(self) -> Run:
        try:
            status = self.process.wait(HANGS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output = self.log.read_text(encoding="utf-8")[-2000:]
            raise AssertionError(f"a run hangs: {output}\n{self.cluster.state()}") from None
        return Run(status, self.log.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Study:
    """The tiny study, and the cluster that computes it."""

    workflow: Workflow
    cluster: Cluster

    @property
    def root(self) -> Path:
        return self.workflow.root

    @property
    def faults(self) -> Path:
        return self.root / "faults"

    def environment(self) -> dict[str, str]:
        return self.cluster.environment() | {
            "PYTHONPATH": str(self.root / "workflow/lib"),
            "DISSECT_FAULTS": str(self.faults),
            "OMP_NUM_THREADS": "1",
        }

    def start(
        self, *options: str, command: str = "snakemake --profile slurm", target: str = "tables"
    ) -> Started:
        """The literal command; faults/sitecustomize.py lets it ask for jobs' states more often."""
        log = self.root / f"run{len(list(self.root.glob('run*.log')))}.log"
        words = shlex.split(command)
        # The interpreter that runs the tests.
        line = [sys.executable, "-m", *words]
        if words[0] == "snakemake":
            line += [target, "--configfile", "study.yaml"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*line, *options],
                cwd=self.root,
                env=self.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        return Started(process, log, self.cluster)

    def run(self, *options: str, target: str = "tables") -> Run:
        return self.start(*options, target=target).finish()

    def fault(self, sweep: str, kind: str) -> Path:
        """Let a sweep's job go wrong; returns the file whose removal ends it."""
        self.faults.mkdir(exist_ok=True)
        path = self.faults / f"{sweep}.fault"
        path.write_text(kind, encoding="utf-8")
        return path

    def reached(self, fault: Path, run: Started) -> None:
        """Wait until the sweep's job is where it goes wrong."""
        while not fault.with_suffix(".reached").exists():
            assert run.process.poll() is None, run.finish().output
            time.sleep(0.1)

    def sweep(self, name: str) -> Path:
        """A sweep's table; its name is method_concept_experiment, as in a job's comment."""
        method, concept, experiment = re.fullmatch(r"(grad_diff|dpo)_([a-z]+)_(\w+)", name).groups()  # type: ignore[union-attr]
        return self.root / f"results/tiny/krs/tiny/{method}/{concept}/{experiment}.parquet"

    def remove(self, *sweeps: str) -> None:
        for name in sweeps:
            self.sweep(name).unlink()

    def tables(self) -> dict[str, bytes]:
        return {name: (self.root / "results/tiny/tables" / name).read_bytes() for name in TABLES}


def submitted(run: Run) -> dict[str, str]:
    """Slurm's ids of a run's jobs, and each one's rule/wildcards."""
    pattern = r"submitted with SLURM jobid (\d+) \(log: \S*/rule_(\S+)/\1\.log\)"
    return dict(re.findall(pattern, run.output))


def sweeps_of(run: Run) -> list[str]:
    """The sweeps that a run has submitted, one entry per attempt."""
    names = [name for name in submitted(run).values() if name.startswith("dissect_layers/")]
    return sorted(name.removeprefix("dissect_layers/tiny_") for name in names)


def assert_complete(study: Study, undisturbed: Study) -> None:
    """Nothing is left to be done, and the tables are those of the undisturbed study."""
    assert not study.cluster.queue()
    run = study.run()
    assert run.status == 0, run.output
    assert "Nothing to be done" in run.output
    assert study.tables() == undisturbed.tables()


def assert_goes_on(study: Study, undisturbed: Study) -> None:
    """A plain run does what is left to be done."""
    assert not study.cluster.queue()
    run = study.run()
    assert run.status == 0, run.output
    assert_complete(study, undisturbed)


def assert_outlives(daemon: str, study: Study, undisturbed: Study) -> None:
    """While a daemon is away everything waits: a job that ends then, too, and one that goes on."""
    study.remove(ONE, OTHER)
    held = study.fault(ONE, "hold"), study.fault(OTHER, "hold")
    run = study.start()
    for fault in held:
        study.reached(fault, run)
    study.cluster.stop_daemon(daemon)
    try:
        held[0].unlink()  # this one ends while nobody is there to be told
        time.sleep(AWAY)
    finally:
        study.cluster.start_daemon(daemon)
    held[1].unlink()
    done = run.finish()
    assert done.status == 0, done.output
    assert sweeps_of(done) == [ONE, OTHER]
    assert_complete(study, undisturbed)


def attempts(
    run: Run, cluster: Cluster, sweep: str, asked: str = "minutes"
) -> list[tuple[str, int]]:
    """How each attempt at a sweep ended, and what it had asked for."""
    ids = [job for job, name in submitted(run).items() if name.endswith(f"/tiny_{sweep}")]
    jobs = sorted(cluster.ended(ids), key=lambda job: int(job.id))
    return [(job.state, getattr(job, asked)) for job in jobs]


def prepare(workflow: Workflow) -> None:
    """Make the tiny study one for a cluster: the link, the faults, and jobs that ask for GPUs."""
    (workflow.root / "slurm").symlink_to("profiles/slurm")
    shutil.copy(HERE / "faults/sitecustomize.py", workflow.root / "workflow/lib")
    config = yaml.safe_dump(CONFIG | {"device": "auto"})
    (workflow.root / "study.yaml").write_text(config, encoding="utf-8")
