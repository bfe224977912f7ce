"""A comparison in words for people."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dissect.compare.compare import Comparison
from dissect.compare.folders import ROW_KEYS
from dissect.compare.frames import DIFFERS, ONLY_NEW, ONLY_OLD

LISTED = 20  # sweeps, at most; the CSV file has all
_SHOWN = ["krs", "loss_unlearned", "loss_patched", "kl_patched", "top1_patched"]


def as_text(comparison: Comparison, old: str, new: str, tolerance: float) -> str:
    """The whole comparison, in aligned columns."""
    exact = f"|NEW - OLD| up to {tolerance:g} counts as equal" if tolerance else "exact values"
    sweeps, tables, provenance = (
        comparison.differences[comparison.differences["kind"] == kind]
        for kind in ("sweep", "table", "provenance")
    )
    statuses = sweeps.drop_duplicates("name")["status"].value_counts()
    alone = sweeps.loc[sweeps["status"].isin([ONLY_OLD, ONLY_NEW]), ["name", "status"]]
    columns = sweeps[sweeps["differ"].notna()]
    sections = [
        f"OLD  {old}\nNEW  {new}\n{exact}",
        _section("Sweeps", statuses.rename_axis("status").reset_index(name="sweeps")),
        _section("Only in one", _cut(alone)),
        _section("Largest differences of the sweeps in both", _by_column(columns)),
        _section("Sweeps that differ", _cut(_by_sweep(sweeps))),
        _section("Provenance of the sweeps in both", _by_key(provenance)),
        _section("Tables", _by_table(tables)),
        _section("Verdicts that differ", _verdicts(comparison.flips)),
        "equal" if comparison.is_equal else "not equal",
    ]
    return "\n\n".join(section for section in sections if section)


def _section(title: str, table: pd.DataFrame) -> str:
    """A title and a table in aligned columns; "" without rows."""
    if table.empty:
        return ""
    rows = pd.concat([pd.DataFrame([table.columns], columns=table.columns), table.astype(str)])
    padded = rows.apply(lambda column: column.str.ljust(column.str.len().max()))
    return "\n  ".join([title, *("  ".join(row).rstrip() for row in padded.to_numpy())])


def _cut(rows: pd.DataFrame) -> pd.DataFrame:
    """At most LISTED rows, and how many there are beside them."""
    if len(rows) <= LISTED:
        return rows
    rest = {"name": f"... and {len(rows) - LISTED} more: --csv FILE has all"}
    return pd.concat([rows.head(LISTED).astype(object), pd.DataFrame([rest])]).fillna("")


def _by_column(columns: pd.DataFrame) -> pd.DataFrame:
    """Per column of the sweeps: in how many sweeps and rows it differs, and where most."""
    rows = []
    for name, group in columns.groupby("column", sort=False):
        most = group.iloc[int(group["largest"].fillna(-1.0).argmax())]
        rows.append(
            {
                "column": name,
                "sweeps": (group["differ"] > 0).sum(),
                "rows": int(group["differ"].sum()),
                "null in one": int(group["null_in_one"].sum()),
                "largest": _number(most["largest"]),
                "OLD -> NEW": f"{_value(most['old'])} -> {_value(most['new'])}",
                "where": f"{most['name']}: {_where(most[ROW_KEYS].to_dict())}",
            }
        )
    return pd.DataFrame(rows)


def _where(keys: Mapping[Any, Any]) -> str:
    """The keys of a row: texts as they are, numbers with their names; windows by their layer."""
    return ", ".join(
        value if isinstance(value, str) else f"{name} {value:g}"
        for name, value in keys.items()
        if not pd.isna(value) and name not in ("first_layer", "last_layer")
    )


def _by_sweep(sweeps: pd.DataFrame) -> pd.DataFrame:
    """The sweeps that differ: by how much in some columns, those that differ most first."""
    by_name = sweeps[sweeps["status"] == DIFFERS].groupby("name")
    most = by_name["largest"].max().sort_values(ascending=False, kind="stable")
    rows = []
    for name in most.index:
        group = by_name.get_group(name).set_index("column")
        first, largest = group.iloc[0], group["largest"]
        alone = f"{first['only_old']:g} / {first['only_new']:g}"
        columns = {one: _number(largest[one]) if one in largest else "0" for one in _SHOWN}
        rows.append({"name": name, "rows": int(first["rows"]), "only OLD / NEW": alone} | columns)
    return pd.DataFrame(rows)


def _by_key(provenance: pd.DataFrame) -> pd.DataFrame:
    """Each key with its values; keys of many different pairs, such as hashes, in one row."""
    rows = []
    for key, group in provenance.groupby("name"):
        pairs = zip(group["old"], group["new"], strict=True)
        values = [f"{_short(old)} -> {_short(new)}" for old, new in pairs]
        sweeps = group["rows"].astype(int).tolist()
        if len(values) > 3:
            values, sweeps = [f"{len(values)} different pairs"], [sum(sweeps)]
        rows.append(pd.DataFrame({"key": key, "sweeps": sweeps, "OLD -> NEW": values}))
    return pd.concat(rows) if rows else pd.DataFrame({"key": ["the same"]})


def _short(value: str) -> str:
    is_hash = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if is_hash else value or "(nothing)"


def _by_table(tables: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {"name": name, "status": group["status"].iloc[0], "differences": _in_words(group)}
        for name, group in tables.groupby("name")
    ]
    return pd.DataFrame(rows)


def _in_words(table: pd.DataFrame) -> str:
    """What differs in one table: in its rows, then column by column."""
    rows, only_old, only_new = table[["rows", "only_old", "only_new"]].iloc[0]
    phrases = [] if pd.isna(rows) else [f"{rows:g} rows in both"]
    for count, side in ((only_old, ONLY_OLD), (only_new, ONLY_NEW)):
        phrases += [f"{count:g} {side}"] if count > 0 else []
    for row in table.to_dict("records"):
        if not pd.isna(row["differ"]):
            largest = "" if pd.isna(row["largest"]) else f", by up to {_number(row['largest'])}"
            phrases.append(f"{row['column']}: {row['differ']:g} differ{largest}")
        elif not pd.isna(row["note"]):
            named = "" if pd.isna(row["column"]) else f"column {row['column']} "
            phrases.append(named + row["note"])
    return "; ".join(phrases)


def _verdicts(flips: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for flip in flips.to_dict("records"):
        of = " ".join(
            filter(None, (flip[name] for name in ("model", "origin", "method", "window", "span")))
        )
        change = f"{_verdict(flip, 'old')} -> {_verdict(flip, 'new')}"
        rows.append({"claim": flip["id"], "of": of, "OLD -> NEW": change})
    return pd.DataFrame(rows)


def _verdict(flip: Mapping[Any, Any], side: str) -> str:
    value, low, high = (_value(flip[f"{name}_{side}"]) for name in ("value", "low", "high"))
    return f"{flip[f'verdict_{side}']} ({value} [{low}, {high}], n {flip[f'n_{side}']})"


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2e}"


def _value(value: Any) -> str:
    if pd.isna(value):
        return "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
