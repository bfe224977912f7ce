"""What jobs asked for and what they used, from Snakemake's benchmarks and Slurm's accounts."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dissect.errors import DissectError
from dissect.results.schema import read_metadata

# Memory in MB, times in minutes; null: not known. `used` is of the last successful run of a job.
RESOURCE_COLUMNS = [
    "rule",
    "job",  # its wildcards, as in its benchmark's path
    "wanted_mem_mb",
    "used_mem_mb",
    "used_gpu_mem_mb",
    "wanted_minutes",
    "used_minutes",
    "threads",
    "mean_cores",
    "slurm_job",
]
_BYTES_PER_MB = 1e6
_MIB = (1 << 20) / _BYTES_PER_MB


def resource_table(results: Path, efficiency: Path) -> pd.DataFrame:
    """One row per job that has a benchmark.

    Args:
        results: the study's folder; its benchmarks and cells are read.
        efficiency: where the Slurm plugin leaves its reports; need not be there. A job's memory is
            then the larger of what Snakemake saw of the script and what Slurm saw of the step.

    Returns:
        RESOURCE_COLUMNS, sorted by rule and job.

    Raises:
        DissectError: if there is no benchmark, or one is unreadable.
    """
    folder = results / "benchmarks"
    benchmarks = [_row(folder, path) for path in sorted(folder.rglob("*.tsv"))]
    if not benchmarks:
        raise DissectError(f"{folder} has no benchmark: run the study first")
    slurm = _last_by_name(efficiency)
    rows = [_with_gpu_memory(_with_slurm(row, slurm), results) for row in benchmarks]
    return pd.DataFrame(rows, columns=RESOURCE_COLUMNS).sort_values(
        ["rule", "job"], ignore_index=True
    )


def by_rule(table: pd.DataFrame) -> pd.DataFrame:
    """The most that any job of a rule wanted and used: what to write into study/resources.py."""
    numbers = ["wanted_mem_mb", "used_mem_mb", "used_gpu_mem_mb", "wanted_minutes", "used_minutes"]
    most = table.groupby("rule")[numbers].max()
    most.insert(0, "jobs", table.groupby("rule").size())
    return most.reset_index()


def _row(folder: Path, path: Path) -> dict[str, Any]:
    rule, *wildcards = path.relative_to(folder).with_suffix("").parts
    try:
        (benchmark,) = pd.read_csv(path, sep="\t", na_values=["-"]).to_dict("records")
        used = float(benchmark["s"]) / 60, float(benchmark["max_rss"]) * _MIB
    except (ValueError, KeyError) as error:
        raise DissectError(f"{path} is no benchmark of one run: delete it and run again") from error
    # Only with --benchmark-extended, as in the profiles.
    wanted = ast.literal_eval(str(benchmark.get("resources", "{}")))
    return {
        "rule": rule,
        "job": "/".join(wildcards),
        "wanted_mem_mb": _number(wanted.get("mem_mb")),
        "used_mem_mb": round(used[1]),
        "wanted_minutes": _number(wanted.get("runtime")),
        "used_minutes": round(used[0], 2),
        "threads": _number(benchmark.get("threads")),
        "mean_cores": round(float(benchmark["cpu_time"]) / max(float(benchmark["s"]), 1e-9), 2),
    }


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not pd.isna(value) else None


def _last_by_name(folder: Path) -> dict[str, dict[str, Any]]:
    """Each job's last row in the plugin's reports, by the name that it has there."""
    last: dict[str, dict[str, Any]] = {}
    for row in _efficiency_rows(folder):
        name, job = str(row.get("RuleName")), int(row["MainJobID"])
        if name not in last or int(last[name]["MainJobID"]) < job:
            last[name] = row
    return last


def _efficiency_rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("efficiency_report_*.csv")):
        for row in pd.read_csv(path).to_dict("records"):
            yield {str(key): value for key, value in row.items()}


def _with_slurm(row: dict[str, Any], slurm: dict[str, dict[str, Any]]) -> dict[str, Any]:
    wildcards = row["job"].replace("/", "_")
    seen = slurm.get(f"rule_{row['rule']}_wildcards_{wildcards}")
    if seen is None:
        return row
    return row | {
        "slurm_job": int(seen["MainJobID"]),
        # Slurm counts in MiB.
        "wanted_mem_mb": round(float(seen["RequestedMem_MB"]) * _MIB),
        "used_mem_mb": max(row["used_mem_mb"], round(float(seen["MaxRSS_MB"]) * _MIB)),
    }


def _with_gpu_memory(row: dict[str, Any], results: Path) -> dict[str, Any]:
    cell = results / "krs" / f"{row['job']}.parquet"
    if row["rule"] != "dissect_layers" or not cell.exists():
        return row
    peak = read_metadata(cell).get("peak_gpu_memory_mib")
    return row | {"used_gpu_mem_mb": None if peak is None else round(float(peak) * _MIB)}
