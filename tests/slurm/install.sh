#!/bin/sh
# The Debian packages that this tier's clusters are made of; for CI, as root. Nothing is started.
set -eu
missing=0
for program in slurmctld slurmd slurmdbd munged mariadbd; do
    command -v "$program" >/dev/null || missing=1
done
[ "$missing" = 1 ] || exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# A package's own start script must not start a daemon of the system's.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
apt-get install -y -qq --no-install-recommends slurm-wlm munge slurmdbd mariadb-server
