#!/bin/bash
# start_cluster.sh FOLDER PORT [accounting]
# A Slurm cluster of one node with two pretended GPUs, wholly inside a folder and run as the calling
# user; with accounting: MariaDB and slurmdbd too. Ports: PORT to PORT+2, on 127.0.0.1 only.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
port=$2
accounting=${3:-}
host=$(hostname -s)
user=$(id -un)
((${#folder} <= 80)) || { echo "error: $folder is too long for a socket's path" >&2; exit 1; }

# await COMMAND...: tries it for a minute; a daemon that does not come up says why in its log.
await() {
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "error: the cluster in $folder is not up (waited for: $*)" >&2
    tail -n 5 "$folder"/log/*.log >&2
    exit 1
}

mkdir -p "$folder"/{munge,run,log,state,spool,dev,bin,db}
chmod 755 "$folder" "$folder"/{run,log,state,spool,dev,bin}
chmod 700 "$folder/munge" "$folder/db"
# Character devices, so that Slurm sets CUDA_VISIBLE_DEVICES; without the right to make them, files
# still count as GPUs.
for gpu in 0 1; do
    [ -e "$folder/dev/gpu$gpu" ] || mknod "$folder/dev/gpu$gpu" c 1 3 2>/dev/null || : >"$folder/dev/gpu$gpu"
done
[ -e "$folder/munge/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/munge.key")

{
    cat <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/run/munge.socket
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Memory is enforced by looking at it once a second: cgroups need more of the machine.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
PriorityType=priority/basic
GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.txt
KillWait=2
CompleteWait=0
SlurmctldTimeout=30
SlurmdTimeout=20
MessageTimeout=10
# On a busy machine a job takes longer to start than the default, ten seconds; it would then be held.
BatchStartTimeout=300
ReturnToService=2
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 RealMemory=16000 Gres=gpu:toy:2 State=UNKNOWN
PartitionName=gpu Nodes=$host Default=YES MaxTime=INFINITE DefaultTime=10 State=UP
PartitionName=cpu Nodes=$host Default=NO MaxTime=INFINITE DefaultTime=10 State=UP
CONF
    # AuthInfo is not used towards slurmdbd: the password names the socket.
    [ -z "$accounting" ] || cat <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$folder/run/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
CONF
} >"$folder/slurm.conf"
echo "NodeName=$host Name=gpu Type=toy File=$folder/dev/gpu[0-1]" >"$folder/gres.conf"
echo "CgroupPlugin=disabled" >"$folder/cgroup.conf"
# The plugin's job step takes SLURM_CONF out of the environment before its srun; a cluster whose
# configuration is not in /etc/slurm must put it back.
printf '#!/bin/sh\nexport SLURM_CONF=%s\nexec /usr/bin/srun "$@"\n' "$folder/slurm.conf" >"$folder/bin/srun"
chmod 755 "$folder/bin/srun"
export SLURM_CONF=$folder/slurm.conf

munged --key-file="$folder/munge/munge.key" --socket="$folder/run/munge.socket" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" \
    --seed-file="$folder/munge/munged.seed" --num-threads=2

start_accounting() {
    local sql=(--no-defaults --socket="$folder/run/mariadb.sock")
    mariadb-install-db --no-defaults --datadir="$folder/db" --user="$user" --skip-test-db \
        --auth-root-authentication-method=socket --auth-root-socket-user="$user" \
        >"$folder/log/mariadb-install.log" 2>&1
    setsid mariadbd --no-defaults --datadir="$folder/db" --user="$user" \
        --socket="$folder/run/mariadb.sock" --pid-file="$folder/run/mariadbd.pid" \
        --skip-networking --log-error="$folder/log/mariadbd.log" --innodb-buffer-pool-size=64M \
        --innodb-log-file-size=32M --innodb-lock-wait-timeout=900 \
        --innodb-flush-log-at-trx-commit=2 </dev/null >/dev/null 2>&1 &
    await mariadb-admin "${sql[@]}" ping
    mariadb "${sql[@]}" -e "CREATE DATABASE slurm; GRANT ALL ON slurm.* TO 'slurm'@'localhost' IDENTIFIED BY 'slurm';"
    (umask 077 && cat >"$folder/slurmdbd.conf" <<CONF
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
SlurmUser=$user
PidFile=$folder/run/slurmdbd.pid
LogFile=$folder/log/slurmdbd.log
MessageTimeout=10
StorageType=accounting_storage/mysql
StorageHost=localhost
StoragePort=0
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
CONF
    )
    # slurmdbd takes its configuration from the folder of SLURM_CONF.
    MYSQL_UNIX_PORT=$folder/run/mariadb.sock slurmdbd
    await timeout 5 sacctmgr -n list cluster
    sacctmgr -i -Q add cluster test >/dev/null
    sacctmgr -i -Q add account lab cluster=test >/dev/null
    sacctmgr -i -Q add user "$user" account=lab defaultaccount=lab >/dev/null
}
[ -z "$accounting" ] || start_accounting

slurmctld
slurmd -N "$host"
is_idle() { [ "$(timeout 5 sinfo -h -N -o %T | sort -u)" = idle ]; }
await is_idle
