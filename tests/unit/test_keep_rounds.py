"""Which rounds `make calibrate` adds to the finished ones, and how its scripts refuse bad input."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from keep_rounds import keep_rounds  # noqa: E402
from make_study import FINISHED, make_study  # noqa: E402


def finish(folder: Path, seed: int, content: str = "a round", **options: Any) -> Path:
    """A study of one round, which has been computed."""
    make_study(folder, [seed], subjects=1, **options)
    path = Path(config_of(folder)["results"], "rounds", f"seed_{seed}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    return config


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_confirmatory_round_is_copied() -> None:
    finish(Path("study"), 101)
    assert keep_rounds(Path("study")) == [FINISHED / "seed_101.csv"]
    assert (FINISHED / "seed_101.csv").read_text(encoding="utf-8") == "a round"


@pytest.mark.parametrize(
    ("seed", "options"), [(100, {}), (101, {"source": "path:another/base"})], ids=["early", "other"]
)
def test_other_rounds_stay_where_they_are(seed: int, options: dict[str, str]) -> None:
    made = finish(Path("study"), seed, **options)
    assert keep_rounds(Path("study")) == [made]
    assert not FINISHED.exists()
    assert "calibration" not in config_of(Path("study"))  # finished ones do not count with it


def test_a_finished_round_is_not_replaced() -> None:
    finish(Path("study"), 101)
    keep_rounds(Path("study"))
    keep_rounds(Path("study"))
    finish(Path("study"), 101, "another result")
    with pytest.raises(ValueError, match="differs from"):
        keep_rounds(Path("study"))
    assert (FINISHED / "seed_101.csv").read_text(encoding="utf-8") == "a round"
