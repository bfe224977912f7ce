"""Copy the rounds of a study to the folder of finished rounds that its config names.

    .venv/bin/python calibration/keep_rounds.py results/calibration/101

A finished round is never replaced: one that has changed is refused. Without such a folder, as for
development rounds, they stay in the study's own.
"""

import argparse
import shutil
import sys
from pathlib import Path

import yaml


def keep_rounds(folder: Path) -> list[Path]:
    """Copy the rounds of a study to where its config wants them; returns the files of its rounds.

    Raises:
        ValueError: for a round of which another file is there.
        OSError: if the study is not there, or has not been computed.
    """
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    made = [Path(config["results"], "rounds", f"{name}.csv") for name in config["models"]]
    finished = config.get("calibration", {}).get("rounds")
    if finished is None:
        return made
    for path in made:
        kept = Path(finished, path.name)
        if kept.exists() and kept.read_bytes() != path.read_bytes():
            raise ValueError(
                f"{kept} differs from {path}; to replace the first, delete it and run again"
            )
    return [Path(shutil.copy(path, finished)) for path in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder that make_study.py has written")
    try:
        for path in keep_rounds(parser.parse_args().folder):
            print(path)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
