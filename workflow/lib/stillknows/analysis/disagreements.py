"""tables/disagreements.csv: the questions on which KRS and another score differ most."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from stillknows.analysis.curve_groups import DONOR, WINDOW_COLUMNS
from stillknows.analysis.scores import MEASURES, OTHERS
from stillknows.analysis.tables import row_groups
from stillknows.terms import KRS

AT_MOST = 10  # questions per curve

_CURVE = ["model", "origin", "method", "experiment", "window", "span"]
_QUESTION = ["concept", "concept_name", "question"]
_BEHIND = ["positions", "loss_unlearned", "loss_patched"]
_BEHIND += [column for name in OTHERS for column in MEASURES[name].columns]
DISAGREEMENT_COLUMNS = [*_CURVE, "rank", *_QUESTION, *WINDOW_COLUMNS, "other", "difference"]
DISAGREEMENT_COLUMNS += [KRS, *OTHERS, *_BEHIND]


def disagreements(table: Path) -> pd.DataFrame:
    """The AT_MOST questions of each curve on which KRS and another score differ most.

    A question is listed once, at the layer and beside the score that KRS is furthest from. Scores
    are cut at 0 (nothing is back) and 1 (all is) before they are compared: none has a lower bound,
    and of two numbers far below 0 both say the same.

    Args:
        table: tables/krs.parquet; of its rows, those whose donor is the original.

    Returns:
        DISAGREEMENT_COLUMNS, the largest difference first: rank from 1; other, the other score's
        name; difference, KRS less the other score, both cut; then all scores of the question at
        that layer, uncut, and what they were made of.
    """
    groups = row_groups(table, [KRS, "question", *_BEHIND], donor=DONOR)
    every = pd.concat([_furthest(rows) for rows in groups])
    keys = [*_CURVE, "size", "concept", "question"]
    rising = [name != "size" for name in keys]
    every = every.sort_values(keys, ascending=rising, ignore_index=True)
    every["rank"] = every.groupby(_CURVE).cumcount() + 1
    return every.loc[every["rank"] <= AT_MOST, DISAGREEMENT_COLUMNS].reset_index(drop=True)


def _furthest(table: pa.Table) -> pd.DataFrame:
    """Of each question the row and the other score that KRS is furthest from, if there is one."""
    rows: pd.DataFrame = table.to_pandas()
    rows = rows.astype(dict.fromkeys(rows.select_dtypes("category"), str))
    rows = rows.assign(**{name: MEASURES[name].recovered(rows) for name in OTHERS})
    cut = {name: rows[name].clip(0, 1) for name in (KRS, *OTHERS)}
    each = pd.DataFrame({name: cut[KRS] - cut[name] for name in OTHERS}).melt(
        var_name="other", value_name="difference", ignore_index=False
    )
    joined = rows.join(each.dropna(), how="inner")
    joined["size"] = joined["difference"].abs()
    joined = joined.sort_values(["size", "layer"], ascending=[False, True], kind="stable")
    return joined.drop_duplicates([*_CURVE, "concept", "question"])
