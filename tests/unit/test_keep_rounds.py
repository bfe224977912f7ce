"""Which rounds `make calibrate` adds to the finished ones."""

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "calibration"))

from keep_rounds import keep_rounds  # noqa: E402
from make_study import make_study  # noqa: E402


def finish(folder: Path, seed: int, content: str = "a round", **options: str) -> Path:
    """A study of one round, which has been computed."""
    make_study(folder, [seed], subjects=1, **options)
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    path = Path(config["results"], "rounds", f"seed_{seed}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_a_confirmatory_round_is_copied(tmp_path: Path) -> None:
    finish(tmp_path / "study", 101)
    assert keep_rounds(tmp_path / "study", tmp_path / "finished") == [
        tmp_path / "finished/seed_101.csv"
    ]
    assert (tmp_path / "finished/seed_101.csv").read_text(encoding="utf-8") == "a round"


@pytest.mark.parametrize(
    ("seed", "options"), [(100, {}), (101, {"source": "path:another/base"})], ids=["early", "other"]
)
def test_other_rounds_stay_where_they_are(
    tmp_path: Path, seed: int, options: dict[str, str]
) -> None:
    made = finish(tmp_path / "study", seed, **options)
    assert keep_rounds(tmp_path / "study", tmp_path / "finished") == [made]
    assert not (tmp_path / "finished").exists()
    config = yaml.safe_load((tmp_path / "study/study.yaml").read_text(encoding="utf-8"))
    assert "calibration" not in config  # the finished ones do not count with it either


def test_a_finished_round_is_not_replaced(tmp_path: Path) -> None:
    finish(tmp_path / "study", 101)
    keep_rounds(tmp_path / "study", tmp_path / "finished")
    keep_rounds(tmp_path / "study", tmp_path / "finished")
    finish(tmp_path / "study", 101, "another result")
    with pytest.raises(ValueError, match="is not what"):
        keep_rounds(tmp_path / "study", tmp_path / "finished")
    assert (tmp_path / "finished/seed_101.csv").read_text(encoding="utf-8") == "a round"
