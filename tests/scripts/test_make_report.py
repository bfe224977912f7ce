"""make_report.py: from a study's files to one page, without torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import make_report
import pytest

from dissect.errors import DissectError
from dissect.figures.style import Style
from planted_study import MODEL, SHOWN, add_recall, add_rounds, plant_study

ROOT = Path(__file__).parents[2]


def test_one_file_holds_all(tmp_path: Path) -> None:
    study = plant_study(tmp_path, concepts=1, figures=False)
    add_rounds(study, rates_from=0)
    add_recall(study)
    given: dict[str, Any] = {
        "tables": study.tables(),
        "figures": [],
        "texts": sorted(tmp_path.glob("concepts/*/*.json")),
        "rounds": sorted(tmp_path.glob("rounds/*.csv")),
        "recall": sorted(tmp_path.glob("recall/*/*/*.parquet")),
        "captions": sorted((ROOT / "workflow/report").glob("*.rst")),
        "windows": SHOWN.windows,
        "spans": SHOWN.spans,
        "scores": SHOWN.scores,
        "style": Style(),
        "settings": {"results": "results/<planted>"},
    }
    page = tmp_path / "out" / "report.html"
    make_report.main(**given, page=page)
    text = page.read_text(encoding="utf-8")
    assert text.endswith("</html>\n") and "results/&lt;planted&gt;" in text
    assert f"rounds/{MODEL}.csv" in text and "never_npo" in text
    assert "What they answer" in text and "never_npo, 0, as_it_is, first" in text
    assert page.stat().st_size < 3_000_000
    assert list(page.parent.iterdir()) == [page]
    with pytest.raises(DissectError, match="no rows for the windows sliding_9"):
        make_report.main(**{**given, "windows": ["sliding_9"]}, page=page)
    assert page.read_text(encoding="utf-8") == text


def test_the_report_needs_no_torch() -> None:
    code = "import sys, dissect.report.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
