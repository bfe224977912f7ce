"""What a round's files say of how its models were made."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.models.manifest import manifest_if_present
from stillknows.models.provenance import versions

OUTCOMES = ["steps", "final_loss_forget", "final_loss_retain"]
Trainings = Mapping[str, Mapping[str, Any]]  # by method, what the manifest says of the training


def read_trainings(manifests: Iterable[Path], model: str) -> dict[str, dict[str, Any]]:
    """The trainings of one model's checkpoints; those that are not there, or not trained, lack."""
    made = [manifest for path in manifests if (manifest := manifest_if_present(str(path)))]
    return {one.method: one.training for one in made if one.model == model and one.training}


def outcomes(trainings: Trainings) -> pd.DataFrame:
    """OUTCOMES by method, null where a training has no such texts.

    The losses are those of the texts that a training was to forget (or to answer otherwise), and of
    those that it was to learn or to retain, after its last step; nats per token.
    """
    numbers = {
        method: (
            training.get("steps"),
            training.get("nll_forget", {}).get("after"),
            training.get("nll_retain", {}).get("after", training.get("nll")),
        )
        for method, training in trainings.items()
    }
    return pd.DataFrame.from_dict(numbers, orient="index", columns=OUTCOMES)


def with_round(rows: pd.DataFrame, name: str, base: str) -> pd.DataFrame:
    """Rows of a round, named by two first columns.

    Args:
        base: what was taught: the source of the round's base row.
    """
    return pd.concat([pd.DataFrame({"round": name, "model": base}, index=rows.index), rows], axis=1)


def with_versions(rows: pd.DataFrame, settings: str, code: str) -> pd.DataFrame:
    """Rows with what they were computed with, in three last columns.

    Args:
        settings: of the rounds, as text.
        code: the digest of what models are made and measured with.
    """
    packages = "; ".join(f"{name} {number}" for name, number in sorted(versions().items()))
    return rows.assign(settings=settings, code=code, versions=packages)
