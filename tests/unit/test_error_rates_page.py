"""What the report says of error rates: the primary scores', or that they are not known."""

import pandas as pd

from planted_rounds import planted_rounds
from stillknows.analysis.calibration.scores import SCORES
from stillknows.analysis.calibration.table import calibration_table
from stillknows.report.error_rates import error_rates
from stillknows.report.sources import Sources
from stillknows.terms import TAUGHT


def sources(**tables: pd.DataFrame) -> Sources:
    return Sources({f"{name}.csv": frame for name, frame in tables.items()}, {}, pd.DataFrame(), {})


def test_each_score_has_a_row_per_treatment_and_group_and_the_baseline_its_own() -> None:
    rounds = planted_rounds(
        6,
        ["hide", "npo"],
        uds=lambda n, state, _: (state != TAUGHT) + n / 100,
        weight_change=lambda n, *_: n / 100,
    )
    said = error_rates(sources(calibration=calibration_table(rounds)))
    rates = said["rates"]
    assert (said["rounds"], said["bound"]) == (6, "1 in 7")
    treatments = ["hide", "npo", "all without unlearning", "all unlearned", "all pooled"]
    treatments += ["all pooled, confirmed states only"]
    definitions = {spec.name: spec.definition for spec in SCORES}
    for name, auc in (("uds", "1.00"), ("weight_change", "0.50")):
        rows = rates[rates["score"] == definitions[name]]
        assert rows["treatment"].tolist() == treatments
        assert rows["AUC"].str.startswith(auc).all()
    assert len(rates) == 2 * len(treatments)  # no round has the others
    # The lowest UDS of a never-taught model is below those of all other rounds.
    assert rates["false alarms"].tolist()[4] == "2 of 12"
    assert rates["rounds with a false alarm"].tolist()[4] == "1 of 6"
    assert rates["power"].tolist()[4].startswith("12 of 12: 1.00")
