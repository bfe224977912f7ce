"""The table of wanted and used resources, from files like Snakemake's and the Slurm plugin's."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from stillknows.analysis.resources import RESOURCE_COLUMNS, by_rule, resource_table
from stillknows.errors import StudyError
from stillknows.models.provenance import run_fields

PLAIN = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
EXTENDED = "\tjobid\trule_name\twildcards\tparams\tthreads\tcpu_usage\tresources\tinput_size_mb"
NUMBERS = "90.00\t0:01:30\t1000.00\t2000.00\t900.00\t900.00\t0.00\t0.00\t50.00\t45.00"


def write_benchmark(results: Path, name: str, mem_mb: int = 0) -> None:
    path = results / "benchmarks" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    header, line = PLAIN, NUMBERS
    if mem_mb:
        asked = {"_cores": 2, "mem_mb": mem_mb, "runtime": 24, "tmpdir": "/tmp"}
        header += EXTENDED
        line += f"\t1\tsweep\t{{}}\t{{}}\t2\t450.0\t{asked}\t{{}}"
    path.write_text(f"{header}\n{line}\n", encoding="utf-8")


def write_report(folder: Path, *rows: tuple[str, int, float, float]) -> None:
    folder.mkdir(exist_ok=True)
    report = pd.DataFrame(rows, columns=["RuleName", "MainJobID", "MaxRSS_MB", "RequestedMem_MB"])
    report.to_csv(folder / "efficiency_report_run.csv")


def table_of(tmp_path: Path) -> pd.DataFrame:
    found = resource_table(tmp_path, tmp_path / "efficiency")
    assert list(found.columns) == RESOURCE_COLUMNS
    return found


def test_a_job_stands_with_what_it_wanted_and_used(tmp_path: Path) -> None:
    write_benchmark(tmp_path, "dissect_layers/m/dpo/tea/attention", mem_mb=4000)
    row = table_of(tmp_path).iloc[0]
    assert (row["rule"], row["job"]) == ("dissect_layers", "m/dpo/tea/attention")
    assert row["wanted_mem_mb"] == 4000
    assert row["used_mem_mb"] == round(1000 * 1.048576)  # Snakemake counts in MiB
    assert (row["wanted_minutes"], row["used_minutes"], row["mean_cores"]) == (24, 1.5, 0.5)


def test_slurms_last_attempt_counts_and_the_larger_memory(tmp_path: Path) -> None:
    write_benchmark(tmp_path, "dissect_layers/m/dpo/tea/attention", mem_mb=4000)
    name = "rule_dissect_layers_wildcards_m_dpo_tea_attention"
    write_report(tmp_path / "efficiency", (name, 12, 2000.0, 8000.0), (name, 9, 3900.0, 4000.0))
    row = table_of(tmp_path).iloc[0]
    assert row["slurm_job"] == 12
    assert row["used_mem_mb"] == round(2000 * 1.048576)
    assert row["wanted_mem_mb"] == round(8000 * 1.048576)


def test_rules_are_summed_up_by_their_largest_job(tmp_path: Path) -> None:
    write_benchmark(tmp_path, "record_original/m/tea", mem_mb=1000)
    write_benchmark(tmp_path, "record_original/m/mate", mem_mb=3000)
    (row,) = by_rule(table_of(tmp_path)).to_dict("records")
    assert (row["rule"], row["jobs"], row["wanted_mem_mb"]) == ("record_original", 2, 3000)


@pytest.mark.parametrize(
    ("job", "result"),
    [
        ("dissect_layers/m/dpo/tea/attention", "krs/m/dpo/tea/attention"),
        ("dissect_copy/m/dpo/tea", "krs/m/dpo/tea/attention"),
        ("recall_facts/m/dpo/tea", "recall/m/dpo/tea"),
    ],
)
def test_a_job_on_a_gpu_writes_the_memory_that_it_used_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str, result: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: device * 3000 << 20)
    write_benchmark(tmp_path, job)
    path = tmp_path / f"{result}.parquet"
    path.parent.mkdir(parents=True)
    nothing = pa.table({}).replace_schema_metadata(run_fields("cpu", 0.0))
    pq.write_table(nothing, path)
    assert table_of(tmp_path)["used_gpu_mem_mb"].tolist() == [round(3000 * 1.048576)]


def test_a_job_without_a_gpu_used_no_memory_of_one(tmp_path: Path) -> None:
    assert "peak_gpu_memory_mib" not in run_fields("cpu", 0.0)
    write_benchmark(tmp_path, "dissect_copy/m/dpo/tea")
    assert table_of(tmp_path)["used_gpu_mem_mb"].isna().all()


def test_no_benchmark_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has no benchmark: run the study first"):
        table_of(tmp_path)


def test_a_benchmark_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks/record_original/m/tea.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"tea\.tsv is not a benchmark"):
        table_of(tmp_path)
