"""A section per concept: its curve, its questions, and what the models answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dissect.figures.style import Style, in_order, label_of
from dissect.report.charts import looks, still, svg
from dissect.report.formatting import DASH, number
from dissect.report.pictures import svg_uri
from dissect.report.sources import Shown, Sources, records
from dissect.results.curve_groups import DONOR

# Set -> its title, and the concept file's key of what is asked; others follow by name.
SETS = {
    "target": ("Questions on the concept", "QA"),
    "completion": ("Texts on the concept, to be completed", "text_completion"),
    "unrelated": ("Unrelated questions", "unrelated_QA"),
}
MOST_UNRELATED = 10  # per concept; the rest lies in the table


@dataclass(frozen=True)
class Answer:
    """What one model answers. `patched`: what was put back where, if anything was."""

    method: str
    patched: str
    text: str
    likeness: str


@dataclass(frozen=True)
class Question:
    """A question with the original's answer and those of the unlearned models."""

    text: str
    original: str
    answers: list[Answer]


@dataclass(frozen=True)
class QuestionSet:
    """The questions of one set that are shown, and how many more there are."""

    name: str
    title: str
    questions: list[Question]
    left_out: int


@dataclass(frozen=True)
class Chart:
    """A still chart of one method."""

    method: str
    uri: str
    alt: str


@dataclass(frozen=True)
class ConceptSection:
    """One concept of one model.

    texts: what the original answers, prompt and all, where no behaviour was computed.
    """

    id: str
    model: str
    concept: str
    name: str
    methods: list[str]
    peaks: dict[str, dict[str, str]]
    charts: list[Chart]
    sets: list[QuestionSet]
    texts: list[str]


def concept_sections(sources: Sources, shown: Shown, style: Style) -> list[ConceptSection]:
    """The sections, by model and concept."""
    scores = shown.leading(sources.scores)
    scores = scores[scores["donor"] == DONOR]
    answers = sources.table("answers.parquet")
    lowest = max(style.krs_floor, min(-0.1, float(scores["value"].min())))
    chart = still(looks(in_order(scores["experiment"]), style), lowest)
    keys = ["model", "concept", "concept_name"]
    return [
        _section(key, rows, sources, answers, chart)
        for key, rows in scores.groupby(keys, sort=True)
    ]


def _section(
    key: tuple[Any, ...],
    scores: pd.DataFrame,
    sources: Sources,
    answers: pd.DataFrame | None,
    chart: Mapping[str, Any],
) -> ConceptSection:
    model, concept, name = map(str, key)
    text = sources.texts.get((model, concept), {})
    sets: list[QuestionSet] = []
    if answers is not None:
        of_concept = answers[(answers["model"] == model) & (answers["concept"] == concept)]
        sets = list(question_sets(of_concept, text))
    return ConceptSection(
        id=f"concept-{model}-{concept}",
        model=model,
        concept=concept,
        name=name,
        methods=sorted(scores["method"].unique()),
        peaks=_peaks(scores),
        charts=list(_charts(scores, name, chart)),
        sets=sets,
        texts=[] if sets else list(text.get("QA_with_answers") or text.get("QA") or []),
    )


def _peaks(scores: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Experiment -> method -> its highest score and where that lies."""
    peaks: dict[str, dict[str, str]] = {}
    for experiment in in_order(scores["experiment"]):
        of_experiment = scores[(scores["experiment"] == experiment) & scores["value"].notna()]
        best = of_experiment.sort_values(["value", "layer"], ascending=[False, True])
        best = best.drop_duplicates("method").set_index("method")
        peaks[label_of(experiment)] = {
            str(method): f"{number(row['value'])} at layer {row['layer']}"
            for method, row in best.iterrows()
        }
    return peaks


def _charts(scores: pd.DataFrame, name: str, chart: Mapping[str, Any]) -> Iterator[Chart]:
    for (method, origin), rows in scores.groupby(["method", "origin"], sort=True):
        several = scores.loc[scores["method"] == method, "origin"].nunique() > 1
        title = f"{method}, {origin}" if several else str(method)
        alt = f"{name}, {title}: recovery against layer, a curve per experiment"
        yield Chart(title, svg_uri(svg(chart, rows)), alt)


def question_sets(answers: pd.DataFrame, text: Mapping[str, Any]) -> Iterator[QuestionSet]:
    """The answers on one concept, question by question.

    Args:
        answers: rows of tables/answers.parquet of one model and concept.
        text: the concept's JSON: what was asked, without the prompt around it.
    """
    present = list(answers["set"].unique())
    for name in [*(s for s in SETS if s in present), *sorted(set(present) - set(SETS))]:
        title, key = SETS.get(name, (name, ""))
        groups = [rows for _, rows in answers[answers["set"] == name].groupby("question")]
        most = MOST_UNRELATED if name == "unrelated" else len(groups)
        questions = [_question(rows, text.get(key) or []) for rows in groups[:most]]
        yield QuestionSet(name, title, questions, len(groups) - len(questions))


def _question(rows: pd.DataFrame, items: Sequence[Any]) -> Question:
    first = rows.iloc[0]
    keys = ["method", "experiment", "first_layer", "last_layer"]
    answers = [_answer(row) for row in records(rows.sort_values(keys, na_position="first"))]
    number_in_set = int(first["question"])
    asked = items[number_in_set] if number_in_set < len(items) else first["prompt"]
    if isinstance(asked, Mapping):  # a text to be completed
        asked = f"{asked['First_half']} …"
    return Question(str(asked), str(first["answer_original"]), answers)


def _answer(row: Mapping[str, Any]) -> Answer:
    patched = ""
    if pd.notna(row["experiment"]) and row["experiment"]:
        layers = f"{int(row['first_layer'])}{DASH}{int(row['last_layer'])}"
        patched = f"{label_of(row['experiment'])} put back, layers {layers}"
    likeness = f"BLEU {number(row['bleu'])}, ROUGE-L {number(row['rouge_l'])}"
    return Answer(str(row["method"]), patched, str(row["answer"]), likeness)
