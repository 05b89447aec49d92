#!/usr/bin/env bash
# Many jobs at once on a database that is not there yet: every run finished, every point kept?
# Sixteen worker processes import PyTorch and MLflow at once: about a minute and 8 GB on two cores.
#
#   bash tests/tools/cluster/many.sh                       launcher=parallel launcher.jobs=16
#   bash tests/tools/cluster/many.sh launcher=ray launcher.jobs=4
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
export SEQEXP_OUTPUTS=$(mktemp -d) MLFLOW_DISABLE_TELEMETRY=true
[ $# -gt 0 ] || set -- launcher=parallel launcher.jobs=16
began=$(date +%s)
"$python" -m seqexp -m "$@" 'seed=range(16)' trainer=smoke trainer.epochs=5 interpret=none \
    dataset.num_train=50 dataset.num_test=50 >"$SEQEXP_OUTPUTS/log" 2>&1 || { tail -40 "$SEQEXP_OUTPUTS/log"; exit 1; }
echo "$(($(date +%s) - began)) s"

"$python" - "$SEQEXP_OUTPUTS/mlflow.db" <<'EOF'
import sqlite3, sys

with sqlite3.connect(sys.argv[1]) as database:
    runs = dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status"))
    query = "SELECT key, count(*), count(DISTINCT run_uuid) FROM metrics GROUP BY key"
    points = {key: (count, of) for key, count, of in database.execute(query)}
print(f"runs: {runs} (16 jobs and their parent)")
print(f"points: {sum(count for count, _ in points.values())} of {len(points)} metrics")
assert runs == {"FINISHED": 17}
for key in ("train/loss_nats", "valid/loss_nats", "valid/accuracy", "time/epoch_seconds"):
    assert points[key] == (5 * 16, 16), (key, points[key])
for key in ("test/loss_nats", "test/accuracy"):
    assert points[key] == (16, 16), (key, points[key])
EOF
echo "sound; the files are in $SEQEXP_OUTPUTS"
