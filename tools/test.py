"""Test with mmdet3d's own tools/test.py.

    python tools/test.py CONFIG CHECKPOINT [--help]

The checkpoint ``none`` tests the random initialisation. ``--show-dir DIR`` writes pictures.
``--submission DIR`` writes the files for a benchmark server: segmentation, or KITTI boxes.
"""
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.engine.launcher import test  # noqa: E402

if __name__ == '__main__':
    test()
