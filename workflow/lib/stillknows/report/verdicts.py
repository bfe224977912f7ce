"""What a verdict says, in sentences: for the terminal and for the page."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stillknows.analysis.audit import COPY, rows_of
from stillknows.analysis.verdict import KNOWS, MIN_POWER, NOT_FOUND, SAYS, TRACES, facts_needed
from stillknows.report.sources import counted, records
from stillknows.terms import ALTERATIONS, BENIGN, QUANTISED, RELEARNED

Row = Mapping[str, Any]
AFTER = {
    RELEARNED: "After the others were taught again",
    BENIGN: "After training on what it should retain",
    QUANTISED: "With weights of few bits",
}


def sentence(row: Row) -> str:
    """One sentence with its numbers: a row of tables/verdicts.csv."""
    n, confidence = counted(int(row["facts"]), "fact"), f"{row['confidence']:.0%} confidence"
    word = row["verdict"]
    if word == SAYS:
        return f"{word} {row['says']:.0f} of {n}: its free answers contain them."
    if word == KNOWS:
        return f"{word} at least {row['knows']:.0f} of {n} ({confidence})."
    if word == TRACES:
        return f"{word}: no test finds knowledge; {_traces(row)} ({confidence})."
    if word == NOT_FOUND:
        share = f"at most {row['at_most']:.0%} of the facts are known"
        return f"{word}: by these tests, {share} ({confidence})."
    return f"{word}: {row['reasons']}."


def details(row: Row) -> list[str]:
    """Further sentences: what else was found, and how sure this is."""
    lines = []
    n = counted(int(row["facts"]), "fact")
    if row["verdict"] == SAYS and row["knows"]:
        lines.append(f"The tests alone show that it knows at least {row['knows']:.0f} of {n}.")
    if row["verdict"] in (SAYS, KNOWS) and (row["exposed"] or row["suppressed"]):
        lines.append(f"Also, {_traces(row)}.")
    lines += [
        f"{AFTER[name]}, it says {row[name]:.0f} of {counted(int(row[f'{name}_of']), 'fact')}"
        " (exploratory)."
        for name in ALTERATIONS
        if row[f"{name}_of"]
    ]
    if pd.notna(row["sampled"]):
        lines.append(
            f"Sampled answers have {row['sampled']:.0f} of {n}; leak@1 is {row['leak_at_1']:.1%} "
            "(exploratory)."
        )
    if row["facts_not_tested"]:
        lines.append(
            f"{counted(int(row['facts_not_tested']), 'fact')} left out: the original does not say "
            "them."
        )
    if pd.notna(row["power"]) and not row["is_control"]:
        lines.append(
            f"In the positive control, a copy that knows all facts and was trained to refuse, the "
            f"tests find {row['power']:.0%} of the facts."
        )
    if pd.notna(row["original_firing"]) and row["original_firing"] < row["facts"]:
        lines.append(
            f"Association finds {row['original_firing']:.0f} of {n} in the original itself, and "
            "cannot find the others in a copy: ask their questions about several subjects."
        )
    if row["without_decoys"]:
        lines.append(
            f"Exposure has no decoys for {row['without_decoys']:.0f} of {n}: give them as `decoys`."
        )
    if row["verdict"] == NOT_FOUND:
        for share in (0.1, 0.05):
            if share < row["at_most"]:
                needed = facts_needed(share, max(row["power"], MIN_POWER), 1 - row["confidence"])
                lines.append(f"To find at most {share:.0%}, {needed} questions would be needed.")
    if pd.notna(row["retained_recall"]):
        lines.append(f"It says {row['retained_recall']:.0%} of what it should retain.")
    if row["verdict"] in (KNOWS, TRACES):
        lines.append(f"It says {row['says']:.0f} of {n} in free answers.")
    if row["reasons"] and row["verdict"] == TRACES:
        lines.append(f"If nothing had been found, no bound could be given: {row['reasons']}.")
    return lines


def weights_moved(changes: pd.DataFrame) -> str:
    """How the weights of a copy differ from the original's: its rows of weight_changes.csv."""
    by_layer = changes.groupby("layer")["relative_change"].mean()
    moved = by_layer[by_layer > 0]
    if moved.empty:
        return "The weights of its layers are the original's."
    return (
        f"The weights of {len(moved)} of {len(by_layer)} layers moved, by {moved.mean():.2%} of "
        f"their size on average, most in layer {moved.idxmax():.0f} ({moved.max():.2%})."
    )


def utility_of(rows: pd.DataFrame) -> list[str]:
    """What else a copy can do, by the tasks that the config names: its rows of utility.csv."""
    sentences = []
    for row in records(rows[rows["is_named"] & rows["original"].notna()]):
        error = "" if pd.isna(row["stderr"]) else f" ± {row['stderr']:.3f} (standard error)"
        value = f"{row['task']}: {row['metric']} {row['value']:.3f}{error}"
        sentences.append(f"{value}; the original has {row['original']:.3f}.")
    return sentences


def _traces(row: Row) -> str:
    found = []
    if row["exposed"]:
        found.append(f"it was trained on at least {row['exposed']:.0f} of these strings")
    if row["suppressed"]:
        found.append(f"it was trained against at least {row['suppressed']:.0f} of these facts")
    return ", and ".join(found)


def verdict_sections(
    verdicts: pd.DataFrame,
    facts: pd.DataFrame,
    changes: pd.DataFrame | None = None,
    utility: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Per copy what the page shows: name, word, sentence, details, and its rows of `facts`.

    changes, utility: tables/weight_changes.csv and utility.csv; None: not measured.
    rest: the sentence without the word; has_depth: whether its facts have a UDS; altered: what was
    done to the copy, as columns of `facts`.
    The name has the model and the concept where they differ between copies.
    """
    telling = [name for name in COPY if name == "method" or verdicts[name].nunique() > 1]
    sections = []
    for row in records(verdicts):
        key = [str(row[name]) for name in COPY]
        moved = [] if changes is None else [weights_moved(rows_of(changes, *key))]
        able = [] if utility is None else utility_of(rows_of(utility, *key))
        sections.append(
            {
                "id": "-".join(key),
                "name": ", ".join(str(row[name]) for name in telling)
                + (" (the positive control)" if row["is_control"] else ""),
                "word": row["verdict"],
                "sentence": sentence(row),
                "rest": sentence(row).removeprefix(row["verdict"]).strip(": "),
                "details": [*moved, *details(row), *able],
                "facts": records(rows_of(facts, *key)),
                "has_depth": rows_of(facts, *key)["uds"].notna().any(),
                "altered": [name for name in ALTERATIONS if row[f"{name}_of"]],
            }
        )
    return sections


def as_text(
    verdicts: pd.DataFrame, facts: pd.DataFrame, changes: pd.DataFrame | None = None
) -> str:
    """The verdicts for the terminal, each with its facts that are still there."""
    lines = []
    for section in verdict_sections(verdicts, facts, changes):
        lines += ["", f"{section['name']}: {section['sentence']}"]
        lines += [f"  {line}" for line in section["details"]]
        if found := [row["fact"] for row in section["facts"] if row["found"]]:
            lines.append(f"  Still there, each by itself: {', '.join(found)}.")
    return "\n".join(lines)
