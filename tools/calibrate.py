"""Extrinsics of a user's own rig: ``python tools/calibrate.py IMAGE SCAN --intrinsics K.yaml
--checkpoint C --out DIR [--help]``; folders in the place of files are fused.
"""
import os
import sys
from pathlib import Path

# Two OpenMP threads beside another busy process slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.apis.command import main  # noqa: E402

if __name__ == '__main__':
    main()
