"""The kinds of results that a study computes: which files each has, and what they depend on."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.config import Config
from stillknows.study.study import Study
from stillknows.terms import ALTERATIONS, SAMPLES
from stillknows.texts.concepts import unrelated_id


def _answered(study: Study, row: CheckpointRow) -> str:
    return study.texts_path(row.model, row.concept)


def _as_in_file(study: Study, row: CheckpointRow) -> str:
    return study.concept_path(row.model, row.concept)


def _unrelated(study: Study, row: CheckpointRow) -> str:
    return study.texts_path(row.model, unrelated_id(row.concept))


class Dataset(NamedTuple):
    """Results of one kind: files {folder}/{model}/{method}/{name}.parquet."""

    folder: str
    names: Callable[[Study, CheckpointRow], Iterable[str]]
    """The names of an unlearned row's files; none if the config does not ask for them."""
    settings: Callable[[Config], dict[str, Any]] | None
    """What results depend on beside files, prompt and dtype; None: not on these two either."""
    texts: Callable[[Study, CheckpointRow], str] = _answered
    """The file of the concept that its jobs read."""
    is_of_originals: bool = False
    """Whether the original has such a file for each concept."""


def _if(is_wanted: bool, name: str) -> list[str]:
    return [name] if is_wanted else []


def _of_test(test: str, ending: str, settings: Callable[[Config], dict[str, Any]]) -> Dataset:
    """What a test of the audit finds, of copies only."""
    return Dataset(
        test,
        lambda study, row: _if(
            test in study.config.audit.tests and study.has_audit(row.model, row.concept),
            f"{row.concept}{ending}",
        ),
        settings,
    )


def _of_altered_copies(alteration: str, kind: str) -> Dataset:
    return _of_test(alteration, f".{kind}", lambda config: config.alteration(alteration))


# Dataset of what altered copies say -> the alteration.
ALTERED_ANSWERS = {f"{name}_answers": name for name in ALTERATIONS}
DATASETS = {
    "krs": Dataset(
        "krs",
        lambda study, row: [f"{row.concept}/{name}" for name in study.config.experiments],
        lambda config: {
            "windows": config.windows,
            "controls": config.controls.of_a_sweep(config.seed),
        },
    ),
    "krs_unrelated": Dataset(
        "krs_unrelated",
        lambda study, row: [
            f"{row.concept}/{name}" for name in study.config.denoising() if study.config.specificity
        ],
        lambda config: {"windows": config.windows},
        _unrelated,
    ),
    "self_patch": Dataset(
        "self_patch",
        lambda study, row: _if(study.config.controls.self_patch, row.concept),
        lambda config: {"window": config.windows[0]},
        is_of_originals=True,
    ),
    "weight_changes": Dataset(
        "weight_changes",
        lambda study, row: _if(study.config.weight_changes, row.concept),
        None,
        _as_in_file,
    ),
    "depth": Dataset(
        "depth",
        lambda study, row: _if(study.has_depth(row.model, row.concept), row.concept),
        lambda config: {"forms": config.depth.forms},
    ),
    "recall": Dataset(
        "recall",
        lambda study, row: _if(study.has_recall(row.model, row.concept), row.concept),
        lambda config: {"seed": config.seed, "recall": config.recall.model_dump()},
        is_of_originals=True,
    ),
    "exposure": Dataset(
        "exposure",
        lambda study, row: _if(study.has_audit(row.model, row.concept), row.concept),
        lambda config: config.audit.drawn(),
        is_of_originals=True,
    ),
    **{name: _of_altered_copies(name, "association") for name in ALTERATIONS},
    **{key: _of_altered_copies(name, "answers") for key, name in ALTERED_ANSWERS.items()},
    SAMPLES: _of_test(SAMPLES, "", lambda config: config.sampling()),
    "utility": Dataset(
        "utility",
        lambda study, row: _if(bool(study.config.utility.tasks), row.concept),
        lambda config: {"utility": config.utility.model_dump(mode="json")},
        _as_in_file,
        is_of_originals=True,
    ),
    "answers": Dataset(
        "behaviour",
        lambda study, row: _if(bool(study.config.behaviour.sets), row.concept),
        lambda config: {"sets": config.behaviour.sets, "new_tokens": config.behaviour.new_tokens},
        _as_in_file,
        is_of_originals=True,
    ),
    "patched_answers": Dataset(
        "behaviour",
        lambda study, row: _if(study.config.has_patched_answers, f"{row.concept}.patched"),
        lambda config: {
            "windows": config.behaviour.patched.windows,
            "experiments": config.patched_experiments(),
            "sets": config.behaviour.patched.sets,
            "new_tokens": config.behaviour.new_tokens,
        },
        _as_in_file,
    ),
}
