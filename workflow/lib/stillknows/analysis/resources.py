"""What jobs asked for and what they used, from Snakemake's benchmarks and Slurm's accounts."""

import ast
import math
from pathlib import Path
from typing import Any

import pandas as pd

from stillknows.errors import StudyError
from stillknows.parquet_files import read_metadata

# Memory in MB, times in minutes; null: not known. `used` is of the last successful run of a job.
# job: its wildcards, as in its benchmark's path.
_MEMORY_AND_TIME = [
    *("wanted_mem_mb", "used_mem_mb", "used_gpu_mem_mb", "wanted_minutes", "used_minutes")
]
RESOURCE_COLUMNS = ["rule", "job", *_MEMORY_AND_TIME, "threads", "mean_cores", "slurm_job"]
# Rule -> the folder of its results, whose metadata have the peak memory of the GPU. A training
# leaves no such file.
_RESULTS = {
    "answer_as_unlearned": "behaviour",
    "check_self_patch": "self_patch",
    "dissect_copy": "krs",
    "dissect_layers": "krs",
    "dissect_unrelated": "krs_unrelated",
    "measure_depth": "depth",
    "recall_facts": "recall",
}
_MIB = (1 << 20) / 1e6  # in MB: Snakemake and Slurm count memory in MiB


def resource_table(results: Path, efficiency: Path) -> pd.DataFrame:
    """One row per job with a benchmark; memory: the larger of Snakemake's and Slurm's numbers."""
    folder = results / "benchmarks"
    rows = [_row(results, path) for path in sorted(folder.rglob("*.tsv"))]
    if not rows:
        raise StudyError(f"{folder} has no benchmark: run the study first")
    table = pd.DataFrame(rows)
    numbers = table.columns[2:]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").astype(float)
    table = table.round({"used_gpu_mem_mb": 0, "used_minutes": 2, "mean_cores": 2})
    name = "rule_" + table["rule"] + "_wildcards_" + table["job"].str.replace("/", "_")
    slurm = _last_in_slurm(efficiency).reindex(name).set_index(table.index)
    used, wanted = ((slurm[column] * _MIB).round() for column in ("MaxRSS_MB", "RequestedMem_MB"))
    table["slurm_job"] = slurm["MainJobID"]
    table["wanted_mem_mb"] = wanted.fillna(table["wanted_mem_mb"])
    table["used_mem_mb"] = table["used_mem_mb"].clip(lower=used.fillna(0))
    return table[RESOURCE_COLUMNS].sort_values(["rule", "job"], ignore_index=True)


def by_rule(table: pd.DataFrame) -> pd.DataFrame:
    """The most that any job of a rule wanted and used: what to write into study/jobs.py."""
    by_rule = table.groupby("rule")
    most = by_rule[_MEMORY_AND_TIME].max()
    most.insert(0, "jobs", by_rule.size())
    return most.reset_index()


def _row(results: Path, path: Path) -> dict[str, Any]:
    """What one benchmark says, and what the job's results say of the GPU's memory."""
    rule, _, job = str(path.relative_to(results / "benchmarks").with_suffix("")).partition("/")
    # A job has written one file, or all in a folder.
    written = results / _RESULTS.get(rule, "none") / job
    files = [written.with_name(f"{written.name}.parquet"), *written.glob("*.parquet")]
    peaks = [read_metadata(file).get("peak_gpu_memory_mib") for file in files if file.exists()]
    peak = max((float(peak) for peak in peaks if peak), default=math.nan)
    try:
        (benchmark,) = pd.read_csv(path, sep="\t", na_values=["-"]).to_dict("records")
        # Only with --benchmark-extended, as in the profiles.
        wanted = ast.literal_eval(str(benchmark.get("resources", "{}")))
        numbers = {
            "wanted_mem_mb": wanted.get("mem_mb"),
            "used_mem_mb": round(float(benchmark["max_rss"]) * _MIB),
            "used_gpu_mem_mb": peak * _MIB,
            "wanted_minutes": wanted.get("runtime"),
            "used_minutes": float(benchmark["s"]) / 60,
            "threads": benchmark.get("threads"),
            "mean_cores": float(benchmark["cpu_time"]) / max(float(benchmark["s"]), 1e-9),
        }
    except (ValueError, KeyError) as error:
        raise StudyError(
            f"{path} is not a benchmark of one run: delete it and run again"
        ) from error
    return {"rule": rule, "job": job} | numbers


def _last_in_slurm(folder: Path) -> pd.DataFrame:
    """The last row of each job in the Slurm plugin's reports, by the name that it has there."""
    reports = [pd.read_csv(path) for path in sorted(folder.glob("efficiency_report_*.csv"))]
    columns = ["RuleName", "MainJobID", "MaxRSS_MB", "RequestedMem_MB"]
    rows = pd.concat([pd.DataFrame(columns=columns, dtype=float), *reports])[columns]
    last = rows.sort_values("MainJobID").drop_duplicates("RuleName", keep="last")
    return last.set_index("RuleName")
