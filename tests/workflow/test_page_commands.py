"""The command lines of README.md, of calibration/README.md and of the tutorials, none left out.

The blocks of the tutorials are executed by test_guide and test_reference_page. Here, each line of
the other two pages is executed: snakemake as a dry run, make as a list of commands.
"""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from followed_page import Page, Reader
from tiny_study import ROOT, make

from tiny import save_tiny

PAGES = ("README.md", "calibration/README.md")
# Lines that begin so are not executed, for the reason given.
NOT_EXECUTED = {"git clone ": "needs a network and an address"}
SHIPPED = (
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    "calibration",
    "demo",
    "pretrained",
    "slurm",
)
FILES = {"bibtex", "yaml", "json", "tsv", "python", "text"}  # languages of blocks without commands


def command_lines(text: str) -> list[str]:
    """The lines of all blocks that are not files, and calls of Snakemake and make in sentences.

    A line that ends in a backslash goes on.
    """
    blocks = re.findall(r"^ *```(\w*).*?\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    joined = "\n".join(body for language, body in blocks if language not in FILES)
    lines = joined.replace("\\\n", " ").splitlines()
    lines += re.findall(r"`((?:\.venv/bin/)?(?:snakemake|make) [^`\n]+)`", text)
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Somebody with an installation, the guide's files, and settings of their own."""
    root = tmp_path_factory.mktemp("pages")
    reader = Reader(make(root), Page("guide.md"))
    (root / ".venv").symlink_to(sys.prefix)
    for name in SHIPPED:
        (root / name).symlink_to(ROOT / name)
    for name in ("data/original", "data/unlearned", "models/my_base"):
        (root / name).mkdir(parents=True)
        (root / name / "config.json").write_text('{"num_hidden_layers": 32}', "utf-8")
    for name in ("original", "unlearned"):
        save_tiny(root / name, seed=len(name))
    for block in Page("audit.md").files:
        (root / Path(block.title).name).write_text(block.text, encoding="utf-8")
    settings = yaml.safe_load((ROOT / "calibration/settings.yaml").read_text("utf-8"))
    settings["variants"]["my_recipe"] = {"method": "npo", "options": {"beta": 0.2}}
    (root / "my_settings.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    return reader


def execute(command: str, reader: Reader) -> None:
    """Run a command line, without what takes long.

    Raises:
        AssertionError: if nothing here can run such a line, or it fails.
    """
    words = shlex.split(command, comments=True)
    program = Path(words[0]).name
    assert program in ("make", "snakemake", "python"), f"no test covers the line: {command}"
    if program == "snakemake":  # a dry run needs no cores, but what the page asks for does
        assert {"--profile", "--cores", "-n"} & set(words), f"no cores are given: {command}"
    if program != "python":
        words.append("-n")
    elif "audit" in words:
        words.append("--plan")
    run = reader.types(shlex.join(words))
    assert run.status == 0, f"{command}\n{run.output}"


@pytest.mark.parametrize("page", PAGES)
def test_each_line_is_executed_in_its_turn(page: str, reader: Reader) -> None:
    commands = command_lines((ROOT / page).read_text("utf-8"))
    assert commands
    for command in commands:
        if not command.startswith(tuple(NOT_EXECUTED)):
            execute(command, reader)
