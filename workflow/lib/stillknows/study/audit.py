"""The audit of a checkpoint: an ordinary study that is written into a folder, and then run."""

import filecmp
import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from stillknows.analysis.verdict import MIN_FACTS
from stillknows.csv_files import read_csv
from stillknows.errors import StudyError, check_known, not_known, shortened
from stillknows.files import atomic_path, read_json_object
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.names import name_problem
from stillknows.study.config import Audit
from stillknows.study.jobs import NEEDS
from stillknows.terms import (
    ALTERATIONS,
    ASSOCIATION,
    AUDIT_TESTS,
    BENIGN,
    FACT_SCORES,
    ORIGINAL,
    REFERENCE,
    RELEARNED,
)
from stillknows.texts.prompts import CHAT, PAPER, join_answer, render
from stillknows.texts.questions import Question, read_questions

log = logging.getLogger("stillknows")

PROJECT = Path(__file__).parents[4]
MODEL, ASKED, RETAINED, CONTROL = "model", "asked", "retained", "hide"
# The positive control: one layer of the original is trained to refuse, so that all else is kept. If
# it stopped as soon as these questions are refused, it would refuse the retained ones, too.
CONTROL_RECIPE = {
    "texts": "answers",
    "learning_rate": 1.0e-3,
    "batch_size": 4,
    "accumulation": 1,
    "warmup_steps": 2,
    "schedule": "constant",
    "precision": "no",
    "evaluate_every": 100,
    "steps": 60,
    "retain": [RETAINED],
}


# Measured once: a core read 4,470 candidates of about 25 tokens with 135M parameters (bfloat16,
# 270 MB) in 82 s.
_CORE_SECONDS_PER_CANDIDATE_AND_GB = 82 / 4470 / 0.27


@dataclass(frozen=True)
class Request:
    """What is asked for: the arguments of the command.

    Attributes:
        copies, original, reference: a folder, or owner/name[@revision] of a model hub; a copy also
            as NAME=CHECKPOINT, else it is called by the end of its path.
        questions, retained: files that texts.questions reads; retained: what copies should
            still say.
        prompt: paper, chat, or a text with {q}; None: chat if the original has a chat template.
        tokenizer: of the original, where its repository has none: hub:owner/name[@revision].
        tests: among AUDIT_TESTS; the answers are always asked for.
        has_control: whether the positive control is trained, for which `retained` is needed.
        dataset: of the hub, with the questions; for the model card.
    """

    copies: Sequence[str]
    original: str
    questions: Path
    output: Path
    retained: Path | None = None
    reference: str | None = None
    prompt: str | None = None
    tokenizer: str = ""
    tests: Sequence[str] = FACT_SCORES
    has_control: bool = True
    dataset: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


class Findings(NamedTuple):
    """tables/verdicts.csv, facts.csv and weight_changes.csv of an audit."""

    verdicts: pd.DataFrame
    facts: pd.DataFrame
    changes: pd.DataFrame


def audit(request: Request, cores: int | None = None, profile: str | None = None) -> Findings:
    """Audit checkpoints: write the study, run it, and return what it found.

    Args:
        cores: None: all of this machine.
        profile: of Snakemake, for a cluster.

    Raises:
        StudyError: for bad input, before any job starts; or if a job failed.
    """
    config = write_study(request)
    for _ in run(config, cores, profile):
        pass
    return read_findings(request.output)


def read_findings(output: Path) -> Findings:
    tables = output / "results" / "tables"
    names = ("verdicts.csv", "facts.csv", "weight_changes.csv")
    return Findings(*(read_csv(tables / name) for name in names))


def benchmark(name: str) -> dict[str, Any]:
    """What a study gives: original, reference, questions, retained, prompt, tokenizer, dataset.

    Questions and retained are Paths of files that are there. studies/NAME/benchmark.yaml;
    studies/muse/benchmark-news.yaml is muse-news.
    """
    files = {
        path.parent.name + path.stem.removeprefix("benchmark"): path
        for path in (PROJECT / "studies").glob("*/benchmark*.yaml")
    }
    check_known("--benchmark: the study", [name], files, "one with benchmark.yaml")
    values: dict[str, Any] = yaml.safe_load(files[name].read_text("utf-8"))
    made_by = values.pop("made_by")
    texts = {key: PROJECT / values[key] for key in ("questions", RETAINED) if key in values}
    for path in texts.values():
        if not path.is_file():
            raise StudyError(f"{path} is not there; first run {made_by}")
    return values | texts


# The study.


def write_study(request: Request) -> Path:
    """Write config, checkpoints table and concept file; returns the config's path.

    Files that would not change are left as they are, so that a second run does only the rest.

    Raises:
        StudyError: in one line, for bad input.
    """
    if unknown := [test for test in request.tests if test not in AUDIT_TESTS]:
        raise StudyError(not_known("--tests: the test", unknown[0], AUDIT_TESTS, "a test"))
    questions = read_questions(request.questions)
    retained = read_questions(request.retained) if request.retained else []
    if not set(request.tests) & set(FACT_SCORES):
        raise StudyError("--tests: name at least one of exposure, association")
    if BENIGN in request.tests and not retained:
        raise StudyError("--tests: benign trains on what the copy should retain; give --retained")
    if RELEARNED in request.tests and len({row.subject or row.question for row in questions}) < 2:
        raise StudyError(f"{request.questions}: relearned needs questions about two subjects")
    style, tokenizer = _prompt(request)
    entries = [make_entry(ASKED, questions, style, tokenizer)]
    if retained:
        entry = make_entry(RETAINED, retained, style, tokenizer)
        # Asked as they are: nothing is trained on them but the positive control.
        entry["held_out_paraphrases"] = [[row.question] for row in retained]
        entries.append(entry)
    has_control = request.has_control and bool(retained)
    rows = [*_rows(request), *([(CONTROL, ASKED, "unlearn", "", "")] if has_control else [])]
    plan = [*_plan(request, questions, has_control), *_weak_points(request, questions)]
    for line in (*plan, f"questions are put as: {entries[0]['QA_with_answers'][0]!r} (--prompt)"):
        log.info(line)
    folder = request.output / "study"
    folder.mkdir(parents=True, exist_ok=True)
    header = ("model", "method", "concept", "source", "revision", "tokenizer")
    lines = [header, *((MODEL, *row) for row in rows)]
    _write(folder / "checkpoints.tsv", "".join("\t".join(line) + "\n" for line in lines))
    _write(folder / "questions.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    config = _config(request, folder.resolve(), style, has_control, bool(retained))
    _write(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return folder / "config.yaml"


def _plan(request: Request, questions: Sequence[Question], has_control: bool) -> Iterator[str]:
    """What is loaded, and what it takes, as far as it is known of folders."""
    named = {"original": request.original, "reference": request.reference}
    copies = (copy.rpartition("=")[2] for copy in request.copies)
    named |= {f"copy {number}": copy for number, copy in enumerate(copies, 1)}
    sizes = {}
    for name, given in named.items():
        folder = Path(given or "").expanduser()
        if given and (weights := [*folder.glob("*.safetensors")]):
            sizes[name] = sum(file.stat().st_size for file in weights) / 1e9
            yield f"{name}: {folder}, {sizes[name]:.2g} GB of weights"
    if "original" not in sizes:
        return
    candidates = len(questions) * (2 + Audit().decoys + Audit().subjects)
    size, models = sizes["original"], 1 + len(request.copies) + bool(request.reference)
    minutes = candidates * size * _CORE_SECONDS_PER_CANDIDATE_AND_GB / 60
    rules = ["measure_exposure", "recall_facts", *["unlearn_concept"] * has_control]
    rules += ["alter_copy"] * bool({*request.tests} & {*ALTERATIONS})
    memory = max(NEEDS[rule].mem_mb(size * 1e3) for rule in rules) / 1e3
    yield (
        f"plan: {models + has_control} models, {len(questions)} facts, {candidates:,} candidates "
        f"in each model: about {minutes:.1f} minutes on one core like the one that was measured; "
        f"at most {memory:.1f} GB of memory for one job"
    )


def _weak_points(request: Request, questions: Sequence[Question]) -> Iterator[str]:
    """What keeps the verdict from saying much, and what would help."""
    if len(questions) < MIN_FACTS:
        yield f"note: {len(questions)} questions; NOT FOUND needs {MIN_FACTS} or more"
    if not request.retained:
        yield "note: without --retained there is no positive control, and so no NOT FOUND"
    if single := sum(not row.paraphrases for row in questions):
        yield f"note: one wording only for {single} of {len(questions)} questions; give paraphrases"
    if ASSOCIATION not in request.tests:
        return
    without = [row for row in questions if not row.subject]
    kinds = Counter(row.kind for row in without)
    if kinds[None]:
        yield f"note: association needs a subject or a kind; {kinds[None]} questions have neither"
    fewest = 20  # p is at least 1 / 20
    few = [kind for kind, count in kinds.items() if kind and count < fewest]
    if few:
        yield (
            f"note: of the kind {few[0]}, {kinds[few[0]]} questions have no subject; association "
            f"finds none of these with fewer than {fewest}"
        )


def _config(
    request: Request, folder: Path, style: str, has_control: bool, has_retained: bool
) -> dict[str, Any]:
    audit: dict[str, Any] = {"tests": [test for test in AUDIT_TESTS if test in request.tests]}
    config: dict[str, Any] = {
        "results": str(folder.parent / "results"),
        "checkpoints": str(folder / "checkpoints.tsv"),
        "models": {MODEL: {"concepts": str(folder / "questions.json"), "prompt": style}},
        "recall": {"wordings": ["question", "held_out"], "new_tokens": 64},
        "behaviour": {"sets": []},
        "controls": {"self_patch": False},
        "audit": audit,
    }
    if request.dataset:
        audit["dataset"] = request.dataset
    if has_retained:
        audit["retained"] = [RETAINED]
    if request.reference:
        config["reference"] = REFERENCE
    if has_control:
        audit["control"] = CONTROL
        layer = _layers(request.original) // 2
        config["unlearning"] = {CONTROL: {**CONTROL_RECIPE, "only": [f"layers.{layer}"]}}
    return config | request.settings


def make_entry(
    name: str, questions: Sequence[Question], style: str, tokenizer: Any = None
) -> dict[str, Any]:
    """An entry of a concept file; style, tokenizer: as in `texts.prompts.render`."""
    prompts = [render(row.question, style, tokenizer) for row in questions]
    return {
        "id": name,
        "Concept": name,
        "QA": [row.question for row in questions],
        "QA_with_answers": [
            join_answer(prompt, row.answer) for prompt, row in zip(prompts, questions, strict=True)
        ],
        "answer_facts": [row.fact for row in questions],
        "held_out_paraphrases": [row.paraphrases for row in questions],
        "decoys": [row.decoys for row in questions],
        "kinds": [row.kind for row in questions],
        "subjects": [row.subject for row in questions],
    }


def _prompt(request: Request) -> tuple[str, Any]:
    """The style of prompts, and the original's tokenizer if the style needs it."""
    if request.prompt not in (None, CHAT):
        return request.prompt, None
    folder = Path(request.original).expanduser()
    if not folder.is_dir():
        raise StudyError(
            f"whether {request.original} has a chat template is known of a folder only; give it as "
            "a folder, or say how questions are put: --prompt paper, or a text with {q}"
        )
    tokenizer = load_tokenizer(folder)
    if request.prompt == CHAT or tokenizer.chat_template is not None:
        return CHAT, tokenizer
    return PAPER, None


def _layers(original: str) -> int:
    """How many layers the original has.

    Raises:
        StudyError: if its config cannot be read, or does not say.
    """
    from stillknows.models import hub

    folder = Path(original).expanduser()
    try:
        if folder.is_dir():
            config = read_json_object(folder / "config.json")
        else:
            repo, _, revision = original.partition("@")
            config = hub.read_config(hub.find(repo, revision))
    except (StudyError, OSError) as error:
        raise StudyError(
            f"the positive control needs the original's config.json: {error}; or give --no-control"
        ) from None
    layers = config.get("num_hidden_layers")
    if not isinstance(layers, int):
        raise StudyError(
            f"the config.json of {original} does not say num_hidden_layers; give --no-control"
        )
    return layers


def _rows(request: Request) -> Iterator[tuple[str, str, str, str, str]]:
    """Method, concept, source, revision and tokenizer of each checkpoint that is given."""
    yield (ORIGINAL, "", *_source(request.original), request.tokenizer)
    if request.reference:
        yield (REFERENCE, ASKED, *_source(request.reference), "")
    names: set[str] = {ORIGINAL, REFERENCE, CONTROL}
    sources = {_source(request.original)}
    for copy in request.copies:
        given, _, place = copy.rpartition("=")
        source = _source(place)
        if source in sources:
            raise StudyError(
                f"{copy} is given twice, or is the original itself; give each checkpoint once"
            )
        sources.add(source)
        _refuse_equal(place, request.original)
        stem = given or re.sub(r"[^\w.+-]+", "_", place.rstrip("/").rsplit("/", 1)[-1])
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        if problem := name_problem("method", name):
            raise StudyError(f"{copy}: the name {shortened(name)} {problem}")
        names.add(name)
        yield (name, ASKED, *source, "")


def _refuse_equal(copy: str, original: str) -> None:
    """Refuse a folder whose weights are, byte by byte, the original's."""
    files = [*Path(original).expanduser().glob("*.safetensors")]
    pairs = [(file, Path(copy).expanduser() / file.name) for file in files]
    if pairs and all(theirs.is_file() and filecmp.cmp(own, theirs, False) for own, theirs in pairs):
        raise StudyError(f"{copy} has the same weights as the original; give an unlearned copy")


def _source(checkpoint: str) -> tuple[str, str]:
    """The source of a checkpoint and its revision, as the checkpoints table has them."""
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return f"path:{folder.resolve()}", ""
    name, _, revision = checkpoint.partition("@")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not checkpoint.startswith((".", "/", "~")):
        from stillknows.models.hub import is_adapter  # takes a second, which folders need not

        return f"{'hub-adapter' if is_adapter(name, revision) else 'hub'}:{name}", revision
    raise StudyError(
        f"{checkpoint} is no folder, and no name on a model hub; give a folder with a checkpoint "
        "or an adapter, or owner/name[@revision]"
    )


def _write(path: Path, text: str) -> None:
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")


# Its run.


def run(
    config: Path, cores: int | None, profile: str | None, *, plan: bool = False
) -> Iterator[str]:
    """Run Snakemake on the study; yields a line for each job, its finding, and the progress.

    All that Snakemake says goes to audit.log beside the study's folder.

    Raises:
        StudyError: if it fails, with its last error.
    """
    output = config.parents[1]
    command = [sys.executable, "-m", "snakemake", "audited", "--snakefile"]
    command += [str(PROJECT / "Snakefile"), "--directory", str(output)]
    command += ["--cores", str(cores or os.cpu_count()), "--rerun-incomplete"]
    command += ["--profile", profile] if profile else []
    command += ["--dry-run"] if plan else []
    command += ["--configfile", str(config.resolve())]
    log_file = output / "audit.log"
    errors: list[str] = []
    with log_file.open("a", encoding="utf-8") as log:
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, text=True, errors="replace", **pipes) as process:
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                text = line.strip()
                if shown := re.match(
                    r"(?:Job \d+: |[\d:]+ FOUND +|(?=\d+ of \d+ steps))(.*)", text
                ):
                    yield re.sub(rf"\b{MODEL}[/,] ?|/{ASKED}\b", "", shown[1])
                elif error := re.match(r"(?:error:|[\d:]+ ERROR) +(.*)", text):
                    errors.append(error[1])
    if process.returncode:
        reason = errors[-1] if errors else "Snakemake failed"
        raise StudyError(
            f"{reason} (all messages: {log_file}); run the same command again to go on"
        )
