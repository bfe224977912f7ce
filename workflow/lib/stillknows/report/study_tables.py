"""The tables of a study that its report shows, with their captions."""

from collections.abc import Iterator
from pathlib import Path

from stillknows.report.sources import Shown, Sources
from stillknows.report.tables import PageTable, narrowed, page_table

# File -> its caption.
TABLES = {
    "controls.csv": "Control baselines: what is recovered if noise, or the states of other "
    "questions or of a reference model, are patched instead of the original's. Compare the "
    "original's scores with them",
    "scores.csv": "Scores and spans side by side: KRS beside KL, top-1 agreement and the answer's "
    "log-probability",
    "disagreements.csv": "The questions on which KRS and another score differ most, for each span",
    "reference.csv": "Each score of the unlearned models and of the reference model, which never "
    "learned the concept, and the difference",
    "specificity.csv": "Specificity: each score on the concept's questions, on unrelated ones, and "
    "the difference, which is specific to the concept",
    "uds.csv": "Unlearning depth score (UDS). 0: the facts stay as likely as they were; 1: they "
    "become as unlikely as with the reference model. A row without a question is the mean over "
    "questions",
    "depth.csv": "Fact loss by the unlearned models and by the reference model, in nats per token "
    "of the fact, by layers; UDS and surviving facts over all layers",
    "behaviour.csv": "Answers: how similar they are to the original's (BLEU, ROUGE-L), by method, "
    "concept and set of questions",
    "weight_changes.csv": "How far each parameter moved, by component and layer",
    "statistics.csv": "Peaks, shares of the last layer and differences, each with its interval. "
    "Differences layer by layer are in the file only",
}
# Why a study may be without one.
REASONS = {
    "controls.csv": "no controls were computed (config: controls.donors)",
    "reference.csv": "no reference model was given (config: reference), so these scores do not say "
    "whether knowledge was erased or only hidden",
    "specificity.csv": "no sweeps on unrelated questions were computed (config: specificity)",
    "uds.csv": "depth was not measured (config: reference, depth; concept file: answer_facts)",
    "depth.csv": "the fact loss was not measured (config: reference, depth)",
    "behaviour.csv": "the models' answers were not computed (config: behaviour.sets)",
    "weight_changes.csv": "the parameters were not compared (config: weight_changes)",
}


def study_tables(sources: Sources, shown: Shown) -> Iterator[PageTable]:
    """Those that this study has, with their captions."""
    for name, caption in TABLES.items():
        frame = sources.table(name)
        if frame is None:
            continue
        total = len(frame)
        if name == "statistics.csv":
            frame = frame[frame["layer"].isna()].drop(columns="layer")
        if name == "disagreements.csv":
            # What the scores are made of stands in the file.
            frame = frame.filter(regex=r"(?<!_unlearned)(?<!_patched)(?<!_original)$")
        frame = narrowed(shown.in_order(frame))
        yield page_table(Path(name).stem, frame, caption, file=f"tables/{name}", total=total)


def absent_tables(sources: Sources) -> list[str]:
    """Why the study is without the others."""
    return [
        REASONS.get(name, f"{name} has no rows") for name in TABLES if sources.table(name) is None
    ]
