#!/bin/bash
# The whole tier: the cluster without accounting and the one with it side by side, since their tests
# mostly wait. Usage: tests/slurm/run.sh [PYTHON]
cd "$(dirname "$0")/../.." || exit 1
[ -z "${CI:-}" ] || tests/slurm/install.sh || exit 1
accounting=tests/slurm/test_accounting.py
exec tests/side_by_side.sh "${1:-.venv/bin/python}" "tests/slurm --ignore=$accounting" "$accounting"
