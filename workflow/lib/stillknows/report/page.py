"""The page itself: what its template is given, and the template filled."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from stillknows.analysis.behaviour import gap_closed
from stillknows.analysis.curve_groups import ALL_METHODS, DONOR
from stillknows.figures.style import EXPERIMENTS, Style
from stillknows.report import run
from stillknows.report.concepts import concept_sections
from stillknows.report.depth import depth_page
from stillknows.report.error_rates import error_rates
from stillknows.report.explore import COLUMNS, explorer, looks_of
from stillknows.report.findings import findings
from stillknows.report.formatting import NONE, counted, listed, name_of, number, setting
from stillknows.report.models import model_tables
from stillknows.report.pictures import split
from stillknows.report.recall import recall_rows
from stillknows.report.sources import Shown, Sources, highest
from stillknows.report.study_tables import absent_tables, study_tables
from stillknows.report.tables import compact_json, page_table
from stillknows.terms import REFERENCE

PACKAGE_DATA = ("templates/*", "assets/*")


def render(
    sources: Sources,
    pictures: Mapping[str, Any],
    shown: Shown,
    style: Style,
    settings: Mapping[str, Any],
) -> str:
    """The whole page: one file that needs no other. Same inputs, same text.

    Args:
        pictures: what `report.pictures.pictures` returns.
        settings: the study's config, as it is shown at the end.
    """
    sections = concept_sections(sources, shown, style)
    looks = looks_of(sources.scores["experiment"], style)
    curves = shown.of(sources.tables["curves.csv"])
    # A single model is named once, at the top.
    constant = ["model"] if sources.tables["coverage.csv"]["model"].nunique() == 1 else []
    depth = depth_page(sources, shown)
    for name in ("uds", "scores"):
        depth[name] = depth[name].drop(columns=constant, errors="ignore")
    of_depth = ("depth", "noising_ratio") if depth["has_reference"] else ()
    depth_pictures, pictures = split(pictures, of_depth)
    template = _environment().get_template("page.html")
    html: str = template.render(
        asset=lambda name: (resources.files("stillknows.report") / "assets" / name).read_text(
            "utf-8"
        ),
        vega=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
        study=_study(sources, sections),
        models=model_tables(sources),
        findings=findings(sources.tables["claims.csv"], shown.spans[0]),
        pictures=pictures,
        depth=depth,
        recall=recall_rows(sources).drop(columns=constant, errors="ignore"),
        errors=error_rates(sources),
        depth_pictures=depth_pictures,
        baseline=_baseline(curves, shown).drop(columns=constant),
        returned=_returned(sources, curves, shown).drop(columns=constant),
        looks=looks,
        explorer=explorer(curves, sources.scores, shown, looks, style),
        point=COLUMNS,
        tables=study_tables(sources, shown),
        absent=absent_tables(sources),
        sections=sections,
        behaviour=sources.table("answers.parquet") is not None,
        leading=setting(shown.windows[0], shown.spans[0], shown.scores[0]),
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
    )
    return html


def _environment() -> Environment:
    """What fills a template: a value that it lacks is an error."""
    environment = Environment(
        loader=PackageLoader("stillknows.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"counted": counted, "listed": listed, "compact_json": compact_json}
    return environment


def _study(sources: Sources, sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was run, for the page's head and its second section."""
    coverage = sources.tables["coverage.csv"]
    return {
        "models": sorted(coverage["model"].unique()),
        "methods": sorted(coverage.loc[coverage["origin"] != REFERENCE, "method"].unique()),
        "concepts": list(dict.fromkeys(section["name"] for section in sections)),
        "origins": [run.ORIGINS[name] for name in sorted(set(sources.scores["origin"]))],
        "done": int((coverage["status"] == "done").sum()),
        "sweeps": len(coverage),
        "facts": run.facts(sources.metadata),
        "coverage": page_table(
            "coverage",
            run.coverage_counts(coverage),
            "Coverage: sweeps (one method, concept and experiment each)",
            file="tables/coverage.csv",
        ),
        "missing": page_table("missing", run.missing(coverage), "What is missing, and why"),
        "checkpoints": page_table(
            "checkpoints",
            run.checkpoints(sources.metadata),
            "Checkpoints: source, revision (commit) and sha256 of the weights",
        ),
    }


def _baseline(curves: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """Per model and experiment, the highest score by whose states were patched, if by several."""
    means = shown.leading(curves[curves["method"] == ALL_METHODS])
    keys = ["model", "origin", "experiment"]
    best = highest(means, "mean", [*keys, "donor"])
    best["experiment"] = pd.Categorical(best["experiment"], list(EXPERIMENTS))
    donors = {name: name.replace("_", " ") for name in sorted(set(best["donor"]) - {DONOR})}
    if not donors:
        return pd.DataFrame(columns=["model"])
    table = best.pivot(index=keys, columns="donor", values="where").fillna(NONE).reset_index()
    table["experiment"] = table["experiment"].map(name_of)
    heads = {"model": "model", "experiment": "patched", DONOR: "the original's", **donors}
    return table.rename(columns=heads)[list(heads.values())]


def _returned(sources: Sources, curves: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """Per patch under which models answered: its KRS, and how much came back of the answers."""
    behaviour = sources.table("behaviour.csv")
    if behaviour is None or (patches := gap_closed(behaviour)).empty:
        return pd.DataFrame(columns=["model"])
    same = ["model", "origin", "experiment", "first_layer", "last_layer"]
    of = {"method": ALL_METHODS, "donor": DONOR, "span": shown.spans[0], "score": "krs"}
    means = curves[(curves[list(of)] == pd.Series(of)).all(axis="columns")]
    rows = patches.merge(means.drop_duplicates(same)[[*same, "mean"]], on=same, how="left")
    rows = rows.sort_values(["model", "origin", "share"], ascending=[True, True, False])
    return pd.DataFrame(
        {
            "model": rows["model"],
            "patched": rows["experiment"].map(name_of),
            "layers": [f"{row.first_layer} to {row.last_layer}" for row in rows.itertuples()],
            "KRS": rows["mean"].map(number),
            "recovered share": [f"{number(100 * share, 0)} %" for share in rows["share"]],
            "ROUGE-L": rows["unpatched"].map(number) + " to " + rows["patched"].map(number),
        }
    )
