#!/bin/bash
# The whole tier: three groups of tests side by side, each on a cluster of its own, since they mostly
# wait. Usage: tests/slurm/run.sh [PYTHON]
cd "$(dirname "$0")/../.." || exit 1
[ -z "${CI:-}" ] || tests/slurm/install.sh || exit 1
python=${1:-.venv/bin/python}
logs=$(mktemp -d)
trap 'cat "$logs"/*; rm -rf "$logs"' EXIT
status=0
waiting=()
for group in accounting outages; do
    "$python" -m pytest "tests/slurm/test_$group.py" >"$logs/$group" 2>&1 &
    waiting+=($!)
done
"$python" -m pytest tests/slurm --ignore=tests/slurm/test_accounting.py \
    --ignore=tests/slurm/test_outages.py || status=1
for process in "${waiting[@]}"; do
    wait "$process" || status=1
done
exit "$status"
