"""The conda environment: the packages of pyproject.toml in the versions of constraints.txt."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVIRONMENT = yaml.safe_load((ROOT / "workflow/envs/stillknows.yaml").read_text("utf-8"))
PINS = ENVIRONMENT["dependencies"][-1]["pip"]


def needed_by_jobs() -> set[str]:
    """The packages on which stillknows depends, directly or not, but for Snakemake and its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    waiting = [name for name in project["dependencies"] if not name.startswith("snakemake")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        for extra in requirement.extras or {""}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += required_by(name, extra)
    return {name for name, _ in seen}


def required_by(name: str, extra: str) -> Iterator[str]:
    for line in requires(name) or []:
        marker = Requirement(line).marker
        if marker is None or marker.evaluate({"extra": extra}):
            yield line


def test_the_environment_has_what_jobs_need_in_the_versions_of_the_tests() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    needed = needed_by_jobs()
    pins = [line for line in lines if canonicalize_name(line.partition("==")[0]) in needed]
    assert pins == PINS
    assert "python =3.11" in ENVIRONMENT["dependencies"]


def test_the_container_has_the_same_packages() -> None:
    recipe = (ROOT / "containers/Dockerfile").read_text("utf-8")
    copied, target = re.search(r"^COPY (\S+) (\S+)$", recipe, re.MULTILINE).groups()
    command = re.search(r"pip install --no-cache-dir \$\((.+)\)$", recipe, re.MULTILINE).group(1)
    listed = subprocess.run(
        command.replace(target, copied),
        shell=True,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert listed.stdout.split() == PINS
