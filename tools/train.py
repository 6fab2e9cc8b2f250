"""Train with mmdet3d's own tools/train.py.

    python tools/train.py CONFIG [--help]

For fine-tuning, ``--checkpoint FILE`` loads pretrained weights and ``--fraction PERCENT`` uses
a part of the labels. All other flags are those of mmdet3d.
"""
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.engine.launcher import train  # noqa: E402

if __name__ == '__main__':
    train()
