"""Look at every selected checkpoint, show the table, and write preflight.csv."""

from pathlib import Path
from typing import Any

from dissect.job import run


def main(*, config: dict[str, Any], preflight: Path) -> None:
    """Downloads nothing but configs."""
    # Not before the job has said whether it may use the network.
    from dissect.preparation.preflight import look_at, report
    from dissect.study.preflight import write_preflight
    from dissect.study.study import selected_rows

    rows = look_at(selected_rows(config))
    write_preflight(preflight, rows)
    report(rows, config.get("on_missing_checkpoint", "error"))


if __name__ == "__main__":
    run(main, network=True)
