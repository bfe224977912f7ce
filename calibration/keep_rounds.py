"""Copy the rounds of a study to calibration/rounds, where finished rounds are.

    .venv/bin/python calibration/keep_rounds.py results/calibration/1

A finished round is never replaced: one that has changed is refused. Development rounds, and those
of another base model, do not count with the others: they stay in the study's own folder.
"""

import argparse
import shutil
import sys
from pathlib import Path

import yaml
from make_study import FINISHED


def keep_rounds(folder: Path, finished: Path) -> list[Path]:
    """Copy the rounds that a study's config names; returns the files of its rounds.

    Raises:
        ValueError: for a round of which another file is there.
    """
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    made = [Path(config["results"], "rounds", f"{name}.csv") for name in config["models"]]
    if "rounds" not in config.get("calibration", {}):
        return made
    finished.mkdir(parents=True, exist_ok=True)
    for path in made:
        kept = finished / path.name
        if kept.exists() and kept.read_bytes() != path.read_bytes():
            raise ValueError(
                f"{kept} is not what {path} holds now; delete the first to replace it by the second"
            )
    return [Path(shutil.copy(path, finished)) for path in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="that make_study.py has made")
    try:
        for path in keep_rounds(parser.parse_args().folder, Path(FINISHED)):
            print(path)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
