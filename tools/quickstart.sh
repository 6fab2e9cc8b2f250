#!/usr/bin/env bash
# From a fresh checkout to a pretrained network that calibrates held-out scenes of a demo world:
#
#   bash tools/quickstart.sh
#
# Sets up the environment, generates the demo data, evaluates the untrained network, pretrains,
# evaluates again and draws pictures. The next call skips finished stages and resumes an interrupted
# training. tools/setup_env.sh --help says how to choose the Python and the environment's folder.
# Set the numbers below in front of the command: SCENES=40 SAMPLES=50 bash tools/quickstart.sh
set -euo pipefail

CONFIG=configs/nclr/nclr_minkunet_demo.py
SCENES=${SCENES:-600}         # training scenes of the demo world
TOWNS=8                       # towns of these scenes: the sequences in the config
VAL_SCENES=${VAL_SCENES:-60}  # held-out scenes, in another town
SEED=${SEED:-0}               # seed of the demo world
SAMPLES=${SAMPLES:-2400}      # training samples; the config has 8000
PICTURES=4                    # frames to draw, half of them by each process
DATA=data/demo
OUT=work_dirs/quickstart
WORKERS=$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
PROCESSES=$((WORKERS < 2 ? 1 : 2)) # of training, one sample each per step, and of evaluation

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${NCLR_VENV:-.venv}/bin/python
# One OpenMP thread per process: with more, busy processes slow each other down many times over.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} NCLR_DEMO_ROOT=$DATA
START=$SECONDS

clock() { printf '%d:%02d' $(((SECONDS - START) / 60)) $(((SECONDS - START) % 60)); }

# stage NAME TITLE KEY command...: runs once, and again when KEY changes.
stage() {
    local name=$1 title=$2 key begin=$SECONDS
    key=$(printf '%s\n' "$3" | cksum)
    shift 3
    if [ "$(cat "$OUT/$name.done" 2>/dev/null)" = "$key" ]; then
        printf '\n=== [%s] %s: skipped, done before (to repeat: rm %s)\n' \
            "$(clock)" "$title" "$OUT/$name.done"
        return
    fi
    printf '\n=== [%s] %s\n' "$(clock)" "$title"
    rm -f "$OUT/$name.done"
    "$@" </dev/null || {
        printf '\nquickstart stopped in the stage "%s". Fix what the message above names and run
the command again: finished stages are skipped.\n' "$title" >&2
        exit 1
    }
    printf '%s\n' "$key" >"$OUT/$name.done"
    printf '=== [%s] %s: finished in %d s\n' "$(clock)" "$title" $((SECONDS - begin))
}

# quiet LOG NAME command...: all output goes to LOG; one line shows how far NAME is.
quiet() {
    local log=$1 name=$2
    shift 2
    printf '    log: %s\n' "$log"
    "$@" >"$log" 2>&1 &
    follow "$log" "$name" $! && return
    printf '\nThe end of %s:\n' "$log" >&2
    tail -n 30 "$log" >&2
    return 1
}

# follow LOG NAME PROCESS: on a terminal the line moves; elsewhere there is one every half minute.
follow() {
    local log=$1 name=$2 process=$3 last='' shown=$SECONDS now
    trap "kill $process 2>/dev/null" EXIT # Ctrl-C does not reach a process in the background
    while kill -0 "$process" 2>/dev/null; do
        sleep 1
        now=$(progress "$log" "$name")
        if [ -t 1 ]; then
            printf '\r    %s\033[K' "$now"
        elif [ "$now" != "$last" ] && [ $((SECONDS - shown)) -ge 30 ]; then
            printf '    %s\n' "$now"
            last=$now shown=$SECONDS
        fi
    done
    [ -t 1 ] && printf '\r    %s\033[K\n' "$(progress "$log" "$name")"
    trap - EXIT
    wait "$process"
}

# progress LOG NAME: the step, the loss and the time left that were logged last.
progress() {
    local line text=starting
    line=$(grep -aE 'Iter\((train|val|test)\) *\[|^scene [0-9]' "$1" | tail -n 1) || true
    [[ $line =~ (\[\ *|^scene\ )([0-9]+)/([0-9]+) ]] && text="$2 ${BASH_REMATCH[2]} of ${BASH_REMATCH[3]}"
    [[ $line =~ \ loss:\ ([0-9.]+) ]] && text+=", loss ${BASH_REMATCH[1]}"
    [[ $line =~ eta:\ ([0-9:]+) ]] && text+=", ${BASH_REMATCH[1]} left"
    printf '%s' "$text"
}

create_data() {
    rm -rf "$DATA"
    quiet "$OUT/data.log" scene "$PYTHON" -u tools/create_demo_data.py "$DATA" \
        --layout semantickitti --scenes "$SCENES" --val-scenes "$VAL_SCENES" --towns "$TOWNS" \
        --seed "$SEED" --image-size 416 128 --azimuths 1024 --workers "$WORKERS"
}

# launch LOG NAME TOOL option...: runs a tool of the framework in all processes.
launch() {
    local log=$1 name=$2 tool=$3
    shift 3
    if [ "$PROCESSES" -eq 1 ]; then
        quiet "$log" "$name" "$PYTHON" "$tool" "$CONFIG" "$@"
    else
        quiet "$log" "$name" "$PYTHON" -m torch.distributed.run --standalone \
            --nproc_per_node "$PROCESSES" "$tool" "$CONFIG" "$@" --launcher pytorch
    fi
}

evaluate() { # checkpoint, folder of the log, further options
    local checkpoint=$1 folder=$2
    shift 2
    rm -rf "$folder"
    launch "$folder.log" scene tools/test.py "$checkpoint" --work-dir "$folder" "$@"
}

# A checkpoint of other settings or data must not be resumed.
train() {
    if [ "$(cat "$OUT/train.key" 2>/dev/null)" != "$TRAIN_KEY" ]; then
        rm -rf "$OUT/train"
        printf '%s\n' "$TRAIN_KEY" >"$OUT/train.key"
    fi
    local options=(train_cfg.max_iters=$((SAMPLES / PROCESSES))
        val_cfg=None val_dataloader=None val_evaluator=None) # the next stage evaluates
    # 7e-4 for one sample a step, times sqrt(2)
    [ "$PROCESSES" -eq 1 ] || options+=(optim_wrapper.optimizer.lr=1e-3)
    launch "$OUT/train.log" step tools/train.py --work-dir "$OUT/train" --resume \
        --cfg-options "${options[@]}"
}

evaluate_trained() {
    rm -rf "$OUT/pictures"
    evaluate "$CHECKPOINT" "$OUT/after" --mismatched-image-control --show-dir "$OUT/pictures" \
        --cfg-options default_hooks.pictures.max_frames=$((PICTURES / PROCESSES))
}

mkdir -p "$OUT"
printf '=== [%s] Environment\n' "$(clock)"
bash tools/setup_env.sh

DATA_KEY="$SCENES $TOWNS $VAL_SCENES $SEED $(find nclr_plugin/demo -name '*.py' -exec cat {} + | cksum)"
[ -d "$DATA" ] || rm -f "$OUT/data.done"
stage data "Demo world: $SCENES + $VAL_SCENES scenes in $DATA" "$DATA_KEY" create_data

TRAIN_KEY="$DATA_KEY $SAMPLES $PROCESSES $(find configs -name '*.py' -exec cat {} + | cksum)"
stage before "Calibration of held-out scenes before training" "$TRAIN_KEY" \
    evaluate none "$OUT/before"

[ -f "$OUT/train/last_checkpoint" ] || rm -f "$OUT/train.done"
stage train "Pretraining" "$TRAIN_KEY" train
CHECKPOINT=$(cat "$OUT/train/last_checkpoint")
CHECKPOINT=${CHECKPOINT#"$PWD"/}

stage after "Calibration of held-out scenes after training, and pictures" \
    "$TRAIN_KEY $CHECKPOINT" evaluate_trained

printf '\n=== [%s] Result\n\n' "$(clock)"
"$PYTHON" - "$OUT" <<'PY'
import json
import sys
from pathlib import Path

out = Path(sys.argv[1])
before, after = (json.loads(max((out / name).glob('*/*.json')).read_text())
                 for name in ('before', 'after'))
prefix, columns = 'calibration/', ('identity_', 'mismatched_image_')
print(f'{"held-out scenes":<26}{"before":>12}{"after":>12}{"identity":>12}{"mismatched":>14}')
for key, value in after.items():
    name = key[len(prefix):]
    others = [after.get(f'{prefix}{column}{name}') for column in columns]
    if key.startswith(prefix) and None not in others:
        print(f'{name:<26}{before[key]:>12.3f}{value:>12.3f}{others[0]:>12.3f}{others[1]:>14.3f}')
print('identity: the answer "nothing has moved"; mismatched: the trained network with the image of')
print('another scene: what it gets right there is a guess from the scan alone')
PY
LOG=$(ls -t "$OUT"/train/*/*.log | head -n 1)
cat <<TEXT

checkpoint   $CHECKPOINT
pictures     $OUT/pictures   (overlay/: the scan on the image before, after, in truth)
metrics      $OUT/before, $OUT/after
log          $LOG
curves       $PYTHON -m tensorboard.main --logdir $OUT/train
total time   $(clock)
TEXT
