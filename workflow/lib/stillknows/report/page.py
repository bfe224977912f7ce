"""The page itself: what its template is given, and the template filled."""

import json
import operator
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from stillknows.figures.style import Style
from stillknows.report.concepts import concept_sections
from stillknows.report.explore import COLUMNS, explorer, looks_of
from stillknows.report.findings import (
    control_baselines,
    findings,
    highest_scores,
    recovered_answers,
    unlearned_models,
)
from stillknows.report.known_state import error_rates, model_tables, recall_rows
from stillknows.report.sources import (
    Shown,
    Sources,
    counted,
    listed,
    name_of,
    number,
    reference_methods,
    setting,
    share,
    with_interval,
)
from stillknows.report.tables import compact_json, study_run, study_table
from stillknows.report.verdicts import verdict_sections

PACKAGE_DATA = ("templates/*", "assets/*")


def render(
    sources: Sources,
    pictures: Sequence[Mapping[str, Any]],
    shown: Shown,
    style: Style,
    settings: Mapping[str, Any],
) -> str:
    """The whole page, one file that needs no other. Same inputs, same text."""
    curves = shown.rows(sources.tables["curves.csv"])
    looks = looks_of(sources.scores["experiment"], style)
    assets = resources.files("stillknows.report") / "assets"
    template = environment().get_template("page.html")
    html: str = template.render(
        asset=lambda name: (assets / name).read_text("utf-8"),
        vega=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
        study=study_run(sources),
        has_reference=bool(reference_methods(sources.scores)),
        models=model_tables(sources),
        findings=findings(sources.tables["claims.csv"], shown.spans[0]),
        pictures=pictures,
        verdicts=_verdicts(sources),
        facts_pictures=[it for it in pictures if it["figure"] == "facts"],
        unlearned=unlearned_models(sources.table("depth.csv")),
        highest=highest_scores(sources.table("reference.csv"), shown),
        recall=recall_rows(sources),
        baseline=control_baselines(curves, shown),
        recovered=recovered_answers(sources, curves, shown),
        errors=error_rates(sources),
        looks=looks,
        explorer=explorer(curves, sources.scores, shown, looks, style),
        point=COLUMNS,
        sources=sources,
        study_table=partial(study_table, sources, shown),
        sections=concept_sections(sources, shown, style),
        leading=setting(shown.windows[0], shown.spans[0], shown.scores[0]),
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
    )
    return html


def _verdicts(sources: Sources) -> list[dict[str, Any]]:
    names = ("verdicts.csv", "facts.csv", "weight_changes.csv", "utility.csv")
    verdicts, facts, *more = map(sources.table, names)
    return [] if verdicts is None or facts is None else verdict_sections(verdicts, facts, *more)


def render_audit(
    verdicts: pd.DataFrame,
    facts: pd.DataFrame,
    pictures: Sequence[Mapping[str, Any]],
    changes: pd.DataFrame | None = None,
    utility: pd.DataFrame | None = None,
) -> str:
    """The audit's page, of the tables of these names; it needs no other file."""
    sections = verdict_sections(verdicts, facts, changes, utility)
    return filled("audit.html", verdicts=sections, facts_pictures=pictures)


def filled(template: str, **values: Any) -> str:
    """A small page that needs no other file: a template with these values and the style."""
    style = resources.files("stillknows.report") / "assets" / "style.css"
    html: str = (
        environment().get_template(template).render(style=style.read_text("utf-8"), **values)
    )
    return html


def environment() -> Environment:
    """What fills a template: a value that it lacks is an error."""
    environment = Environment(
        loader=PackageLoader("stillknows.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (compact_json, counted, listed, name_of, number, share, with_interval)
    environment.filters |= {function.__name__: function for function in filters}
    environment.filters["combine"] = operator.or_
    return environment
