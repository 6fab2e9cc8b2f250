#!/usr/bin/env bash
# Set up the environment (once) and run the tests. Arguments go to pytest:
#
#   bash tools/run_tests.sh                          everything
#   bash tools/run_tests.sh tests/test_geometry -k pnp
#   NCLR_TORCH=2.13.0 bash tools/run_tests.sh        on the torch 2.13.0 environment
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TORCH=${NCLR_TORCH:-2.1.2}
case $TORCH in
    2.1.2) PYTHON=$ROOT/.venv/bin/python ;;
    *) PYTHON=$ROOT/.venv-torch$TORCH/bin/python ;;
esac

bash "$ROOT/tools/setup_env.sh" --torch "$TORCH"

# Asked for without OMP_NUM_THREADS, with which nproc would answer.
cores=$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
# One OpenMP thread a process: several of them on the same cores collapse.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
cd "$ROOT"
exec "$PYTHON" -m pytest -q --durations=15 \
    -n $((cores < 4 ? cores : 4)) --dist loadfile "$@" </dev/null
