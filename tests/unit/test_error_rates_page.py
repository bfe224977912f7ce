"""What the report says of error rates: the primary scores', or that they are not known."""

from dataclasses import replace

import pandas as pd

from dissect.calibration.scores import SCORES
from dissect.calibration.table import calibration_table
from dissect.report.error_rates import error_rates
from dissect.report.sources import Sources
from dissect.terms import TAUGHT
from planted_rounds import planted_rounds

PRIMARY = [replace(spec, primary=spec.name == "uds") for spec in SCORES if spec.name != "relearned"]


def sources(**tables: pd.DataFrame) -> Sources:
    return Sources({f"{name}.csv": frame for name, frame in tables.items()}, {}, pd.DataFrame(), {})


def test_without_rounds_they_are_not_known() -> None:
    assert error_rates(sources())["rounds"] == 0


def test_each_primary_score_has_a_row_per_treatment_and_the_pooled_one_last() -> None:
    rounds = planted_rounds(
        6, ["hide", "refuse"], uds=lambda n, state, _: (state != TAUGHT) + n / 100
    )
    said = error_rates(sources(calibration=calibration_table(rounds, scores=PRIMARY)))
    rates = said["rates"]
    assert said["rounds"] == 6
    assert rates["treatment"].tolist() == [
        *("hide", "refuse", "all pooled"),
        "all pooled, confirmed states only",
    ]
    assert rates["AUC"].tolist() == ["1.00 [0.61, 1.00]"] * 4  # 0.05 ** (1 / 6)
    assert rates["false alarms"].tolist()[0].startswith("0 of 6: 0.00 [0.00, 0.46]")
    assert rates["power"].tolist()[2].startswith("12 of 12: 1.00")


def test_a_single_round_has_no_rates() -> None:
    rounds = planted_rounds(1, ["hide"], uds=lambda _, state, __: float(state != TAUGHT))
    rates = error_rates(sources(calibration=calibration_table(rounds, scores=PRIMARY)))["rates"]
    assert rates["AUC"].tolist() == ["1.00"] * 3
    assert rates["false alarms"].tolist() == [""] * 3
