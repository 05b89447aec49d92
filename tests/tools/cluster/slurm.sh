#!/usr/bin/env bash
# A sweep of four jobs through a real Slurm, on this machine alone: its two daemons are started
# for it, if no cluster is there. Needs root, Debian's `apt-get install slurm-wlm munge`, and an
# environment with `pip install -e '.[slurm]'`. Takes about a minute.
#
#   bash tests/tools/cluster/slurm.sh            python of the active environment
#   PYTHON=.venv/bin/python bash tests/tools/cluster/slurm.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(command -v "${PYTHON:-python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
work=$(mktemp -d)
started=()
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap stop EXIT

start_cluster() {
    mkdir -p /run/munge /etc/slurm "$work/state" "$work/spool"
    chown munge: /run/munge
    if ! pgrep -x munged >/dev/null; then
        su -s /bin/sh munge -c "munged --foreground" >"$work/munged.log" 2>&1 &
        started+=($!)
        sleep 1
    fi
    cat >"$work/slurm.conf" <<EOF
ClusterName=lab
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
ReturnToService=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(free -m | awk '/^Mem/ {print $2}') - 1000))
PartitionName=lab Nodes=ALL Default=YES State=UP
EOF
    export SLURM_CONF=$work/slurm.conf
    slurmctld -D >"$work/slurmctld.log" 2>&1 &
    started+=($!)
    slurmd -D >"$work/slurmd.log" 2>&1 &
    started+=($!)
    for _ in $(seq 30); do
        if sinfo -h -o %t 2>/dev/null | grep -q idle; then return; fi
        sleep 1
    done
    echo "Slurm did not start; see $work"
    exit 1
}

if ! sinfo >/dev/null 2>&1; then start_cluster; fi
sinfo
export SEQEXP_OUTPUTS=$work/outputs MLFLOW_DISABLE_TELEMETRY=true
began=$(date +%s)
timeout 300 "$python" -m seqexp -m launcher=slurm launcher.minutes=5 launcher.memory_gb=2 \
    seed=0,1,2,3 trainer=smoke interpret=none "$@" 2>"$work/errors" || { cat "$work/errors"; exit 1; }
echo "$(($(date +%s) - began)) s"

"$python" - "$SEQEXP_OUTPUTS/mlflow.db" <<'EOF'
import sqlite3, sys

with sqlite3.connect(sys.argv[1]) as database:
    runs = dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status"))
    points = database.execute(
        "SELECT count(*) FROM metrics WHERE key = 'valid/loss_nats' GROUP BY run_uuid"
    ).fetchall()
print(f"runs: {runs}; points of valid/loss_nats: {[count for (count,) in points]}")
assert runs == {"FINISHED": 5}, "four jobs and their parent"
assert points == [(2,)] * 4, "two epochs each"
EOF

# jobs that are cancelled save, are KILLED in MLflow, and go on with the same command
long=(launcher=slurm launcher.minutes=5 launcher.memory_gb=2 seed=5,6 interpret=none
    trainer.epochs=100000 trainer.checkpoint.every_minutes=null)
"$python" -m seqexp -m "${long[@]}" >"$work/said" 2>&1 &
sweep=$!
started+=($sweep)
for _ in $(seq 120); do
    logs=$(find "$work/outputs/sweeps" -name seqexp.log -exec grep -l "epoch      2/" {} + || true)
    [ "$(echo "$logs" | grep -c .)" = 2 ] && break
    sleep 1
done
scancel --user=root --name=seqexp
for _ in $(seq 60); do [ -z "$(squeue -h)" ] && break; sleep 1; done
kill "$sweep" 2>/dev/null || true # without accounting submitit would wait for ever
wait "$sweep" || true
timeout 120 "$python" -m seqexp -m "${long[@]}" trainer.max_minutes=0.01 >"$work/said_again" 2>&1 || true
cat $(find "$work/outputs/sweeps" -name seqexp.log) | grep -E "stopped after update|goes on after" | tee "$work/told"
[ "$(grep -c "stopped after update" "$work/told")" -ge 4 ]
[ "$(grep -c "goes on after update" "$work/told")" = 2 ]
"$python" - "$SEQEXP_OUTPUTS/mlflow.db" <<'EOF'
import sqlite3, sys

with sqlite3.connect(sys.argv[1]) as database:
    runs = database.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall()
print(f"runs: {runs}")
assert dict(runs) == {"FINISHED": 5, "KILLED": 3}, "two jobs and their parent were stopped"
EOF
echo "sound; the files are in $work"
