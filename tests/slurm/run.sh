#!/bin/bash
# The whole tier in two halves side by side, since their tests mostly wait; each has its own clusters.
# Usage: tests/slurm/run.sh [PYTHON]
cd "$(dirname "$0")/../.." || exit 1
[ -z "${CI:-}" ] || tests/slurm/install.sh || exit 1
half="tests/slurm/test_accounting.py tests/slurm/test_outages.py"
exec tests/side_by_side.sh "${1:-.venv/bin/python}" "tests/slurm ${half//tests/--ignore=tests}" "$half"
