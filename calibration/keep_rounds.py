"""Copy the rounds of a study to the folder of finished rounds.

    .venv/bin/python calibration/keep_rounds.py results/calibration/101

A finished round is never replaced: one that has changed is refused. Rounds of models go to the
folder that the study's config names, rounds of facts to FACT_ROUNDS. Development rounds stay in the
study's own folder.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

FACT_ROUNDS = Path("calibration/fact_rounds")
FIRST_CONFIRMATORY = 201  # of rounds of facts


def keep_rounds(folder: Path) -> list[Path]:
    """Copy the rounds of a study to where they are kept; returns the files of its rounds.

    Raises:
        ValueError: for a round of which another file is there.
        OSError: if the study is not there, or has not been computed.
    """
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    made, finished = _rounds(config)
    if finished is None:
        return made
    finished.mkdir(parents=True, exist_ok=True)
    for path in made:
        kept = finished / path.name
        if kept.exists() and kept.read_bytes() != path.read_bytes():
            raise ValueError(
                f"{kept} differs from {path}; to replace the first, delete it and run again"
            )
    return [Path(shutil.copy(path, finished)) for path in made]


def _rounds(config: dict[str, Any]) -> tuple[list[Path], Path | None]:
    """The files of a study's rounds, and the folder where they are kept; None: nowhere else."""
    names, results = config["models"], Path(config["results"])
    if (folder := results / "fact_rounds").is_dir():
        seeds = [int(name.removeprefix("seed_")) for name in names]
        files = [folder / f"{name}_{of}.csv" for name in names for of in ("facts", "copies")]
        return files, FACT_ROUNDS if min(seeds) >= FIRST_CONFIRMATORY else None
    finished = config.get("calibration", {}).get("rounds")
    files = [results / "rounds" / f"{name}.csv" for name in names]
    return files, Path(finished) if finished else None


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
