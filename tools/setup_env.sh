#!/usr/bin/env bash
# Set up the private Python environment of this checkout.
#
#   bash tools/setup_env.sh                  .venv               torch 2.1.2, the pinned default
#   bash tools/setup_env.sh --torch 2.13.0   .venv-torch2.13.0   the same stack on torch 2.13.0
#
# A second call returns at once. mmcv has no wheel for these torch versions: it is compiled once
# per (mmcv, torch, Python) and its wheel is kept in ${XDG_CACHE_HOME:-~/.cache}/nclr_plugin.
#
# NCLR_PYTHON   the Python to use (3.8 to 3.11; default: the newest of these found)
# MAX_JOBS      compilers to run at a time (default: the number of cores)
set -euo pipefail

MMCV_VERSION=2.1.0
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/nclr_plugin"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
START=$SECONDS

say() { printf '[setup %4ds] %s\n' $((SECONDS - START)) "$*"; }
die() { printf '\nset-up stopped: %s\n' "$*" >&2; exit 1; }

TORCH=2.1.2
while [ $# -gt 0 ]; do
    case $1 in
        --torch) [ $# -ge 2 ] || die "--torch needs a version: 2.1.2 or 2.13.0"; TORCH=$2; shift 2 ;;
        -h|--help) sed -n '2,11p' "${BASH_SOURCE[0]}" | cut -c3-; exit 0 ;;
        *) die "unknown argument '$1'; try --help" ;;
    esac
done
case $TORCH in
    2.1.2) VENV=$ROOT/.venv; LOCK=gold.txt ;;
    2.13.0) VENV=$ROOT/.venv-torch2.13.0; LOCK=torch213.txt ;;
    *) die "torch $TORCH has no requirement file; choose 2.1.2 or 2.13.0" ;;
esac
PYTHON=$VENV/bin/python
STAMP=$VENV/nclr_setup.stamp
LOG=$VENV.log

# What the environment depends on: when any of it changes, the steps below run again.
fingerprint() {
    echo "$VENV $MMCV_VERSION $TORCH"
    cat "$ROOT"/requirements/*.txt "$ROOT/setup.py" "$ROOT/nclr_plugin/version.py"
    ls "$ROOT"/configs/*/*.py "$ROOT"/tools/*.py  # what OpenMIM is to find
}
WANTED=$(fingerprint | cksum)
if [ -x "$PYTHON" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ]; then
    say "environment ready: $VENV"
    exit 0
fi

# Two set-ups of the same environment at a time would break each other.
if command -v flock >/dev/null; then
    exec 9>"$VENV.lock"
    flock -n 9 || { say "another set-up of $VENV is running; waiting for it"; flock 9; }
    if [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ]; then
        say "environment ready: $VENV"
        exit 0
    fi
fi

# Run "title" command...: output goes to the log, a line every half minute shows it is alive.
run() {
    local title=$1 begin=$SECONDS status=0 waited=0
    shift
    say "$title"
    printf '\n=== %s: %s\n' "$title" "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1 9>&- </dev/null &
    local job=$!
    while kill -0 "$job" 2>/dev/null; do
        sleep 1
        waited=$((waited + 1))
        [ $((waited % 30)) -ne 0 ] || say "  still at it ($((SECONDS - begin)) s)"
    done
    wait "$job" || status=$?
    if [ "$status" -ne 0 ]; then
        printf '\n--- last lines of %s ---\n' "$LOG" >&2
        tail -n 25 "$LOG" >&2
        die "'$title' failed (exit status $status). The whole output is in $LOG. Usual reasons: no
network or package index (pip config list shows what pip uses), no space on the disk (df -h), no
compiler (g++ --version). Put it right and run the same command again: finished steps are kept."
    fi
}

# A Python fits when it has spconv wheels (3.8 to 3.11), can make environments and has its headers.
FITS='import os, sys, sysconfig, ensurepip, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(not ((3, 8) <= sys.version_info[:2] <= (3, 11) and os.path.exists(header)))'
find_python() {
    local candidate
    for candidate in ${NCLR_PYTHON:-python3.11 python3.10 python3.9 python3.8 python3 python}; do
        if "$candidate" -c "$FITS" >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Where the compiled wheel of mmcv is kept; names everything the binary depends on.
wheel_folder() {
    "$PYTHON" - "$MMCV_VERSION" "$CUDA_OPS" <<'PY'
import sys
import torch
ops = f'cu{torch.version.cuda}' if sys.argv[2] == '1' else 'cpu'
python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
print(f'mmcv-{sys.argv[1]}-torch{torch.__version__}-{python}-{ops}')
PY
}

# 1 when a GPU is there and nvcc is of the CUDA release torch was built with, else 0.
cuda_ops() {
    "$PYTHON" - <<'PY'
import re
import subprocess
import torch
try:
    text = subprocess.check_output(['nvcc', '--version'], universal_newlines=True)
    release = re.search(r'release (\d+)', text).group(1)
except (OSError, subprocess.CalledProcessError, AttributeError):
    release = None
print(int(torch.cuda.is_available() and release == (torch.version.cuda or '').split('.')[0]))
PY
}

# uv downloads and unpacks side by side, in a third of pip's time; but it reads no settings of pip
# (a mirror, say), so that pip goes on where it fails.
install_stack() {
    "$PYTHON" -m pip install uv && "$PYTHON" -m uv pip install --python "$PYTHON" "$@" ||
        "$PYTHON" -m pip install "$@"
}

# nproc would answer with OMP_NUM_THREADS where that is set.
cores() { env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2; }

compile_mmcv() {
    local folder=$1 build
    build=$(mktemp -d "$folder.XXXXXX")
    local -a settings=("MMCV_WITH_OPS=1" "MAX_JOBS=${MAX_JOBS:-$(cores)}")
    # Without a GPU only the CPU operators are built; -O1 -g0 takes 40% off the time. The cache
    # of pip is off because it does not know which torch a wheel was compiled against.
    [ "$CUDA_OPS" = 1 ] || settings+=("CUDA_VISIBLE_DEVICES=" "CFLAGS=-O1 -g0 ${CFLAGS:-}")
    if ! env "${settings[@]}" PATH="$VENV/bin:$PATH" "$PYTHON" -m pip wheel --no-cache-dir \
            --no-build-isolation --no-deps -w "$build" "mmcv==$MMCV_VERSION"; then
        rm -rf "$build"
        return 1
    fi
    mkdir -p "$folder"
    mv -f "$build"/mmcv-*.whl "$folder"/
    rm -rf "$build"
}

: >"$LOG"
say "setting up $VENV (torch $TORCH); the output of each step is in $LOG"
BASE=$(find_python) || die "no usable Python found${NCLR_PYTHON:+ (NCLR_PYTHON=$NCLR_PYTHON)}. Needed: Python 3.8 to 3.11
with venv and headers, 3.11 by preference (Debian, Ubuntu: apt install python3.11-venv
python3.11-dev; conda: conda create -n py311 python=3.11), or name one: NCLR_PYTHON=/path/to/python"
"$PYTHON" -c '' 2>/dev/null || run "making the environment with $("$BASE" --version) ($BASE)" "$BASE" -m venv --clear "$VENV"
run "installing torch $TORCH and the pinned stack (a large download the first time)" \
    install_stack -r "$ROOT/requirements/$LOCK" \
    -r "$ROOT/requirements/build.txt" -r "$ROOT/requirements/tests.txt"

CUDA_OPS=$(cuda_ops)
FOLDER=$CACHE/wheels/$(wheel_folder)
if ! ls "$FOLDER"/mmcv-*.whl >/dev/null 2>&1; then
    command -v "${CXX:-g++}" >/dev/null || die "mmcv has to be compiled and there is no C++ compiler (${CXX:-g++}).
Install one (Debian, Ubuntu: apt install g++) and run the same command again."
    mkdir -p "$CACHE/wheels"
    run "compiling mmcv $MMCV_VERSION, once on this machine (about 4 minutes on two cores)" \
        compile_mmcv "$FOLDER"
fi
run "installing mmcv from $FOLDER" \
    "$PYTHON" -m pip install --no-deps --force-reinstall "$FOLDER"/mmcv-*.whl
run "installing nclr_plugin from this checkout" \
    "$PYTHON" -m pip install --no-deps --no-build-isolation -e "$ROOT"
run "checking that everything imports" "$PYTHON" -c \
    'import mmcv.ops, mmdet3d, spconv.pytorch, nclr_plugin; print(nclr_plugin.__version__)'
run "checking that the versions agree" "$PYTHON" -m pip check

printf '%s\n' "$WANTED" >"$STAMP"
say "done: $("$PYTHON" --version), torch $TORCH, mmcv $MMCV_VERSION in $VENV"
