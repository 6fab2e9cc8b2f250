#!/usr/bin/env bash
# Set up the private Python environment of this checkout: no compiler, headers or GPU needed.
#
#   bash tools/setup_env.sh          the pinned packages for the Python found, in .venv
#   bash tools/setup_env.sh --ops    mmcv with its compiled operators in place of mmcv-lite
#
# Python 3.8 - 3.11 gets requirements/gold.txt, 3.12 and 3.13 requirements/modern.txt. Where a
# graphics driver is found, torch comes as a CUDA build, else as a CPU build if torch's own index
# can be reached. Settings of pip (mirrors, folders of wheels, proxies) are honoured. A second call
# returns at once. On a GPU, SECOND, PV-RCNN and CenterPoint need --ops; it is kept by later calls.
#
# NCLR_PYTHON       the Python to use (default: python3, or the first that fits)
# NCLR_VENV         where the environment lies (default: .venv)
# UV_TORCH_BACKEND  the build of torch, such as cpu or cu126 (default: auto)
# MAX_JOBS          compilers that --ops runs at a time (default: the number of cores)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
VENV=$(realpath -ms "${NCLR_VENV:-.venv}")
PYTHON=$VENV/bin/python
STAMP=$VENV/nclr_setup.stamp
LOG=$VENV.log
CACHE="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/nclr_plugin/wheels"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
START=$SECONDS

say() { printf '[setup %4ds] %s\n' $((SECONDS - START)) "$*"; }
die() { printf '\nset-up stopped: %s\n' "$*" >&2; exit 1; }

OPS=0
for argument in "$@"; do
    case $argument in
        --ops) OPS=1 ;;
        -h|--help) sed -n '2,16p' tools/setup_env.sh | cut -c3-; exit 0 ;;
        *) die "unknown argument '$argument'; try --help" ;;
    esac
done
if grep -q '^ops$' "$STAMP" 2>/dev/null; then OPS=1; fi

# A Python fits when there are wheels of spconv for it and it can make environments.
FITS='import ensurepip, sys, venv; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 13))'
find_python() {
    local candidate
    for candidate in ${NCLR_PYTHON:-python3 python3.1{2,1,3,0} python3.9 python3.8 python}; do
        if "$candidate" -c "$FITS" >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

BASE=$(find_python) || die "no usable Python found${NCLR_PYTHON:+ (NCLR_PYTHON=$NCLR_PYTHON)}.
Needed: Python 3.8 to 3.13 with venv (Debian, Ubuntu: apt install python3-venv; conda:
conda create -n py312 python=3.12), or name one: NCLR_PYTHON=/path/to/python"
VERSION=$("$BASE" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $VERSION in 3.1[23]) LIST=modern.txt ;; *) LIST=gold.txt ;; esac

# What the environment depends on: when any of it changes, the steps below run again.
fingerprint() {
    echo "$VENV $VERSION"
    cat requirements/*.txt setup.py nclr_plugin/version.py
    ls configs/*/*.py tools/*.py  # what OpenMIM is to find
}
WANTED=$(fingerprint | cksum)$([ "$OPS" = 0 ] || printf '\nops')
ready() {
    [ -x "$PYTHON" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ] || return 1
    say "environment ready: $VENV"
}
if ready; then exit 0; fi

# Two set-ups of the same environment at a time would break each other.
if command -v flock >/dev/null; then
    exec 9>"$VENV.lock"
    flock -n 9 || { say "another set-up of $VENV is running; waiting for it"; flock 9; }
    if ready; then exit 0; fi
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
        sleep 0.2
        waited=$((waited + 1))
        [ $((waited % 150)) -ne 0 ] || say "  still at it ($((SECONDS - begin)) s)"
    done
    wait "$job" || status=$?
    if [ "$status" -ne 0 ]; then
        printf '\n--- last lines of %s ---\n' "$LOG" >&2
        grep -v '^Ignoring ' "$LOG" | tail -n 25 >&2
        die "'$title' failed (exit status $status). The whole output is in $LOG. Usual reasons: no
network or package index (pip config list shows what pip uses), no space on the disk (df -h); for
--ops, no headers of Python (Debian, Ubuntu: apt install python3-dev). Put it right and run the
same command again: what was downloaded is kept."
    fi
}

pinned() { grep -hoE "^$1==[^ ;]+" requirements/{common,"${LIST%.txt}"}.txt; }
install() { "$PYTHON" tools/uv_pip.py install "$@"; }

install_uv() { # a speed-up, not a need: where there is none, pip does its work
    "$PYTHON" -m pip install --no-deps "$(pinned uv)" || echo "no uv; pip goes on"
}

# uv knows torch's own index and which build suits the driver; the package index has one build.
# The CUDA libraries of a build come last: the packages it names else are there by then.
install_stack() {
    local -a backend=(env UV_HTTP_RETRIES=1 "UV_TORCH_BACKEND=${UV_TORCH_BACKEND:-auto}")
    if ! "${backend[@]}" "$PYTHON" tools/uv_pip.py install --no-deps -r "requirements/$LIST"; then
        echo "torch's own index cannot be reached; going on with the build of the package index"
        backend=(env -u UV_TORCH_BACKEND)
        install --no-deps -r "requirements/$LIST"
    fi
    "${backend[@]}" "$PYTHON" tools/uv_pip.py install -c requirements/cuda.txt "$(pinned torch)"
}

# Where the compiled wheel of mmcv is kept; names everything the binary depends on.
wheel_folder() {
    "$PYTHON" - "$CUDA_OPS" <<'PY'
import sys
import torch
ops = f'cu{torch.version.cuda}' if sys.argv[1] == '1' else 'cpu'
print(f'torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-{ops}')
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
            --no-build-isolation --no-deps -w "$build" "$MMCV"; then
        rm -rf "$build"
        return 1
    fi
    mkdir -p "$folder"
    mv -f "$build"/mmcv-*.whl "$folder"/
    rm -rf "$build"
}

# A wheel compiled before, or of mmcv's own index, which OpenMIM knows; there may be neither.
find_wheel() {
    "$PYTHON" -m pip uninstall -y mmcv-lite mmcv
    ls "$FOLDER"/mmcv-*.whl || PIP_ONLY_BINARY=mmcv PIP_NO_DEPS=1 "$PYTHON" -m mim install "$MMCV" ||
        echo "no wheel of $MMCV for this torch can be reached"
}

has_ops() { ls "$VENV"/lib/python*/site-packages/mmcv/_ext*.so >/dev/null 2>&1; }

: >"$LOG"
rm -f "$STAMP"
mkdir -p "$CACHE"
export UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
say "setting up $VENV (requirements/$LIST); the output of each step is in $LOG"
MADE=$("$PYTHON" -c 'import pip, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
[ "$MADE" = "$VERSION" ] ||
    run "making the environment with $("$BASE" --version) ($BASE)" "$BASE" -m venv --clear "$VENV"
run "installing uv" install_uv
run "installing the pinned packages (a large download the first time)" install_stack
if [ "$OPS" = 1 ]; then
    # Where --ops fails, the environment goes on without compiled operators.
    trap 'has_ops || install --no-deps "$(pinned mmcv-lite)" >>"$LOG" 2>&1' EXIT
    CUDA_OPS=$(cuda_ops)
    MMCV=$(pinned mmcv-lite)
    MMCV=mmcv${MMCV#mmcv-lite}
    FOLDER=$CACHE/${MMCV//==/-}-$(wheel_folder)
    run "looking for a wheel of $MMCV" find_wheel
    if ! has_ops && ! ls "$FOLDER"/mmcv-*.whl >/dev/null 2>&1; then
        type -P "${CXX:-g++}" >/dev/null || die "mmcv has to be compiled for this torch, and
there is no C++ compiler (${CXX:-g++}). Install one (Debian, Ubuntu: apt install g++ python3-dev)
and run the same command again; without --ops none is needed."
        run "compiling $MMCV, once on this machine (about 4 minutes on two cores)" \
            compile_mmcv "$FOLDER"
    fi
    has_ops || run "installing mmcv from $FOLDER" install --no-deps "$FOLDER"/mmcv-*.whl
fi
run "installing nclr_plugin from this checkout" install --no-deps --no-build-isolation -e .
run "checking that everything imports" "$PYTHON" -c '
import nclr_plugin, mmdet.models, mmdet3d.models, mmcv.ops, spconv.pytorch, torchvision
import cv2, matplotlib.pyplot, nuscenes, pandas, pytest, scipy, sklearn, tensorboard'

printf '%s\n' "$WANTED" >"$STAMP"
say "done: $("$PYTHON" --version) with requirements/$LIST in $VENV"
