"""Put the study on one page: findings, what was run, curves, figures, tables, concepts."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dissect.figures.style import Style
from dissect.files import atomic_path
from dissect.job import job
from dissect.report.page import render
from dissect.report.pictures import pictures
from dissect.report.sources import Shown, read_sources

log = logging.getLogger("dissect")


def main(
    *,
    tables: Sequence[Path],
    figures: Sequence[Path],
    texts: Sequence[Path],
    captions: Sequence[Path],
    windows: Sequence[str],
    spans: Sequence[str],
    scores: Sequence[str],
    style: Mapping[str, Any],
    settings: Mapping[str, Any],
    page: Path,
) -> None:
    """Write report.html.

    Args:
        tables: files of <results>/tables; those that are not given have no section.
        figures: PNG files of <results>/figures.
        texts: each concept's JSON, {model}/{concept}.json.
        captions: {figure}.rst, a template per figure.
        windows, spans, scores: what the figures show; the first of each leads.
        settings: the study's config, to be shown.

    Raises:
        DissectError: see report.sources.read_sources and report.pictures.pictures.
    """
    shown, figure_style = Shown(windows, spans, scores), Style(**style)
    html = render(
        read_sources(tables, texts, shown),
        pictures(figures, {path.stem: path for path in captions}, shown, figure_style.dpi),
        shown,
        figure_style,
        settings,
    )
    with atomic_path(page) as partial:
        partial.write_text(html, encoding="utf-8")
    log.info("%s: %.1f MB, %d figures", page, page.stat().st_size / 1e6, len(figures))


if __name__ == "__main__":
    with job() as snakemake:
        main(
            tables=[Path(path) for path in snakemake.input.tables],
            figures=[Path(path) for path in snakemake.input.figures],
            texts=[Path(path) for path in snakemake.input.texts],
            captions=[Path(path) for path in snakemake.input.captions],
            windows=list(snakemake.params.windows),
            spans=list(snakemake.params.spans),
            scores=list(snakemake.params.scores),
            style=snakemake.params.style,
            settings=snakemake.params.settings,
            page=Path(snakemake.output.page),
        )
