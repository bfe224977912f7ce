"""Put the verdicts and the facts on one page, and the verdicts in model cards."""

from pathlib import Path

from stillknows.csv_files import read_csv
from stillknows.figures.style import Style
from stillknows.files import atomic_path
from stillknows.job import run
from stillknows.report.concepts import pictures
from stillknows.report.model_card import model_cards
from stillknows.report.page import render_audit


def main(
    *,
    facts: Path,
    verdicts: Path,
    changes: list[Path],
    utility: list[Path],
    figures: list[Path],
    captions: list[Path],
    style: Style,
    dataset: str | None,
    page: Path,
    model_card: Path,
) -> None:
    """Write audit.html and model_card.md.

    Args:
        changes, utility: tables/weight_changes.csv and utility.csv; none if not measured.
        figures: PNG files of <results>/figures; captions: {figure}.rst, a template per figure.
        dataset: of the Hub, with the questions.
    """
    shown = pictures(figures, {path.stem: path for path in captions}, None, style.dpi)
    table = read_csv(verdicts)
    more = [read_csv(files[0]) if files else None for files in (changes, utility)]
    html = render_audit(table, read_csv(facts), shown, *more)
    for path, text in ((page, html), (model_card, model_cards(table, dataset))):
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
