#!/usr/bin/env bash
# Set up the environment (once) and run the tests. Arguments go to pytest:
#
#   bash tools/run_tests.sh                          everything
#   bash tools/run_tests.sh tests/test_geometry -k pnp
#   NCLR_PYTHON=python3.12 NCLR_VENV=.venv-modern bash tools/run_tests.sh    on another Python
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup_env.sh

# Asked for without OMP_NUM_THREADS, with which nproc would answer.
cores=$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
# One OpenMP thread a process: several of them on the same cores collapse.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${NCLR_VENV:-.venv}/bin/python" -m pytest -q --durations=15 \
    -n $((cores < 4 ? cores : 4)) --dist loadfile "$@" </dev/null
