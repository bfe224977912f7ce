"""Are the p-values of facts that a model never learned uniform?

    .venv/bin/python benchmarks/null_ranks.py MODEL [--facts 300] [--others 99] [--dtype bfloat16]

MODEL is the folder of a checkpoint that never saw the facts of seeds from 9000 on, as any but the
models of those rounds. Facts are invented as for rounds, 24 a seed, and asked as there.

With --likeliest, association is measured of strong priors: each fact is replaced by that of its
decoys that the model holds most probable when it is asked about somebody else.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from scipy.stats import binomtest, kstest

sys.path.insert(0, str(Path(__file__).parents[1] / "calibration"))

from invented import Fact, invent

from stillknows.analysis.ranks import rank_table
from stillknows.engine.exposure import measure
from stillknows.engine.streamed_model import StreamedModel
from stillknows.models.checkpoint_files import load_tokenizer
from stillknows.models.reader import Checkpoint
from stillknows.texts.decoys import DrawnTexts, draw_decoys, other_subjects
from stillknows.texts.prompts import PAPER
from stillknows.texts.questions import Question, replace_subject

FIRST_SEED, SUBJECTS, ALPHA = 9000, 8, 0.05


def ranks(
    host: StreamedModel, tokenizer: Any, seed: int, others: int, likeliest: bool
) -> pd.DataFrame:
    """`rank_table` of the facts of one seed."""
    questions = [question_of(fact) for fact in chain(*invent(seed, SUBJECTS))]
    decoys: Sequence[DrawnTexts | None] = draw_decoys(questions, others)
    subjects = other_subjects(questions, others + likeliest)
    if likeliest:
        # The last one only chooses the fact, and is left out: a fact that was chosen by its own
        # subject's question would be more probable there than elsewhere.
        asked = [drawn.texts[-1] for drawn in subjects]
        subjects = [replace(drawn, texts=drawn.texts[:-1]) for drawn in subjects]
        questions = with_likeliest(host, tokenizer, questions, decoys, asked)
        decoys = [None] * len(questions)
    return rank_table(measure(host, questions, decoys, subjects, PAPER, tokenizer)).assign(
        seed=seed
    )


def question_of(fact: Fact) -> Question:
    return Question(
        question=fact.question,
        answer=fact.answer,
        fact=fact.fact,
        subject=fact.subject,
        decoys=[*fact.decoys],
    )


def with_likeliest(
    host: StreamedModel,
    tokenizer: Any,
    questions: Sequence[Question],
    decoys: Sequence[DrawnTexts],
    asked: Sequence[str],
) -> list[Question]:
    """The questions, each with the most probable of its decoys as the fact.

    Args:
        asked: per question, about whom it is asked to find out which one that is.
    """
    elsewhere = [
        row.model_copy(
            update={"question": replace_subject(row.question, str(row.subject), other)}
            | {"subject": other}
        )
        for row, other in zip(questions, asked, strict=True)
    ]
    rows = measure(host, elsewhere, decoys, [None] * len(questions), PAPER, tokenizer)
    rows = rows[~rows["is_true"]]
    best = rows.loc[rows.groupby("question")["logprob"].idxmax()].set_index("question")
    return [
        row.model_copy(
            update={"fact": fact, "answer": f"{row.beginning}{fact}{row.ending}", "decoys": []}
        )
        for row, fact in zip(questions, best["candidate"].sort_index(), strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--facts", type=int, default=300)
    parser.add_argument("--others", type=int, default=99, help="decoys, and subjects, of a fact")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--likeliest", action="store_true", help="facts of strong priors")
    parser.add_argument("--table", type=Path, help="where all ranks are written to, as CSV")
    chosen = parser.parse_args()
    checkpoint = Checkpoint(chosen.model)
    tokenizer = load_tokenizer(checkpoint.folder)
    host = StreamedModel(checkpoint, getattr(torch, chosen.dtype), torch.device("cpu"))
    tables: list[pd.DataFrame] = []
    while sum(table["question"].nunique() for table in tables) < chosen.facts:
        seed = FIRST_SEED + len(tables)
        tables.append(ranks(host, tokenizer, seed, chosen.others, chosen.likeliest))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    table = pd.concat(tables)
    if chosen.table:
        table.to_csv(chosen.table, index=False)
    for score, rows in table.groupby("score"):
        for name in ("p", "p_suppressed"):
            p = rows[name].dropna()
            if p.empty:
                continue
            few = int((p <= ALPHA).sum())
            low, high = binomtest(few, len(p)).proportion_ci(method="exact")
            ks = kstest(p, "uniform").pvalue
            smaller = kstest(p, "uniform", alternative="greater").pvalue
            print(
                f"{score} {name}: {len(p)} facts; KS {ks:.3f}, one-sided {smaller:.3f}; "
                f"at most {ALPHA}: {few} ({few / len(p):.3f}, exact {low:.3f} to {high:.3f})"
            )


if __name__ == "__main__":
    main()
