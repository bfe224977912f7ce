"""Put the verdicts and the facts on one page."""

from pathlib import Path

from stillknows.csv_files import read_csv
from stillknows.figures.style import Style
from stillknows.files import atomic_path
from stillknows.job import run
from stillknows.report.concepts import pictures
from stillknows.report.page import render_audit


def main(
    *,
    facts: Path,
    verdicts: Path,
    figures: list[Path],
    captions: list[Path],
    style: Style,
    page: Path,
) -> None:
    """Write audit.html.

    Args:
        figures: PNG files of <results>/figures; captions: {figure}.rst, a template per figure.
    """
    shown = pictures(figures, {path.stem: path for path in captions}, None, style.dpi)
    html = render_audit(read_csv(verdicts), read_csv(facts), shown)
    with atomic_path(page) as partial:
        partial.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    run(main)
