#!/bin/bash
# The whole tier: the cluster without accounting and the one with it side by side, since their tests
# mostly wait. Usage: tests/slurm/run.sh [PYTHON]
cd "$(dirname "$0")/../.." || exit 1
[ -z "${CI:-}" ] || tests/slurm/install.sh || exit 1
python=${1:-.venv/bin/python}
log=$(mktemp)
"$python" -m pytest tests/slurm/test_accounting.py >"$log" 2>&1 &
"$python" -m pytest tests/slurm --ignore=tests/slurm/test_accounting.py
status=$?
wait $! || status=1
cat "$log"
rm -f "$log"
exit "$status"
