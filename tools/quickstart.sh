#!/usr/bin/env bash
# From a fresh checkout to a pretrained network that calibrates held-out scenes of a demo world:
#
#   bash tools/quickstart.sh
#
# Sets up the environment, generates the demo data, evaluates the untrained network, pretrains,
# evaluates again and draws pictures. A stage that is done is skipped in the next call; an
# interrupted training goes on where it stopped. tools/setup_env.sh --help says how to choose the
# Python and the place of the environment.
# The numbers below can be given before the command: SCENES=40 SAMPLES=50 bash tools/quickstart.sh
set -euo pipefail

CONFIG=configs/nclr/nclr_minkunet_demo.py
SCENES=${SCENES:-600}          # of the demo world, for training
TOWNS=8                       # that they lie in: the sequences of the configuration
VAL_SCENES=${VAL_SCENES:-60}   # held out, in another town
SEED=${SEED:-0}                # of the demo world
SAMPLES=${SAMPLES:-4000}       # seen in training; the configuration says 8000
PICTURES=4                     # frames drawn
DATA=data/demo
OUT=work_dirs/quickstart
WORKERS=$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
PROCESSES=$((WORKERS < 2 ? 1 : 2)) # of the training, with one sample each a step

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${NCLR_VENV:-.venv}/bin/python
# One OpenMP thread a process: several of them on the same cores collapse.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} NCLR_DEMO_ROOT=$DATA
START=$SECONDS

clock() { printf '%d:%02d' $(((SECONDS - START) / 60)) $(((SECONDS - START) % 60)); }

# stage NAME "title" "what it depends on" command...: once, unless what it depends on changes.
stage() {
    local name=$1 title=$2 key begin=$SECONDS
    key=$(printf '%s\n' "$3" | cksum)
    shift 3
    if [ "$(cat "$OUT/$name.done" 2>/dev/null)" = "$key" ]; then
        printf '\n=== [%s] %s: done before, skipped (rm %s to repeat it)\n' \
            "$(clock)" "$title" "$OUT/$name.done"
        return
    fi
    printf '\n=== [%s] %s\n' "$(clock)" "$title"
    rm -f "$OUT/$name.done"
    "$@" </dev/null || {
        printf '\nquickstart stopped in the stage "%s". Put right what the message above names and
run the same command again: finished stages are skipped.\n' "$title" >&2
        exit 1
    }
    printf '%s\n' "$key" >"$OUT/$name.done"
    printf '=== [%s] %s: finished in %d s\n' "$(clock)" "$title" $((SECONDS - begin))
}

# concise LOG command...: shows the output but for the listings of configuration, environment and
# hooks, which stay in LOG with the rest.
concise() {
    local log=$1 status=0
    shift
    "$@" 2>&1 | tee "$log" | awk '
        /^[0-9\/]+ [0-9:]+ - mmengine - / {
            hide = / - Config:/ || / - Hooks will be executed/ || /INFO - *$/
        }
        !hide { print; fflush() }' || status=$?
    [ "$status" -eq 0 ] || tail -n 30 "$log" >&2
    return "$status"
}

create_data() {
    rm -rf "$DATA"
    "$PYTHON" tools/create_demo_data.py "$DATA" \
        --layout semantickitti --scenes "$SCENES" --val-scenes "$VAL_SCENES" --towns "$TOWNS" \
        --seed "$SEED" --image-size 416 128 --azimuths 1024 --workers "$WORKERS"
}

evaluate() { # checkpoint, folder of the log, further options
    local checkpoint=$1 folder=$2
    shift 2
    rm -rf "$folder"
    concise "$folder.log" \
        "$PYTHON" tools/test.py "$CONFIG" "$checkpoint" --work-dir "$folder" "$@"
}

# Weights of other settings or data must not be taken for a start of this training.
train() {
    if [ "$(cat "$OUT/train.key" 2>/dev/null)" != "$TRAIN_KEY" ]; then
        rm -rf "$OUT/train"
        printf '%s\n' "$TRAIN_KEY" >"$OUT/train.key"
    fi
    local options=(train_cfg.max_iters=$((SAMPLES / PROCESSES))
        val_cfg=None val_dataloader=None val_evaluator=None) # the next stage evaluates
    local start=("$PYTHON") launcher=none
    if [ "$PROCESSES" -eq 2 ]; then
        start+=(-m torch.distributed.run --standalone --nproc_per_node 2)
        launcher=pytorch
        options+=(optim_wrapper.optimizer.lr=1e-3) # 7e-4 for one sample a step, times sqrt(2)
    fi
    concise "$OUT/train.log" "${start[@]}" tools/train.py "$CONFIG" --launcher "$launcher" \
        --work-dir "$OUT/train" --resume --cfg-options "${options[@]}"
}

evaluate_trained() {
    rm -rf "$OUT/pictures"
    evaluate "$CHECKPOINT" "$OUT/after" --mismatched-image-control --show-dir "$OUT/pictures" \
        --cfg-options default_hooks.pictures.max_frames="$PICTURES"
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
print(f'{"held-out scenes":<26}{"before":>12}{"after":>12}{"identity":>12}{"mismatched image":>14}')
for key, value in after.items():
    name = key[len(prefix):]
    others = [after.get(f'{prefix}{column}{name}') for column in columns]
    if key.startswith(prefix) and None not in others:
        print(f'{name:<26}{before[key]:>12.3f}{value:>12.3f}{others[0]:>12.3f}{others[1]:>14.3f}')
print('identity: the answer that nothing was moved; mismatched image: the trained network, shown the')
print('image of another scene: what is found there is guessed from the scan alone')
PY
LOG=$(ls -t "$OUT"/train/*/*.log | head -n 1)
cat <<TEXT

checkpoint   $CHECKPOINT
pictures     $OUT/pictures   (overlay/: the scan on the image before, after, in truth)
metrics      $OUT/before, $OUT/after
log          $LOG
curves       $PYTHON -m tensorboard.main --logdir $OUT/train
whole time   $(clock)
TEXT
