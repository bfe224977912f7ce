"""The audit's tables: what its tests say of each fact in each copy, and the copy's verdict."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import hypergeom

from stillknows.analysis.ranks import rank_p, rank_table
from stillknows.analysis.verdict import Evidence, Verdict, verdict
from stillknows.answers.recall_settings import RETAINED
from stillknows.parquet_files import read_metadata, read_table, without_categories
from stillknows.terms import (
    ALTERATIONS,
    AS_IT_IS,
    ASSOCIATION,
    CORRECTED,
    EXPOSURE,
    ORIGINAL,
    SAMPLES,
)

COPY = ["model", "method", "concept"]
KNOWLEDGE = [ASSOCIATION, *ALTERATIONS]  # the scores whose p-values show knowledge
LEAK_AT = (1, 16)  # of how many sampled answers one is to have the fact
VERDICT_JSON_VERSION = 1  # of verdict.json
_NAMES = [*COPY, "origin", "concept_name"]
FACT_COLUMNS = [
    *("model", "origin", "method", "concept", "concept_name", "question", "question_text"),
    *("subject", "fact"),
    *("answer_original", "original_says", "answer", "says", "found", *ALTERATIONS),
    *("exposure_rank", "exposure_of", "exposure_p", "exposure_rule"),
    *("association_rank", "association_of", "association_p", "association_rule", "suppressed_p"),
    *(f"{name}_{part}" for name in ALTERATIONS for part in ("rank", "of", "p")),
    *("samples_said", "samples_of", "uds"),
]
VERDICT_COLUMNS = [
    *("model", "origin", "method", "concept", "concept_name", "verdict"),
    *("is_control", "facts", "facts_not_tested", "says", "knows", "found", "firing"),
    *("exposed", "suppressed"),
    *("at_most", "power", "retained_recall", "original_firing", "without_decoys"),
    *(f"{name}{part}" for name in ALTERATIONS for part in ("", "_of")),
    *("sampled", *(f"leak_at_{k}" for k in LEAK_AT)),
    *("confidence", "reasons"),
]


def read_tables(files: Iterable[Path], schema: pa.Schema) -> pd.DataFrame:
    """The rows of several files of one schema."""
    return pd.concat([without_categories(read_table(path, schema).to_pandas()) for path in files])


def fact_table(
    exposure: pd.DataFrame,
    recall: pd.DataFrame,
    texts: Mapping[tuple[str, str], Mapping[str, Any]],
    depth: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per model, method, concept and question that has a fact; the original's rows too.

    Args:
        texts: concept files, by (model, concept).
        depth: tables/uds.csv; None: there is no reference model.

    Returns:
        FACT_COLUMNS but `found`, which depends on the verdict. answer: the first that has the fact,
        else the first; says: whether one has it, in any wording; relearned, benign, quantised:
        whether one has it after this alteration, null where it was not made or taught the fact
        itself; .._rank and .._of: the place among so many candidates, the true one included; of an
        alteration: of the association after it; suppressed_p: association's other tail;
        samples_said of samples_of: how many sampled answers have it; uds: of the form "corrected",
        null where it was not measured.
    """
    ranks = pd.concat(
        [
            rank_table(rows).assign(**{name: rows[name].iloc[0] for name in COPY})
            for _, rows in exposure.groupby(COPY, sort=False)
        ]
    )
    facts = _answers(recall)
    for score in (EXPOSURE, *KNOWLEDGE):
        rows = ranks[ranks["score"] == score].assign(m=lambda rows: rows["m"] + 1)
        names = {"rank": f"{score}_rank", "m": f"{score}_of", "p": f"{score}_p"}
        names["rule"] = f"{score}_rule"
        if score == ASSOCIATION:
            names["p_suppressed"] = "suppressed_p"
        rows = rows.set_index([*COPY, "question"])[[*names]].rename(columns=names)
        facts = facts.join(rows, on=[*COPY, "question"])
    facts = facts.join(_uds(depth), on=[*COPY, "question"])
    originals = facts[facts["method"] == ORIGINAL].set_index(["model", "concept", "question"])
    said = originals[["answer", "says"]].set_axis(["answer_original", "original_says"], axis=1)
    facts = facts.join(said, on=["model", "concept", "question"]).assign(found=False)
    keys = zip(facts["model"], facts["concept"], facts["question"], strict=True)
    asked = [(texts[model, concept], number) for model, concept, number in keys]
    facts["question_text"] = [text["QA"][number] for text, number in asked]
    facts["subject"] = [
        text["subjects"][number] if text.get("subjects") else None for text, number in asked
    ]
    return facts[FACT_COLUMNS].sort_values([*COPY, "question"], ignore_index=True)


def _answers(recall: pd.DataFrame) -> pd.DataFrame:
    """Per copy and question: the answer that is shown, and whether it is said, altered or not."""
    asked = recall[recall["wording"] != RETAINED]
    key = [*_NAMES, "question"]
    as_it_is = asked[asked["stage"] == AS_IT_IS].sort_values(
        "has_fact", ascending=False, kind="stable"
    )
    shown = as_it_is.groupby(key, sort=False)[["fact", "answer", "has_fact"]].first()
    facts = shown.rename(columns={"has_fact": "says"})
    for name in ALTERATIONS:
        again = asked[(asked["stage"] == name) & ~asked["relearned"]]
        facts = facts.join(again.groupby(key)["has_fact"].any().rename(name).astype(object))
    samples = asked[asked["stage"] == SAMPLES].groupby(key)["has_fact"]
    facts = facts.join(samples.agg(samples_said="sum", samples_of="count"))
    return facts.reset_index()


def _uds(depth: pd.DataFrame | None) -> "pd.Series[float]":
    """UDS by copy and question."""
    key = [*COPY, "question"]
    if depth is None:
        return pd.DataFrame(columns=[*key, "uds"]).set_index(key)["uds"].astype(float)
    rows = depth[depth["form"] == CORRECTED].dropna(subset="question")
    return rows.astype({"question": int}).set_index(key)["uds"]


def retained_recall(recall: pd.DataFrame) -> dict[tuple[str, ...], float]:
    """By copy, recall of retained questions as a share of the original's; {}: none are asked.

    Null where the original says none of them.
    """
    retained = recall[recall["wording"] == RETAINED]
    means = retained.groupby(COPY)["has_fact"].mean()
    shares = dict(zip(means.index.tolist(), means.tolist(), strict=True))
    originals = {key: shares[key[0], ORIGINAL, key[2]] or float("nan") for key in shares}
    return {key: share / originals[key] for key, share in shares.items()}


def wrong_subjects(exposure: pd.DataFrame) -> pd.DataFrame:
    """The negative control of KNOWLEDGE: facts asked of a wrong subject that is in the file.

    No copy has learned these, though it may know fact and subject each. One such subject per
    question, the first of the drawn ones, is ranked among the invented subjects.

    Returns:
        COPY, score, question, p; one row each where there is at least one subject of both kinds.
    """
    rows = exposure[exposure["score"].isin(KNOWLEDGE) & ~exposure["is_true"]]
    tested = []
    for key, group in rows.groupby([*COPY, "score", "question"], sort=False):
        wrong, invented = (group.loc[group["is_in_file"] == flag, "logprob"] for flag in (1, 0))
        if len(wrong) and len(invented):
            tested.append([*key, rank_p(wrong.iloc[0], invented)[1]])
    return pd.DataFrame(tested, columns=[*COPY, "score", "question", "p"])


def judge(
    facts: pd.DataFrame,
    retained: dict[tuple[str, ...], float],
    wrong: pd.DataFrame,
    control: str | None,
    alpha: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The verdict on each copy, and the facts with `found` filled.

    Args:
        facts: from `fact_table`.
        retained: from `retained_recall`.
        wrong: from `wrong_subjects`.
        control: the method that is the positive control.

    Returns:
        a table of VERDICT_COLUMNS, the control last, and `facts`.
    """
    facts, verdicts = facts.copy(), []
    for key, rows in facts[facts["method"] != ORIGINAL].groupby(COPY, sort=False):
        model, method, concept = map(str, key)
        tested = rows[rows["original_says"].astype(bool)]
        originals = rows_of(facts, model, ORIGINAL, concept)
        of_control = rows_of(facts, model, control, concept) if control else facts.iloc[:0]
        others = rows_of(wrong, model, method, concept)
        evidence = Evidence(
            says=tested["says"].tolist(),
            knowledge=_knowledge(tested),
            # A question without a subject stands for itself.
            subjects=tested["subject"].fillna(tested["question"]).tolist(),
            exposure=tested["exposure_p"].tolist(),
            suppressed=tested["suppressed_p"].tolist(),
            retained_recall=retained.get((model, method, concept)),
            control=_knowledge(of_control),
            invented={
                score: others.loc[others["score"] == score, "p"].tolist() for score in KNOWLEDGE
            },
        )
        result = verdict(evidence, alpha)
        facts.loc[tested.index, "found"] = np.array(result.found, bool) | tested["says"].astype(
            bool
        )
        row = _verdict_row(rows, tested, result, evidence, alpha)
        of_original = originals.loc[originals["original_says"].astype(bool), f"{ASSOCIATION}_p"]
        measured = of_original.notna().any()
        row["original_firing"] = int((of_original <= alpha).sum()) if measured else None
        row["without_decoys"] = int((tested["exposure_of"] == 1).sum())
        verdicts.append(row | {"is_control": method == control})
    table = pd.DataFrame(verdicts, columns=VERDICT_COLUMNS)
    return table.sort_values("is_control", kind="stable", ignore_index=True), facts


def _knowledge(facts: pd.DataFrame) -> pd.DataFrame:
    return facts[[f"{score}_p" for score in KNOWLEDGE]].set_axis(KNOWLEDGE, axis=1)


def rows_of(table: pd.DataFrame, model: str, method: str, concept: str) -> pd.DataFrame:
    """The rows of one copy."""
    is_copy = table[COPY].eq([model, method, concept]).all(axis=1)
    return table[is_copy]


def _leaks(tested: pd.DataFrame) -> dict[str, float | None]:
    """How many facts a sampled answer has, and the mean probability that one of k answers has it.

    leak@k = mean of 1 - C(n - c, k) / C(n, k), with c of n answers (arXiv 2511.04934).
    """
    sampled = tested.dropna(subset="samples_of")
    said, answers = sampled["samples_said"], sampled["samples_of"]
    if sampled.empty:
        return {}
    leaks = {
        f"leak_at_{k}": float(hypergeom.sf(0, answers, said, k).mean())
        for k in LEAK_AT
        if k <= answers.min()
    }
    return {"sampled": int((said > 0).sum()), **leaks}


def as_json(verdicts: pd.DataFrame, facts: pd.DataFrame, files: Iterable[Path]) -> dict[str, Any]:
    """Both tables for other programs: rows as objects, and what each model's tests were made from.

    Args:
        files: of EXPOSURE_SCHEMA; their metadata have the hashes of weights and questions.
    """
    names = ("data_sha256", "original_weights_sha256", "unlearned_weights_sha256", "packages")
    made_from = {}
    for path in files:
        metadata = read_metadata(path)
        made_from["/".join(path.with_suffix("").parts[-3:])] = {
            name: metadata[name] for name in names if name in metadata
        }
    tables = {"verdicts": verdicts, "facts": facts}
    rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
    return {"schema": VERDICT_JSON_VERSION, **rows, "made_from": made_from}


def _verdict_row(
    rows: pd.DataFrame, tested: pd.DataFrame, result: Verdict, evidence: Evidence, alpha: float
) -> dict[str, object]:
    names = ("model", "origin", "method", "concept", "concept_name")
    again = {name: tested[name].dropna() for name in ALTERATIONS}
    return (
        {name: rows[name].iloc[0] for name in names}
        | asdict(result)
        | {
            "verdict": result.word,
            "facts_not_tested": len(rows) - len(tested),
            "found": sum(result.found),
            "retained_recall": evidence.retained_recall,
            **{name: int(said.sum()) if len(said) else None for name, said in again.items()},
            **{f"{name}_of": len(said) for name, said in again.items()},
            **_leaks(tested),
            "confidence": 1 - alpha,
            "reasons": "; ".join(result.reasons),
        }
    )
