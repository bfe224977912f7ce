"""Put the study on one page: findings, what was run, curves, figures, tables, concepts."""

import logging
from pathlib import Path
from typing import Any

from stillknows.figures.style import Style
from stillknows.files import atomic_path
from stillknows.job import run
from stillknows.report.concepts import pictures
from stillknows.report.page import render
from stillknows.report.sources import Shown, read_sources

log = logging.getLogger("stillknows")


def main(
    *,
    tables: list[Path],
    figures: list[Path],
    texts: list[Path],
    captions: list[Path],
    rounds: list[Path],
    recall: list[Path],
    windows: list[str],
    spans: list[str],
    scores: list[str],
    style: Style,
    settings: dict[str, Any],
    page: Path,
) -> None:
    """Write report.html.

    Args:
        tables: files of <results>/tables; those that are not given have no section.
        texts: each concept's JSON, {model}/{concept}.json; captions: {figure}.rst.
        rounds, recall: of studies whose models' states are known.
        windows, spans, scores: what the figures show; the first of each leads.
        settings: the study's config, to be shown.
    """
    shown = Shown(windows, spans, scores)
    html = render(
        read_sources(tables, texts, shown, rounds, recall),
        pictures(figures, {path.stem: path for path in captions}, shown, style.dpi),
        shown,
        style,
        settings,
    )
    with atomic_path(page) as partial:
        partial.write_text(html, encoding="utf-8")
    log.info("%s: %.1f MB, %d figures", page, page.stat().st_size / 1e6, len(figures))


if __name__ == "__main__":
    run(main)
