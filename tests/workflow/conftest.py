"""The tiny study: computed once, or only planned."""

from pathlib import Path

import pytest
from tiny_study import ROWS, Workflow, make

from tiny import save_tiny


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The tiny study, computed: real jobs, once for all tests."""
    workflow = make(tmp_path_factory.mktemp("study"))
    own = workflow.root / "own"
    original = save_tiny(own / "original")
    for seed, name in enumerate(("grad_diff_tea", "dpo_tea", "dpo_mate"), start=1):
        save_tiny(own / name, near=original, seed=seed)
    run = workflow.run()
    assert run.status == 0, run.output
    return workflow


@pytest.fixture
def planned(tmp_path: Path) -> Workflow:
    """The same study without a result, its checkpoints mere folders: for what is told early."""
    workflow = make(tmp_path)
    for row in ROWS:
        folder = workflow.root / row[3].removeprefix("path:")
        if row[3] != "unlearn":
            folder.mkdir(parents=True)
            (folder / "config.json").write_text('{"num_hidden_layers": 6}', encoding="utf-8")
    return workflow
