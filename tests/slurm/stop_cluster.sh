#!/bin/bash
# stop_cluster.sh FOLDER : ends the cluster's jobs, and exactly the daemons whose pid files it holds.
folder=$(cd "$1" && pwd)
export SLURM_CONF=$folder/slurm.conf
timeout 10 scancel --user="$(id -un)" 2>/dev/null
for _ in $(seq 50); do
    [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
    sleep 0.1
done
for daemon in slurmd slurmctld slurmdbd mariadbd munged; do
    pid=$(cat "$folder/run/$daemon.pid" 2>/dev/null) || continue
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$daemon" ] || continue
    kill "$pid"
    # munged takes its time and holds nothing worth waiting for.
    wait=100
    [ "$daemon" = munged ] && wait=5
    for _ in $(seq "$wait"); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
done
exit 0
