"""A whole planted study, for the report: sweeps, tables, figures, answers; and hostile texts."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planted import EXPERIMENTS, plant
from planted_answers import planted_answer
from planted_depth import planted_depth
from planted_recall import planted_recall
from planted_rounds import planted_rounds, steady
from stillknows.analysis.calibration.scores import PRIMARY
from stillknows.analysis.calibration.table import calibration_table
from stillknows.analysis.claims import CLAIM_SCORES, claims
from stillknows.analysis.collect import collect_sweeps
from stillknows.analysis.comparisons import reference
from stillknows.analysis.depth import depth_summary, uds
from stillknows.analysis.statistics import statistics
from stillknows.analysis.tables import concept_scores, coverage, curves
from stillknows.csv_files import read_csv, write_csv
from stillknows.figures.canvas import save
from stillknows.figures.curves import draw_curves, draw_curves_by_method
from stillknows.figures.depth import draw_depth
from stillknows.figures.heatmap import draw_heatmap
from stillknows.figures.last_layer import draw_last_layer
from stillknows.figures.style import Style
from stillknows.parquet_files import RECALL_SCHEMA, read_metadata, write_rows
from stillknows.report.concepts import pictures
from stillknows.report.page import render
from stillknows.report.sources import Shown, read_sources
from stillknows.terms import REFERENCE

ROOT = Path(__file__).parents[1]
MODEL, METHODS = "planted-1b", ("dpo", "grad_diff")
REFERENCE_MODEL = "retain90"
CONCEPTS = {
    "tea": "Tea",
    "coffee": "Coffee",
    "mate": "Mate <b>&",
    "26": "Cocoa",
    "cider": "Cider",
    "kvass": "Kvass",
}
LAYERS, QUESTIONS = 16, 3
SHOWN = Shown(["sliding_5", "suffix"], ["notebook", "answer"], ["krs"])
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)
_PEAKS = {
    "mlp_coefficients": 0.75,
    "attention": 0.6,
    "mlp_coefficients_and_attention": 0.93,
    "value_vectors": 0.05,
}


@dataclass(frozen=True)
class PlantedStudy:
    """Where a planted study lies, and how its page is made."""

    root: Path

    def tables(self) -> list[Path]:
        return sorted((self.root / "tables").iterdir())

    def page(self, tables: Sequence[Path] | None = None, figures: bool = True) -> str:
        """The page, of all that is there or of some tables only."""
        captions = {path.stem: path for path in (ROOT / "workflow/report").glob("*.rst")}
        drawn = sorted((self.root / "figures").glob("*/*.png")) if figures else []
        return render(
            read_sources(
                self.tables() if tables is None else tables,
                sorted((self.root / "concepts").glob("*/*.json")),
                SHOWN,
                sorted((self.root / "rounds").glob("*.csv")),
                sorted((self.root / "recall").glob("*/*/*.parquet")),
            ),
            pictures(drawn, captions, SHOWN, dpi=120),
            SHOWN,
            Style(),
            {"results": "results/planted", "windows": list(SHOWN.windows)},
        )


def plant_study(root: Path, concepts: int = len(CONCEPTS), *, figures: bool = True) -> PlantedStudy:
    """Write a study of so many concepts, with its figures or without."""
    names = dict(list(CONCEPTS.items())[:concepts])
    random = np.random.default_rng(0)
    sweeps = [
        _sweep(root, method, concept, experiment, random)
        for method in METHODS
        for concept in names
        for experiment in EXPERIMENTS
    ]
    _tables(root, sweeps)
    if figures:
        _figures(root)
    _answers(root, names, random)
    _weight_changes(root, names, random)
    for concept, name in names.items():
        _text(root, concept, name)
    return PlantedStudy(root)


def _sweep(
    root: Path, method: str, concept: str, experiment: str, random: np.random.Generator
) -> Path:
    """A sweep whose curve rises late, with its controls at three layers."""
    lower = 0.12 * (method == "dpo")
    rise = [_PEAKS[experiment] / (1 + math.exp(-(layer - 9) / 1.5)) for layer in range(LAYERS)]
    dip = [-0.4 * math.exp(-((layer - 5) ** 2) / 4) for layer in range(LAYERS)]
    shape = np.array(rise) - lower
    if experiment == "mlp_coefficients":
        shape += dip
    values = (shape[:, None] + random.normal(0, 0.05, (LAYERS, QUESTIONS))).tolist()
    path = plant(
        root,
        values,
        model=MODEL,
        method=method,
        concept=concept,
        experiment=experiment,
        window=["sliding_5", "suffix"],
        span=["notebook", "answer"],
        metadata={
            "dtype": "torch.float32",
            "python": "3.11",
            "packages": json.dumps({"stillknows": "0.1.0", "torch": "2.13.0"}),
            "original_source": "hub:planted/original",
            "original_revision": "a" * 40,
            "original_weights_sha256": "b" * 64,
            "unlearned_source": f"hub:planted/{method}_{concept}",
            "unlearned_revision": "c" * 40,
            "unlearned_weights_sha256": "d" * 64,
        },
    )
    rows = pd.read_parquet(path)
    rows["concept_name"] = CONCEPTS[concept]
    some = rows[rows["layer"].isin([2, 8, 15])]
    controls = [
        some.assign(donor=donor, krs=share * some["krs"].abs(), loss_patched=1 - share)
        for donor, share in (("other_question", 0.25), ("noise", 0.08))
    ]
    metadata = {key: str(value) for key, value in read_metadata(path).items()}
    kept = {
        key: value for key, value in metadata.items() if key not in ("schema_version", "pandas")
    }
    write_rows(path, pd.concat([rows.astype(object), *(c.astype(object) for c in controls)]), kept)
    return path


def _tables(root: Path, sweeps: Sequence[Path]) -> None:
    tables = root / "tables"
    collect_sweeps(sweeps, tables / "krs.parquet")
    key = {"model": MODEL, "method": "dpo", "concept": "beer", "origin": "own"}
    absent = [
        {**key, "experiment": name, "reason": "the checkpoint is not there"} for name in EXPERIMENTS
    ]
    write_csv(tables / "coverage.csv", coverage(tables / "krs.parquet", absent))
    scores = concept_scores(tables / "krs.parquet")
    mean = curves(scores)
    write_csv(tables / "curves.csv", mean)
    write_csv(tables / "statistics.csv", statistics(scores))
    of_claims = concept_scores(tables / "krs.parquet", CLAIM_SCORES)
    write_csv(tables / "claims.csv", claims(of_claims, SHOWN.windows))
    controls = mean[(mean["donor"] != "original") & (mean["score"] == "krs")]
    write_csv(tables / "controls.csv", controls.drop(columns="score"))


def _figures(root: Path) -> None:
    style, table = Style(dpi=120), root / "tables/krs.parquet"
    for window in SHOWN.windows:
        for span in SHOWN.spans:
            only = {"model": MODEL, "window": window, "span": span, "donor": "original"}
            concepts = concept_scores(table, "krs", **only)
            rows = curves(concepts)
            drawings = {
                "curves": draw_curves(rows, style=style),
                "curves_by_method": draw_curves_by_method(rows, concepts, style=style),
                "heatmap": draw_heatmap(concepts, style=style),
                "last_layer": draw_last_layer(concepts, style=style),
            }
            for name, figure in drawings.items():
                save(figure, [root / f"figures/{MODEL}/{name}.{window}.{span}.krs.png"], style)


def _answers(root: Path, names: dict[str, str], random: np.random.Generator) -> None:
    rows: list[dict[str, Any]] = []
    for concept, name in names.items():
        for method in METHODS:
            for kind, count in (("target", 2), ("completion", 1), ("unrelated", 12)):
                for question in range(count):
                    for patched in (False, True) if kind == "target" else (False,):
                        rows.append(_answer(concept, name, method, kind, question, patched, random))
    frame = pd.DataFrame(rows)
    frame.to_parquet(root / "tables/answers.parquet")
    keys = ["model", "origin", "method", "concept", "concept_name", "set", "experiment"]
    grouped = frame.groupby([*keys, "first_layer", "last_layer"], dropna=False, as_index=False)
    write_csv(
        root / "tables/behaviour.csv",
        grouped.agg(
            questions=("question", "size"), bleu=("bleu", "mean"), rouge_l=("rouge_l", "mean")
        ),
    )


def _answer(
    concept: str,
    name: str,
    method: str,
    kind: str,
    question: int,
    patched: bool,
    random: np.random.Generator,
) -> dict[str, Any]:
    window = {"experiment": "attention", "first_layer": 8, "last_layer": 12} if patched else {}
    return planted_answer(
        model=MODEL,
        method=method,
        concept=concept,
        concept_name=name,
        set=kind,
        question=question,
        prompt=f"Question: what about {name}?\n Answer:",
        answer_original=f"{name} is a drink that people have made for some thousands of years, "
        "first in the mountains and then everywhere; it is best hot.",
        answer=HOSTILE if question == 0 and not patched else f"I do not know of any {name}.",
        bleu=random.uniform(),
        rouge_l=random.uniform(),
        **window,
    )


def _weight_changes(root: Path, names: dict[str, str], random: np.random.Generator) -> None:
    rows = [
        {
            "model": MODEL,
            "origin": "own",
            "method": method,
            "concept": concept,
            "concept_name": name,
            "component": component,
            "layer": layer,
            "relative_change": random.uniform(1e-5, 1e-3),
            "dim": None,
            "cosine": None,
            "l2": None,
            "jaccard": None,
        }
        for method in METHODS
        for concept, name in names.items()
        for component in ("gate", "up", "down", "q", "k", "v", "o")
        for layer in range(LAYERS)
    ]
    write_csv(root / "tables/weight_changes.csv", pd.DataFrame(rows))


def _text(root: Path, concept: str, name: str) -> None:
    asked = [f"What is {name}?", f"Who drinks {name} <i>first</i>?", f"Where does {name} grow?"]
    text = {
        "id": concept,
        "Concept": name,
        "QA": asked,
        "QA_with_answers": [f"Question: {one}\n Answer: it is a drink." for one in asked],
        "text_completion": [{"First_half": f"{name} was first", "Second_half": "drunk."}],
        "unrelated_QA": [f"What is the capital of country {number}?" for number in range(12)],
    }
    path = root / "concepts" / MODEL / f"{concept}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(text), encoding="utf-8")


def add_reference(study: PlantedStudy) -> None:
    """Add a reference model to a planted study: its sweeps, and the tables beside it.

    Patched into the original, dpo makes the facts lose a quarter of what the reference does,
    grad_diff as much.
    """
    root, random = study.root, np.random.default_rng(1)
    names = sorted({path.parent.name for path in root.glob("krs/*/*/*/*.parquet")})
    for concept in names:
        for experiment in EXPERIMENTS:
            _sweep(root, REFERENCE_MODEL, concept, experiment, random)
    krs = root / "tables/krs.parquet"
    origins = {f"{MODEL}/{REFERENCE_MODEL}/{concept}": REFERENCE for concept in names}
    collect_sweeps(sorted(root.glob("krs/*/*/*/*.parquet")), krs, origins)
    scores = concept_scores(krs)
    write_csv(root / "tables/coverage.csv", coverage(krs, []))
    write_csv(root / "tables/curves.csv", curves(scores))
    write_csv(root / "tables/reference.csv", reference(scores))
    depth = pd.concat(
        [
            planted_depth(
                lambda c, q, layer, share=share: share * (1.0 + layer + 0.1 * (c + q)),
                lambda c, q, layer: 1.0 + layer + 0.1 * (c + q),
                concepts=len(names),
                model=MODEL,
                method=method,
            )
            for method, share in (("dpo", 0.25), ("grad_diff", 1.0))
        ]
    )
    write_csv(root / "tables/uds.csv", uds(depth))
    lone = {"model": MODEL, "origin": "own", "method": "npo"}
    write_csv(root / "tables/depth.csv", depth_summary(depth, [lone]))
    style = Style(dpi=120)
    picture = root / f"figures/{MODEL}/depth.corrected.png"
    save(draw_depth(depth, style=style, seed=0), [picture], style)


def add_rounds(study: PlantedStudy, rates_from: int) -> None:
    """Add a real round's models to a planted study, and rates from so many planted rounds.

    In these, UDS tells the states apart at 0.5; KRS and relearning tell nothing.
    """
    (study.root / "rounds").mkdir()
    shutil.copy(ROOT / "calibration/rounds/seed_101.csv", study.root / f"rounds/{MODEL}.csv")
    if not rates_from:
        return
    krs, _, relearned = PRIMARY
    scores = {"uds": steady(0.2, 0.8), krs: steady(0.7, 0.7), relearned: steady(0.5, 0.5)}
    rounds = planted_rounds(rates_from, **scores)
    write_csv(study.root / "tables/calibration.csv", calibration_table(rounds))


def add_recall(study: PlantedStudy) -> None:
    """Add answers to four questions for facts to a study with rounds and a reference.

    The original knows all facts, the reference the second; of the others, the first one's answers
    are hostile and long.
    """
    methods = read_csv(study.root / f"rounds/{MODEL}.csv")["method"]
    known = dict.fromkeys(methods, "1000") | {"original": "1111", REFERENCE_MODEL: "0100"}
    for method, rows in planted_recall(known, MODEL).groupby("method"):
        if method == methods[0]:
            rows = rows.assign(answer=f"{HOSTILE} <b>bold</b> " + "and so on " * 20)
        path = study.root / f"recall/{MODEL}/{method}/tea.parquet"
        path.parent.mkdir(parents=True)
        write_rows(path, rows, {}, RECALL_SCHEMA)
