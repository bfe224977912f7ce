"""A page of docs/ whose files and shell blocks are executed, and a reader who does so."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tiny_study import ROOT, Run, Workflow

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is the content of (or ""), and its text."""

    language: str
    title: str
    text: str


class Page:
    """A tutorial in docs/: its text and blocks; a block is a file of the reader's, or a command."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / "docs/tutorials" / name).read_text(encoding="utf-8")
        self.blocks = [Block(*parts) for parts in _BLOCK.findall(self.text)]
        self.files = [block for block in self.blocks if block.title]
        self.commands = [block.text for block in self.blocks if block.language == "bash"]


class Reader:
    """Somebody who follows a page in a fresh checkout, with folders of their own."""

    def __init__(self, workflow: Workflow, page: Page) -> None:
        self.workflow = workflow
        (workflow.root / "my").mkdir()
        for block in page.files:
            (workflow.root / block.title).write_text(self.with_folders(block.text), "utf-8")

    def with_folders(self, text: str) -> str:
        return text.replace("/data/", f"{self.workflow.root}/data/")

    def change(self, file: str, old: str, new: str) -> None:
        path = self.workflow.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def types(self, command: str) -> Run:
        """Run a shell block as it stands, with the virtual environment activated."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        python = str(self.workflow.root / "workflow/lib")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.workflow.root,
            env=os.environ | {"PATH": path, "PYTHONPATH": python},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)
