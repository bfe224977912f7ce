"""The study, and what all other rule files use."""

from functools import cache
from pathlib import Path

from stillknows.closure import code_digest
from stillknows.figures.registry import CALIBRATION, FIGURES
from stillknows.files import refuse_read_only, sha256_of
from stillknows.job import errors_in_one_line, log_to_terminal
from stillknows.study.load import any_of, read_study
from stillknows.study.made_from import changed_manifests
from stillknows.models.provenance import hash_of
from stillknows.study.datasets import ALTERED_ANSWERS
from stillknows.study.jobs import Jobs
from stillknows.study.made_from import records
from stillknows.study.products import Products
from stillknows.terms import ALTERATIONS, BASE, DEPTH_FORMS, EXPERIMENTS, ORIGINAL, SAMPLES
from stillknows.training.methods import METHODS
from snakemake_interface_executor_plugins.settings import ExecMode

# Jobs parse this file again, but need not repeat all checks.
is_main_process = workflow.exec_mode == ExecMode.DEFAULT

with errors_in_one_line():
    study = read_study(config, workflow.configfiles, check=is_main_process)
jobs = Jobs(study)
products = Products(study)

# Recordings may be removed after the last job that needs them.
kept = str if study.config.keep_recordings else temp


def code(script, *chosen):
    """A parameter that changes with a script, or with a module that it depends on.

    No input files: the modules of a fresh clone are newer than results that were copied to it.
    """
    return code_digest(HERE / "scripts" / f"{script}.py", *chosen)


def made_from(*datasets):
    """A parameter of rules that collect results: what these must be made from."""
    return lambda wildcards: records(study, *datasets)


@cache
def changed_checkpoints():
    """The manifests that no longer describe their files; computed once, during planning."""
    if not is_main_process:
        return ()
    log_to_terminal()
    with errors_in_one_line():
        study.refuse_missing()
        return changed_manifests(study)


def forced_if_changed(wildcards):
    """No input files, but forces the job, as --forcerun does, if its checkpoint has changed.

    An input file would not do: an older folder in place of another one has no newer time. Nor would
    a parameter, which is unknown for copied results, nor --forcerun, which would make it a target.
    """
    path = jobs.made_manifest(wildcards)
    if path in changed_checkpoints():
        workflow.dag.forcefiles.add(path)
    return []


def fetched_concept_file(wildcards):
    """A model's concept file if it comes from a URL; none for a user's own."""
    is_fetched = study.config.models[wildcards.model].concepts.url
    return study.config.concept_file(wildcards.model) if is_fetched else []


def wanted_rounds(wildcards):
    """This study's rounds; ends the run if it can have none."""
    with errors_in_one_line():
        return products.wanted_rounds()


def wanted_fact_rounds(wildcards):
    """This study's rounds of facts; ends the run if it can have none."""
    with errors_in_one_line():
        return products.fact_rounds()


pathvars:
    results=study.config.results,


wildcard_constraints:
    model=any_of(study.models),
    method=any_of(study.methods),
    concept=any_of(study.concepts),
    experiment=any_of(EXPERIMENTS),
    checkpoint="[^/]+(?:/[^/]+)?",
    window=any_of(study.config.figure_windows()),
    span=any_of(study.config.figures.spans),
    score=any_of(study.config.figures.scores),
    form=any_of(DEPTH_FORMS),
