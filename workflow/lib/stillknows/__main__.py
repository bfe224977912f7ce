"""Work with results, outside the workflow: python -m stillknows COMMAND --help."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from stillknows.errors import StudyError
from stillknows.terms import AUDIT_TESTS


def main(arguments: list[str] | None = None) -> int:
    """0: done; 1: `compare` found differences, or `audit` a verdict of --fail-on; 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m stillknows", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    about = (
        "compare two results folders, or archives: which sweeps and tables differ, and by how much"
    )
    command = commands.add_parser("compare", help=about, description=about)
    command.add_argument("old", type=Path, metavar="OLD", help="a results folder, or archive.zip")
    command.add_argument("new", type=Path, metavar="NEW", help="the one to compare it with")
    command.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.0,
        help="numbers that differ by at most this much count as equal (default: 0, exact values)",
    )
    command.add_argument(
        "--csv", type=Path, metavar="FILE", help="write every difference to this CSV"
    )
    _add_audit(commands)
    about = "the verdicts of several audits in leaderboard.csv, and on a page, leaderboard.html"
    command = commands.add_parser("leaderboard", help=about, description=about)
    command.add_argument(
        "audits", nargs="+", type=Path, metavar="AUDIT", help="its folder, or a verdict.json"
    )
    command.add_argument("--output", type=Path, default=Path(), help="a folder (default: this one)")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "audit":
            return _audit(chosen)
        if chosen.command == "leaderboard":
            return _leaderboard(chosen.audits, chosen.output)
        return _compare(chosen.old, chosen.new, chosen.tolerance, chosen.csv)
    except (StudyError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _add_audit(commands: Any) -> None:
    about = "was knowledge erased from unlearned checkpoints, or only hidden? A verdict on each"
    command = commands.add_parser("audit", help=about, description=about)
    add = command.add_argument
    checkpoint = "a folder (a model or an adapter), or owner/name[@revision]"
    add(
        "copies",
        nargs="+",
        metavar="COPY",
        help=f"an unlearned checkpoint, also as NAME=CHECKPOINT: {checkpoint}",
    )
    add("--original", help=f"the model that it was made from: {checkpoint}")
    questions = "question, answer; optional: fact, paraphrases, decoys, kind, subject"
    add("--questions", type=Path, help=f".jsonl, .json or .csv: {questions}")
    add("--benchmark", help="original, questions and reference of a study in studies/")
    add("--retained", type=Path, help="questions that the copies should still answer")
    add("--reference", help=f"a model that never learned the facts: {checkpoint}")
    add("--output", type=Path, default=Path("audit"), help="a folder (default: audit)")
    add(
        "--prompt",
        help="paper, chat, or a text with {q} (default for a folder: chat if it has a template)",
    )
    add("--tokenizer", help="of the original, if it has none: hub:owner/name[@revision]")
    command.set_defaults(dataset=None)  # a benchmark names it
    add("--tests", nargs="+", help=f"among {', '.join(AUDIT_TESTS)} (default: the first two)")
    add("--no-control", action="store_true", help="do not train the positive control")
    add("--cores", type=int, help="processor cores (default: all)")
    add("--profile", help="a Snakemake profile, such as profiles/slurm")
    add("--plan", action="store_true", help="print what would be done, and stop")
    add("--fail-on", nargs="+", metavar="WORD", help="exit status 1 on one of these verdicts")


def _audit(chosen: argparse.Namespace) -> int:
    from stillknows.analysis.verdict import VERDICTS
    from stillknows.errors import check_known
    from stillknows.job import log_to_terminal
    from stillknows.report.verdicts import as_text
    from stillknows.study.audit import Request, benchmark, read_findings, run, write_study

    fail_on = [word.upper().replace("_", " ") for word in chosen.fail_on or ()]
    check_known("--fail-on: verdict", fail_on, VERDICTS, "a verdict")
    if chosen.benchmark:
        for name, value in benchmark(chosen.benchmark).items():
            setattr(chosen, name, getattr(chosen, name) or value)
    given = (
        "copies",
        "original",
        "questions",
        "output",
        "retained",
        "reference",
        "prompt",
        "dataset",
    )
    if absent := [name for name in given[1:3] if not getattr(chosen, name)]:
        raise StudyError(f"give --{absent[0]}, or --benchmark")
    request = Request(
        **{name: getattr(chosen, name) for name in given},
        tokenizer=chosen.tokenizer or "",
        **({"tests": chosen.tests} if chosen.tests else {}),
        has_control=not chosen.no_control,
    )
    log_to_terminal()
    config = write_study(request)
    print(f"the study: {config.parent}", flush=True)
    for line in run(config, chosen.cores, chosen.profile, plan=chosen.plan):
        print(line, flush=True)
    if chosen.plan:
        return 0
    findings = read_findings(request.output)
    print(as_text(*findings))
    print(f"\nthe page: {request.output / 'results' / 'audit.html'}")
    return int(findings.verdicts["verdict"].isin(fail_on).any())


def _leaderboard(audits: list[Path], output: Path) -> int:
    from stillknows.csv_files import write_csv
    from stillknows.files import atomic_path
    from stillknows.report.leaderboard import leaderboard, leaderboard_page

    table = leaderboard(audits)
    output.mkdir(parents=True, exist_ok=True)
    write_csv(output / "leaderboard.csv", table)
    with atomic_path(output / "leaderboard.html") as partial:
        partial.write_text(leaderboard_page(table), encoding="utf-8")
    for row in table.itertuples():
        print(f"{row.method}: {row.sentence}")
    print(f"the page: {output / 'leaderboard.html'}")
    return 0


def _compare(old: Path, new: Path, tolerance: float, csv: Path | None) -> int:
    # pandas and pyarrow take a second: not for --help.
    from stillknows.analysis.compare import as_text, compare_results
    from stillknows.csv_files import write_csv

    comparison = compare_results(old, new, tolerance)
    print(as_text(comparison, str(old), str(new), tolerance))
    if csv is not None:
        write_csv(csv, comparison.differences.drop(columns="note"))
    return 0 if comparison.is_equal else 1


def _tolerance(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
