#!/bin/bash
# side_by_side.sh PYTHON "ARGUMENTS" "OTHERS": runs pytest twice at a time, once with each arguments, since
# one alone uses one core, or waits. The second one's output is shown when both have ended.
python=$1
log=$(mktemp)
"$python" -m pytest $3 >"$log" 2>&1 &
beside=$!
# Also when interrupted.
trap 'kill "$beside" 2>/dev/null; cat "$log"; rm -f "$log"' EXIT
"$python" -m pytest $2
status=$?
wait "$beside" || status=1
exit "$status"
