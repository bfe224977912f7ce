"""The study, code lists, resources, and what a wildcard may be; used by all the others."""

import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

from dissect.checkpoints.changes import changed_manifests
from dissect.errors import DissectError
from dissect.figures.palettes import check_palettes
from dissect.figures.registry import FIGURES
from dissect.files import sha256_of, write_json
from dissect.job import log_to_terminal
from dissect.provenance import hash_of
from dissect.study import expectations
from dissect.study.config import EXPERIMENTS
from dissect.study.config_files import check_config_file
from dissect.study.products import Products
from dissect.study.resources import memory_mb, runtime_minutes
from dissect.study.study import load_study
from snakemake_interface_executor_plugins.settings import ExecMode

# `snakemake preflight` must be able to look again, whatever it found the last time.
looking = "preflight" in sys.argv

# Jobs parse this file again, and need not check all of it again.
is_main_process = workflow.exec_mode == ExecMode.DEFAULT

changed = []
# An error of the user's is one line without a traceback.
try:
    for file in workflow.configfiles if is_main_process else []:
        check_config_file(Path(file))
    study = load_study(config, looking=looking)
    if is_main_process:
        style = study.config.figures.style
        check_palettes(style.palette, style.heatmap_palette)
    if is_main_process and not looking and "--unlock" not in sys.argv:
        log_to_terminal()
        changed = changed_manifests(study)
except DissectError as error:
    sys.exit(f"error: {error}")
products = Products(study)

# The tables of a results folder that was copied here without `.snakemake` are older than this file,
# so they are made again, and all results in the folder are checked.
if not Path(study.layout.first_use).exists():
    write_json(Path(study.layout.first_use), study.config.results)

# Scripts read it from here: where a job computes is no reason to compute it again.
config["device"] = study.config.device

# One job at a time on a GPU; on CPUs, as many as there are cores.
GPU = 0 if study.config.device == "cpu" else 1


def package(*names):
    """Modules of the package as input files: a job runs again when one of them has changed.

    Snakemake sees changes in a script, but not in what the script imports.
    """
    root = Path(workflow.basedir, "workflow", "lib", "dissect")
    files = [file for name in names for file in sorted(root.glob(name))]
    return [os.path.relpath(file) for file in files]


# Narrow on purpose: what is listed here and changes costs the jobs of a rule.
READING = (
    "checkpoints/families.py",
    "checkpoints/olmo_legacy.py",
    "checkpoints/reader.py",
    "device.py",
    "texts/prompts.py",
)
CURVES = (
    "results/bootstrap.py",
    "results/families.py",
    "results/scores.py",
    "results/tables.py",
)
BELONGING = ("results/belonging.py", "results/expected.py")
ANSWERING = package("results/answers.py", "texts/answers.py", *READING) + package(
    *(f"behaviour/{name}.py" for name in ("generate", "prompts", "score", "settings", "table"))
)
CODE = {
    "answer": package("device.py", "texts/answers.py", "texts/prompts.py"),
    "import": package("checkpoints/wheel.py"),
    "register": package("checkpoints/manifest.py"),
    "merge": package("checkpoints/adapter.py"),
    "sweep": package("engine/*.py", "results/schema.py", "study/windows.py", "texts/spans.py")
    + package(*READING),
    "identity": package("results/identity.py"),
    "archive": package("results/archive.py", "results/private.py"),
    "collect": package("results/collect.py", "results/schema.py", *BELONGING),
    "summarise": package(*CURVES),
    "scores": package(*CURVES, "results/disagreements.py"),
    "statistics": package(*CURVES, "results/shape.py", "results/statistics.py"),
    "controls": package(*CURVES, "results/controls.py"),
    "claims": package(
        *CURVES,
        "results/behaviour.py",
        "results/claims.py",
        "results/shape.py",
        "results/statements.py",
    ),
    "behaviour": ANSWERING,
    "patched": [
        *ANSWERING,
        *package("behaviour/patched.py", "engine/patches.py", "study/windows.py"),
    ],
    "answers": package("results/answers.py", "results/behaviour.py", *BELONGING),
    "trace": package("checkpoints/olmo_legacy.py", "checkpoints/families.py")
    + package("checkpoints/reader.py", "results/schema.py", "trace/*.py"),
    "summarise_trace": package("results/tables.py", "trace/table.py", *BELONGING),
    "report": package("report/*.py", "report/templates/*", "report/assets/*")
    + package(
        "figures/registry.py", "figures/style.py", "results/behaviour.py", "results/tables.py"
    ),
}


def training_code(wildcards):
    """The trainer and the one method: a further method trains nothing again."""
    method = f"training/methods/{wildcards.method}.py"
    return package("training/*.py", "training/methods/scores.py", "texts/prompts.py", method)


def digest_of(files):
    """Changes when the content of one of these files does: modules as a parameter of a rule.

    For the rules that compute long. As input files, the modules of a fresh clone would be newer than
    results that were copied to it, and these would be computed again.
    """
    return hash_of({"files": [sha256_of(Path(file)) for file in files]})


def mem_mb(task):
    """Memory of a task's jobs by the size of their model; more at each attempt."""

    def by_size(wildcards, attempt):
        return attempt * memory_mb(task, _weights_mb(wildcards))

    return by_size


def runtime(task):
    """Minutes of a task's jobs by the size of their model; more at each attempt."""

    def by_size(wildcards, attempt):
        return attempt * runtime_minutes(task, _weights_mb(wildcards))

    return by_size


def _weights_mb(wildcards):
    return study.weights_mb(wildcards.model) if "model" in wildcards.keys() else None


def is_in(path, folder):
    """Whether a file lies in that folder of the results."""
    return Path(path).is_relative_to(Path(study.config.results, folder))


def kept(path):
    """A recording: kept, or removed once no job of the run wants it."""
    return path if study.config.keep_recordings else temp(path)


def manifest(wildcards):
    """The manifest of the unlearned checkpoint that a job is about."""
    return study.manifest_path(wildcards.model, wildcards.method, wildcards.concept)


def original(wildcards):
    """The manifest of a job's original."""
    return study.manifest_path(wildcards.model, "original")


def again_if_changed(wildcards):
    """No input, but forces the job (like --forcerun) if a checkpoint's files have changed.

    As input files they would be compared by their times: an older folder that takes another one's
    place would not count, and a file that was only touched would.
    """
    path = study.manifest_path(*study.row_of(wildcards.model, wildcards.checkpoint).key)
    if path in changed:
        workflow.dag.forcefiles.add(path)
    return []


def download_of(wildcards):
    """How a hub: row of the table stands."""
    return products.download(study.row_of(wildcards.model, wildcards.checkpoint))


def texts(wildcards):
    """A job's concept, with answers."""
    return study.texts_path(wildcards.model, wildcards.concept)


def concept_file(wildcards):
    """A model's concept file. The user's own is ancient: its entries' digests are parameters."""
    path = study.concept_file(wildcards.model)
    return path if study.config.models[wildcards.model].concepts.url else ancient(path)


def prompt(wildcards):
    """How a job's model wants its questions."""
    return study.config.models[wildcards.model].prompt


def any_of(names):
    """A pattern that matches these names and no other."""
    return "|".join(map(re.escape, names))


pathvars:
    results=study.config.results,


wildcard_constraints:
    model=any_of(study.models),
    method=any_of(study.methods),
    concept=any_of(study.concepts),
    experiment=any_of(EXPERIMENTS),
    checkpoint="original|[^/]+/[^/]+",
    window=any_of(study.config.figure_windows()),
    span=any_of(study.config.figures.spans),
    score=any_of(study.config.figures.scores),
